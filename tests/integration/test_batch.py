"""`GenerateBatch` on real sockets: several requests, each as `Generate` makes it, and told as it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from structlog.testing import capture_logs

from imagegate.router.batch import MAX_REQUESTS
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.outbox import Bounds
from imagegate.testing import Hang, House, Telling, outcomes, told
from imagegate.testing.pictures import picture
from imagegate.v1 import generation_pb2, router_pb2, router_pb2_grpc

Request, Batch, Event = generation_pb2.GenerateRequest, router_pb2.GenerateBatchRequest, router_pb2.BatchEvent
Call = grpc.aio.UnaryStreamCall[Batch, Event]


def requests(count: int, **more: object) -> list[Request]:
    return [Request(prompt=f"picture {number}", request_id=f"r{number}", **more) for number in range(count)]


@asynccontextmanager
async def batch(house: House, request: Batch, timeout: float = 20) -> AsyncIterator[Call]:
    async with house.channel() as channel:
        call = router_pb2_grpc.RouterServiceStub(channel).GenerateBatch(request, timeout=timeout)
        yield call
        call.cancel()


async def read(call: Call) -> list[Event]:
    """What is left of it."""
    events = []
    while isinstance(event := await call.read(), Event):
        events.append(event)
    return events


async def read_all(house: House, batched: Sequence[Request], timeout: float = 20, **more: object) -> list[Event]:
    async with batch(house, Batch(requests=batched, **more), timeout) as call:
        return await read(call)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_every_request_is_told_as_generate_would_have_told_it(house: House) -> None:
    """P8: partial success: answers and errors of a batch are those of `Generate`, each with its place and its id."""
    refused = Failure(Reason.UPSTREAM_ERROR, "it broke", dispatch=Dispatch.REFUSED)
    await house.build([refused], [])
    good, wrong, unknown = requests(3)
    wrong.width, unknown.model = 5, "nobody"
    with capture_logs() as logs:
        events = await read_all(house, [good, wrong, unknown], concurrency=1)
    assert [event.index for event in events] == [0, 1, 2]
    answer = events[0].response
    assert answer.request_id == "r0"
    assert answer.images[0].data
    assert outcomes(answer.attempts) == ["a UPSTREAM_ERROR", "b OK"]
    assert answer.resolved_by == generation_pb2.RESOLVED_BY_DEFAULT
    for event, request in ((events[1], wrong), (events[2], unknown)):
        error, failure = await house.fail(request)
        assert event.failure.code == error.code().value[0]
        assert Reason.from_proto(event.failure.reason) is failure.reason
        assert event.failure.message == error.details()
        assert event.failure.request_id == request.request_id
    assert "width" in events[1].failure.message
    told_of = [(log["request_id"], log["outcome"]) for log in logs if log["event"] == "request"]
    assert told_of == [("r0", "ok"), ("r1", Reason.INVALID_REQUEST), ("r2", Reason.MODEL_NOT_FOUND)]
    async with house.router.stubs() as (_, router):
        kept = await router.ListRequests(router_pb2.ListRequestsRequest())
    assert {record.request_id for record in kept.requests} == {"r0", "r1", "r2"}


async def test_a_failure_has_its_attempts_and_when_to_try_again(house: House) -> None:
    """P8, R9: what fails tells every attempt, and the upstream's own time."""
    await house.build([Failure(Reason.RATE_LIMITED, "slow down", retry_after=7.0, dispatch=Dispatch.REFUSED)])
    (event,) = await read_all(house, requests(1))
    assert outcomes(event.failure.attempts) == ["a RATE_LIMITED"]
    assert 5 < event.failure.retry_after.ToSeconds() <= 7
    assert event.failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@pytest.mark.parametrize(("asked", "under_way"), [(None, 4), (2, 2), (16, 6)])
