"""So many requests a second: a token bucket. Pure; `now` is the monotonic clock, in seconds."""

from imagegate.runtime.errors import Dispatch, Failure, Reason

# Clocks and sums are rounded: whoever waited as long as it was told is not a millionth of a token early.
ROUNDING = 1e-6


class Rate:
    """`per_second` tokens come in, and `burst` of them are kept at most (None: one second's worth); always one."""

    def __init__(self, per_second: float, burst: float | None = None) -> None:
        self.per_second = per_second
        self._capacity = max(per_second if burst is None else burst, 1.0)
        self._tokens = self._capacity
        self._at: float | None = None

    def wait(self, now: float, before: int = 0, count: int = 1) -> float:
        """The seconds until there are `count` tokens for whoever comes after `before` others."""
        elapsed = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._at = now
        self._tokens = min(self._tokens + elapsed * self.per_second, self._capacity)
        lacking = before + count - self._tokens
        return lacking / self.per_second if lacking > ROUNDING else 0.0

    def take(self, now: float, patience: float | None, count: int = 1) -> float:
        """Take `count` tokens and return the seconds to wait before using them.

        Where the wait exceeds `patience` seconds nothing is taken and Failure(RATE_LIMITED) raised; None waits however
        long it takes, and whoever comes next waits for that as well.
        """
        wait = self.wait(now, count=count)
        if patience is not None and wait > patience:
            raise self.used_up(wait)
        self._tokens -= count
        return wait

    def give_back(self) -> None:
        """Return a token that was taken and not used."""
        self._tokens = min(self._tokens + 1.0, self._capacity)

    def used_up(self, wait: float) -> Failure:
        """What to tell whoever would have to wait for so many seconds."""
        why = f"its rate of {self.per_second:g} requests a second is used up"
        return Failure(Reason.RATE_LIMITED, why, retry_after=wait, dispatch=Dispatch.NOT_SENT)
