"""Unary gRPC calls that cost the caller little, who shares the cores with whoever is measured.

For servers on gRPC's own library and small requests: the windows that a server gives are not looked at, and frames are
not padded.
"""

import asyncio
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote

from bench import frames
from bench.frames import LAST_STREAM, PREFIX_BYTES, WINDOW, Request


class CallFailedError(Exception):
    """There is no answer; `status` is gRPC's number, None where the server told none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message if status is None else f"status {status}, {message}")
        self.status = status


@dataclass(eq=False, slots=True)
class _Call:
    ended: asyncio.Future[None]
    # The answer; not kept where only its size is wanted.
    kept: bytearray | None
    size: int = 0


class _Connection(asyncio.BufferedProtocol):
    """One connection, on which many calls may be under way."""

    def __init__(self, last_stream: int) -> None:
        self._next, self._last = 1, last_stream
        self._calls: dict[int, _Call] = {}
        self._received = frames.Received()
        self._window = WINDOW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(frames.OPENING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail_after(0, f"the connection is lost: {exc or 'closed'}")

    @property
    def has_room(self) -> bool:
        """Whether it takes another call."""
        return self._next <= self._last and not self.transport.is_closing()

    async def call(self, request: Request, kept: bytearray | None) -> int:
        """The answer's size with its prefix. Raises CallFailedError and TimeoutError."""
        stream, self._next = self._next, self._next + 2
        call = self._calls[stream] = _Call(asyncio.get_running_loop().create_future(), kept)
        self.transport.write(request.frames(stream))
        try:
            async with asyncio.timeout(request.seconds):
                await call.ended
            return call.size
        finally:
            if self._calls.pop(stream, None):  # given up
                self._send(frames.RESET, stream=stream, payload=frames.CANCELLED.to_bytes(4, "big"))
            if not (self._calls or self.has_room):
                self.transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received.room()

    def buffer_updated(self, nbytes: int) -> None:
        for kind, flags, stream, payload in self._received.frames(nbytes):
            if kind == frames.DATA:
                self._count(stream, payload)
            elif kind == frames.HEADERS and flags & frames.END_STREAM:
                self._end(stream, _failure(bytes(payload)))
            elif kind == frames.RESET:
                self._end(stream, CallFailedError(f"reset by the server: {int.from_bytes(payload, 'big')}"))
            elif kind == frames.GO_AWAY:
                self._last = self._next - 2  # no more
                self._fail_after(int.from_bytes(payload[:4], "big"), "the server goes away")
            elif kind in (frames.PING, frames.SETTINGS) and not flags & frames.ACKNOWLEDGED:
                self._send(kind, frames.ACKNOWLEDGED, payload=bytes(payload) if kind == frames.PING else b"")

    def _count(self, stream: int, data: memoryview) -> None:
        if call := self._calls.get(stream):
            call.size += len(data)
            if call.kept is not None:
                call.kept += data
        self._window -= len(data)
        if self._window < WINDOW // 2:
            self.transport.write(frames.window_update(WINDOW - self._window))
            self._window = WINDOW

    def _end(self, stream: int, failure: CallFailedError | None) -> None:
        call = self._calls.pop(stream, None)
        if call is None or call.ended.done():  # given up
            return
        if failure is None:
            call.ended.set_result(None)
        else:
            call.ended.set_exception(failure)

    def _fail_after(self, last: int, message: str) -> None:
        for stream in [each for each in self._calls if each > last]:
            self._end(stream, CallFailedError(message))

    def _send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.transport.write(frames.frame(kind, flags, stream, payload))


def _failure(trailers: bytes) -> CallFailedError | None:
    status = frames.told_by(trailers, "grpc-status")
    if status == "0":
        return None
    message = unquote(frames.told_by(trailers, "grpc-message") or "")
    return CallFailedError(message, None if status is None else int(status))


class LightChannel:
    """Calls at one address over one connection, and over another once that is lost or has had its last stream."""

    def __init__(self, target: str, last_stream: int = LAST_STREAM) -> None:
        self._target = target
        self._last_stream = last_stream
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def size(self, request: Request) -> int:
        """Of the answer, in bytes. Raises CallFailedError, and TimeoutError after the request's seconds."""
        return await self._call(request, None) - PREFIX_BYTES

    async def answer(self, request: Request) -> bytes:
        """The answer. Raises as `size` does."""
        kept = bytearray()
        await self._call(request, kept)
        return bytes(kept[PREFIX_BYTES:])

    def close(self) -> None:
        """Calls under way fail."""
        if self._connection is not None:
            self._connection.transport.close()

    async def _call(self, request: Request, kept: bytearray | None) -> int:
        connection = self._connection
        if connection is None or not connection.has_room:
            connection = await self._connected()
        return await connection.call(request, kept)

    async def _connected(self) -> _Connection:
        async with self._connecting:
            if self._connection is None or not self._connection.has_room:
                host, _, port = self._target.rpartition(":")
                connect = asyncio.get_running_loop().create_connection
                try:
                    _, self._connection = await connect(lambda: _Connection(self._last_stream), host, int(port))
                except OSError as error:
                    raise CallFailedError(f"nobody listens at {self._target}") from error
            return self._connection