async def test_so_many_are_made_at_a_time(house: House, asked: int | None, under_way: int) -> None:
    """P8: at most `concurrency` are under way, 4 if nothing is said; each is told as it ends, whatever its place."""
    gates = [asyncio.Event() for _ in range(6)]
    await house.build([Telling([], go_on=gate) for gate in gates])
    provider = house.providers["a"]
    async with batch(house, Batch(requests=requests(6), concurrency=asked)) as call:
        await until(lambda: len(provider.orders) == under_way)
        gates[1].set()
        first = await call.read()
        assert isinstance(first, Event)
        assert first.response.request_id == f"r{first.index}" == provider.orders[1].request_id
        await until(lambda: len(provider.orders) == min(under_way + 1, 6))
        for gate in gates:
            gate.set()
        rest = await read(call)
    assert sorted([first.index, *(event.index for event in rest)]) == list(range(6))


async def test_leaving_cancels_what_is_under_way_and_begins_nothing_more(house: House) -> None:
    """P8: whoever leaves a batch pays for nothing that had not begun."""
    await house.build([Hang()] * 6)
    provider = house.providers["a"]
    async with batch(house, Batch(requests=requests(6), concurrency=2)) as call:
        await until(lambda: len(provider.orders) == 2)
        call.cancel()
        await until(lambda: provider.cancelled == 2)
    assert len(provider.orders) == 2


async def test_a_batch_that_is_wrong_as_a_whole_is_refused(house: House) -> None:
    """P8, P12: no request or too many, a concurrency out of bounds, too many bytes: all said at once, nothing made."""
    await house.build([])
    large = Request(prompt="x", image_to_image=generation_pb2.ImageToImage())
    large.image_to_image.image.data = bytes(9 * 1024 * 1024)
    for wrong, fields in (
        (Batch(), ["requests"]),
        (Batch(requests=requests(MAX_REQUESTS + 1), concurrency=17), ["requests", "concurrency"]),
        (Batch(requests=[large] * 3, concurrency=0), ["concurrency", "requests"]),
    ):
        async with batch(house, wrong) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert [violation.field for violation in told(caught.value).violations] == fields
    assert not house.providers["a"].orders


async def test_the_same_key_twice_is_made_once(house: House) -> None:
    """P8: requests of a batch join by their idempotency keys, among themselves and with later calls."""
    await house.build([])
    same = [Request(prompt="a cat", idempotency_key="k", request_id=name) for name in ("one", "two")]
    events = await read_all(house, same)
    assert {event.response.request_id for event in events} == {"one", "two"}
    again = await house.generate(same[0])
    assert again.images[0].sha256 == events[0].response.images[0].sha256 == events[1].response.images[0].sha256
    assert len(house.providers["a"].orders) == 1


async def test_the_deadline_is_the_batch_s(house: House) -> None:
    """P8: all requests share the call's time: what it is too short for fails with that reason, before the call does."""
    await house.build([Hang()] * 3)
    events = await read_all(house, requests(3), timeout=2, concurrency=2)
    assert sorted(event.index for event in events) == [0, 1, 2]
    assert {event.failure.code for event in events} == {grpc.StatusCode.DEADLINE_EXCEEDED.value[0]}


async def test_silence_is_broken_by_heartbeats(house: House) -> None:
    """A batch under way says at least every 10 s (here: 0.05 s) that it is."""
    gate = asyncio.Event()
    await house.build([Telling([], go_on=gate)], stream_bounds=Bounds(silent_seconds=0.05))
    async with batch(house, Batch(requests=requests(1))) as call:
        first = await call.read()
        assert isinstance(first, Event)
        assert first.HasField("heartbeat")
        gate.set()
        *_, last = await read(call)
    assert last.HasField("response")


async def test_a_slow_reader_slows_the_batch_down_and_loses_nothing(house: House) -> None:
    """P8: while more is unread than the bounds say nothing further begins; once it is read, the rest is made."""
    large = picture(768, 768)
    await house.build([large] * 8, stream_bounds=Bounds(unread_bytes=1_000_000))
    provider = house.providers["a"]
    batched = requests(8, width=768, height=768)
    async with batch(house, Batch(requests=batched, concurrency=2)) as call:
        await until(lambda: len(provider.orders) >= 3)
        # What gRPC takes off us without a reader is its window's size; what waits behind that is ours.
        stopped = -1
        async with asyncio.timeout(10):
            while stopped != len(provider.orders):
                stopped = len(provider.orders)
                await asyncio.sleep(0.3)
        assert stopped < 8
        events = await read(call)
    assert sorted(event.index for event in events) == list(range(8))
    assert all(event.response.images[0].data == large for event in events)
