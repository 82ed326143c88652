"""One connection: how long a head may take, how long it may be, and what may come unasked.

aiohttp reads and answers; it has no time-out for heads, no bound on their whole size and none on the number of
connections, and answers what it cannot parse with a copy of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from imagegate.edge.admission import network_of
from imagegate.edge.budget import Budget, Share
from imagegate.edge.endpoint import JSON_BYTES, KIB, MIB

HEAD_ENDS = b"\r\n\r\n"
MAX_LINE_BYTES = 8190
MAX_HEADERS = 64
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# Answers for a status, and what was raised, what never became a request.
Refusal = Callable[[int, BaseException | None], web.Response]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds for every connection. Times are in seconds, sizes in bytes."""

    connections: int = 4_000
    # Of one address: no single one takes them all, and a proxy in front of many people is one address.
    connections_per_address: int = 3_000
    head_seconds: float = 10.0
    head_bytes: int = 32 * KIB
    idle_seconds: float = 75.0
    # After an answer that did not wait for the body: as long as this, and as much, is read and thrown away, so that a
    # client that is still sending sees the answer before the end.
    linger_seconds: float = 2.0
    linger_bytes: int = 4 * MIB
    # In this time a client takes so much of an answer, or loses it.
    stall_seconds: float = 30.0
    stall_bytes: int = 32 * KIB
    # What may lie behind a request that is being answered: others, sent ahead of their turn.
    ahead_bytes: int = 1 * MIB


