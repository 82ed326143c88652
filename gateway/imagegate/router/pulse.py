"""Whether this process itself runs: while it stood still answers waited in its sockets, and nobody was slow. Pure."""

import math

# It beats so often. Where a beat comes later than that by as much again the process stood still: its machine was busy
# elsewhere, it was paused, or one piece of work of its own took too long. Seconds.
BEAT_SECONDS = 0.25
LATE_SECONDS = 0.25


class Pulse:
    """The beats of a process. One that does not beat at all, or not any more, is not known to stand still."""

    def __init__(self) -> None:
        self._beaten = math.inf
        self._fair_from = -math.inf

    def beat(self, now: float) -> None:
        """The process runs at `now` (monotonic seconds)."""
        self._fair_from = self.fair_from(now)
        self._beaten = now

    def stop(self) -> None:
        """No beat follows."""
        self._beaten = math.inf

    def fair_from(self, now: float) -> float:
        """From when on it may be said of others that they take too long. After a standstill the process needs time to
        make up for it: that time again.
        """
        still = now - self._beaten
        return max(self._fair_from, now + still) if still > BEAT_SECONDS + LATE_SECONDS else self._fair_from
