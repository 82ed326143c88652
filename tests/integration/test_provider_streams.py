"""A provider's own stream over a real socket: the attempt told while it happens, around a scripted provider."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from structlog.testing import capture_logs

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Dispatch, Failure, Reason, from_status
from imagegate.runtime.limits import Limits
from imagegate.runtime.metadata import ATTEMPT_NUMBER, FALLBACK_WAITS
from imagegate.runtime.order import Delivery, Order, Picture
from imagegate.runtime.outbox import Bounds
from imagegate.runtime.rate import Rate
from imagegate.runtime.redaction import Redactor
from imagegate.testing import Hang, ScriptedProvider, Telling, picture, serving_provider
from imagegate.v1 import generation_pb2, generation_pb2_grpc

Request, Event = generation_pb2.GenerateRequest, generation_pb2.GenerateEvent
RUNNING, QUEUED = generation_pb2.PHASE_RUNNING, generation_pb2.PHASE_QUEUED
# A reader whose windows stay small: a write to it waits after some ten thousand bytes.
NARROW = (*MESSAGE_OPTIONS, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))


class House:
    """A served provider, and a client's stub."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = generation_pb2_grpc.GenerationServiceStub(channel)

    def stream(
        self, request: Request | None = None, *, timeout: float = 20.0, metadata: Mapping[str, str] | None = None
    ) -> Any:
        """One GenerateStream under way."""
        sent = tuple((metadata or {}).items())
        return self.stub.GenerateStream(request or Request(prompt="a fox"), timeout=timeout, metadata=sent)


@asynccontextmanager
async def a_house(provider: ScriptedProvider, **options: Any) -> AsyncIterator[House]:
    async with (
        serving_provider(provider, **options) as served,
        grpc.aio.insecure_channel(served.target, options=NARROW) as channel,
    ):
        yield House(channel)


async def read(call: Any) -> Event:
    event = await call.read()
    assert isinstance(event, Event), event
    return event


async def rest(call: Any, into: list[Event] | None = None) -> list[Event]:
    events = [] if into is None else into
    while isinstance(event := await call.read(), Event):
        events.append(event)
    return events


