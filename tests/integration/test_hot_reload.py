"""What becomes of the calls under way when the configuration changes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.testing import (
    SCRIPTED_MODEL,
    Hang,
    House,
    ScriptedProvider,
    ServedRouter,
    Telling,
    outcomes,
    serving_provider,
    serving_router,
)
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest

PAY_ONCE = SCRIPTED_MODEL.model_copy(update={"payment": "pay_once"})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def reconfigure(served: ServedRouter, **targets: str | None) -> None:
    """Give providers other targets; None takes one out of the configuration, and out of its routes."""
    config = served.router.configured()
    providers = {
        name: settings.model_copy(update={"target": targets.get(name) or settings.target})
        for name, settings in config.providers.items()
        if targets.get(name, "") is not None
    }
    routes = {
        route: [candidate for candidate in candidates if candidate.split("/")[0] in providers]
        for route, candidates in config.routes.items()
    }
    await served.router.configure(config.model_copy(update={"providers": providers, "routes": routes}))


@pytest.mark.parametrize("stays", [True, False])
async def test_calls_under_way_at_a_provider_that_leaves_go_on_to_their_ends(house: House, stays: bool) -> None:
    """A hot reload loses no request: what is under way at a former address delivers, and nobody is blamed."""
    go_on = asyncio.Event()
    await house.build([Telling([], go_on=go_on)] * 6, [], models=(PAY_ONCE,))
    router, former = house.router.router, house.providers["a"]
    waiting = [asyncio.create_task(house.generate()) for _ in range(6)]
    await until(lambda: len(former.orders) == 6)
    async with serving_provider(ScriptedProvider("a", models=(PAY_ONCE,))) as successor:
        await reconfigure(house.router, a=successor.target if stays else None)
        assert outcomes((await house.generate()).attempts) == ["a OK" if stays else "b OK"]
        assert len(former.orders) == 6
        go_on.set()
        assert [outcomes((await each).attempts) for each in waiting] == [["a OK"]] * 6
    assert not router.admission.failure_rate("a", "", router.clock())
    await until(lambda: not router._leaving)


async def test_what_dies_at_a_former_address_is_not_held_against_the_new_one() -> None:
    """Calls that are lost after their provider was taken out fall back, and its breaker counts none of them."""
    dying = ScriptedProvider("a", [Hang()] * 6)
    async with AsyncExitStack() as former:
        leaving = await former.enter_async_context(serving_provider(dying))
        async with (
            serving_provider(ScriptedProvider("a")) as successor,
            serving_provider(ScriptedProvider("b")) as other,
            serving_router({"a": leaving.target, "b": other.target}, {"default": ["a/model", "b/model"]}) as served,
            served.stubs() as (generation, _),
        ):
            calls = [generation.Generate(Request(prompt="x"), timeout=20) for _ in range(6)]
            waiting = [asyncio.ensure_future(call) for call in calls]
            await until(lambda: len(dying.orders) == 6)
            await reconfigure(served, a=successor.target)
            await former.aclose()
            told = [outcomes((await each).attempts) for each in waiting]
            assert told == [["a DISABLED", "b OK"]] * 6
            router = served.router
            assert router.admission.failure_rate("a", "", router.clock()) is None
            assert outcomes((await generation.Generate(Request(prompt="x"), timeout=20)).attempts) == ["a OK"]


async def test_a_reload_while_a_model_is_asked_whether_it_is_ready_ends_no_request(house: House) -> None:
    """R8: the provider of a warming model may be taken out meanwhile; the request goes on to the next candidate."""
    loading = Failure(Reason.MODEL_LOADING, "soon", retry_after=0.5, dispatch=Dispatch.REFUSED)
    await house.build([loading], [], checks=[Hang()])
    waiting = asyncio.create_task(house.generate())
    await until(lambda: bool(house.providers["a"].checked))
    await reconfigure(house.router, a=None)
    assert outcomes((await waiting).attempts) == ["a DISABLED", "b OK"]


async def test_closing_a_router_ends_its_calls_at_once(house: House) -> None:
    """Whoever is asked at a former address, or about a model, is not waited for when the router ends."""
    await house.build([Hang()], checks=[Hang()])
    router, provider = house.router.router, house.providers["a"]
    waiting = asyncio.create_task(house.fail())
    await until(lambda: len(provider.orders) == 1)
    candidate = router.planner.resolve("").candidates[0]
    asking = asyncio.create_task(router.check(candidate))
    await until(lambda: len(provider.checked) == 1)
    await reconfigure(house.router, a="127.0.0.1:9")
    async with asyncio.timeout(5):
        await router.close()
        with pytest.raises(Failure, match="was taken out of the configuration and was closed"):
            await asking
        _, told = await waiting
    assert outcomes(told.attempts) == ["a DISABLED"]


async def test_what_a_removed_provider_offered_is_in_no_metric(house: House) -> None:
    """S2: the metrics are those of the providers in the configuration."""
    await house.build([], [])
    registry = house.router.metrics.registry
    labels = {"provider": "a", "model": "model"}
    assert registry.get_sample_value("imagegate_model_rejecting", labels) == 0
    await reconfigure(house.router, a=None)
    assert registry.get_sample_value("imagegate_model_rejecting", labels) is None
