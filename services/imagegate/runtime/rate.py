"""So many requests a second: a token bucket. Pure; `now` is the monotonic clock, in seconds."""


class Rate:
    """`per_second` requests, at most one second's worth at once (but always one)."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._capacity = max(per_second, 1.0)
        self._tokens = self._capacity
        self._at: float | None = None

    def wait(self, now: float, before: int = 0) -> float:
        """The seconds until there is a token for whoever comes after `before` others."""
        self._refill(now)
        return max(before + 1 - self._tokens, 0.0) / self.per_second

    def take(self, now: float) -> bool:
        """Take a token; whether there was one."""
        self._refill(now)
        # Clocks and sums are rounded: whoever waited as long as it was told is not a millionth of a token early.
        if self._tokens < 1.0 - 1e-6:
            return False
        self._tokens -= 1.0
        return True

    def give_back(self) -> None:
        """Return a token that was taken and not used."""
        self._tokens = min(self._tokens + 1.0, self._capacity)

    def _refill(self, now: float) -> None:
        elapsed = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._at = now
        self._tokens = min(self._tokens + elapsed * self.per_second, self._capacity)
