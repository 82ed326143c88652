"""The status board, over real routers: what they say, as it changes, to whoever looks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from imagegate.client import GenerationError
from imagegate.edge.api.board import Board, BoardPace, watching
from imagegate.edge.routers import Routers
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import House, ScriptedProvider, ServedRouter, serving_provider, serving_router
from imagegate.testing.events import events_of
from imagegate.testing.fronted import OPERATOR, ServedEdge, serving_edge
from imagegate.v1 import router_pb2

# So that a test need not wait.
QUICK = BoardPace(look=0.05, again=0.05, silent=12.0, sample=0.05)
ROUTES = {"default": ["a/model"]}
WATCH = "imagegate.v1.RouterService/WatchStatus"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.02)


def finds(*addresses: str) -> Callable[[], Any]:
    async def find() -> Sequence[str]:
        return addresses

    return find


@asynccontextmanager
async def board_of(*addresses: str, pace: BoardPace = QUICK) -> AsyncIterator[Board]:
    async with watching(finds(*addresses), lambda: 0.0, pace) as board:
        yield board


@asynccontextmanager
async def two_routers(provider: ScriptedProvider) -> AsyncIterator[list[ServedRouter]]:
    async with (
        serving_provider(provider) as served,
        serving_router({"a": served.target}, ROUTES) as one,
        serving_router({"a": served.target}, ROUTES) as other,
    ):
        yield [one, other]


def reachable(board: Board) -> list[bool]:
    return [replica.status is not None for replica in board.replicas]


@pytest.fixture
async def scripted(house: House, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge over a router over one provider, which fails twice."""
    failure = Failure(Reason.UPSTREAM_ERROR, "its own words", upstream_message="<b>out of order</b>")
    await house.build([failure, failure])
    async with serving_edge(house.router.target, tmp_path, board_pace=QUICK) as edge:
        await until(lambda: reachable(edge.house.board) == [True])
        yield edge


# ── What is seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_replica_is_watched_once_however_many_look(tmp_path: Path) -> None:
    """R11: each replica is told of by itself, and watched by one stream that all who look share."""
    async with two_routers(ScriptedProvider("a")) as routers:
        targets = [router.target for router in routers]
        found = Routers(finds(*targets), finds())
        async with AsyncExitStack() as stack:
            edge = await stack.enter_async_context(serving_edge(targets[0], tmp_path, routers=found, board_pace=QUICK))
            await until(lambda: reachable(edge.house.board) == [True, True])
            for _ in range(5):
                session = await stack.enter_async_context(edge.session(OPERATOR))
                answer = await stack.enter_async_context(session.get("/api/status/stream"))
                name, told = await anext(events_of(answer))
                assert name == "status"
                assert {each["address"] for each in told["replicas"]} == set(targets)
        for router in routers:
            await until(lambda router=router: watches(router) == 1)


def watches(router: ServedRouter) -> float:
    """How many watches of its status have ended."""
    samples = (sample for metric in router.metrics.registry.collect() for sample in metric.samples)
    counts = [
        sample.value
        for sample in samples
        if sample.name == "imagegate_requests_total" and sample.labels["method"] == WATCH
    ]
    return sum(counts)


async def test_who_is_away_is_told_so_and_comes_back_by_itself() -> None:
    """R11: a router that stops is shown as not reachable, with what is wrong, and as reachable again once it is."""
    async with serving_provider(ScriptedProvider("a")) as provider, AsyncExitStack() as first:
        router = await first.enter_async_context(serving_router({"a": provider.target}, ROUTES))
        async with board_of(router.target) as board:
            await until(lambda: reachable(board) == [True])
            await first.aclose()
            await until(lambda: "no router answers" in board.replicas[0].problem)
            assert reachable(board) == [False]
            async with serving_router({"a": provider.target}, ROUTES, port=router.running.grpc_port):
                await until(lambda: reachable(board) == [True])
                assert board.replicas[0].problem == ""


async def test_a_replica_that_is_not_behind_the_name_any_more_is_forgotten() -> None:
    """R11: the name is looked up again and again: new replicas are watched, those that are gone are not shown."""
    async with two_routers(ScriptedProvider("a")) as routers:
        one, other = (router.target for router in routers)
        known = [one]

        async def find() -> Sequence[str]:
            return list(known)

        async with watching(find, lambda: 0.0, QUICK) as board:
            await until(lambda: reachable(board) == [True])
            known[:] = [one, other]
            await until(lambda: reachable(board) == [True, True])
            known[:] = [other]
            await until(lambda: [replica.address for replica in board.replicas] == [other])


