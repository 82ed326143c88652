"""What the edge says of itself, checked as a document and against the edge as it runs."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from imagegate.testing import ServedRouter
from imagegate.testing.fronted import OPERATOR, ServedEdge, serving_edge

# Of what a profile allows for a whole test; each operation is tried with valid and with invalid calls.
EXAMPLES = max(settings().max_examples // 20, 1)
# What counts as a refusal. Fields that no one knows are refused in our own bodies, but not in query strings.
REFUSED = ["400", "404", "408", "413", "415"]
CONFIGURATION = {
    "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
    "generation": {"allow-extra-parameters": False, "with-security-parameters": False},
}
PLENTY = {"generations_per_minute": 100_000, "generations_at_a_time": 100, "requests_per_minute": 1_000_000}


@pytest.fixture
async def patient_edge(router: ServedRouter, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge in front of the router that lets one user ask for more than a person would."""
    admin = f"127.0.0.1:{router.admin_port}"
    async with serving_edge(router.target, tmp_path, settings=PLENTY, admin=admin) as served:
        yield served


async def description(edge: ServedEdge) -> dict[str, Any]:
    async with edge.session("") as nobody, nobody.get("/openapi.json") as answer:
        assert answer.content_type == "application/json"
        found: dict[str, Any] = await answer.json()
        return found


async def test_the_description_is_one_and_names_every_route(edge: ServedEdge) -> None:
    """P10: OpenAPI 3.1 without a fault, made from the routes themselves; anybody may read it."""
    told = await description(edge)
    assert list(OpenAPIV31SpecValidator(told).iter_errors()) == []
    methods = {(path, method.upper()) for path, item in told["paths"].items() for method in item}
    assert len(methods) == len(edge.house.endpoints())
    assert told["paths"]["/api/me"]["get"]["responses"].keys() >= {"200", "401", "429", "500"}
    operations = [operation["operationId"] for item in told["paths"].values() for operation in item.values()]
    assert len(set(operations)) == len(operations)


async def test_whoever_has_no_key_is_told_so_wherever_one_is_needed(edge: ServedEdge) -> None:
    """P12: each route that is not said to be for anybody answers 401 without a key, before it looks at anything."""
    told = await description(edge)
    for template, item in told["paths"].items():
        path = re.sub(r"\{\w+\}", "0" * 32, template)
        for method, operation in item.items():
            async with edge.session("") as nobody, nobody.request(method, path) as answer:
                assert (answer.status == 401) == (operation.get("security") != []), (method, path, answer.status)


async def test_what_is_said_is_what_is_done(patient_edge: ServedEdge) -> None:
    """P10: to made-up calls, valid and invalid ones, every route answers as its description says: never with a fault
    of its own, with a status, a media type and a shape that stand there, and with no success for what is not valid.
    """
    configuration = schemathesis.Config.from_dict(CONFIGURATION)
    schema = schemathesis.openapi.from_dict(await description(patient_edge), config=configuration)
    problems = await asyncio.to_thread(found_wrong, schema, patient_edge.url)
    assert not problems, "\n\n".join(problems)


def found_wrong(schema: Any, url: str) -> list[str]:
    """What does not hold, of each operation with the call that shows it."""
    problems: list[str] = []
    for each in schema.get_all_operations():
        assert isinstance(each, Ok), each
        if is_endless(each.ok().definition.raw):
            continue
        for mode in schemathesis.GenerationMode:
            try:
                try_operation(each.ok(), mode, url)
            except Unsatisfiable:
                continue  # nothing that it takes can be wrong
            except (Exception, FailureGroup) as error:  # noqa: BLE001 - all of them are told together
                problems.append(f"{each.ok().label} ({mode.value}): {told(error)}")
    return problems


def is_endless(operation: Mapping[str, Any]) -> bool:
    """Whether it tells events for as long as anybody listens, and nothing else."""
    return operation["responses"].get("200", {}).get("content", {}).keys() == {"text/event-stream"}


def told(error: BaseException) -> str:
    """What is wrong, and with which call, of however many problems at once."""
    inner = getattr(error, "exceptions", ())
    return "\n".join([f"{type(error).__name__} {error}", *getattr(error, "__notes__", []), *map(told, inner)])


def try_operation(operation: APIOperation[Any, Any, Any, Any], mode: schemathesis.GenerationMode, url: str) -> None:
    """Call an operation with made-up values. Raises what does not hold."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case) -> None:
        # What no schema can say (a size's shape, a model's name) makes a call invalid, too.
        excluded = [positive_data_acceptance, ignored_auth]
        if case.media_type != "application/json":
            # In a query or a form everything is text, and an empty one says nothing.
            excluded.append(negative_data_rejection)
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        case.call_and_validate(base_url=url, headers=headers, excluded_checks=excluded)

    holds()
