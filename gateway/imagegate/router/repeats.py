"""How often the same candidate may be asked again: a share of the traffic, so that trouble does not multiply. Pure."""

from collections import deque

WINDOW_SECONDS = 10.0
SHARE = 0.2
# With little traffic a share is less than one.
AT_LEAST = 3


class RepeatBudget:
    """The requests and repeats of the last ten seconds; `now` is the monotonic clock."""

    def __init__(self) -> None:
        self._requests: deque[float] = deque()
        self._repeats: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<RepeatBudget {len(self._repeats)} of {len(self._requests)}>"

    def requested(self, now: float) -> None:
        """A request arrived."""
        self._requests.append(now)
        self._forget(now)

    def take(self, now: float) -> bool:
        """Whether one attempt may be repeated now; if so it is counted."""
        self._forget(now)
        if len(self._repeats) >= max(SHARE * len(self._requests), AT_LEAST):
            return False
        self._repeats.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._requests, self._repeats):
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
