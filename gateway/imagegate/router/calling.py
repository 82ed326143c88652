"""One call of a provider's `Generate`, as gRPC carries it out, and what is seen of the upstream's work on the way.

The upstream's id, which the provider sends as initial metadata the moment it has it, is heard at once where the picture
may be charged: only so does it survive a caller who leaves.
"""

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from grpc.aio._call import Call as BaseCall

from imagegate.runtime.errors import Dispatch
from imagegate.runtime.metadata import UPSTREAM_ID, WAITED
from imagegate.runtime.order import UPSTREAM_ID as LEGAL_ID

GENERATE = "/imagegate.v1.GenerationService/Generate"

# Seconds for the end of a call whose answer is there, or which was cancelled.
ENDING_SECONDS = 0.5
DECIMAL = re.compile(r"[0-9]{1,5}(\.[0-9]{1,9})?")

StreamMethod = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
StreamCall = grpc.aio.UnaryStreamCall[bytes, bytes]
Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Sighting:
    """What is known of an attempt under way: the upstream's id, once it was seen, and for how many seconds the request
    waited in the provider, once that answered.
    """

    upstream_id: str = ""
    waited: float = 0.0

    @property
    def dispatch(self) -> Dispatch:
        """How far it got, where it breaks off now."""
        return Dispatch.ACCEPTED if self.upstream_id else Dispatch.UNKNOWN

    def see(self, upstream_id: str) -> None:
        """The provider tells the id; what cannot be one is as good as none, and is not kept."""
        if LEGAL_ID.fullmatch(upstream_id):
            self.upstream_id = upstream_id

    def hear(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """The provider tells the id, or how long the request waited: what is no number of seconds tells nothing."""
        for key, value in metadata:
            if key == UPSTREAM_ID:
                self.see(str(value))
            elif key == WAITED and DECIMAL.fullmatch(str(value)):
                self.waited = float(value)


async def answered(
    channel: grpc.aio.Channel, request: bytes, timeout: float, metadata: Metadata, sighting: Sighting
) -> object:
    """The answer of a call whose upstream's id is of no more use once its caller has left. Raises AioRpcError.

    Whoever leaves ends the call by the `cancel` of its base: that of a unary call also cancels the future of gRPC's own
    batch, by which memory is lost (grpc/grpc#43360).
    """
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(GENERATE)
    call: Any = method(request, timeout=timeout, metadata=metadata)
    try:
        await asyncio.shield(call._call_response)
    except asyncio.CancelledError:
        BaseCall.cancel(call)
        raise
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        sighting.hear(error.initial_metadata())
        raise
    sighting.hear(await call.initial_metadata())
    sighting.hear(await call.trailing_metadata())
    return answer


async def heard(
    channel: grpc.aio.Channel, request: bytes, timeout: float, metadata: Metadata, sighting: Sighting
) -> object:
    """The same with the upstream's id heard as soon as it is told, so that it is known however the call ends.

    For that it is called as if it answered a stream, the same bytes on the wire for a tenth more of the router's CPU:
    of a unary call that is cancelled gRPC tells no metadata.
    """
    method: StreamMethod = channel.unary_stream(GENERATE)
    call = method(request, timeout=timeout, metadata=metadata)
    try:
        sighting.hear(await call.initial_metadata())
        answer = await read(call)
        if isinstance(answer, bytes):
            await hear_trailers(call, sighting)
        return answer
    finally:
        call.cancel()  # a call that has ended takes no notice


async def read(call: StreamCall) -> object:
    """The next message, or what grpc has for the end of all.

    Whoever leaves ends the call, and so the reading: one that is cancelled itself loses memory (grpc/grpc#43360).
    """
    reading = asyncio.ensure_future(call.read())
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        call.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await asyncio.gather(reading, return_exceptions=True)
        raise


async def hear_trailers(call: StreamCall, sighting: Sighting) -> None:
    """What is told after the answer. It comes together with it, or is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDING_SECONDS):
            sighting.hear(await call.trailing_metadata())
