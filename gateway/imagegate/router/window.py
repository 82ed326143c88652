"""Outcomes of the last minutes, in time buckets. Pure; times are seconds on the monotonic clock.

Pictures take tens of seconds, so a window of one minute and more: a gateway that looks back for ten
seconds has forgotten the beginning of an attempt before it ends.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

BUCKETS = 10
SHORTEST, LONGEST = 60.0, 600.0
# The window spans three of the slower attempts.
ATTEMPTS_SPANNED = 3.0


@dataclass(slots=True)
class _Bucket:
    began: float
    succeeded: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Tally:
    """What the window holds, and of which models (a provider's window pools those of all of its models)."""

    succeeded: int
    failed: int
    models_succeeded: frozenset[str] = frozenset()
    models_failed: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        """All that count."""
        return self.succeeded + self.failed

    @property
    def failure_rate(self) -> float:
        """Failed ÷ all, 0 where there are none."""
        return self.failed / self.total if self.total else 0.0

    @property
    def is_widespread(self) -> bool:
        """Whether more is to blame than one model: two or more failed, or the only one with traffic."""
        return len(self.models_failed) > 1 or self.models_succeeded <= self.models_failed


class OutcomeWindow:
    """Successes and failures of the last `length` seconds, forgotten a tenth of it at a time."""

    def __init__(self, length: float = SHORTEST) -> None:
        self.length = length
        self._buckets: deque[_Bucket] = deque()

    def __repr__(self) -> str:
        succeeded = sum(bucket.succeeded.total() for bucket in self._buckets)
        failed = sum(bucket.failed.total() for bucket in self._buckets)
        return f"<OutcomeWindow {self.length:g}s {succeeded} ok {failed} failed>"

    def span(self, slow_attempt: float) -> None:
        """Look back over three attempts that take `slow_attempt` seconds (p95), within 1 and 10 minutes."""
        self.length = min(max(ATTEMPTS_SPANNED * slow_attempt, SHORTEST), LONGEST)

    def add(self, now: float, *, failed: bool, model: str = "") -> None:
        """Count one outcome."""
        self._forget(now)
        if not self._buckets or now - self._buckets[-1].began >= self.length / BUCKETS:
            self._buckets.append(_Bucket(now))
        bucket = self._buckets[-1]
        (bucket.failed if failed else bucket.succeeded)[model] += 1

    def withdraw_failure(self, at: float, model: str = "") -> None:
        """Take back a failure of `model` that was counted `at` this time, if it is still there: it was none."""
        bucket = next((bucket for bucket in reversed(self._buckets) if bucket.began <= at), None)
        if bucket is not None and bucket.failed[model]:
            bucket.failed[model] -= 1

    def tally(self, now: float) -> Tally:
        """What is not older than the window."""
        self._forget(now)
        succeeded: Counter[str] = sum((bucket.succeeded for bucket in self._buckets), Counter())
        failed: Counter[str] = sum((bucket.failed for bucket in self._buckets), Counter())
        return Tally(succeeded.total(), failed.total(), frozenset(+succeeded), frozenset(+failed))

    def clear(self) -> None:
        """Begin anew."""
        self._buckets.clear()

    def _forget(self, now: float) -> None:
        while self._buckets and now - self._buckets[0].began >= self.length:
            self._buckets.popleft()
