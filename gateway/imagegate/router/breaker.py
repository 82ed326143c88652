"""The circuit breaker: CLOSED until too much fails, OPEN for a while, HALF_OPEN to find out. Pure.

Time and randomness are arguments: `now` is the monotonic clock in seconds, `jitter` a number from
-1 to 1. A permit is the right to make one attempt; whoever holds one says how it ended, exactly once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from imagegate.router.window import OutcomeWindow
from imagegate.runtime.errors import Failure

# Five failures in a row trip it (a total outage must be seen quickly), or half of at least ten.
FAILURES_TO_TRIP = 5
RATE_TO_TRIP = 0.5
OUTCOMES_FOR_RATE = 10
# Open for 15 s, doubled at every relapse, at most 5 min, each ± 20 %. A window without a failure takes
# one relapse back, so that one that flaps is remembered.
OPEN_SECONDS = 15.0
MAX_OPEN_SECONDS = 300.0
JITTER = 0.2
# A refused account or model does not heal by itself: it is asked again after 10 min, doubled.
REFUSED_SECONDS = 600.0
MAX_REFUSED_PROVIDER_SECONDS = 3600.0
MAX_REFUSED_MODEL_SECONDS = 6 * 3600.0
SUCCESSES_TO_CLOSE = 2
# A probe whose holder never reports gives its lease back by itself.
PROBE_LEASE_SECONDS = 330.0


class State(Enum):
    """The three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to one attempt, of one generation: a result from before the last transition counts for nothing."""

    generation: int
    probe: int = 0  # the number of the probe; 0 for an attempt that is none


def _nobody_hears(_state: State, _because: Failure | None) -> None:
    """A breaker that nobody watches."""


class CircuitBreaker:
    """One breaker, for a provider or for one of its models."""

    def __init__(self, name: str, moved: Callable[[State, Failure | None], None] = _nobody_hears) -> None:
        self.name = name
        self._moved = moved  # hears every transition, and what opened it
        self._state = State.CLOSED
        self._generation = 0
        self._failures = 0
        self._successes = 0
        self._relapses = 0
        self._until = 0.0
        self._clean_since = 0.0
        self._probe = 0
        self._probe_until: float | None = None
        self.window = OutcomeWindow()
        self.because: Failure | None = None  # what opened it last, for people

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name} {self._state.name}>"

    def state(self, now: float) -> State:
        """The state at `now`."""
        if self._state is State.OPEN and now >= self._until:
            self._move(State.HALF_OPEN)
        return self._state

    def peek(self, now: float) -> State:
        """The state at `now`, without the transition that it may imply: for whoever only looks."""
        is_due = self._state is State.OPEN and now >= self._until
        return State.HALF_OPEN if is_due else self._state

    def until(self, now: float) -> float | None:
        """When it may be asked again; None where that is now."""
        if self.state(now) is State.OPEN:
            return self._until
        if self._state is State.HALF_OPEN and self._probe_until is not None and now < self._probe_until:
            return self._probe_until
        return None

    def admits(self, now: float) -> bool:
        """Whether `acquire` would give a permit. Changes nothing."""
        return self.until(now) is None

    def acquire(self, now: float) -> Permit | None:
        """A permit, or None while it is open or a probe is under way."""
        if not self.admits(now):
            return None
        if self._state is State.HALF_OPEN:
            self._probe += 1
            self._probe_until = now + PROBE_LEASE_SECONDS
            return Permit(self._generation, self._probe)
        return Permit(self._generation)

    def succeeded(self, permit: Permit, now: float) -> None:
        """The attempt delivered."""
        if permit.generation != self._generation:
            return
        self._failures = 0
        if self._state is State.CLOSED:
            self.window.add(now, failed=False)
            return
        self.release(permit)
        self._successes += 1
        if self._successes >= SUCCESSES_TO_CLOSE:
            self._clean_since = now
            self._move(State.CLOSED)

    def failed(self, permit: Permit, now: float, jitter: float, because: Failure | None = None) -> None:
        """The attempt failed in a way that counts, `because` of what."""
        if permit.generation != self._generation:
            return
        self._failures += 1
        self._forgive(now)
        self.window.add(now, failed=True)
        if self._state is State.HALF_OPEN or self._is_too_much(now):
            self._open(now, OPEN_SECONDS, MAX_OPEN_SECONDS, jitter, because)

    def refused(
        self, permit: Permit, now: float, jitter: float, longest: float, because: Failure | None = None
    ) -> None:
        """The account or the model was refused: open at once, up to `longest` seconds."""
        if permit.generation == self._generation:
            self._open(now, REFUSED_SECONDS, longest, jitter, because)

    def release(self, permit: Permit) -> None:
        """The attempt ended in a way that says nothing."""
        if permit.generation == self._generation and permit.probe == self._probe:
            self._probe_until = None

    def _is_too_much(self, now: float) -> bool:
        tally = self.window.tally(now)
        too_often = tally.total >= OUTCOMES_FOR_RATE and tally.failure_rate >= RATE_TO_TRIP
        return self._failures >= FAILURES_TO_TRIP or too_often

    def _forgive(self, now: float) -> None:
        """Take back a relapse for each whole window that passed without a failure."""
        clean_windows = int((now - self._clean_since) / self.window.length)
        self._relapses = max(self._relapses - clean_windows, 0)
        self._clean_since = now

    def _open(self, now: float, first: float, longest: float, jitter: float, because: Failure | None) -> None:
        self.because = because
        length = min(first * 2**self._relapses, longest) * (1 + JITTER * jitter)
        self._relapses = min(self._relapses + 1, 16)
        self._until = max(self._until, now + length)
        self._move(State.OPEN)

    def _move(self, state: State) -> None:
        self._state = state
        self._generation += 1
        self._failures = self._successes = 0
        self._probe_until = None
        self.window.clear()
        self._moved(state, self.because if state is State.OPEN else None)
