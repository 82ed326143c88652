"""GenerateStream through the router: what happens is told while it happens, through both hops."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.outbox import Bounds
from imagegate.testing import Hang, House, ScriptedProvider, Telling, outcomes, serving_router, told
from imagegate.v1 import error_pb2, generation_pb2, generation_pb2_grpc

Event = generation_pb2.GenerateEvent
Request = generation_pb2.GenerateRequest

QUEUED = {"phase": generation_pb2.PHASE_QUEUED, "queue_position": 3}
RUNNING = {"phase": generation_pb2.PHASE_RUNNING, "step": 2, "steps": 4}


def failure(reason: Reason, **more: object) -> Failure:
    return Failure(reason, f"the script says {reason}", **more)


async def stream(house: House, request: Request | None = None, timeout: float = 20) -> AsyncIterator[Event]:
    async with house.channel() as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        async for event in stub.GenerateStream(request or Request(prompt="a lighthouse"), timeout=timeout):
            yield event


def in_short(event: Event) -> str:
    """An event in two words."""
    match event.WhichOneof("event"):
        case "attempt_started":
            return f"started {event.attempt_started.provider} #{event.attempt_started.number}"
        case "attempt_finished":
            return f"finished {outcomes([event.attempt_finished])[0]}"
        case "progress":
            return generation_pb2.Phase.Name(event.progress.phase)
        case other:
            return str(other)


async def read_to_the_end(call: grpc.aio.UnaryStreamCall) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_failure_mid_stream_goes_on_to_the_next_candidate_within_the_same_stream(house: House) -> None:
    """Attempts starting and finishing, progress of both, and the answer with the whole record come in one stream."""
    first = Telling([QUEUED, RUNNING], failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.REFUSED))
    await house.build([first], [Telling([RUNNING])])
    events = [event async for event in stream(house)]
    told_ = [in_short(event) for event in events if event.WhichOneof("event") != "progress"]
    assert told_ == ["started a #1", "finished a UPSTREAM_ERROR", "started b #2", "finished b OK", "completed"]
    phases = {in_short(event) for event in events if event.HasField("progress")}
    assert "PHASE_RUNNING" in phases
    answer = events[-1].completed
    assert outcomes(answer.attempts) == ["a UPSTREAM_ERROR", "b OK"]
    assert answer.images[0].data.startswith(b"\x89PNG")
    assert answer.resolved_by == generation_pb2.RESOLVED_BY_DEFAULT


async def test_who_is_passed_over_is_told_when_it_happens(house: House) -> None:
    """R5: a candidate that is not tried is told of before the next attempt begins, and before the stream fails."""
    await house.build([failure(Reason.OUT_OF_CREDIT)], [failure(Reason.OUT_OF_CREDIT)], [])
    await house.generate()
    events = [event async for event in stream(house) if event.WhichOneof("event") != "progress"]
    told_ = [in_short(event) for event in events]
    assert told_[:2] == ["finished [a CIRCUIT_OPEN]", "finished [b CIRCUIT_OPEN]"]
    assert told_[2:] == ["started c #1", "finished c OK", "completed"]
    assert events[0].attempt_finished.skipped.until.seconds
    failing = stream(house, Request(prompt="x", model="a/model"))
    assert in_short(await anext(failing)) == "finished [a CIRCUIT_OPEN]"
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(failing)


async def test_progress_arrives_while_the_picture_is_being_made(house: House) -> None:
    """The place in the queue and the steps are told before the picture is there, not with it."""
    go_on = asyncio.Event()
    await house.build([Telling([QUEUED], go_on=go_on)])
    async with asyncio.timeout(10):
        async for event in stream(house):
            if event.HasField("progress") and event.progress.phase == generation_pb2.PHASE_QUEUED:
                assert event.progress.queue_position == 3
                go_on.set()
    assert event.HasField("completed")


async def test_a_stream_ends_with_the_error_of_generate(house: House) -> None:
    """Where nobody delivers, the stream ends with the same code, reason and record as Generate."""
    await house.build([failure(Reason.OUT_OF_CREDIT)] * 2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream(house):
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert told(caught.value).reason is Reason.OUT_OF_CREDIT
    assert outcomes(told(caught.value).attempts) == ["a OUT_OF_CREDIT"]


async def test_a_wrong_request_is_told_before_anything_else(house: House) -> None:
    """A stream validates like Generate: every bad field, and no event."""
    await house.build([])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(stream(house, Request(prompt="", width=3)))
    assert {violation.field for violation in told(caught.value).violations} == {"prompt", "width"}


async def test_leaving_a_stream_cancels_the_provider(house: House) -> None:
    """F40: a caller who leaves mid-stream cancels the work at the provider, and nothing is held against it."""
    await house.build([Hang()])
    async for event in stream(house):
        if event.HasField("attempt_started"):
            await until(lambda: len(house.providers["a"].orders) == 1)
            break
    await until(lambda: house.providers["a"].cancelled == 1)
    assert house.router.router.admission.failure_rate("a", "model", house.router.router.clock()) is None


async def test_silence_is_broken_by_heartbeats(house: House) -> None:
    """A stream on which nothing happens says every few seconds that it is alive."""
    await house.build([Hang()], stream_bounds=Bounds(silent_seconds=0.05))
    beats = 0
    async for event in stream(house):
        beats += event.HasField("heartbeat")
        if beats == 3:
            break
    assert beats == 3


async def test_the_upstreams_id_of_a_stream_is_in_the_record(house: House) -> None:
    """The id that a provider told mid-stream is in the record, whatever became of the attempt."""
    lost = failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.ACCEPTED)
    await house.build([Telling([RUNNING], lost)], upstream_id="job-7")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream(house):
            pass
    assert told(caught.value).attempts[0].upstream_id == "job-7"


async def test_a_warming_model_is_told_with_its_estimate(house: House) -> None:
    """R8: a cold model is shown as warming with the estimate, waited for, and then makes the picture."""
    await house.build([failure(Reason.MODEL_LOADING, retry_after=1.0, dispatch=Dispatch.REFUSED)])
    events = [event async for event in stream(house)]
    warming = [event.progress for event in events if event.progress.phase == generation_pb2.PHASE_WARMING]
    assert warming
    assert 0 < warming[0].ready_in.ToMilliseconds() <= 1000
    assert outcomes(events[-1].completed.attempts) == ["a OK"]
    assert len(house.providers["a"].orders) == 2


async def test_everybody_who_waits_for_a_model_hears_that_it_is_warming(house: House) -> None:
    """R8: only one asks whether the model is ready, and all who wait for it are told what they wait for."""
    loading = failure(Reason.MODEL_LOADING, retry_after=0.6, dispatch=Dispatch.REFUSED)
    await house.build([loading, loading], checks=[Hang(), Hang()])

    async def phases() -> list[str]:
        return [in_short(event) async for event in stream(house)]

    for told_ in await asyncio.gather(phases(), phases()):
        assert "PHASE_WARMING" in told_
        assert told_[-1] == "completed"


async def test_joining_a_stream_with_its_key(house: House) -> None:
    """A second stream with the same key gets the answer of the first: one order, one picture."""
    go_on = asyncio.Event()
    await house.build([Telling([QUEUED], go_on=go_on)])
    request = Request(prompt="x", idempotency_key="once")

    async def last() -> Event:
        return [event async for event in stream(house, request)][-1]

    first = asyncio.create_task(last())
    await until(lambda: len(house.providers["a"].orders) == 1)
    second = asyncio.create_task(last())
    go_on.set()
    answers = await asyncio.gather(first, second)
    assert answers[0].completed.images[0].sha256 == answers[1].completed.images[0].sha256
    assert len(house.providers["a"].orders) == 1


# ── Slow readers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_who_does_not_read_is_ended_and_its_work_cancelled(house: House) -> None:
    """More unread than allowed for longer than allowed: RESOURCE_EXHAUSTED, and the provider's order is cancelled."""
    preview = generation_pb2.Image(data=b"\xff" * 200_000, mime_type="image/png")

    class Painting(ScriptedProvider):
        async def generate(self, order):  # type: ignore[no-untyped-def]
            self.orders.append(order)
            try:
                for step in itertools.count():
                    order.tell(generation_pb2.PHASE_RUNNING, step=step, preview=preview)
                    await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            raise AssertionError("nobody ended it")

    await house.build([], kind=Painting, stream_bounds=Bounds(unread_bytes=250_000, unread_seconds=0.5))
    async with house.channel() as channel, asyncio.timeout(20):
        call = generation_pb2_grpc.GenerationServiceStub(channel).GenerateStream(Request(prompt="x"), timeout=60)
        await call.read()
        await until(lambda: house.providers["a"].cancelled == 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_to_the_end(call)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "unread" in (caught.value.details() or "")


# ── An older provider ────────────────────────────────────────────────────────────────────────────────────────────────


class OnlyUnary(grpc.GenericRpcHandler):
    """A provider in some language that serves Generate, and no stream."""

    def service(self, details: grpc.HandlerCallDetails) -> object:
        if details.method != "/imagegate.v1.GenerationService/Generate":
            return _health_only(details)

        async def generate(request: bytes, context: object) -> bytes:
            image = generation_pb2.Image(data=b"x", mime_type="image/png")
            return generation_pb2.GenerateResponse(images=[image], provider="old").SerializeToString()

        return grpc.unary_unary_rpc_method_handler(generate)


def _health_only(details: grpc.HandlerCallDetails) -> object:
    from grpc_health.v1 import health_pb2

    if details.method != "/grpc.health.v1.Health/Watch":
        return None

    async def watch(request: bytes, context: grpc.aio.ServicerContext) -> None:
        await context.write(health_pb2.HealthCheckResponse(status=1).SerializeToString())
        await asyncio.Event().wait()

    return grpc.unary_stream_rpc_method_handler(watch)


async def test_a_provider_without_streams_is_served_by_unary() -> None:
    """A provider that does not offer GenerateStream is called by Generate: the caller's stream has its answer."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((OnlyUnary(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        serving_router({"old": f"127.0.0.1:{port}"}, {"default": ["old/model"]}, wait_for_catalogues=False) as router,
        grpc.aio.insecure_channel(router.target) as channel,
    ):
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        events = [event async for event in stub.GenerateStream(Request(prompt="x"), timeout=20)]
    await server.stop(None)
    assert [in_short(event) for event in events] == ["started old #1", "finished old OK", "completed"]
    assert events[-1].completed.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED
