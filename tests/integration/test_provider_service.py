"""A provider's service over a real socket, around a scripted provider."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from structlog.testing import capture_logs

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Dispatch, Failure, Reason, from_status
from imagegate.runtime.limits import Limits
from imagegate.runtime.metadata import ATTEMPT_NUMBER, FALLBACK_WAITS, UPSTREAM_ID
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.models import Parameter
from imagegate.runtime.options import Option
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import serving
from imagegate.runtime.service import ProviderService
from imagegate.runtime.settings import ProcessSettings
from imagegate.testing import SCRIPTED_FOR_EVERYTHING, SCRIPTED_MODEL, Hang, ScriptedProvider, picture
from imagegate.v1 import generation_pb2, generation_pb2_grpc

Request = generation_pb2.GenerateRequest
KEY = "key-0123456789abcdef"
SETTINGS = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=0)
WITH_NEGATIVE = SCRIPTED_MODEL.model_copy(
    update={"parameters": {**SCRIPTED_MODEL.parameters, "negative_prompt": Parameter()}}
)


class Broken(ScriptedProvider):
    """Has a bug, met after the work was accepted."""

    async def generate(self, order: Order) -> Delivery:
        """Raise what no provider should."""
        self.orders.append(order)
        order.sending()
        await order.accepted(self.upstream_id)
        raise RuntimeError("nobody has thought of this")


class Changing(ScriptedProvider):
    """Finds out only on the way that its upstream takes 4 steps and no more."""

    async def generate(self, order: Order) -> Delivery:
        """Change what was fitted, which may be forbidden."""
        order.change("steps", 4, generation_pb2.ACTION_CLAMPED, "whoever serves it takes 4")
        return await ScriptedProvider.generate(self, order)


@dataclass(slots=True)
class House:
    """A served provider, and a client's stubs."""

    channel: grpc.aio.Channel
    registry: Registry

    def call(
        self, request: Request | None = None, *, timeout: float = 20.0, metadata: Mapping[str, str] | None = None
    ) -> Any:
        """One Generate under way."""
        stub = generation_pb2_grpc.GenerationServiceStub(self.channel)
        sent = tuple((metadata or {}).items())
        return stub.Generate(request or Request(prompt="a fox"), timeout=timeout, metadata=sent)

    def attempts(self, result: str) -> float | None:
        """How many attempts the metrics know that ended so."""
        labels = {"provider": "scripted", "model": "model", "result": result}
        return self.registry.get_sample_value("imagegate_images_total", labels)


@asynccontextmanager
async def a_house(
    provider: ScriptedProvider, *, limits: Limits | None = None, log_prompts: bool = True
) -> AsyncIterator[House]:
    """Serve `provider` in a process whose key is KEY."""
    redactor, metrics = Redactor(), ProcessMetrics(Registry())
    redactor.add(KEY)
    service = ProviderService(
        provider,
        limits=limits or Limits(concurrency=provider.concurrency),
        metrics=ProviderMetrics(metrics.registry, provider.name, ("model",)),
        redactor=redactor,
        log_prompts=log_prompts,
    )
    async with (
        serving(service.services(), SETTINGS, metrics, redactor) as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}", options=MESSAGE_OPTIONS) as channel,
    ):
        yield House(channel, metrics.registry)


async def the_failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    failure = from_status(status)
    assert failure is not None
    return failure


async def until(condition: Callable[[], object]) -> None:
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def attempt_lines(logs: list[Any]) -> list[dict[str, Any]]:
    return [line for line in logs if line["event"] == "attempt"]


# ── The line of an attempt ───────────────────────────────────────────────────────────────────────────────────────────


async def test_one_line_per_attempt() -> None:
    """S10: whatever an operator asks for about a delivered order stands on one line."""
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(upstream_id="up-1")) as house:
            call = house.call(Request(prompt="p" * 300, seed=7, request_id="mine-1"), metadata={ATTEMPT_NUMBER: "2"})
            answer = await call
            assert (UPSTREAM_ID, "up-1") in list(await call.initial_metadata())
        assert house.attempts("ok") == 1
    (line,) = attempt_lines(logs)
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "attempt",
        "log_level": "info",
        "request_id": "mine-1",
        "attempt": "2",
        "provider": "scripted",
        "model": "model",
        "upstream_id": "up-1",
        "parameters": {"width": 64, "height": 64, "steps": 4, "seed": 7},
        "outcome": "ok",
        "bytes": len(answer.images[0].data),
        "prompt": "p" * 100,
    }
    assert answer.request_id == "mine-1"


