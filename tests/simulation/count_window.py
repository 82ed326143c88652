"""A circuit breaker over a count of calls, as published of resilience4j (`CircuitBreakerConfig`,
`CircuitBreakerStateMachine`), with its defaults, one for each candidate and a fallback from one to the next:

- CLOSED: the last 100 calls (`slidingWindowSize`, `minimumNumberOfCalls`); at 50 % failed and more it opens. Every
  exception is a failure (`recordExceptions`), whatever its status.
- OPEN for 60 s (`waitDurationInOpenState`), then the next call makes it HALF_OPEN.
- HALF_OPEN: 10 calls are permitted at once (`permittedNumberOfCallsInHalfOpenState`). When ten have ended, it opens
  again at 50 % failed, or closes. What began before the transition counts as well; a call that was cancelled gives its
  permission back.

Left out: slow calls (`slowCallRateThreshold`: 100 % of them above 60 s), which no scenario has. The module itself has
no time-out and does not know the caller's deadline: an attempt ends when the caller leaves, at the latest.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum

from imagegate.runtime.errors import Failure
from simulation.gateway import Call, Ended, Step, Try
from simulation.traffic import Request

WINDOW = 100
FAILED_SHARE = 0.5
OPEN_SECONDS = 60.0
PERMITTED = 10


class State(Enum):
    """The three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CountBreaker:
    """The breaker of one candidate."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self._outcomes: deque[bool] = deque()  # True: failed
        self._failures = 0
        self._until = 0.0
        self._permits = 0

    def __repr__(self) -> str:
        return f"<CountBreaker {self.state.name} {self._failures} of {len(self._outcomes)} failed>"

    def acquire(self, now: float) -> bool:
        """Whether a call is permitted; a permitted one is to be ended by `record` or `release`."""
        if self.state is State.OPEN and now >= self._until:
            self._move(State.HALF_OPEN)
            self._permits = PERMITTED
        if self.state is State.HALF_OPEN and self._permits:
            self._permits -= 1
            return True
        return self.state is State.CLOSED

    def record(self, now: float, *, failed: bool) -> None:
        """A call ended."""
        if self.state is State.OPEN:
            return
        size = PERMITTED if self.state is State.HALF_OPEN else WINDOW
        if len(self._outcomes) == size:
            self._failures -= self._outcomes.popleft()
        self._outcomes.append(failed)
        self._failures += failed
        if len(self._outcomes) < size:
            return
        if self._failures / size >= FAILED_SHARE:
            self._until = now + OPEN_SECONDS
            self._move(State.OPEN)
        elif self.state is State.HALF_OPEN:
            self._move(State.CLOSED)

    def release(self) -> None:
        """A call was cancelled."""
        if self.state is State.HALF_OPEN:
            self._permits += 1

    def _move(self, state: State) -> None:
        self.state = state
        self._outcomes.clear()
        self._failures = 0


class CountWindow:
    """The gateway. `timeout` is what an attempt gets, in seconds."""

    def __init__(self, candidates: Sequence[str], timeout: float) -> None:
        self.breakers = {candidate: CountBreaker() for candidate in candidates}
        self.timeout = timeout

    def begin(self, request: Request, now: float) -> Call:
        return _Call(self)

    def key_accepted(self, candidate: str, now: float) -> None:
        """Nothing is made of it."""


class _Call:
    def __init__(self, gateway: CountWindow) -> None:
        self._timeout = gateway.timeout
        self._untried = iter(gateway.breakers.items())
        self._breaker: CountBreaker | None = None
        self._delivered = False

    def next(self, now: float) -> Step:
        if self._delivered:
            return Ended(delivered=True)
        for candidate, breaker in self._untried:
            if breaker.acquire(now):
                self._breaker = breaker
                return Try(candidate, self._timeout)
        return Ended(delivered=False)

    def report(self, failure: Failure | None, now: float) -> None:
        self._delivered = failure is None
        if self._breaker is not None:
            self._breaker.record(now, failed=failure is not None)
            self._breaker = None

    def loaded(self, now: float) -> None:
        """Nothing is made of it."""

    def left(self, now: float) -> None:
        if self._breaker is not None:
            self._breaker.release()
