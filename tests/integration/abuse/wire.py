"""HTTP/2 spoken by hand: a client that does what no client of gRPC would."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from imagegate.v1 import generation_pb2

GENERATE = "/imagegate.v1.GenerationService/Generate"
# What is kept of what nobody looks at.
KEPT = 4096
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Kinds of frames, and the flags of a head that is whole and of a stream that ends.
DATA, HEADERS, RST_STREAM, PING = 0, 1, 3, 6
END_HEADERS, END_STREAM = 4, 1
A_FOX = generation_pb2.GenerateRequest(prompt="a fox").SerializeToString()


def heads(path: str = GENERATE, more: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """What a call of gRPC begins with."""
    first = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
    return [*first, ("content-type", "application/grpc"), ("te", "trailers"), *more]


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, so many bytes."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class Wire:
    """One connection. `events` is everything that came; `window` is what each stream may be sent before it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.is_closed = False
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int, window: int = 65_535) -> Self:
        """A connection whose settings are sent."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", port), window)
        await wire.flush()
        return wire

    async def flush(self, more: bytes = b"") -> None:
        """Send what is to be sent, and `more` behind it."""
        self._writer.write(self.h2.data_to_send() + more)
        await self._writer.drain()

    def call(self, message: bytes = A_FOX, path: str = GENERATE, *, ends: bool = True) -> int:
        """Begin a call, sent with the next `flush`; its stream."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, heads(path))
        if message:
            self.h2.send_data(stream, framed(message), end_stream=ends)
        return stream

    async def read(self) -> bool:
        """Take what comes next; False once the connection is closed."""
        try:
            data = await self._reader.read(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.is_closed = True
            return False
        self.events.extend(self.h2.receive_data(data))
        return True

    async def until_closed(self) -> bytes:
        """Read until the other side closes, and answer nothing; the last that came."""
        last = b""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(1 << 20):
                last = (last + data)[-KEPT:]
        self.is_closed = True
        return last

    async def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """The first event of this kind. Raises ConnectionError where the connection is closed before."""
        while (found := next((each for each in self.events if isinstance(each, kind)), None)) is None:
            if not await self.read():
                raise ConnectionError(f"closed without a {kind.__name__}")
        return found

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
