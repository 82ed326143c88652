"""`GenerateBatch`: several requests, some at a time, each made as `Generate` makes it and told as soon as it has ended.

A caller who reads slowly slows the batch down instead of losing it: while more than `Bounds.unread_bytes` are unread no
further request begins. What waits is so bounded by the answers of those under way; the call's deadline ends it all.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

import grpc
import structlog

from imagegate.router.router import Answered
from imagegate.runtime.current import begin_batch, begin_request
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Violation, from_status, invalid_request
from imagegate.runtime.interceptors import by_a_bug, told_as
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.reply import keeper
from imagegate.runtime.serialised import varint
from imagegate.runtime.tasks import pictures
from imagegate.runtime.validation import MAX_INPUT_BYTES
from imagegate.v1 import generation_pb2, router_pb2

log = structlog.get_logger()

MAX_REQUESTS = 100
MAX_CONCURRENCY = 16
DEFAULT_CONCURRENCY = 4

HEARTBEAT = router_pb2.BatchEvent(heartbeat=generation_pb2.Heartbeat()).SerializeToString()
# The field `response` on the wire: its number, and that a length follows.
_RESPONSE = bytes((router_pb2.BatchEvent.RESPONSE_FIELD_NUMBER << 3 | 2,))

# A context whose response is sent as it is: the method is registered without a serializer.
Context = grpc.aio.ServicerContext[router_pb2.GenerateBatchRequest, bytes]


class Answer(Protocol):
    """What answers one request as `Generate` would. Raises Failure."""

    def __call__(
        self, request: generation_pb2.GenerateRequest, request_id: str, deadline: Deadline
    ) -> Coroutine[Any, Any, Answered]: ...


class Batches:
    """Makes batches of requests by `answer`; `clock` is the one that it decides by."""

    def __init__(self, answer: Answer, clock: Callable[[], float], redactor: Redactor, bounds: Bounds = BOUNDS) -> None:
        self._answer = answer
        self._clock = clock
        self._redactor = redactor
        self._bounds = bounds

    def handler(self) -> "grpc.RpcMethodHandler[router_pb2.GenerateBatchRequest, bytes]":
        """The method, for a server."""
        takes = router_pb2.GenerateBatchRequest.FromString
        return grpc.unary_stream_rpc_method_handler(self.generate_batch, request_deserializer=takes)

    async def generate_batch(self, request: router_pb2.GenerateBatchRequest, context: Context) -> None:
        """Tell what becomes of each request. Whoever leaves cancels those under way. Raises Failure."""
        if wrong := list(violations(request)):
            raise invalid_request(wrong)
        deadline = Deadline.from_context(context, now=self._clock())
        begin_batch()
        await context.send_initial_metadata(())  # first: see `streaming` on writes that are given up

        async def make(index: int) -> bytes:
            return await self._made(index, request.requests[index], deadline)

        batch = _Batch(make, len(request.requests), self._bounds, keeper(context))
        working = asyncio.create_task(batch.work(request.concurrency or DEFAULT_CONCURRENCY))
        try:
            await batch.send(context)
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _made(self, index: int, request: generation_pb2.GenerateRequest, deadline: Deadline) -> bytes:
        """What became of one request, as a serialised BatchEvent."""
        request_id = begin_request(request.request_id)
        try:
            answered = await self._answer(request, request_id, deadline)
        except Failure as error:
            failure = error
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            log.exception("a request of a batch was cancelled by nobody")
            failure = by_a_bug()
        except Exception:
            log.exception("a request of a batch failed by a bug")
            failure = by_a_bug()
        else:
            head = router_pb2.BatchEvent(index=index).SerializeToString()
            return b"".join((head, _RESPONSE, varint(len(answered.body)), answered.body))
        told = _failed(failure, request_id, self._redactor)
        return router_pb2.BatchEvent(index=index, failure=told).SerializeToString()


class _Batch:
    """The requests of one call, some under way, and what is told of them on its way to the caller."""

    def __init__(
        self,
        make: Callable[[int], Coroutine[Any, Any, bytes]],
        size: int,
        bounds: Bounds,
        keep: Callable[[int], None],
    ) -> None:
        self._make = make
        self._left = iter(range(size))
        self._bounds = bounds
        self._keep = keep
        self._told: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unread = 0
        self._room = asyncio.Event()
        self._room.set()

    async def work(self, concurrency: int) -> None:
        """Make all of them, `concurrency` at a time."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(self._one_by_one())
        finally:
            self._told.put_nowait(None)

    async def send(self, context: Context) -> None:
        """Tell of each as it ends, until all have."""
        while (event := await self._next()) is not None:
            try:
                await context.write(event)
            except (grpc.aio.InternalError, grpc.aio.UsageError):
                # The caller has left; the cancellation that says so is on its way.
                raise asyncio.CancelledError from None
            if event is not HEARTBEAT:
                self._count(-len(event))

    async def _one_by_one(self) -> None:
        while True:
            await self._room.wait()
            index = next(self._left, None)
            if index is None:
                return
            event = await self._make(index)
            self._count(len(event))
            self._told.put_nowait(event)

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(self._bounds.silent_seconds):
                return await self._told.get()
        except TimeoutError:
            return HEARTBEAT

    def _count(self, bytes_: int) -> None:
        self._unread += bytes_
        self._keep(self._unread)
        if self._unread > self._bounds.unread_bytes:
            self._room.clear()
        else:
            self._room.set()


def violations(request: router_pb2.GenerateBatchRequest) -> Iterator[Violation]:
    """What is wrong with the batch as a whole; a request that is wrong in itself fails alone."""
    if not 1 <= len(request.requests) <= MAX_REQUESTS:
        yield Violation("requests", f"has {len(request.requests)}; allowed are 1 to {MAX_REQUESTS}")
    if request.HasField("concurrency") and not 1 <= request.concurrency <= MAX_CONCURRENCY:
        yield Violation("concurrency", f"is {request.concurrency}; allowed is 1 to {MAX_CONCURRENCY}")
    size = _input_bytes(request.requests)
    if size > MAX_INPUT_BYTES:
        limit = MAX_INPUT_BYTES // 1024**2
        yield Violation("requests", f"all their pictures together have {size:,} bytes; at most {limit} MiB are allowed")


def _input_bytes(requests: Sequence[generation_pb2.GenerateRequest]) -> int:
    return sum(len(image.data) for request in requests for _, image in pictures(request))


def _failed(failure: Failure, request_id: str, redactor: Redactor) -> router_pb2.BatchFailure:
    """A failure exactly as `Generate` would have told it."""
    status = told_as(failure, request_id, redactor)
    within_bounds = from_status(status)
    told = router_pb2.BatchFailure(
        code=status.code,
        reason=failure.reason.to_proto(),
        message=status.message,
        attempts=within_bounds.attempts if within_bounds is not None else (),
        request_id=request_id,
    )
    if within_bounds is not None and within_bounds.retry_after is not None:
        told.retry_after.FromNanoseconds(round(within_bounds.retry_after * 1e9))
    return told


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
