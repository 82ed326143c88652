"""Work that is told while it happens, to a caller who may read slowly, or not at all.

What gRPC's server does with such a caller was tried (grpcio 1.85, a client that does not read):

- `context.write` waits until the transport has taken the message, which it does not while the caller's window is full.
  What was taken cannot be taken back. Cancelling the write stops the waiting and nothing else: gRPC keeps the message
  (twice: ours, and its copy) until the caller reads it, leaves, or comes to the deadline of its call.
- `context.abort` puts the error behind such a message and waits for the caller as well. Cancelled, the error stays
  where it is: a caller who reads again gets what was under way, then the error, with code and details.
- Nothing resets the stream from here: not returning, not raising, not cancelling every task of the call. Returning
  tells OK, and raising CancelledError without an abort leaves the caller waiting until its deadline.
- Where the very first write is cancelled, gRPC takes the initial metadata for unsent, and an abort fails with
  TOO_MANY_OPERATIONS: the caller would wait for ever. So initial metadata goes first, by itself.

So what can be bounded is what waits here, and the work: a caller who is late ends both, and gets the error when it
reads. Of the memory the one message under way stays until then; nothing is handed to gRPC behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.outbox import BOUNDS, Bounds, Outbox
from imagegate.runtime.reply import keeper
from imagegate.runtime.server import Service
from imagegate.runtime.stream_event import HEARTBEAT, is_progress
from imagegate.v1 import generation_pb2

# Takes one serialised GenerateEvent, and never waits.
Tell = Callable[[bytes], None]
# Works, telling what happens; returns the last event.
Work = Callable[[Tell], Awaitable[bytes]]
# A context whose response is sent as it is: the method is registered without a serializer.
Context = grpc.aio.ServicerContext[Any, bytes]

GENERATION_SERVICE = "imagegate.v1.GenerationService"
RESOURCE_EXHAUSTED: int = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


def generation_service(
    generate: Callable[[generation_pb2.GenerateRequest, Any], Awaitable[Any]],
    generate_stream: Callable[[generation_pb2.GenerateRequest, Context], Awaitable[None]],
    serializer: Callable[[Any], bytes] | None = None,
) -> Service:
    """GenerationService, registered by hand: a stream's events are bytes already, and so is what `generate` answers
    unless it has a `serializer`.
    """
    takes = generation_pb2.GenerateRequest.FromString
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Generate": grpc.unary_unary_rpc_method_handler(
            generate, request_deserializer=takes, response_serializer=serializer
        ),
        "GenerateStream": grpc.unary_stream_rpc_method_handler(generate_stream, request_deserializer=takes),
    }
    handler = grpc.method_handlers_generic_handler(GENERATION_SERVICE, handlers)
    return Service(GENERATION_SERVICE, lambda server: server.add_generic_rpc_handlers((handler,)))


async def stream(context: Context, work: Work, bounds: Bounds = BOUNDS) -> None:
    """Send what `work` tells while it happens, and at the end the event that it returns.

    What was told before a failure is sent before it is raised. Whoever leaves cancels the work, and so does a reader
    who is late by `bounds`: Failure(CANCELLED) with the code RESOURCE_EXHAUSTED. Returns or raises only when the work
    has ended.
    """
    await context.send_initial_metadata(())
    told = _Told(context, bounds)
    working = asyncio.create_task(told.by(work))
    try:
        await told.send()
        await working  # it has ended: now its failure is the call's
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


class _Told:
    """What one piece of work tells, on its way to one caller."""

    def __init__(self, context: Context, bounds: Bounds) -> None:
        self._context = context
        self._keep = keeper(context)
        self._bounds = bounds
        self._outbox = Outbox(bounds)
        self._now = asyncio.get_running_loop().time
        self._is_over = False
        self._more = asyncio.Event()
        self._patience: asyncio.Timeout | None = None

    async def by(self, work: Work) -> None:
        """Do the work; when this returns or raises, nothing more is told."""
        try:
            self._tell(await work(self._tell))
        finally:
            self._is_over = True
            self._more.set()

    async def send(self) -> None:
        """Send until the work is over and all is sent. Raises Failure where the caller is late."""
        while (event := await self._next()) is not None:
            await self._write(event)

    def _tell(self, event: bytes) -> None:
        self._outbox.put(event, self._now(), is_progress=is_progress(event))
        self._keep(self._outbox.unread)
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self._outbox.late_at)
        self._more.set()

    async def _next(self) -> bytes | None:
        while (event := self._outbox.take()) is None and not self._is_over:
            self._more.clear()
            try:
                async with asyncio.timeout(self._bounds.silent_seconds):
                    await self._more.wait()
            except TimeoutError:
                return HEARTBEAT
        return event

    async def _write(self, event: bytes) -> None:
        try:
            async with asyncio.timeout_at(self._outbox.late_at) as self._patience:
                await self._context.write(event)
        except TimeoutError:
            raise Failure(
                Reason.CANCELLED,
                f"the caller left more than {self._bounds.unread_bytes:,} bytes of the stream unread "
                f"for {self._bounds.unread_seconds:g} s",
                remedy="read the events as they come",
                code=RESOURCE_EXHAUSTED,
            ) from None
        except (grpc.aio.InternalError, grpc.aio.UsageError):
            # The caller has left; the cancellation that says so is on its way.
            raise asyncio.CancelledError from None
        finally:
            self._patience = None
        self._outbox.written(self._now())
