"""A request in one language for every model: seeds, options, qualities and sizes on their way through the services."""

from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from imagegate.router.health import HealthNames
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.metadata import DRAWN_SEED
from imagegate.runtime.models import Model
from imagegate.runtime.options import Option
from imagegate.runtime.parameters import Parameter
from imagegate.testing import (
    SCRIPTED_MODEL,
    House,
    ScriptedProvider,
    outcomes,
    serving_provider,
    serving_router,
    told,
)
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc, router_pb2, terms_pb2

Request = generation_pb2.GenerateRequest
REFUSE = generation_pb2.ON_UNSUPPORTED_REFUSE


def a_model(**fields: Any) -> Model:
    return SCRIPTED_MODEL.model_copy(update=fields)


FAILS = Failure(Reason.OVERLOADED, "the script says so", dispatch=Dispatch.REFUSED)
NOT_SENT = Failure(Reason.UNREACHABLE, "the script says so", dispatch=Dispatch.NOT_SENT)
SEEDLESS = a_model(parameters={"steps": Parameter(minimum=1, maximum=4)})
OF_FEW_SIZES = a_model(
    parameters={"seed": Parameter(minimum=0, maximum=99)}, sizes=((64, 64), (128, 64)), display_name="Few sizes"
)


def seeds(house: House, provider: str) -> list[object]:
    return [order.parameters.get("seed") for order in house.providers[provider].orders]


def changes(adjustments: Any) -> list[tuple[str, str, str]]:
    return [(a.parameter, a.requested, a.applied) for a in adjustments]


async def explained(house: House, request: Request) -> list[router_pb2.Prospect]:
    async with house.router.stubs() as (_, router):
        return list((await router.Explain(request, timeout=10)).candidates)


# ── Seeds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ask", [Request(prompt="x"), Request(prompt="x", seed=-1)], ids=["absent", "-1"])
async def test_a_seed_that_was_left_open_is_drawn_once(house: House, ask: Request) -> None:
    """R2: every attempt of a request uses the seed that was drawn for it, another request another one; none is told."""
    await house.build([NOT_SENT, FAILS], [FAILS], [])
    answer = await house.generate(ask)
    assert outcomes(answer.attempts)[-1] == "c OK"
    used = {*seeds(house, "a"), *seeds(house, "b"), *seeds(house, "c")}
    assert used == {answer.images[0].seed}
    assert not answer.adjustments
    again = await house.generate(ask)
    assert again.images[0].seed != answer.images[0].seed


async def test_a_given_seed_goes_to_every_candidate(house: House) -> None:
    """R2: a seed that the caller gave is the one of every attempt."""
    await house.build([FAILS], [])
    answer = await house.generate(Request(prompt="x", seed=11))
    assert (seeds(house, "a"), seeds(house, "b"), answer.images[0].seed) == ([11], [11], 11)


async def test_a_model_without_seeds_is_sent_none(house: House) -> None:
    """R2: where a model takes no seed none is sent, none is told as dropped, and the picture has none."""
    await house.build([], models=(SEEDLESS,))
    answer = await house.generate(Request(prompt="x"))
    assert (seeds(house, "a"), list(answer.adjustments)) == ([None], [])
    assert not answer.images[0].HasField("seed")


@pytest.mark.parametrize(
    ("metadata", "seed"),
    [
        ("7", 7),
        (str(2**32 - 1), 2**32 - 1),
        (str(2**32), None),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("9" * 99, None),
    ],
)
async def test_a_seed_beside_the_request(metadata: str, seed: int | None) -> None:
    """R2: a provider takes the router's seed where it is one, and else draws its own; a seed in the request counts."""
    async with serving_provider(ScriptedProvider()) as served, grpc.aio.insecure_channel(served.target) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        beside = ((DRAWN_SEED, metadata),)
        drawn = (await stub.Generate(Request(prompt="x"), metadata=beside, timeout=10)).images[0].seed
        assert drawn == seed or (seed is None and 0 <= drawn < 2**32)
        given = await stub.Generate(Request(prompt="x", seed=3), metadata=beside, timeout=10)
        assert given.images[0].seed == 3


