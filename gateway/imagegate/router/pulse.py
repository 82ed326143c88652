"""Whether this process itself runs: while it stood still answers waited in its sockets, and nobody was slow. Pure."""

import math

# It beats so often. Where a beat comes later than that by as much again the process stood still: its machine was busy
# elsewhere, it was paused, or one piece of work of its own took too long. Seconds.
BEAT_SECONDS = 0.25
LATE_SECONDS = 0.25
# After it stood still it has that time again, up to this, for what has piled up. Seconds.
MAKE_UP_SECONDS = 5.0


class Pulse:
    """The beats of a process. One that does not beat at all, or not any more, is not known to stand still."""

    def __init__(self) -> None:
        self._beaten = math.inf
        self._lost = 0.0
        self._made_up_at = -math.inf

    def beat(self, now: float) -> None:
        """The process runs at `now` (monotonic seconds)."""
        self._lost, self._made_up_at = self.lost(now), self._catches_up_until(now)
        self._beaten = now

    def stop(self) -> None:
        """No beat follows."""
        self._beaten = math.inf

    def lost(self, now: float) -> float:
        """The seconds for which the process stood still up to `now`, all in all."""
        return self._lost + self._still(now)

    def fair_from(self, due: float, now: float) -> float:
        """From when on it may be said of somebody who is `due`, lost time not counted, that he takes too long: not
        while the process catches up, but that has an end, however often it stands still.
        """
        return max(due, min(self._catches_up_until(now), due + MAKE_UP_SECONDS))

    def _still(self, now: float) -> float:
        late = now - self._beaten - BEAT_SECONDS
        return late if late > LATE_SECONDS else 0.0

    def _catches_up_until(self, now: float) -> float:
        still = self._still(now)
        return max(self._made_up_at, now + min(still, MAKE_UP_SECONDS)) if still else self._made_up_at
