"""Answers that wait to be read, of all calls of a process together: whose turn it is, and who gives way. Pure.

What gRPC was handed cannot be taken back: it keeps it, and a copy, until its caller reads it, leaves, or is out of
time. So what is handed over is bounded, and what waits for its turn is the first to go. A connection on which nothing
is left unread always has its turn: whoever reads does not notice those who do not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

# What is handed to gRPC is held twice.
HANDED_SHARE = 2
# On a connection where nothing was read for so long nobody reads. Seconds.
STALLED_SECONDS = 5.0


def _nothing() -> None:
    """Nobody waits."""


@dataclass(eq=False, slots=True)
class Holding:
    """What one call leaves unread: bytes that wait for their turn, and those that gRPC was handed.

    `go` is called when it has its turn, and `lost` when it had to give way; what waited is not counted any more then.
    """

    connection: str
    waiting: int = 0
    handed: int = 0
    wanted: int = 0
    go: Callable[[], None] = _nothing
    lost: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<Holding of {self.connection} {self.waiting:,} bytes waiting, {self.handed:,} handed over>"


@dataclass(eq=False, slots=True)
class _Connection:
    """The calls of one connection that leave something unread, the oldest first."""

    holdings: dict[Holding, None] = field(default_factory=dict)
    in_line: dict[Holding, None] = field(default_factory=dict)
    handed: int = 0
    waiting: int = 0
    # When something was read, or nothing was left unread.
    moved_at: float = 0.0


class Unread:
    """Room for `room` bytes of answers that are not read yet. `clock` is monotonic, in seconds."""

    def __init__(self, room: int, clock: Callable[[], float]) -> None:
        self._room = room
        self._clock = clock
        self._connections: dict[str, _Connection] = {}
        self._in_line = 0
        self.handed = 0
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Unread {self.waiting:,} bytes waiting, {self.handed:,} handed over, {self._in_line} in line>"

    def is_stalled(self, connection: str) -> bool:
        """Whether answers wait on this connection, and nothing of those before them is read."""
        found = self._connections.get(connection)
        return found is not None and bool(found.in_line) and self._does_not_read(found)

    def keep(self, holding: Holding, waiting: int) -> None:
        """So many bytes of this call wait now. Where that is too much, somebody gives way: of the connection that
        leaves most unread, those first that do not read at all, the youngest call. It may be this one.
        """
        connection = self._of(holding)
        connection.holdings[holding] = None
        self._count(connection, holding, waiting - holding.waiting)
        while self.handed + self.waiting > self._room and (loser := self._loser()) is not None:
            self._lose(loser)

    def in_turn(self, holding: Holding, size: int) -> bool:
        """Hand over `size` of the bytes that wait, if it is their turn; otherwise `go` is called once they are.

        With 0 bytes it only tells when it would be the turn of whatever comes next.
        """
        connection = self._of(holding)
        if connection.in_line or not self._fits(connection, size):
            holding.wanted = size
            connection.in_line[holding] = None
            self._in_line += 1
            return False
        self._hand(connection, holding, size)
        return True

    def taken(self, holding: Holding, size: int) -> None:
        """So many bytes that were handed over have been read."""
        connection = self._of(holding)
        holding.handed -= size
        connection.handed -= size
        connection.moved_at = self._clock()
        self.handed -= size
        self._tidy(connection, holding)
        self._next()

    def leave(self, holding: Holding) -> None:
        """It does not wait for its turn any more."""
        connection = self._of(holding)
        self._leave_line(connection, holding)
        self._tidy(connection, holding)

    def end(self, holding: Holding) -> None:
        """Nothing is left of the call."""
        connection = self._of(holding)
        self._leave_line(connection, holding)
        self._count(connection, holding, -holding.waiting)
        self.taken(holding, holding.handed)

    def _fits(self, connection: _Connection, size: int) -> bool:
        """All may have half of the room; each one answer, and its share where others hold the rest."""
        half = self._room // HANDED_SHARE
        readers = sum(1 for each in self._connections.values() if each.handed) if self._in_line else 1
        share = half // HANDED_SHARE // max(readers, 1)
        return not connection.handed or self.handed + size <= half or connection.handed + size <= share

    def _hand(self, connection: _Connection, holding: Holding, size: int) -> None:
        self._count(connection, holding, -size)
        if not connection.handed:
            connection.moved_at = self._clock()
        holding.handed += size
        connection.handed += size
        self.handed += size

    def _next(self) -> None:
        """Let go who has a turn now."""
        if not self._in_line:
            return
        for connection in list(self._connections.values()):
            while (first := next(iter(connection.in_line), None)) is not None and self._fits(connection, first.wanted):
                self._leave_line(connection, first)
                self._hand(connection, first, first.wanted)
                first.go()

    def _loser(self) -> Holding | None:
        """The youngest call with something that waits, of the worst connection; none where its turn has come."""

        def badness(each: _Connection) -> tuple[bool, int]:
            return self._does_not_read(each), each.waiting + each.handed

        candidates = [each for each in self._connections.values() if each.waiting and each.handed]
        if not candidates:
            return None
        worst = max(candidates, key=badness)
        return next(each for each in reversed(worst.holdings) if each.waiting)

    def _does_not_read(self, connection: _Connection) -> bool:
        return connection.handed > 0 and self._clock() - connection.moved_at > STALLED_SECONDS

    def _lose(self, holding: Holding) -> None:
        connection = self._of(holding)
        self._leave_line(connection, holding)
        self._count(connection, holding, -holding.waiting)
        self._tidy(connection, holding)
        holding.lost()

    def _count(self, connection: _Connection, holding: Holding, more: int) -> None:
        holding.waiting += more
        connection.waiting += more
        self.waiting += more

    def _leave_line(self, connection: _Connection, holding: Holding) -> None:
        if holding in connection.in_line:
            del connection.in_line[holding]
            self._in_line -= 1

    def _tidy(self, connection: _Connection, holding: Holding) -> None:
        """Forget a call that leaves nothing unread, and a connection without calls."""
        if not holding.waiting and not holding.handed and holding not in connection.in_line:
            connection.holdings.pop(holding, None)
        if not connection.holdings:
            self._connections.pop(holding.connection, None)

    def _of(self, holding: Holding) -> _Connection:
        connection = self._connections.get(holding.connection)
        if connection is None:
            connection = self._connections[holding.connection] = _Connection()
        return connection
