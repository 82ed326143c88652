"""Streams of the SDK against a scripted router on a real socket."""

import asyncio
import gc
import threading
from typing import Any

import grpc
import pytest

from imagegate.client import (
    AsyncClient,
    AttemptFinished,
    AttemptStarted,
    Client,
    Completed,
    GenerationError,
    Progress,
)
from imagegate.runtime.errors import Reason
from imagegate.v1 import generation_pb2, generation_pb2_grpc


async def test_a_stream_tells_every_step_and_ends_with_the_result(router: Any) -> None:
    """R6: attempts, queue, warming and steps as they come; heartbeats and what is not known are swallowed."""
    async with AsyncClient(router.address) as client:
        events = [event async for event in client.stream("a lighthouse", model="avatar", width=512)]
    (request,) = router.requests
    assert (request.prompt, request.model, request.width) == ("a lighthouse", "avatar", 512)
    started, queued, denied, skipped, second, warming, running, _, downloading, completed = events
    assert isinstance(started, AttemptStarted)
    assert (started.provider, started.model, started.number, started.timeout) == ("huggingface", "flux-dev", 1, 40.0)
    assert started.started is not None
    assert isinstance(queued, Progress)
    assert (queued.phase, queued.queue_position, queued.step) == ("QUEUED", 3, None)
    assert isinstance(denied, AttemptFinished)
    assert (denied.attempt.reason, denied.attempt.skipped) == ("MODEL_ACCESS_DENIED", False)
    assert isinstance(skipped, AttemptFinished)
    assert skipped.attempt.skipped
    assert isinstance(second, AttemptStarted)
    assert (second.started, second.timeout) == (None, None)
    assert isinstance(warming, Progress)
    assert warming.ready_in == 12.0
    assert isinstance(running, Progress)
    assert (running.step, running.steps) == (1, 4)
    assert running.preview is not None
    assert running.preview.pil().size == (64, 48)
    assert isinstance(downloading, Progress)
    assert isinstance(completed, Completed)
    assert completed.result.request_id == request.request_id
    assert completed.result.images[0].width == 64


async def test_a_stream_fails_as_generate_does(router: Any) -> None:
    """S3: reason, attempts, retry time, id and words are those of the error that `generate` would raise."""
    router.events = router.tell_and_fail
    async with AsyncClient(router.address) as client:
        events = client.stream("x", request_id="mine-1")
        assert isinstance(await anext(events), AttemptStarted)
        with pytest.raises(GenerationError) as caught:
            await anext(events)
    error = caught.value
    assert (error.reason, error.code) == (Reason.RATE_LIMITED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert (error.message, error.retry_after, error.request_id) == ("all held back; try: wait", 7.0, "mine-1")
    assert [attempt.reason for attempt in error.attempts] == ["MODEL_ACCESS_DENIED", "BACKING_OFF"]


async def test_a_result_that_has_arrived_is_not_lost_to_what_follows(router: Any) -> None:
    """Nobody pays for a picture and then loses it to an error behind it."""

    async def deliver_and_fail(request: generation_pb2.GenerateRequest) -> Any:
        async for event in router.tell(request):
            yield event
        async for event in router.tell_and_fail(request):
            yield event

    router.events = deliver_and_fail
    async with AsyncClient(router.address) as client:
        assert isinstance([event async for event in client.stream("x")][-1], Completed)


async def test_a_stream_without_an_answer_is_an_error(router: Any) -> None:
    """Never a success without a picture."""

    async def nothing(_: generation_pb2.GenerateRequest) -> Any:
        yield generation_pb2.GenerateEvent(heartbeat=generation_pb2.Heartbeat())

    router.events = nothing
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError, match="without an answer") as caught:
            async for _ in client.stream("x"):
                pass
    assert caught.value.reason is Reason.INTERNAL


async def test_who_cannot_stream_is_named_with_the_remedy() -> None:
    """A router or provider of an older version: ask without streaming."""
    server = grpc.aio.server()
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation_pb2_grpc.GenerationServiceServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(GenerationError, match=f"{port}.*ask without streaming") as caught:
            await anext(client.stream("x"))
        with pytest.raises(GenerationError, match="ask without watching"):
            await anext(client.watch_status())
    await server.stop(None)
    assert (caught.value.reason, caught.value.code) == (Reason.UNSUPPORTED, grpc.StatusCode.UNIMPLEMENTED)


