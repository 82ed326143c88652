"""HTTP byte by byte, for what no client library would send."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back until the other side had nothing more to say."""

    data: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers, in order."""
        return [int(status) for status in re.findall(rb"HTTP/[0-9.]+ ([0-9]{3}) [A-Z][A-Za-z -]+\r\n", self.data)]


@asynccontextmanager
async def connected(port: int, source: str = "127.0.0.1") -> AsyncIterator[Streams]:
    """A connection from the address `source`; it is reset at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def hear(reader: asyncio.StreamReader, seconds: float) -> Heard:
    """Everything until the connection ends, or nothing more has come for `seconds`."""
    heard = bytearray()
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await reader.read(65536)
        except TimeoutError:
            return Heard(bytes(heard), is_closed=False)
        except ConnectionError:
            return Heard(bytes(heard), is_closed=True)
        if not piece:
            return Heard(bytes(heard), is_closed=True)
        heard += piece


async def exchange(port: int, data: bytes, seconds: float = 0.5) -> Heard:
    """Send `data`, and hear what is answered."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        return await hear(reader, seconds)


def head(method: str, path: str, key: str = "", **headers: str | int) -> bytes:
    """The head of a request; `content_length` becomes Content-Length."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        named["Authorization"] = f"Bearer {key}"
    lines = [f"{method} {path} HTTP/1.1", "Host: edge.example", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()