async def test_the_line_of_a_failure() -> None:
    """S10: a failed attempt's line says why, in whose words, how far it got and in which phase."""
    refusal = Failure(
        Reason.RATE_LIMITED, "slow down", upstream_status=429, upstream_message="no", dispatch=Dispatch.REFUSED
    )
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(replies=[refusal])) as house:
            await the_failure(house.call())
        assert house.attempts("rate_limited") == 1
    (line,) = attempt_lines(logs)
    told = {"outcome": "RATE_LIMITED", "message": "slow down", "upstream_status": 429, "upstream_message": "no"}
    assert line.items() >= {**told, "phase": "submit", "dispatch": "REFUSED", "bytes": 0}.items()


async def test_a_request_that_became_no_order_has_its_line() -> None:
    """S10: what was refused before anything was sent is an attempt as well."""
    with capture_logs() as logs:
        async with a_house(ScriptedProvider()) as house:
            assert (await the_failure(house.call(Request(prompt="")))).reason is Reason.INVALID_REQUEST
            assert (await the_failure(house.call(Request(prompt="x", model="nope")))).reason is Reason.MODEL_NOT_FOUND
    assert [(line["outcome"], line["model"]) for line in attempt_lines(logs)] == [
        ("INVALID_REQUEST", ""),
        ("MODEL_NOT_FOUND", "nope"),
    ]


@pytest.mark.parametrize(("log_prompts", "logged"), [(True, "n" * 100), (False, None)])
async def test_prompts_are_logged_only_where_they_may_be(log_prompts: bool, logged: str | None) -> None:
    """R14: what a caller does not want to see is as private as what they do, and logged as briefly."""
    provider = ScriptedProvider(models=(WITH_NEGATIVE,))
    with capture_logs() as logs:
        async with a_house(provider, log_prompts=log_prompts) as house:
            await house.call(Request(prompt="p" * 300, negative_prompt="n" * 300))
    (line,) = attempt_lines(logs)
    assert line["parameters"].get("negative_prompt") == logged
    assert line.get("prompt") == ("p" * 100 if log_prompts else None)
    assert provider.orders[0].parameters["negative_prompt"] == "n" * 300
    assert log_prompts or "nnn" not in str(logs)


@pytest.mark.parametrize(
    "forbidding", [{"must_keep": ["steps"]}, {"on_unsupported": generation_pb2.ON_UNSUPPORTED_REFUSE}]
)
async def test_what_only_the_provider_knows_is_forbidden_too(forbidding: dict[str, Any]) -> None:
    """R1: must_keep and REFUSE also hold for changes that no catalogue tells of; nothing is made then."""
    provider = Changing()
    async with a_house(provider) as house:
        failure = await the_failure(house.call(Request(prompt="a fox", steps=9, **forbidding)))
        answer = await house.call(Request(prompt="a fox", steps=9, must_keep=["width"]))
    assert (failure.reason, failure.dispatch, len(provider.orders)) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT, 1)
    assert [(each.parameter, each.applied) for each in answer.adjustments] == [("steps", "4")]


async def test_what_callers_call_their_options_is_no_label() -> None:
    """R11: labels come from closed sets: an option that a caller made up is counted, and its name is kept nowhere."""
    async with a_house(ScriptedProvider()) as house:
        for number in range(5):
            request = Request(prompt="a fox", steps=99)
            request.provider_options["scripted"].update({f"a secret, {number}": True})
            await house.call(request)
        counted = {
            (sample.labels["parameter"], sample.labels["action"]): sample.value
            for family in house.registry.collect()
            for sample in family.samples
            if sample.name == "imagegate_adjustments_total"
        }
    assert counted == {("provider_options", "dropped"): 5, ("steps", "clamped"): 5}


async def test_the_metrics_name_the_catalogue_in_force() -> None:
    """P1: a provider's metrics tell the revision of its models, and only the one that is in force."""
    provider = ScriptedProvider()

    def hashes(house: House) -> list[str]:
        families = house.registry.collect()
        samples = (sample for family in families for sample in family.samples)
        return [sample.labels["hash"] for sample in samples if sample.name == "imagegate_config_info"]

    async with a_house(provider) as house:
        assert hashes(house) == [provider.catalogue.revision]
        provider.models = (SCRIPTED_MODEL.model_copy(update={"credits": 4}),)
        assert hashes(house) == [provider.catalogue.revision]