async def test_a_stream_has_the_callers_deadline(router: Any) -> None:
    """The seconds are those of the whole call, and the error names them."""
    router.events = router.tell_and_hang
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError, match=r"within 0\.3 s") as caught:
            async for _ in client.stream("x", timeout=0.3):
                pass
    assert caught.value.reason is Reason.TIMEOUT


async def test_leaving_the_loop_cancels_the_call(router: Any) -> None:
    """Who has seen enough pays for no more."""
    router.events = router.tell_and_hang
    async with AsyncClient(router.address) as client:
        async for event in client.stream("x"):
            assert isinstance(event, AttemptStarted)
            break
        async with asyncio.timeout(5):
            await router.cancelled.wait()


async def test_a_wrong_field_is_told_before_anything_is_asked(router: Any) -> None:
    """A typo raises where the stream is asked for, not where it is read."""
    async with AsyncClient(router.address) as client:
        with pytest.raises(TypeError, match="did you mean 'width'"):
            client.stream("x", widht=1)  # type: ignore[call-arg]
    assert router.requests == []


async def test_the_sync_client_streams_as_well(router: Any) -> None:
    """A plain loop, the same events."""

    def kinds() -> list[str]:
        with Client(router.address) as client:
            return [type(event).__name__ for event in client.stream("x", count=1)]

    assert await asyncio.to_thread(kinds) == [
        *("AttemptStarted", "Progress", "AttemptFinished", "AttemptFinished", "AttemptStarted"),
        *("Progress", "Progress", "Progress", "Progress", "Completed"),
    ]


async def test_the_sync_stream_raises_what_generate_raises(router: Any) -> None:
    """The error is the same one."""
    router.events = router.tell_and_fail
    with Client(router.address) as client, pytest.raises(GenerationError, match="all held back"):
        await asyncio.to_thread(list, client.stream("x"))


async def leave_by_break(client: Client) -> None:
    def read() -> None:
        for _ in client.stream("x"):
            break

    await asyncio.to_thread(read)


async def leave_by_close(client: Client) -> None:
    events = client.stream("x")
    await asyncio.to_thread(next, events)
    events.close()


async def leave_to_the_collector(client: Client) -> None:
    def read() -> None:
        events = client.stream("x")
        next(events)
        itself = [events]
        itself.append(itself)  # type: ignore[arg-type]  # a cycle: only the collector finds it

    await asyncio.to_thread(read)
    await asyncio.to_thread(gc.collect)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_to_the_collector])
async def test_leaving_a_sync_stream_cancels_the_call(router: Any, leave: Any) -> None:
    """However it is left: by break, by close, or by being forgotten. The client serves on."""
    router.events = router.tell_and_hang
    with Client(router.address) as client:
        await leave(client)
        async with asyncio.timeout(5):
            await router.cancelled.wait()
        assert await asyncio.to_thread(client.status)


async def test_closing_the_client_ends_its_streams(router: Any) -> None:
    """A stream that was under way says that its client is closed; no thread is left."""
    router.events = router.tell_and_hang
    client = Client(router.address)
    events = client.stream("x")
    await asyncio.to_thread(next, events)
    await asyncio.to_thread(client.close)
    with pytest.raises(RuntimeError, match="is closed"):
        next(events)
    async with asyncio.timeout(5):
        await router.cancelled.wait()
    assert not [thread for thread in threading.enumerate() if thread.name == "imagegate-client"]


async def test_watching_tells_every_status_until_it_is_left(router: Any) -> None:
    """Each status as the router sends it; leaving the loop ends the call, with `await` and without."""
    async with AsyncClient(router.address) as client:
        async for status in client.watch_status():
            if status.providers[0].in_flight:
                break
        async with asyncio.timeout(5):
            await router.cancelled.wait()

    def watch() -> int:
        with Client(router.address) as client:
            for status in client.watch_status():
                return status.providers[0].in_flight
        return -1

    assert await asyncio.to_thread(watch) == 0
