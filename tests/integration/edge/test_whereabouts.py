"""Where our own processes are is for operators, whatever goes wrong."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from imagegate.testing import ScriptedProvider, serving_provider, serving_router
from imagegate.testing.fronted import OPERATOR, ServedEdge, serving_edge

ROUTES = {"default": ["a/model"], "web": ["a/model"]}
ASKED = {"prompt": "a lighthouse"}
MADE_AT = ("/api/generations", "/v1/images/generations", "/api/ai/generate-image")
TOLD_AT = ("/api/status", "/api/catalogue", "/v1/models", "/api/ai/models", "/api/ai/image-status")


async def everything(edge: ServedEdge, failing: str = "503 502 504") -> str:
    """What a user is told anywhere about a house in which nobody makes pictures."""
    told = ""
    async with edge.session() as session:
        for path in MADE_AT:
            async with session.post(path, json=ASKED) as answer:
                assert str(answer.status) in failing
                told += await answer.text()
        headers = {"Accept": "text/event-stream"}
        async with session.post("/api/generations", json=ASKED, headers=headers) as answer:
            told += await answer.text()
        async with session.post("/api/explain", json=ASKED) as answer:
            told += await answer.text()
        for path in TOLD_AT:
            async with session.get(path) as answer:
                told += await answer.text()
    return told


async def test_a_user_is_not_told_where_a_provider_is(tmp_path: Path) -> None:
    """R10, R11: a provider that cannot be reached is named with what to do; its address is seen by operators only."""
    async with AsyncExitStack() as stack, AsyncExitStack() as provider:
        served = await provider.enter_async_context(serving_provider(ScriptedProvider("a")))
        router = await stack.enter_async_context(serving_router({"a": served.target}, ROUTES))
        edge = await stack.enter_async_context(serving_edge(router.target, tmp_path))
        await provider.aclose()
        told = await everything(edge)
        assert "the provider service a cannot be reached" in told
        assert "correct providers.a.target" in told
        assert served.target not in told
        async with edge.session(OPERATOR) as session, session.get("/api/status") as answer:
            assert served.target in await answer.text()


async def test_a_user_is_not_told_where_the_router_is(tmp_path: Path) -> None:
    """R10: where no router answers each family says so in its own shape, with when to come again and no address."""
    async with AsyncExitStack() as stack, AsyncExitStack() as gone:
        provider = await stack.enter_async_context(serving_provider(ScriptedProvider("a")))
        router = await gone.enter_async_context(serving_router({"a": provider.target}, ROUTES))
        edge = await stack.enter_async_context(serving_edge(router.target, tmp_path))
        await gone.aclose()
        told = await everything(edge)
        assert router.target not in told
        assert told.count("no router answers just now; try again in a moment") == 9  # every path but the status
        async with edge.session() as session:
            for path in MADE_AT:
                async with session.post(path, json=ASKED) as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("path", ["/v1/models", "/api/catalogue", "/api/ai/image-status"])
async def test_what_is_no_router_is_nobodys_fault_who_asks(tmp_path: Path, path: str) -> None:
    """P12: where the edge is given the address of something else, that is told as a fault of this side."""
    async with (
        serving_provider(ScriptedProvider("a")) as served,
        serving_edge(served.target, tmp_path) as edge,
        edge.session() as session,
        session.get(path) as answer,
    ):
        assert answer.status >= 500
        assert served.target not in await answer.text()