@pytest.mark.parametrize(("log_prompts", "logged"), [(True, "n" * 100), (False, None)])
async def test_options_are_logged_as_they_were_sent(log_prompts: bool, logged: str | None) -> None:
    """R6, R14: what goes along by the upstream's own names is logged; a free text is as private as a prompt."""
    options = {"tiling": Option(kind="boolean"), "note": Option(kind="text")}
    request = Request(prompt="p")
    request.provider_options["scripted"].update({"tiling": True, "note": "n" * 200, "dropped": 1})
    with capture_logs() as logs:
        provider = ScriptedProvider(models=(SCRIPTED_MODEL.model_copy(update={"options": options}),))
        async with a_house(provider, log_prompts=log_prompts) as house:
            await house.call(request)
    (line,) = attempt_lines(logs)
    assert (line["parameters"]["tiling"], line["parameters"].get("note")) == (True, logged)
    assert "dropped" not in line["parameters"]
    assert log_prompts or "nnn" not in str(logs)


async def test_what_goes_along_is_logged_without_the_pictures() -> None:
    """R6: the task, what was sent beside each input, and of pictures their sizes."""
    photo = generation_pb2.InputImage(data=picture(64, 48))
    request = Request(prompt="p", loras=[{"name": "style", "weight": 0.5}], identity=[{"image": photo, "strength": 1}])
    request.image_to_image.image.CopyFrom(photo)
    request.controls.add(type=generation_pb2.CONTROL_TYPE_CANNY, image=photo, conditioning_scale=0.5, preprocess=True)
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(models=(SCRIPTED_FOR_EVERYTHING,))) as house:
            await house.call(request)
    (line,) = attempt_lines(logs)
    assert line["inputs"] == {
        "task": "image_to_image",
        "image": "64x48 image/png",
        "controls": [{"image": "64x48 image/png", "kind": "canny", "scale": 0.5, "preprocess": True}],
        "identity": [{"image": "64x48 image/png", "strength": 1.0}],
        "loras": [{"name": "style", "weight": 0.5}],
    }


@pytest.mark.parametrize("log_prompts", [True, False])
async def test_a_prompt_that_the_upstream_quotes_is_logged_only_where_it_may_be(log_prompts: bool) -> None:
    """R14: an upstream that quotes what it refuses brings no prompt into a log that may not have it."""
    quoting = Failure(Reason.CONTENT_REJECTED, "refused", upstream_message="'Our secret merger' breaks the rules")
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(replies=[quoting]), log_prompts=log_prompts) as house:
            failure = await the_failure(house.call(Request(prompt="our secret merger")))
    (line,) = attempt_lines(logs)
    quoted = "'Our secret merger' breaks the rules" if log_prompts else "'[prompt]' breaks the rules"
    assert (line["upstream_message"], failure.upstream_message) == (quoted, quoted)
    assert log_prompts or "merger" not in str(logs)


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_registered_key_never_leaves() -> None:
    """R14: an upstream that repeats the key does not get it into an error, a record or the line of the attempt."""
    failure = Failure(
        Reason.CREDENTIALS_REJECTED,
        f"it does not like {KEY}",
        remedy=f"do not use {KEY}",
        upstream_message=f"{'x' * 500} {KEY}",
        upstream_id=KEY,
    )
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(replies=[failure])) as house:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await house.call()
    told = f"{caught.value.details()} {caught.value.trailing_metadata()} {attempt_lines(logs)}"
    assert KEY[:8] not in told
    assert "it does not like ***" in told


async def test_a_providers_bug_is_a_recorded_attempt() -> None:
    """S3, S10: a stray exception is counted and logged with its traceback, once; the caller hears that it is ours."""
    with capture_logs() as logs:
        async with a_house(Broken(upstream_id="up-1")) as house:
            failure = await the_failure(house.call())
        assert house.attempts("internal") == 1
    assert failure.reason is Reason.INTERNAL
    assert "nobody has thought of this" not in failure.message
    (attempt,) = failure.attempts
    assert (attempt.upstream_id, attempt.dispatch) == ("up-1", Dispatch.ACCEPTED.to_proto())
    (line,) = attempt_lines(logs)
    assert (line["outcome"], line["dispatch"]) == ("INTERNAL", "ACCEPTED")
    assert [each["event"] for each in logs if each.get("exc_info")] == ["an attempt failed by a bug"]


