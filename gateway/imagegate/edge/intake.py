"""The bytes of one body as they come: counted, and in time."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import cast

from aiohttp import hdrs, web

from imagegate.edge.connection import Connection
from imagegate.edge.endpoint import KIB
from imagegate.edge.problem import Problem

SMALL_BYTES = 4 * KIB
Piece = bytes | bytearray


@dataclass(frozen=True, slots=True)
class IntakeBounds:
    """How long a body may take: `seconds`, or longer at this rate."""

    seconds: float = 30.0
    bytes_per_second: float = 64 * KIB


class Intake:
    """Takes in one body.

    Raises Problem: 413 where there is more than `max_bytes`, 408 where it comes too slowly, 503 where the bodies of
    everybody together leave no room for it.
    """

    def __init__(self, request: web.Request, max_bytes: int, bounds: IntakeBounds) -> None:
        self._request = request
        self._connection = cast(Connection, request.protocol)
        self._max_bytes = max_bytes
        self._bounds = bounds
        self._deadline = asyncio.timeout(bounds.seconds)

    async def pieces(self) -> deque[Piece]:
        """All of it, as it came."""
        self._check_size(self._request.content_length or 0)
        self._connection.body_begins(self._max_bytes, self._stop)
        try:
            async with self._deadline:
                await self._let_come()
                return await self._read()
        except TimeoutError:
            raise self._no_room() if self._connection.is_full else self._too_slow() from None
        finally:
            self._connection.body_ends()

    async def _read(self) -> deque[Piece]:
        content = self._request.content
        began = asyncio.get_running_loop().time()
        pieces: deque[Piece] = deque()
        size = 0
        if self._connection.is_full:
            self._stop()
        while not content.at_eof():
            piece, _ = await content.readchunk()
            size += len(piece)
            _add(pieces, piece)
            self._check_size(size)
            if not self._connection.is_full:
                self._deadline.reschedule(began + self._bounds.seconds + size / self._bounds.bytes_per_second)
        return pieces

    def _stop(self) -> None:
        self._deadline.reschedule(asyncio.get_running_loop().time())

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise Problem(413, "BODY_TOO_LARGE", f"the body is too large; this route takes {self._max_bytes:,} bytes")

    def _no_room(self) -> Problem:
        return Problem(503, "BUSY", "too much is being uploaded just now; try again in a second", retry_after=1)

    def _too_slow(self) -> Problem:
        rate = f"{self._bounds.bytes_per_second / KIB:g} KiB a second"
        told = f"the body did not come within {self._bounds.seconds:g} s, nor at {rate}"
        return Problem(408, "BODY_TOO_SLOW", told)

    async def _let_come(self) -> None:
        """Answer who asks first whether the body may come: whoever is refused has not sent it then."""
        if hdrs.EXPECT in self._request.headers and not self._request.content.total_bytes:
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0  # as aiohttp's own does: the answer has not begun


def _add(pieces: deque[Piece], piece: bytes) -> None:
    """Keep a piece as it is, for memory falls apart where large ones are put together; small ones are."""
    if len(piece) >= SMALL_BYTES:
        pieces.append(piece)
    elif pieces and isinstance(pieces[-1], bytearray) and len(pieces[-1]) < 16 * SMALL_BYTES:
        pieces[-1] += piece
    else:
        pieces.append(bytearray(piece))
