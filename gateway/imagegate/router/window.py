"""Outcomes of the last minutes, in time buckets. Pure; times are seconds on the monotonic clock.

Pictures take tens of seconds, so a window of one minute and more: a gateway that looks back for ten
seconds has forgotten the beginning of an attempt before it ends.
"""

from collections import deque
from dataclasses import dataclass

BUCKETS = 10
SHORTEST, LONGEST = 60.0, 600.0
# The window spans three of the slower attempts.
ATTEMPTS_SPANNED = 3.0


@dataclass(slots=True)
class _Bucket:
    began: float
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What the window holds."""

    succeeded: int
    failed: int

    @property
    def total(self) -> int:
        """All that count."""
        return self.succeeded + self.failed

    @property
    def failure_rate(self) -> float:
        """Failed ÷ all, 0 where there are none."""
        return self.failed / self.total if self.total else 0.0


class OutcomeWindow:
    """Successes and failures of the last `length` seconds, forgotten a tenth of it at a time."""

    def __init__(self, length: float = SHORTEST) -> None:
        self.length = length
        self._buckets: deque[_Bucket] = deque()

    def __repr__(self) -> str:
        counts = f"{sum(b.succeeded for b in self._buckets)} ok {sum(b.failed for b in self._buckets)} failed"
        return f"<OutcomeWindow {self.length:g}s {counts}>"

    def span(self, slow_attempt: float) -> None:
        """Look back over three attempts that take `slow_attempt` seconds (p95), within 1 and 10 minutes."""
        self.length = min(max(ATTEMPTS_SPANNED * slow_attempt, SHORTEST), LONGEST)

    def add(self, now: float, *, failed: bool) -> None:
        """Count one outcome."""
        if not self._buckets or now - self._buckets[-1].began >= self.length / BUCKETS:
            self._buckets.append(_Bucket(now))
        bucket = self._buckets[-1]
        if failed:
            bucket.failed += 1
        else:
            bucket.succeeded += 1

    def tally(self, now: float) -> Tally:
        """What is not older than the window."""
        while self._buckets and now - self._buckets[0].began >= self.length:
            self._buckets.popleft()
        return Tally(sum(b.succeeded for b in self._buckets), sum(b.failed for b in self._buckets))

    def clear(self) -> None:
        """Begin anew."""
        self._buckets.clear()
