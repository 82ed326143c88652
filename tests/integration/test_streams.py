"""Streams of ours on real sockets: protected like unary calls, and bounded towards whoever does not read them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.current import current_request_id
from imagegate.runtime.errors import Failure, Reason, from_status
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import Service, serving
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.stream_event import completed
from imagegate.runtime.streaming import Context, Tell, Work, stream
from imagegate.v1 import generation_pb2

SERVICE = "imagegate.v1.GenerationService"
KEY = "hf_madeUpKey0123456789"
SETTINGS = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=1)
Event, Progress, Request = generation_pb2.GenerateEvent, generation_pb2.Progress, generation_pb2.GenerateRequest
# A reader whose windows stay small: a write to it waits after some ten thousand bytes.
NARROW = (*MESSAGE_OPTIONS, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
LARGE = 2_000_000
Handler = Callable[[Request, Context], Awaitable[None]]
Call = grpc.aio.UnaryStreamCall[Request, Event]


class Served:
    """A server of streams, and a client of it."""

    def __init__(self, target: str, channel: grpc.aio.Channel, metrics: ProcessMetrics) -> None:
        self.target = target
        self.channel = channel
        self.metrics = metrics

    def call(self, method: str = "GenerateStream", timeout: float | None = 20, request_id: str = "") -> Call:
        """One stream under way."""
        callable: grpc.aio.UnaryStreamMultiCallable[Request, Event] = self.channel.unary_stream(
            f"/{SERVICE}/{method}", Request.SerializeToString, Event.FromString
        )
        return callable(Request(prompt="a", request_id=request_id), timeout=timeout)

    def count(self, code: str, method: str = "GenerateStream") -> float | None:
        """How many streams ended with `code`."""
        labels = {"method": f"{SERVICE}/{method}", "code": code}
        return self.metrics.registry.get_sample_value("imagegate_requests_total", labels)


@asynccontextmanager
async def served(handler: Handler, *, default_timeout: float = 300.0) -> AsyncIterator[Served]:
    method: grpc.RpcMethodHandler[Request, bytes] = grpc.unary_stream_rpc_method_handler(
        handler, request_deserializer=Request.FromString
    )
    handlers = {"GenerateStream": method, "WatchStatus": method}
    service = Service(
        SERVICE,
        lambda server: server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),)),
    )
    redactor, metrics = Redactor(), ProcessMetrics(Registry())
    redactor.add(KEY)
    async with serving([service], SETTINGS, metrics, redactor, default_timeout) as running:
        target = f"127.0.0.1:{running.grpc_port}"
        async with grpc.aio.insecure_channel(target, options=NARROW) as channel:
            yield Served(target, channel, metrics)


def working(work: Work, bounds: Bounds = BOUNDS) -> Handler:
    async def handler(_request: Request, context: Context) -> None:
        await stream(context, work, bounds)

    return handler


def progress(step: int, preview: bytes = b"") -> bytes:
    return Event(progress=Progress(step=step, preview=generation_pb2.Image(data=preview))).SerializeToString()


def finished(message: str = "", size: int = 0) -> bytes:
    event = Event()
    event.attempt_finished.message = message
    event.attempt_finished.upstream_message = "x" * size
    return event.SerializeToString()


def answer(size: int = 0) -> bytes:
    return completed(generation_pb2.GenerateResponse(provider="p", warnings=["x" * size]).SerializeToString())


async def read_all(call: Call, into: list[Event] | None = None) -> list[Event]:
    events = [] if into is None else into
    while isinstance(event := await call.read(), Event):
        events.append(event)
    return events


async def the_failure(call: Call, before: list[Event] | None = None) -> tuple[grpc.aio.AioRpcError, Failure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_all(call, before)
    status = rpc_status.from_call(caught.value)
    failure = from_status(status) if status is not None else None
    assert failure is not None, caught.value
    return caught.value, failure


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def metadata(pairs: Any) -> dict[str, str]:
    return {key: str(value) for key, value in pairs or ()}


# ── Protected like unary calls ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bug", [ValueError(f"with {KEY}"), asyncio.CancelledError(), TimeoutError(KEY)])
@pytest.mark.parametrize("told", [0, 2])
async def test_a_bug_in_a_stream_is_internal_at_once(bug: BaseException, told: int) -> None:
    """M2, M3: whatever a stream's handler raises, before or after its first event, ends it as INTERNAL without text."""

    async def handler(_request: Request, context: Context) -> None:
        for number in range(told):
            await context.write(progress(number))
        raise bug

    async with served(handler) as server:
        began, before = monotonic(), list[Event]()
        error, failure = await the_failure(server.call(timeout=None), before)
        assert monotonic() - began < 10
        assert (error.code(), failure.reason, len(before)) == (grpc.StatusCode.INTERNAL, Reason.INTERNAL, told)
        assert KEY not in repr(error) + str(error.trailing_metadata())
        await until(lambda: server.count("INTERNAL") == 1)


