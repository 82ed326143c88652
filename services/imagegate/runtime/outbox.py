"""What waits to be sent on one stream, and how much of it its reader has left unread for how long. Pure.

What is told faster than it is read does not pile up: of several pieces of progress only the newest is worth sending.
All else waits its turn.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a reader may do: leave at most `unread_bytes` bytes for `unread_seconds`. Nothing is sent for at most
    `silent_seconds`, so that the reader knows that the call is alive.
    """

    unread_bytes: int = 8 * 1024 * 1024
    unread_seconds: float = 30.0
    silent_seconds: float = 10.0


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: bytes
    is_progress: bool


class Outbox:
    """Events, the oldest first. `now` is a clock's reading in seconds, the same clock's throughout."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self._bounds = bounds
        self._waiting: list[_Waiting] = []
        self._under_way = b""
        self._over_since: float | None = None

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} events waiting, {self.unread} bytes unread>"

    @property
    def unread(self) -> int:
        """Bytes that were accepted and not yet read: the write under way and what waits behind it."""
        return len(self._under_way) + sum(len(each.event) for each in self._waiting)

    @property
    def late_at(self) -> float | None:
        """When the reader has left too much for too long; None while that is not to be feared."""
        return None if self._over_since is None else self._over_since + self._bounds.unread_seconds

    def put(self, event: bytes, now: float, *, is_progress: bool = False) -> None:
        """Accept one event. Progress takes the place of progress that still waits."""
        if is_progress:
            self._waiting = [each for each in self._waiting if not each.is_progress]
        self._waiting.append(_Waiting(event, is_progress))
        self._watch(now)

    def take(self) -> bytes | None:
        """The next event to write, which is under way until `written`; None where there is none."""
        if not self._waiting:
            return None
        self._under_way = self._waiting.pop(0).event
        return self._under_way

    def written(self, now: float) -> None:
        """The write under way is done."""
        self._under_way = b""
        self._watch(now)

    def _watch(self, now: float) -> None:
        if self.unread <= self._bounds.unread_bytes:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