@pytest.mark.parametrize(
    ("accepted", "told", "billed", "dispatch", "known"),
    [
        (False, Dispatch.UNSPECIFIED, None, Dispatch.UNKNOWN, None),
        (False, Dispatch.NOT_SENT, None, Dispatch.NOT_SENT, False),
        (False, Dispatch.REFUSED, None, Dispatch.REFUSED, False),
        (False, Dispatch.REFUSED, True, Dispatch.REFUSED, False),
        (False, Dispatch.ACCEPTED, True, Dispatch.ACCEPTED, True),
        (True, Dispatch.UNSPECIFIED, None, Dispatch.ACCEPTED, None),
        (True, Dispatch.NOT_SENT, None, Dispatch.ACCEPTED, None),
        (True, Dispatch.REFUSED, False, Dispatch.ACCEPTED, False),
        (True, Dispatch.UNKNOWN, True, Dispatch.ACCEPTED, True),
    ],
)
async def test_how_far_an_attempt_got(
    accepted: bool, told: Dispatch, billed: bool | None, dispatch: Dispatch, known: bool | None
) -> None:
    """R5: once the work was accepted no later trouble undoes that; what was refused or not sent is not charged."""
    failure = Failure(Reason.UPSTREAM_ERROR, "it broke", dispatch=told, billed=billed)
    provider = ScriptedProvider(replies=[failure], upstream_id="up-1" if accepted else "")
    async with a_house(provider) as house:
        (attempt,) = (await the_failure(house.call())).attempts
    assert (attempt.provider, attempt.model, attempt.phase) == ("scripted", "model", "submit")
    assert attempt.upstream_id == ("up-1" if accepted else "")
    assert attempt.dispatch == dispatch.to_proto()
    assert (attempt.billed if attempt.HasField("billed") else None) is known


@pytest.mark.parametrize("upstream_id", ["café", "a\tb", "a\nb", "x" * 129])
async def test_an_id_that_metadata_cannot_carry_costs_no_picture(upstream_id: str) -> None:
    """R5: the caller gets the picture, and no id."""
    provider = ScriptedProvider(upstream_id=upstream_id)
    async with a_house(provider) as house:
        call = house.call()
        assert (await call).images
        assert UPSTREAM_ID not in dict(list(await call.initial_metadata()))
    assert (provider.orders[0].upstream_id, provider.orders[0].dispatch) == ("", Dispatch.ACCEPTED)


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_provider_ends_an_attempt_before_its_caller_does() -> None:
    """R8: the order is cancelled within a reserve before the deadline, and the time-out says how far it got."""
    provider = ScriptedProvider(replies=[Hang()], upstream_id="up-1")
    async with a_house(provider) as house:
        failure = await the_failure(house.call(timeout=2.0))
        assert house.attempts("timeout") == 1
    assert failure.reason is Reason.TIMEOUT
    assert provider.cancelled == 1
    (attempt,) = failure.attempts
    assert (attempt.upstream_id, attempt.dispatch) == ("up-1", Dispatch.ACCEPTED.to_proto())


async def test_a_caller_who_leaves() -> None:
    """R8: the provider is cancelled, and the attempt has its line."""
    provider = ScriptedProvider(replies=[Hang()], upstream_id="up-1")
    with capture_logs() as logs:
        async with a_house(provider) as house:
            call = house.call()
            await until(lambda: provider.orders)
            call.cancel()
            await until(lambda: attempt_lines(logs))
    assert provider.cancelled == 1
    assert [(line["outcome"], line["upstream_id"]) for line in attempt_lines(logs)] == [("CANCELLED", "up-1")]


async def test_who_has_another_candidate_does_not_queue() -> None:
    """R9: behind a full provider a caller with a fallback is told BUSY soon; one without waits its turn."""
    provider = ScriptedProvider(replies=[Hang()])
    async with a_house(provider, limits=Limits(concurrency=1)) as house:
        holding = house.call()
        await until(lambda: provider.orders)
        waiting = house.call()
        failure = await the_failure(house.call(metadata={FALLBACK_WAITS: "1"}))
        assert (failure.reason, failure.retry_after) == (Reason.BUSY, 1.0)
        assert failure.attempts[0].dispatch == Dispatch.NOT_SENT.to_proto()
        assert not waiting.done()
        holding.cancel()
        assert (await waiting).images
