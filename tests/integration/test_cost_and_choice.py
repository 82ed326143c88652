"""What a request costs and may cost, and which model to use, over real sockets."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

import imagegate.providers.fal
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Delivery, Picture
from imagegate.testing import (
    SCRIPTED_MODEL,
    Reply,
    ScriptedProvider,
    ServedRouter,
    outcomes,
    picture,
    serving_provider,
    serving_router,
    told,
)
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc, router_pb2_grpc

Request = generation_pb2.GenerateRequest
BROKEN = Failure(Reason.UPSTREAM_ERROR, "the script says no", dispatch=Dispatch.REFUSED)
SIDES = {name: {"minimum": 64, "maximum": 2048, "multiple_of": 8, "default": 1024} for name in ("width", "height")}


def model(**changes: object) -> Model:
    return Model.model_validate({**SCRIPTED_MODEL.model_dump(), **changes})


def asking(*, count: int | None = None, width: int | None = None, **routing: object) -> Request:
    return Request(prompt="a fox", count=count, width=width, routing=generation_pb2.Routing(**routing))  # type: ignore[arg-type]


@dataclass(slots=True)
class Shop:
    """A router over providers with models of their own; `providers` by name."""

    router: ServedRouter
    providers: Mapping[str, ScriptedProvider]
    generation: "generation_pb2_grpc.GenerationServiceAsyncStub"
    catalog: "catalog_pb2_grpc.CatalogServiceAsyncStub"
    routing: "router_pb2_grpc.RouterServiceAsyncStub"


@asynccontextmanager
async def shop(
    *providers: tuple[str, Sequence[Model], Sequence[Reply]], outside: Model | None = None
) -> AsyncIterator[Shop]:
    """A shop in which the route `default` has the first model of each provider."""
    async with AsyncExitStack() as stack:
        made = {
            name: ScriptedProvider(name, replies, models=tuple(models), outside=outside)
            for name, models, replies in providers
        }
        targets = {
            name: (await stack.enter_async_context(serving_provider(each))).target for name, each in made.items()
        }
        route = [f"{name}/{models[0].key}" for name, models, _ in providers]
        router = await stack.enter_async_context(serving_router(targets, {"default": route}))
        generation, routing = await stack.enter_async_context(router.stubs())
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(router.target))
        yield Shop(router, made, generation, catalog_pb2_grpc.CatalogServiceStub(channel), routing)


async def failure_of(call: Callable[[], object]) -> tuple[grpc.StatusCode, Failure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call()  # type: ignore[misc]
    return caught.value.code(), told(caught.value)


# ── What is charged ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fallback_to_a_cheaper_model_charges_the_cheaper_price() -> None:
    """P7: the price is that of whoever delivers, and the attempt that failed costs nothing."""
    async with shop(("a", [model(credits=50)], [BROKEN]), ("b", [model(credits=8)], [])) as there:
        answer = await there.generation.Generate(asking(count=2), timeout=20)
    assert outcomes(answer.attempts) == ["a UPSTREAM_ERROR", "b OK"]
    assert answer.cost == 16


async def test_a_catalogue_that_changes_counts_from_its_next_reading() -> None:
    """P7: the same request costs what the catalogue in force says, and finds no model that has left it."""
    async with shop(("a", [model(credits=5)], [])) as there:
        provider, catalogues = there.providers["a"], there.router.router.catalogues
        assert (await there.generation.Generate(asking(), timeout=20)).cost == 5
        for models, cost in (((model(credits=9),), 9), ((model(key="other", credits=1),), None)):
            provider.models = models
            await catalogues._ask(there.router.router._endpoints["a"])
            estimate = await there.routing.Explain(asking(), timeout=20)
            assert [each.cost for each in estimate.candidates if each.HasField("cost")] == [cost] * (cost is not None)


async def test_fewer_pictures_cost_less() -> None:
    """P7: what was not delivered is not charged, also where it was asked for."""
    one_of_three = Delivery([Picture(picture(64, 64), 1)])
    async with shop(("a", [model(credits=5)], [one_of_three])) as there:
        answer = await there.generation.Generate(asking(count=3), timeout=20)
    assert (len(answer.images), answer.cost) == (1, 5)


async def test_a_price_by_size_charges_the_size_that_was_sent() -> None:
    """P7: priced by megapixel, one at 1024² costs one and one at 2048 × 1024 two, whatever the upstream made of it."""
    by_size = model(credits=7, priced_by="megapixel", parameters=SIDES)
    small = picture(64, 64)
    async with shop(("a", [by_size], [small, small, small])) as there:
        costs = [(await there.generation.Generate(asking(width=width), timeout=20)).cost for width in (1024, 2048, 64)]
    assert costs == [7, 14, 7]


async def test_an_unknown_price_is_absent() -> None:
    """P8: an unknown cost is never 0, neither in the estimate nor in the answer."""
    async with shop(("a", [model(credits=None)], [])) as there:
        estimate = await there.catalog.EstimateCost(asking(), timeout=20)
        answer = await there.generation.Generate(asking(), timeout=20)
    assert not answer.HasField("cost")
    assert (estimate.HasField("low"), estimate.HasField("high")) == (False, False)
    assert estimate.certainty == catalog_pb2.CERTAINTY_UNKNOWN


# ── What it may cost ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_too_expensive_is_passed_over() -> None:
    """P8: under max_credits the dear candidate is skipped, named with both numbers; the limit stays with the router."""
    async with shop(("a", [model(credits=50)], []), ("b", [model(credits=8)], [])) as there:
        answer = await there.generation.Generate(asking(max_credits=10), timeout=20)
        (order,) = there.providers["b"].orders
    assert outcomes(answer.attempts) == ["[a TOO_EXPENSIVE]", "b OK"]
    assert answer.attempts[0].message == "it costs 50 credits, and the request allows 10 credits"
    assert answer.attempts[0].remedy == "set routing.max_credits to 50, or ask for less"
    assert order.adjustments == []


async def test_a_tier_passes_over_what_is_above_it() -> None:
    """P12: models of a higher tier are skipped NOT_ALLOWED, and without fallback the first that is allowed is tried."""
    async with shop(("a", [model(tier="pro")], []), ("b", [model(tier="basic")], [])) as there:
        answer = await there.generation.Generate(asking(tier="basic"), timeout=20)
        alone = await there.generation.Generate(asking(tier="basic", no_fallback=True), timeout=20)
    assert outcomes(answer.attempts) == ["[a NOT_ALLOWED]", "b OK"]
    assert "its tier is pro" in answer.attempts[0].message
    assert outcomes(alone.attempts) == ["b OK"]


@pytest.mark.parametrize(
    "request_", [asking(max_credits=5), asking(tier="free"), asking(max_credits=30, tier="basic", count=2)]
)
async def test_where_nobody_may_be_asked_the_precondition_failed(request_: Request) -> None:
    """P8, P12: all TOO_EXPENSIVE or NOT_ALLOWED is FAILED_PRECONDITION with the remedies, in Generate, in the estimate
    and in Explain; nobody is asked.
    """
    dear, high = model(credits=50, tier="basic"), model(credits=8, tier="pro")
    async with shop(("a", [dear], []), ("b", [high], [])) as there:
        code, failure = await failure_of(lambda: there.generation.Generate(request_, timeout=20))
        expected = await failure_of(lambda: there.catalog.EstimateCost(request_, timeout=20))
        explanation = await there.routing.Explain(request_, timeout=20)
        assert not any(provider.orders for provider in there.providers.values())
    assert (code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, Reason.NO_CANDIDATE)
    assert (expected[0], expected[1].reason, expected[1].message) == (code, failure.reason, failure.message)
    assert "try: " in failure.message or failure.remedy
    assert Reason.from_proto(explanation.reason) is Reason.NO_CANDIDATE


async def test_a_model_outside_the_catalogue_has_neither_price_nor_tier() -> None:
    """P8, P12: nobody knows what an upstream id outside the catalogue costs, nor for whom it is."""
    async with shop(("a", [model()], []), outside=model(key="outside", credits=None)) as there:
        request = Request(prompt="a fox", model="a:some/thing")
        assert not (await there.generation.Generate(request, timeout=20)).HasField("cost")
        for routing, reason in (({"max_credits": 100}, "TOO_EXPENSIVE"), ({"tier": "enterprise"}, "NOT_ALLOWED")):
            request.routing.CopyFrom(generation_pb2.Routing(**routing))
            code, failure = await failure_of(lambda: there.generation.Generate(request, timeout=20))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert outcomes(failure.attempts) == [f"[a {reason}]"]


# ── The estimate ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_estimate_is_a_ceiling_over_the_fallbacks() -> None:
    """P8: whoever fails, the answer costs at most `high`; who is held back counts, who is ruled out does not."""
    refused = Failure(Reason.CREDENTIALS_REJECTED, "no", dispatch=Dispatch.REFUSED)
    dear = model(credits=7, priced_by="megapixel", parameters=SIDES)
    async with shop(
        ("a", [model(credits=3)], [BROKEN, BROKEN]),
        ("b", [dear], [refused]),
        ("c", [model(credits=0)], [BROKEN]),
        ("d", [model(credits=99)], []),
    ) as there:
        request = asking(width=2048, count=2, max_credits=100)
        before = await there.catalog.EstimateCost(request, timeout=20)
        code, _ = await failure_of(lambda: there.generation.Generate(request, timeout=20))
        assert code is grpc.StatusCode.UNAVAILABLE
        after = await there.catalog.EstimateCost(request, timeout=20)  # now b is held back, and may come back
        answer = await there.generation.Generate(request, timeout=20)
    assert [(each.provider, each.credits) for each in before.candidates] == [("a", 6), ("b", 28), ("c", 0)]
    assert (before.low, before.high, before.certainty) == (0, 28, catalog_pb2.CERTAINTY_PUBLISHED)
    assert after == before
    assert outcomes(answer.attempts) == ["a UPSTREAM_ERROR", "[b CIRCUIT_OPEN]", "c OK"]
    assert answer.HasField("cost")
    assert answer.cost == 0


async def test_an_estimate_needs_no_prompt_and_asks_nobody() -> None:
    """P8: without a prompt it is estimated all the same; every other rule of a request holds."""
    async with shop(("a", [model(credits=3)], [])) as there:
        estimate = await there.catalog.EstimateCost(Request(count=4), timeout=20)
        assert (estimate.low, estimate.high) == (12, 12)
        assert estimate.certainty == catalog_pb2.CERTAINTY_EXACT
        wrong = Request(width=1, count=9)
        code, failure = await failure_of(lambda: there.catalog.EstimateCost(wrong, timeout=20))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert [violation.field for violation in failure.violations] == ["width", "count"]
        unknown, _ = await failure_of(lambda: there.catalog.EstimateCost(Request(model="nobody"), timeout=20))
        assert unknown is grpc.StatusCode.NOT_FOUND
        assert there.providers["a"].orders == []


async def test_a_provider_says_who_estimates_and_recommends() -> None:
    """P8: asked directly, a provider answers UNIMPLEMENTED and names whom to ask."""
    async with (
        serving_provider(ScriptedProvider("a")) as served,
        grpc.aio.insecure_channel(served.target) as channel,
    ):
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        for call in (stub.EstimateCost(Request()), stub.RecommendModels(catalog_pb2.RecommendModelsRequest())):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "ask a router" in (caught.value.details() or "")


# ── Recommendations ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        (catalog_pb2.RecommendModelsRequest(), "flux-pro"),
        (catalog_pb2.RecommendModelsRequest(max_credits=30), "stable-cascade"),
        (catalog_pb2.RecommendModelsRequest(use_case="artistic"), "aura-flow"),
    ],
)
async def test_the_packaged_catalogue_recommends_what_the_documents_do(
    request_: catalog_pb2.RecommendModelsRequest, first: str
) -> None:
    """P8: flux-pro first, stable-cascade on a budget, aura-flow for artistic work, each with a reason."""
    packaged = load_catalogue("fal", Path(imagegate.providers.fal.__path__[0]) / "models.yaml")
    async with shop(("fal", packaged.models, [])) as there:
        answer = await there.catalog.RecommendModels(request_, timeout=20)
    best = answer.recommendations[0]
    assert (best.model.key, best.available) == (first, True)
    assert best.model.recommended_for
    assert f"{best.cost} credits" in best.why
    assert not answer.message


async def test_who_is_held_back_or_off_is_told() -> None:
    """P8: a model behind a refused key is not available and says why; a provider that is off is not recommended."""
    refused = Failure(Reason.CREDENTIALS_REJECTED, "no such key", dispatch=Dispatch.REFUSED)
    off = ScriptedProvider("b", disabled_reason="set B_KEY")
    async with shop(("a", [model(), model(key="second", upstream_model="s")], [refused])) as there:
        await failure_of(lambda: there.generation.Generate(asking(), timeout=20))
        answer = await there.catalog.RecommendModels(catalog_pb2.RecommendModelsRequest(), timeout=20)
    assert [each.available for each in answer.recommendations] == [False, False]
    assert "CIRCUIT_OPEN" in answer.recommendations[0].why
    async with (
        serving_provider(off) as served,
        serving_router({"b": served.target}, {"default": ["b/model"]}) as router,
        grpc.aio.insecure_channel(router.target) as channel,
    ):
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        none = await stub.RecommendModels(catalog_pb2.RecommendModelsRequest(), timeout=20)
    assert not none.recommendations
    assert none.message.startswith("every model that does TEXT_TO_IMAGE is off: b/model")


async def test_a_wrong_question_lists_every_bad_field() -> None:
    """P12: INVALID_ARGUMENT with all of them at once."""
    async with shop(("a", [model()], [])) as there:
        wrong = catalog_pb2.RecommendModelsRequest(limit=0, tier="gold", max_seconds=float("nan"))
        code, failure = await failure_of(lambda: there.catalog.RecommendModels(wrong, timeout=20))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in failure.violations] == ["max_seconds", "tier", "limit"]