async def test_a_stream_ends_with_its_id_and_is_counted() -> None:
    """R5: the request's id is in the trailing metadata of a stream, on success and on error; both are counted."""

    async def work(tell: Tell) -> bytes:
        tell(finished(current_request_id()))
        return answer()

    async with served(working(work)) as server:
        call = server.call(request_id="mine")
        events = await read_all(call)
        assert [event.WhichOneof("event") for event in events] == ["attempt_finished", "completed"]
        assert events[0].attempt_finished.message == "mine"
        assert metadata(await call.trailing_metadata())["imagegate-request-id"] == "mine"
        await until(lambda: server.count("OK") == 1)

    async def failing(tell: Tell) -> bytes:
        tell(finished("the attempt"))
        raise Failure(Reason.OVERLOADED, f"said {KEY}", retry_after=7)

    async with served(working(failing)) as server:
        before = list[Event]()
        error, failure = await the_failure(server.call(request_id="mine"), before)
        assert [event.attempt_finished.message for event in before] == ["the attempt"]
        assert (failure.reason, failure.retry_after, failure.message) == (Reason.OVERLOADED, 7, "said ***")
        told = metadata(error.trailing_metadata())
        assert (told["imagegate-reason"], told["imagegate-request-id"]) == ("OVERLOADED", "mine")
        await until(lambda: server.count("UNAVAILABLE") == 1)


async def test_a_stream_without_a_deadline_gets_one_unless_it_watches() -> None:
    """R8: a stream without a deadline gets the server's own; a method that watches has no end to be late for."""

    async def handler(_request: Request, context: Context) -> None:
        await context.write(progress(1))
        await asyncio.sleep(0.5)
        await context.write(progress(2))

    async with served(handler, default_timeout=0.1) as server:
        error, failure = await the_failure(server.call(timeout=None))
        assert (error.code(), failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.TIMEOUT)
        assert len(await read_all(server.call("WatchStatus", timeout=None))) == 2


async def test_the_librarys_own_streams_pass() -> None:
    """S3: a Watch of health lasts longer than the deadline that calls without one get."""

    async def handler(_request: Request, _context: Context) -> None:
        """Never called."""

    async with served(handler, default_timeout=0.05) as server:
        watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await watch.read()


async def test_a_caller_that_leaves_a_stream_cancels_its_work() -> None:
    """R10: when the caller is gone the work is cancelled, and counted as such, not as a bug of ours."""
    ended = asyncio.Event()

    async def work(tell: Tell) -> bytes:
        tell(progress(1))
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    with capture_logs() as logs:
        async with served(working(work)) as server:
            call = server.call()
            await call.read()
            call.cancel()
            await asyncio.wait_for(ended.wait(), 5)
            await until(lambda: server.count("CANCELLED") == 1)
            assert server.count("INTERNAL") is None
    assert not [line for line in logs if line.get("exc_info")]


async def test_a_caller_that_leaves_while_events_are_on_their_way_is_no_bug() -> None:
    """R10: a write that meets a caller who has just left is no bug of ours."""

    async def work(tell: Tell) -> bytes:
        for _ in range(50):
            tell(finished(size=20_000))
            await asyncio.sleep(0)
        return answer()

    with capture_logs() as logs:
        async with served(working(work)) as server:
            for _ in range(20):
                call = server.call()
                await call.read()
                call.cancel()
            await until(lambda: (server.count("CANCELLED") or 0) + (server.count("OK") or 0) == 20)
            assert server.count("INTERNAL") is None
    assert not [line for line in logs if line.get("exc_info")]


# ── What is told while it happens ────────────────────────────────────────────────────────────────────────────────────


async def test_what_happens_is_told_at_once() -> None:
    """R9: an event arrives while the work goes on, not with its answer."""
    go_on = asyncio.Event()

    async def work(tell: Tell) -> bytes:
        tell(progress(1))
        await go_on.wait()
        return answer()

    async with served(working(work)) as server:
        call = server.call()
        first = await call.read()
        assert isinstance(first, Event)
        assert first.progress.step == 1
        go_on.set()
        assert [event.WhichOneof("event") for event in await read_all(call)] == ["completed"]