# ── Options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_options_for_nobody_are_refused_by_a_router(house: House) -> None:
    """P12: a router refuses options for a provider it does not have, beside every other bad field; a provider that is
    called directly ignores what is meant for others.
    """
    await house.build([])
    request = Request(prompt=" ")
    request.provider_options["aa"].update({"tiling": True})
    error, failure = await house.fail(request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [(each.field, each.description) for each in failure.violations] == [
        ("prompt", "is empty; say what to draw"), ("provider_options", "names 'aa'; known here: a"),
    ]  # fmt: skip
    request.prompt = "x"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explained(house, request)
    assert [each.field for each in told(caught.value).violations] == ["provider_options"]
    async with serving_provider(ScriptedProvider()) as served, grpc.aio.insecure_channel(served.target) as channel:
        answer = await generation_pb2_grpc.GenerationServiceStub(channel).Generate(request, timeout=10)
    assert not answer.adjustments


async def test_options_reach_their_provider_only(house: House) -> None:
    """R1: what a model lets through reaches it by its own name, everything else for it is told as dropped."""
    await house.build([FAILS], [], models=(a_model(options={"tiling": Option(kind="boolean")}),))
    request = Request(prompt="x")
    request.provider_options["a"].update({"tiling": True})
    request.provider_options["b"].update({"tiling": 1, "extra": [1]})
    a, b = await explained(house, request)
    answer = await house.generate(request)
    assert (house.providers["a"].orders[0].options, house.providers["b"].orders[0].options) == ({"tiling": True}, {})
    assert changes(answer.adjustments) == [
        ("provider_options.b.extra", "[1 values]", ""), ("provider_options.b.tiling", "1", ""),
    ]  # fmt: skip
    assert (list(a.adjustments), changes(b.adjustments)) == ([], changes(answer.adjustments))


# ── What may not be changed ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"width": 128, "height": 70, "on_unsupported": REFUSE}, "height"),
        ({"width": 128, "height": 70, "must_keep": ["height"]}, "height"),
        ({"width": 300, "height": 120, "must_keep": ["width", "height"]}, "width, height"),
        ({"steps": 9, "must_keep": ["steps"]}, "steps"),
    ],
)
async def test_a_candidate_that_would_change_it_is_passed_over(
    house: House, fields: dict[str, Any], named: str
) -> None:
    """R1: under REFUSE and must_keep a model of other sizes, or of fewer steps, is passed over, naming the parameters,
    by the router before it is asked and by the provider itself.
    """
    await house.build([], models=(OF_FEW_SIZES,))
    _, failure = await house.fail(Request(prompt="x", **fields))
    assert outcomes(failure.attempts) == ["[a UNSUPPORTED]"]
    assert f"it cannot take {named} as asked" in failure.message
    [prospect] = await explained(house, Request(prompt="x", **fields))
    assert prospect.message == f"it cannot take {named} as asked"
    async with (
        serving_provider(ScriptedProvider(models=(OF_FEW_SIZES,))) as served,
        grpc.aio.insecure_channel(served.target) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await generation_pb2_grpc.GenerationServiceStub(channel).Generate(Request(prompt="x", **fields), timeout=10)
    assert f"Few sizes cannot take {named} as asked" in (caught.value.details() or "")


async def test_sizes_and_options_may_be_kept_elsewhere(house: House) -> None:
    """R1: must_keep passes over whoever would change it, for the next that need not."""
    await house.build([], models=(OF_FEW_SIZES,))
    other = ScriptedProvider("b", models=(a_model(options={"tiling": Option(kind="boolean")}),))
    async with serving_provider(other) as served:
        targets = {"a": house.router.router.configured().providers["a"].target, "b": served.target}
        async with serving_router(targets, {"default": ["a/model", "b/model"]}) as router, router.stubs() as (face, _):
            kept = Request(prompt="x", width=128, height=128, must_keep=["width", "height"])
            answer = await face.Generate(kept, timeout=10)
            assert outcomes(answer.attempts) == ["[a UNSUPPORTED]", "b OK"]
            optional = Request(prompt="x", must_keep=["provider_options"])
            optional.provider_options["a"].update({"tiling": True})
            answer = await face.Generate(optional, timeout=10)
            assert outcomes(answer.attempts) == ["[a UNSUPPORTED]", "b OK"]
            assert answer.attempts[0].message == "it cannot take provider_options.a.tiling as asked"


# ── Qualities ────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def graded(routes: Mapping[str, Any]) -> Any:
    """A router over providers a (sd), b (hd) and c (off), with these routes."""
    async with AsyncExitStack() as stack:
        targets = {}
        for name, fields in (
            ("a", {"quality": "sd"}),
            ("b", {"quality": "hd"}),
            ("c", {"quality": "ultra", "enabled": False, "disabled_reason": "needs a dedicated endpoint"}),
        ):
            provider = ScriptedProvider(name, models=(a_model(**fields),))
            targets[name] = (await stack.enter_async_context(serving_provider(provider))).target
        yield await stack.enter_async_context(serving_router(targets, routes))


async def test_a_quality_chooses_and_fills_in() -> None:
    """P2: a quality chooses the model, and stands for size and steps where the request names none."""
    async with graded({"default": ["a/model", "b/model"]}) as router, router.stubs() as (face, explaining):
        answer = await face.Generate(Request(prompt="x", quality=terms_pb2.QUALITY_HD, height=64), timeout=10)
        assert (answer.provider, answer.images[0].width, answer.images[0].height) == ("b", 1024, 64)
        assert not answer.adjustments
        by_key = await face.Generate(Request(prompt="x", model="model", quality=terms_pb2.QUALITY_HD), timeout=10)
        assert by_key.provider == "b"
        explanation = await explaining.Explain(Request(prompt="x", quality=terms_pb2.QUALITY_HD), timeout=10)
        assert [candidate.provider for candidate in explanation.candidates] == ["b", "a"]


async def test_a_route_by_quality() -> None:
    """P2: a route by quality takes the list of the quality, and its default else; one whose models are all off fails
    by saying so; status, health and CheckModel tell of what a request without a quality gets.
    """
    pose = {"hd": ["b/model", "a/model"], "ultra": ["c/model"], "default": ["a/model"]}
    async with graded({"default": ["a/model"], "pose": pose}) as router, router.stubs() as (face, asking):
        for quality, provider in (("SD", "a"), ("HD", "b"), ("PREMIUM", "a"), ("UNSPECIFIED", "a")):
            request = Request(prompt="x", model="pose", quality=terms_pb2.Quality.Value(f"QUALITY_{quality}"))
            answer = await face.Generate(request, timeout=10)
            assert (answer.provider, answer.resolved_by) == (provider, generation_pb2.RESOLVED_BY_ROUTE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await face.Generate(Request(prompt="x", model="pose", quality=terms_pb2.QUALITY_ULTRA), timeout=10)
        assert "needs a dedicated endpoint" in (caught.value.details() or "")
        status = await asking.GetStatus(router_pb2.GetStatusRequest(), timeout=10)
        assert [(r.name, list(r.candidates), r.available) for r in status.routes][1] == ("pose", ["a/model"], True)
        answers: dict[str, bool] = {}

        async def tell(name: str, is_serving: bool) -> None:
            answers[name] = is_serving

        await HealthNames(router.router, tell).look()
        assert answers["route/pose"]
        async with grpc.aio.insecure_channel(router.target) as channel:
            catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
            check = await catalog.CheckModel(catalog_pb2.CheckModelRequest(name="pose"), timeout=10)
            assert (check.provider, check.exists) == ("a", True)