class Crowd:
    """How many connections there are, and from where."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._count = 0
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def enter(self, address: str) -> bool:
        """Count one more from `address`, if there is room for it."""
        if self._count >= self._bounds.connections:
            return False
        if self._by_address[address] >= self._bounds.connections_per_address:
            return False
        self._by_address[address] += 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """One of those that entered is gone."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class Connection(web.RequestHandler):
    """aiohttp's, kept in bounds. Whoever answers a request tells it when that begins and ends."""

    __slots__ = (
        "_address",
        "_bounds",
        "_crowd",
        "_deadline",
        "_head",
        "_head_tail",
        "_is_busy",
        "_is_in_head",
        "_is_lingering",
        "_left_to_send",
        "_quiet_since",
        "_refusal",
        "_room",
        "_share",
        "_stall",
        "_tell_full",
        "is_full",
    )

    def __init__(self, manager: Any, crowd: Crowd, bounds: Bounds, budget: Budget, refusal: Refusal) -> None:
        """`manager` is aiohttp's web.Server; `refusal` answers for a status what never became a request."""
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=bounds.idle_seconds,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way of saying none
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=bounds.linger_seconds,
            auto_decompress=False,
        )
        self._crowd = crowd
        self._bounds = bounds
        self._share = Share(budget)
        self._refusal = refusal
        self._address = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._tell_full: Callable[[], None] | None = None
        self._left_to_send = 0
        self._head_tail = b""
        self._is_busy = self._is_lingering = False
        self._quiet_since = self._loop.time()
        # Whether something was thrown away, since there was no room for it.
        self.is_full = False
        self._begin_head()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come: the first head is due."""
        peer = transport.get_extra_info("peername")
        address = network_of(peer[0]) if peer else "?"
        if not self._crowd.enter(address):
            cast(asyncio.Transport, transport).abort()
            return
        self._address = address
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """They are gone."""
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        if self._address:
            self._crowd.leave(self._address)
        if not self._is_busy:
            self._share.give_back()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something has come; aiohttp calls it with nothing to go on with what lies there."""
        self._quiet_since = self._loop.time()
        if not data or (data := self._admitted(data)):
            super().data_received(data)

    def pause_writing(self) -> None:
        """They do not read as fast as they are answered: from now on it is watched whether they read at all."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """They have caught up."""
        if self._stall is not None:
            self._stall.cancel()
        super().resume_writing()

    def leave_if_quiet(self, seconds: float) -> None:
        """End it if nobody is being answered on it, and nothing has come for so long."""
        waits = self._waiter is not None and not self._waiter.done() and not self._head
        if waits and self._loop.time() - self._quiet_since >= seconds:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request: without what came, which may hold a key."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = self._refusal(status, exc)
        response.force_close()
        return response

    def request_begins(self) -> None:
        """The head is complete, and somebody sees to it."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._is_busy = True
        self._is_in_head = False
        self._room = self._bounds.ahead_bytes

    def body_begins(self, max_bytes: int, tell_full: Callable[[], None]) -> None:
        """A body of `max_bytes` is wanted; in chunks, twice as many may be needed.

        `tell_full` is called where there is no room for more of it.
        """
        self._room = self._bounds.ahead_bytes + 2 * max_bytes
        self._tell_full = tell_full

    def body_ends(self) -> None:
        """It is here, or not wanted any more."""
        self._tell_full = None

    def request_ends(self, *, is_complete: bool) -> None:
        """It is answered, or about to be; what has not come of it by now is not wanted any more."""
        self._is_busy = False
        self._quiet_since = self._loop.time()
        self._share.give_back()
        if is_complete:
            self._begin_head()
        else:
            self._is_lingering = True
            self._room = self._bounds.linger_bytes
            if self.is_full and self.transport is not None:
                self.transport.resume_reading()

    def _admitted(self, data: bytes) -> bytes:
        """What is passed on of `data`, of which there is some."""
        if self._is_lingering:
            return self._lingered(data)
        if self._is_in_head:
            return self._head_of(data)
        self._room -= len(data)
        if self._room < 0:
            self._abort()
            return b""
        return data if self._has_room(len(data)) else b""

    # Requests with bodies that are sent ahead of their turn are not told from a long head, and refused.
    def _head_of(self, data: bytes) -> bytes:
        if self._deadline is None:
            self._expect_head()
        if not self._head:
            data = data.lstrip(b"\r\n")  # which may stand before a request
        tail = self._head_tail
        place = (tail + data).find(HEAD_ENDS)
        length = len(data) if place < 0 else place + len(HEAD_ENDS) - len(tail)
        self._head += length
        if self._head > self._bounds.head_bytes:
            self._refuse(TOO_LONG)
            return b""
        self._head_tail = (tail + data[-3:])[-3:]
        if place < 0:
            return data
        self._is_in_head = False
        self._room = self._bounds.ahead_bytes
        beyond = len(data) - length
        return data if not beyond or self._has_room(beyond) else data[:length]

    def _has_room(self, size: int) -> bool:
        if not self.is_full and not self._share.take(size):
            self.is_full = True
            if self.transport is not None:
                self.transport.pause_reading()
            if self._tell_full is not None:
                self._tell_full()
        return not self.is_full

    def _lingered(self, data: bytes) -> bytes:
        """Nothing but the end of a small body, which ends the connection earlier."""
        self._room -= len(data)
        if self._room < 0 and self.transport is not None:
            self.transport.pause_reading()  # and aiohttp closes when its time has come
        is_near = self._bounds.linger_bytes - self._room <= JSON_BYTES
        return data if is_near and not self.is_full else b""

    def _begin_head(self) -> None:
        self._is_in_head = True
        self._head = 0
        self._head_tail = b""
        self._room = 0

    def _expect_head(self) -> None:
        self._deadline = self._loop.call_later(self._bounds.head_seconds, self._refuse, TOO_LATE)

    def _refuse(self, answer: bytes) -> None:
        if self.transport is not None:
            if self._head:
                self.transport.write(answer)
            self.force_close()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _watch_reading(self) -> None:
        if self.transport is None:
            return
        self._left_to_send = self.transport.get_write_buffer_size()
        self._stall = self._loop.call_later(self._bounds.stall_seconds, self._check_reading)

    def _check_reading(self) -> None:
        if self.transport is None:
            return
        if self._left_to_send - self.transport.get_write_buffer_size() < self._bounds.stall_bytes:
            self.transport.abort()
        else:
            self._watch_reading()