def kinds(events: list[Event]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def ended(call: Any, before: list[Event] | None = None) -> tuple[grpc.aio.AioRpcError, Failure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rest(call, before)
    status = rpc_status.from_call(caught.value)
    failure = from_status(status) if status is not None else None
    assert failure is not None, caught.value
    return caught.value, failure


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


# ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_attempt_is_told_from_its_beginning_to_its_answer() -> None:
    """R9: the attempt begins, moves on, ends and is answered; progress arrives before there is an answer."""
    go_on = asyncio.Event()
    telling = Telling([{"phase": RUNNING, "step": 2, "steps": 4}], go_on=go_on)
    async with a_house(ScriptedProvider(replies=[telling], upstream_id="up-1")) as house:
        call = house.stream(Request(prompt="a fox", seed=7, request_id="mine"), metadata={ATTEMPT_NUMBER: "2"})
        started = (await read(call)).attempt_started
        assert (started.provider, started.model, started.number) == ("scripted", "model", 2)
        assert 10 < started.timeout.ToSeconds() <= 20
        assert started.HasField("started")
        progress = (await read(call)).progress
        assert progress == generation_pb2.Progress(phase=RUNNING, step=2, steps=4, upstream_id="up-1")
        go_on.set()
        events = await rest(call)
        assert kinds(events) == ["attempt_finished", "completed"]
        attempt, answer = events[0].attempt_finished, events[1].completed
        assert (attempt.provider, attempt.model, attempt.reason, attempt.upstream_id) == (
            "scripted",
            "model",
            0,
            "up-1",
        )
        assert attempt.dispatch == Dispatch.ACCEPTED.to_proto()
        assert attempt.HasField("started")
        assert attempt.HasField("duration")
        assert (answer.request_id, answer.images[0].seed, answer.cost) == ("mine", 7, 3)
        # The same request answers the same without a stream.
        unary = await house.stub.Generate(Request(prompt="a fox", seed=7, request_id="mine"), timeout=20)
        for response in (unary, answer):
            response.ClearField("timings")
        assert unary == answer


async def test_a_failed_attempt_is_told_before_the_error() -> None:
    """R5, R9: the record of the failed attempt is an event of its own, and the stream's error is that of Generate."""
    refusal = Failure(
        Reason.RATE_LIMITED, "slow down", retry_after=7, upstream_status=429, dispatch=Dispatch.REFUSED, remedy="wait"
    )
    with capture_logs() as logs:
        async with a_house(ScriptedProvider(replies=[refusal])) as house:
            before = list[Event]()
            error, failure = await ended(house.stream(), before)
    assert kinds(before) == ["attempt_started", "attempt_finished"]
    assert before[1].attempt_finished == failure.attempts[0]
    assert (failure.attempts[0].upstream_status, failure.retry_after) == (429, 7)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [line["outcome"] for line in logs if line["event"] == "attempt"] == ["RATE_LIMITED"]


async def test_what_became_no_attempt_is_only_an_error() -> None:
    """R7: a request that is wrong, or for a model that is not there, begins nothing."""
    async with a_house(ScriptedProvider()) as house:
        for request, reason in (
            (Request(), Reason.INVALID_REQUEST),
            (Request(prompt="a", model="nope"), Reason.MODEL_NOT_FOUND),
        ):
            before = list[Event]()
            _, failure = await ended(house.stream(request), before)
            assert (failure.reason, before) == (reason, [])


async def test_a_bug_is_internal_and_its_words_stay_here() -> None:
    """M3: a stray exception of a provider ends the attempt and the stream as INTERNAL, without its text."""

    class Broken(ScriptedProvider):
        async def generate(self, order: Order) -> Delivery:
            raise RuntimeError("nobody has thought of this")

    async with a_house(Broken()) as house:
        before = list[Event]()
        error, failure = await ended(house.stream(), before)
    assert (error.code(), failure.reason) == (grpc.StatusCode.INTERNAL, Reason.INTERNAL)
    assert kinds(before) == ["attempt_started", "attempt_finished"]
    assert "thought of this" not in f"{error!r}{error.trailing_metadata()}{before}"


async def test_a_key_never_leaves_in_an_event() -> None:
    """R14: an upstream that repeats the key does not get it into the events either."""
    redactor = Redactor()
    redactor.add("key-0123456789abcdef")
    failure = Failure(Reason.UPSTREAM_ERROR, "no key-0123456789abcdef", upstream_message="key-0123456789abcdef")
    async with a_house(ScriptedProvider(replies=[failure]), redactor=redactor) as house:
        before = list[Event]()
        await ended(house.stream(), before)
    assert before[1].attempt_finished.message == "no ***"
    assert "0123456789" not in str(before)


async def test_the_same_progress_is_told_once() -> None:
    """R9: a provider that asks again and hears the same has nothing to tell."""
    pieces = [{"phase": QUEUED, "queue_position": 1}] * 3 + [{"phase": QUEUED, "queue_position": 0}]
    heard: list[generation_pb2.Progress] = []
    order = Order(model=None, prompt="", parameters={}, deadline=None, watch=heard.append)  # type: ignore[arg-type]
    for piece in pieces:
        order.tell(**piece)  # type: ignore[arg-type]
    await order.accepted("up-1")
    assert [(each.queue_position, each.upstream_id) for each in heard] == [(1, ""), (0, ""), (0, "up-1")]


# ── Waiting for a turn ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_waits_for_a_slot_hears_its_place() -> None:
    """R9: the last candidate queues until its deadline, and hears how many are before it whenever that changes."""
    first, second = asyncio.Event(), asyncio.Event()
    provider = ScriptedProvider(replies=[Telling([], go_on=first), Telling([], go_on=second)])
    async with a_house(provider, limits=Limits(concurrency=1)) as house:
        working = house.stream()
        await until(lambda: provider.orders)
        waiting = [house.stream(), house.stream()]
        for place, call in enumerate(waiting):
            assert (await read(call)).HasField("attempt_started")
            assert (await read(call)).progress == generation_pb2.Progress(phase=QUEUED, queue_position=place)
        # Who has another candidate does not wait: it is refused, with the time after which to come back.
        _, failure = await ended(house.stream(metadata={FALLBACK_WAITS: "1"}))
        assert (failure.reason, failure.retry_after) == (Reason.BUSY, 1.0)
        first.set()
        assert kinds(await rest(working))[-1] == "completed"
        assert (await read(waiting[1])).progress.queue_position == 0
        second.set()
        for call in waiting:
            assert kinds(await rest(call))[-1] == "completed"


async def test_who_waits_for_its_turn_is_told() -> None:
    """R9: a rate that is used up makes a caller wait who has nobody else to ask, and it hears so."""
    provider = ScriptedProvider()
    async with a_house(provider, limits=Limits(concurrency=9, rate=Rate(4.0))) as house:
        calls = [house.stream() for _ in range(6)]
        events = [await rest(call) for call in calls]
    places = [event.progress.queue_position for told in events for event in told if event.HasField("progress")]
    assert sorted(places) == [0, 0, 1]  # the second moves up
    assert all(kinds(told)[-1] == "completed" for told in events)


async def test_a_deadline_ends_the_wait() -> None:
    """R9: who queues until the deadline is told that its turn did not come, and that nothing was sent."""
    provider = ScriptedProvider(replies=[Hang()])
    async with a_house(provider, limits=Limits(concurrency=1)) as house:
        working = house.stream()
        await until(lambda: provider.orders)
        before = list[Event]()
        _, failure = await ended(house.stream(timeout=1.0), before)
        assert failure.reason is Reason.BUSY
        assert failure.attempts[0].dispatch == Dispatch.NOT_SENT.to_proto()
        assert kinds(before) == ["attempt_started", "progress", "attempt_finished"]
        working.cancel()


# ── Callers who leave, or do not read ────────────────────────────────────────────────────────────────────────────────


async def test_who_leaves_cancels_the_upstream() -> None:
    """R10: leaving a stream cancels the provider's work, and the attempt has its line."""
    provider = ScriptedProvider(replies=[Hang()], upstream_id="up-1")
    with capture_logs() as logs:
        async with a_house(provider) as house:
            call = house.stream()
            await until(lambda: provider.orders)
            call.cancel()
            await until(lambda: provider.cancelled)
    assert [(line["outcome"], line["upstream_id"]) for line in logs if line["event"] == "attempt"] == [
        ("CANCELLED", "up-1")
    ]


async def test_the_provider_ends_a_streams_attempt_before_its_caller_does() -> None:
    """R8: the order is cancelled within a reserve before the deadline, and the stream says how far it got."""
    provider = ScriptedProvider(replies=[Hang()], upstream_id="up-1")
    async with a_house(provider) as house:
        before = list[Event]()
        error, failure = await ended(house.stream(timeout=1.5), before)
    assert (error.code(), failure.reason, provider.cancelled) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        Reason.TIMEOUT,
        1,
    )
    assert before[-1].attempt_finished.upstream_id == "up-1"


async def test_previews_that_nobody_reads_end_the_work() -> None:
    """R9: a reader who leaves too much unread for too long is ended, and the upstream's work with it."""
    preview = generation_pb2.Image(data=b"x" * 2_000_000, mime_type="image/jpeg")
    provider = ScriptedProvider(replies=[Telling([{"phase": RUNNING, "preview": preview}], Hang())])
    with capture_logs() as logs:
        async with a_house(provider, bounds=Bounds(unread_bytes=1_000_000, unread_seconds=0.3)) as house:
            call, began = house.stream(), monotonic()
            await until(lambda: provider.cancelled)
            assert 0.25 < monotonic() - began < 5
            before = list[Event]()
            error, failure = await ended(call, before)
            assert kinds(before) == ["attempt_started", "progress"]
            assert (error.code(), failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.CANCELLED)
    assert [line["outcome"] for line in logs if line["event"] == "attempt"] == ["CANCELLED"]


async def test_a_large_answer_reaches_a_reader() -> None:
    """R9: an answer of many megabytes is one event, and arrives whole."""
    large = picture(1024, 1024)
    delivery = Delivery([Picture(large, seed) for seed in range(3)])
    output = generation_pb2.Output(max_bytes=56_000_000)
    request = Request(prompt="a fox", width=1024, height=1024, count=3, output=output)
    async with a_house(ScriptedProvider(replies=[delivery])) as house:
        events = await rest(house.stream(request))
    assert [image.data for image in events[-1].completed.images] == [large] * 3