async def test_a_name_that_leads_nowhere_and_a_bug_blind_nobody_for_ever() -> None:
    """R11: where no replica can be found the board says why, and sees them as soon as they can be."""
    outcomes: list[Exception | str] = []

    async def find() -> Sequence[str]:
        outcome = outcomes[0] if len(outcomes) == 1 else outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome]

    message = "router cannot be resolved (unknown); name another host with --admin"
    nowhere = GenerationError(Reason.UNREACHABLE, message, code=grpc.StatusCode.UNAVAILABLE)
    outcomes.append(nowhere)
    async with two_routers(ScriptedProvider("a")) as routers, watching(find, lambda: 0.0, QUICK) as board:
        await until(lambda: board.replicas[0].problem == "router cannot be resolved (unknown)")
        assert reachable(board) == [False]
        with capture_logs() as logs:
            outcomes[:] = [ValueError("a bug"), routers[0].target]
            await until(lambda: reachable(board) == [True])
        assert any(line["event"] == "the board could not be kept up to date" for line in logs)


async def test_what_is_no_router_is_told_of_as_that() -> None:
    """R11: something else at the router's address is shown with what it is not."""
    async with serving_provider(ScriptedProvider("a")) as provider, board_of(provider.target) as board:
        await until(lambda: "no router of this version" in board.replicas[0].problem)


class Mute(grpc.GenericRpcHandler):
    """Tells its status once, and then says nothing."""

    def service(self, details: grpc.HandlerCallDetails) -> object:
        async def watch(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            await context.write(router_pb2.RouterStatus(config_hash="x").SerializeToString())
            await asyncio.Event().wait()

        return grpc.unary_stream_rpc_method_handler(watch) if details.method == f"/{WATCH}" else None


async def test_a_router_that_falls_silent_is_not_believed() -> None:
    """R11: who says nothing for longer than a router may is shown as away, whatever the connection says."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Mute(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        pace = BoardPace(look=10, again=10, silent=0.2, sample=10)
        async with board_of(f"127.0.0.1:{port}", pace=pace) as board:
            await until(lambda: reachable(board) == [True])
            await until(lambda: board.replicas[0].problem == "it has said nothing for 0.2 s")
    finally:
        await server.stop(None)


# ── What is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_has_the_headers_of_every_answer(scripted: ServedEdge) -> None:
    """S26: what is sent while it is made tells no library's version, and browsers do no more with it than show it."""
    async with scripted.session() as alice, alice.get("/api/status/stream") as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Server"] == "imagegate"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_fault_appears_on_the_board_as_it_happens(scripted: ServedEdge) -> None:
    """P10, R11: whoever looks on sees a failure with the upstream's own words, and samples of what was counted; the
    history comes once.
    """
    async with scripted.session() as alice, alice.get("/api/status/stream") as answer, asyncio.timeout(15):
        events = events_of(answer)
        name, told = await anext(events)
        assert (name, set(told)) == ("status", {"replicas", "history", "operator"})
        async with alice.post("/api/generations", json={"prompt": "a fox"}) as failed:
            assert failed.status == 503
        samples: list[dict[str, Any]] = []
        error: dict[str, Any] = {}
        while not error or not any(row["failed"] for row in samples):
            name, told = await anext(events)
            if name == "sample":
                samples += told["history"]
            else:
                assert (name, set(told)) == ("status", {"replicas", "operator"})
                error = told["replicas"][0]["status"]["providers"][0].get("last_error", {})
    assert (error["reason"], error["upstream_message"]) == ("UPSTREAM_ERROR", "<b>out of order</b>")
    assert {"at", "provider", "model", "failure_rate", "ok", "failed"} == set(samples[0])
    counted = {row["model"]: row["failed"] for row in samples if row["failed"]}
    assert counted == {"": 1, "model": 1}
    async with scripted.session() as alice, alice.get("/api/status") as answer:
        assert samples[0] in (await answer.json())["history"]


async def test_changes_are_told_at_most_once_a_second(scripted: ServedEdge) -> None:
    """R11: however fast things change, who looks on hears of all that happened within a second in one event."""
    async with scripted.session() as alice, alice.get("/api/status/stream") as answer, asyncio.timeout(15):
        events = events_of(answer)
        await anext(events)
        name, told = await anext(events)
    assert name == "sample"
    assert len({row["at"] for row in told["history"]}) >= 5  # twenty are taken in a second


async def test_addresses_are_shown_to_operators_only(scripted: ServedEdge) -> None:
    """R11, S38: users see how everything is doing; where it is, and what the configuration is, operators see."""
    address = scripted.house.client.router
    async with scripted.session() as alice, alice.get("/api/status") as answer:
        text, told = await answer.text(), await answer.json()
        assert told["operator"] is False
        assert told["replicas"][0]["reachable"] is True
        for secret in (address, '"target"', "config_source"):
            assert secret not in text
    async with scripted.session(OPERATOR) as olga, olga.get("/api/status") as answer:
        told = await answer.json()
        assert (told["operator"], told["replicas"][0]["address"]) == (True, address)
        assert told["replicas"][0]["status"]["providers"][0]["target"]


async def test_who_looks_on_does_not_keep_the_edge_from_stopping(scripted: ServedEdge) -> None:
    """A stream that has no end is ended by whoever stops the edge, in order."""
    async with scripted.session() as alice, alice.get("/api/status/stream") as answer, asyncio.timeout(10):
        events = events_of(answer)
        await anext(events)
        scripted.house.leave()
        assert {name async for name, _ in events} <= {"sample", "status"}