async def test_a_silent_stream_says_that_it_is_alive() -> None:
    """R9: where nothing was told for a while a heartbeat is sent, and again."""
    go_on = asyncio.Event()

    async def work(_tell: Tell) -> bytes:
        await go_on.wait()
        return answer()

    async with served(working(work, Bounds(silent_seconds=0.05))) as server:
        call = server.call()
        for _ in range(2):
            event = await call.read()
            assert isinstance(event, Event)
            assert event.WhichOneof("event") == "heartbeat"
        go_on.set()
        assert (await read_all(call))[-1].WhichOneof("event") == "completed"


async def test_a_slow_reader_gets_only_the_newest_progress() -> None:
    """R9: previews do not queue up behind one another; what else was told arrives, in order, once."""
    told = asyncio.Event()

    async def work(tell: Tell) -> bytes:
        tell(finished("first"))
        for step in range(500):
            tell(progress(step, b"x" * 50_000))
            await asyncio.sleep(0)
        tell(finished("second"))
        told.set()
        return answer()

    async with served(working(work)) as server:
        call = server.call()
        await asyncio.wait_for(told.wait(), 10)
        events = await read_all(call)
    others = [event for event in events if not event.HasField("progress")]
    assert [event.attempt_finished.message for event in others[:-1]] == ["first", "second"]
    assert others[-1].HasField("completed")
    steps = [event.progress.step for event in events if event.HasField("progress")]
    assert len(steps) < 20
    assert (steps == sorted(steps), steps[-1]) == (True, 499)


# ── Readers that do not read ─────────────────────────────────────────────────────────────────────────────────────────

LATE = Bounds(unread_bytes=LARGE // 2, unread_seconds=0.3)


async def test_who_does_not_read_is_ended_and_the_work_cancelled() -> None:
    """R9: more bytes unread for longer than allowed end the stream with RESOURCE_EXHAUSTED, and its work."""
    ended = asyncio.Event()

    async def work(tell: Tell) -> bytes:
        tell(finished("on its way"))
        tell(finished(size=LARGE))
        tell(finished("behind it"))
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    with capture_logs() as logs:
        async with served(working(work, LATE)) as server:
            call = server.call()
            began = monotonic()
            await asyncio.wait_for(ended.wait(), 10)
            assert 0.25 < monotonic() - began < 3
            await until(lambda: server.count("RESOURCE_EXHAUSTED") == 1)
            # Who reads again gets what was under way, nothing that waited behind it, and the error.
            before = list[Event]()
            error, failure = await the_failure(call, before)
            assert (error.code(), failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.CANCELLED)
            assert "1,000,000 bytes of the stream unread for 0.3 s" in failure.message
            assert [event.attempt_finished.message for event in before] == ["on its way", ""]
    assert not [line for line in logs if line.get("exc_info")]


async def test_an_answer_that_nobody_fetches_is_given_up() -> None:
    """R9: the last event counts like any other, although the work is done."""

    async def work(_tell: Tell) -> bytes:
        return answer(LARGE)

    async with served(working(work, LATE)) as server:
        call = server.call()
        await until(lambda: server.count("RESOURCE_EXHAUSTED") == 1)
        _, failure = await the_failure(call)
        assert failure.reason is Reason.CANCELLED


async def test_who_reads_in_time_gets_everything() -> None:
    """R9: a reader who pauses for less than is allowed loses nothing, however much there is."""

    told = asyncio.Event()

    async def work(tell: Tell) -> bytes:
        for number in range(10):
            tell(finished(str(number), size=LARGE))
        told.set()
        return answer(LARGE)

    async with served(working(work, Bounds(unread_bytes=LARGE, unread_seconds=20))) as server:
        call = server.call()
        await asyncio.wait_for(told.wait(), 10)
        events = await read_all(call)
    assert [event.attempt_finished.message for event in events[:-1]] == [str(number) for number in range(10)]
    assert len(events[-1].completed.warnings[0]) == LARGE


async def test_many_who_do_not_read_leave_nothing_behind() -> None:
    """R9: what waited for those who were ended is freed, and their calls end when they read or leave."""
    waiting: set[int] = set()

    async def work(tell: Tell) -> bytes:
        mine = len(waiting)
        waiting.add(mine)
        for _ in range(5):
            tell(finished(size=LARGE))
        try:
            await asyncio.Event().wait()
        finally:
            waiting.discard(mine)
        return b""

    async with served(working(work, LATE)) as server:
        calls = [server.call() for _ in range(10)]
        await until(lambda: server.count("RESOURCE_EXHAUSTED") == 10)
        assert not waiting
        for call in calls[:5]:
            call.cancel()
        for call in calls[5:]:
            before = list[Event]()
            await the_failure(call, before)
            assert len(before) <= 2
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "rpc_task"])
