"""The circuit breaker: CLOSED until too much fails, OPEN for a while, HALF_OPEN to find out. Pure.

Time is an argument: `now` is the monotonic clock in seconds. A permit is the right to make one
attempt; whoever holds one says how it ended, exactly once.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from imagegate.router.pulse import Pulse
from imagegate.router.window import OutcomeWindow
from imagegate.runtime.errors import Failure, Reason

# Five failures in a row trip it (a total outage must be seen quickly), or half of at least ten.
FAILURES_TO_TRIP = 5
RATE_TO_TRIP = 0.5
OUTCOMES_FOR_RATE = 10
# Open for 15 s, doubled at every relapse, at most 5 min, each ± 20 %. A window without a failure takes
# one relapse back, so that one that flaps is remembered.
OPEN_SECONDS = 15.0
MAX_OPEN_SECONDS = 300.0
JITTER = 0.2
# A refused account or model does not heal by itself: it is asked again after 10 min, doubled until it delivers.
REFUSED_SECONDS = 600.0
MAX_REFUSED_PROVIDER_SECONDS = 3600.0
MAX_REFUSED_MODEL_SECONDS = 6 * 3600.0
MAX_RELAPSES = 16
SUCCESSES_TO_CLOSE = 2
# A probe's lease ends so long after the probe is overdue or out of time: whatever became of it, another may follow.
LEASE_GRACE_SECONDS = 5.0
# Who has just come back gets a tenth of its traffic, and all of it after half a minute.
RAMP_SECONDS = 30.0
RAMP_FROM = 0.1
OVERDUE = "attempts under way take longer than nearly every picture did"


class State(Enum):
    """The three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Permit(NamedTuple):
    """The right to one attempt, of one generation: a result from before the last trip or closing counts for nothing."""

    generation: int
    number: int
    model: str = ""
    is_probe: bool = False


class _UnderWay(NamedTuple):
    """An attempt under way: when it counts as failed, for how long nothing may have been delivered by then, and how
    much time the process had lost when that was said.
    """

    due: float
    permit: Permit
    silence: float
    lost: float


def _nobody_hears(_state: State, _because: Failure | None) -> None:
    """A breaker that nobody watches."""


def _no_jitter() -> float:
    return 0.0


class CircuitBreaker:
    """One breaker, for a model or, pooling its models, for a provider. `jitter` gives numbers from -1 to 1; `pulse` is
    that of the process.
    """

    def __init__(
        self,
        name: str,
        jitter: Callable[[], float] = _no_jitter,
        moved: Callable[[State, Failure | None], None] = _nobody_hears,
        generations: Iterator[int] | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self.name = name
        self.window = OutcomeWindow()
        self.because: Failure | None = None  # what opened it last, for people
        self.is_refused = False  # it is open because the account or the model was refused, not by statistics
        self._jitter = jitter
        self._moved = moved  # hears every transition, and what opened it
        self._pulse = pulse or Pulse()
        self._state = State.CLOSED
        # Breakers that share a counter never take the permit of one that was forgotten for their own.
        self._generations = generations or itertools.count()
        self._generation = next(self._generations)
        # The attempts that failed in a row, by their numbers. Attempts overlap, so what counts is how they began: one
        # from before a delivered one says nothing against it, and one that began early and ends late breaks no row.
        self._streak: list[int] = []
        self._delivered = 0
        self._delivered_at = -math.inf
        self._successes = 0
        self._relapses = 0
        self._refusals = 0
        self._until = 0.0
        self._clean_since = 0.0
        self._closed_at: float | None = None
        self._permits = 0
        self._probe = 0
        self._lease_until = 0.0
        # Attempts under way by their numbers, no time before which any of them can be overdue, and since when those
        # count as failed that are.
        self._under_way: dict[int, _UnderWay] = {}
        self._none_due_before = math.inf
        self._provisional: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name} {self._state.name}>"

    def state(self, now: float) -> State:
        """The state at `now`; attempts that are overdue by then count as failed."""
        self._count_overdue(now)
        if self._state is State.OPEN and now >= self._until:
            self._state = State.HALF_OPEN  # of the same generation: a trial that began before may still tell
            self._moved(self._state, None)
        return self._state

    def peek(self, now: float) -> State:
        """The state at `now`, without the transition that it may imply: for whoever only looks."""
        is_due = self._state is State.OPEN and now >= self._until
        return State.HALF_OPEN if is_due else self._state

    def until(self, now: float) -> float | None:
        """When it may be asked again; None where that is now."""
        match self.state(now):
            case State.OPEN:
                return self._until
            case State.HALF_OPEN if self._probe and now < self._lease_until:
                return self._lease_until
        return None

    def share(self, now: float) -> float:
        """How much of its traffic it gets: less than 1 in the half minute after it closed."""
        if self._state is not State.CLOSED or self._closed_at is None:
            return 1.0
        return min(RAMP_FROM + (1 - RAMP_FROM) * (now - self._closed_at) / RAMP_SECONDS, 1.0)

    def acquire(
        self, now: float, timeout: float, overdue_after: float, model: str = "", *, may_queue: bool = False
    ) -> Permit:
        """The right to one attempt with `timeout` seconds, which counts as failed while it takes more than
        `overdue_after`. One that `may_queue` behind others does so only when nothing was delivered for as long.

        While it is half open this is the probe. Whoever asks although `until` says no (a trial: nobody else is left)
        may; its success counts, its failure does not.
        """
        is_probe = self.state(now) is State.HALF_OPEN and self.until(now) is None
        self._permits += 1
        permit = Permit(self._generation, self._permits, model, is_probe)
        if is_probe:
            self._probe = permit.number
            self._lease_until = now + min(timeout, overdue_after) + LEASE_GRACE_SECONDS
        if self._state is State.CLOSED:
            silence = overdue_after if may_queue else 0.0
            lost = self._pulse.lost(now)
            self._under_way[permit.number] = _UnderWay(now + overdue_after, permit, silence, lost)
            self._none_due_before = min(self._none_due_before, now + overdue_after)
        return permit

    def succeeded(self, permit: Permit, now: float) -> None:
        """The attempt delivered."""
        counted_at = self._provisional.get(permit.number)
        self.release(permit)
        if permit.generation != self._generation:
            return
        self._delivered, self._delivered_at = max(self._delivered, permit.number), now
        if self._streak:
            self._streak = [number for number in self._streak if number > self._delivered]
        if self._state is State.CLOSED:
            if counted_at is not None:
                self.window.withdraw_failure(counted_at, permit.model)
            self.window.add(now, failed=False, model=permit.model)
            return
        self._successes += 1
        if self._successes >= SUCCESSES_TO_CLOSE:
            self._close(now)

    def failed(self, permit: Permit, now: float, because: Failure | None = None, *, at_provider: bool = False) -> None:
        """The attempt failed in a way that counts, `because` of what.

        `at_provider`: it would have failed with any other model too.
        """
        if permit.generation != self._generation:
            return
        if self._state is State.CLOSED:
            if permit.number in self._provisional:  # counted already
                del self._provisional[permit.number]
                return
            self._count_failure(now, permit, because, at_provider=at_provider)
        elif permit.is_probe:
            self._relapse(now, because)
        else:
            self._successes = 0

    def refused(self, permit: Permit, now: float, longest: float, because: Failure | None = None) -> None:
        """The account or the model was refused: open at once, up to `longest` seconds."""
        if permit.generation == self._generation:
            seconds = min(REFUSED_SECONDS * 2**self._refusals, longest)
            self._refusals = min(self._refusals + 1, MAX_RELAPSES)
            self._open(now, seconds, because, is_refused=True)

    def release(self, permit: Permit) -> None:
        """The attempt is over: a probe's place is free again. An attempt that said nothing needs no more than this."""
        if permit.is_probe and permit.number == self._probe:
            self._probe = 0
        self._under_way.pop(permit.number, None)
        self._provisional.pop(permit.number, None)

    def give_chance(self, now: float) -> None:
        """Something speaks for it (another key, the upstream's own free word): the next request may find out."""
        if self._state is State.OPEN:
            self._until = min(self._until, now)

    def reset(self, now: float) -> None:
        """An operator says that it works: it gets all of its traffic, and what was counted is forgotten."""
        if self._state is not State.CLOSED:
            self._close(now)
        self._relapses = self._refusals = 0
        self._until = now
        self._streak.clear()
        self._closed_at = None
        self.window.clear()

    def _count_overdue(self, now: float) -> None:
        """Count what takes longer than nearly every success did: a hang is seen before the time-out. Time in which we
        ourselves stood still is not counted.
        """
        if now < self._none_due_before:
            return
        lost = self._pulse.lost(now)
        judged_from = math.inf
        for attempt in sorted(each for each in self._under_way.values() if each.due <= now):
            permit, silence = attempt.permit, attempt.silence
            due = attempt.due + lost - attempt.lost
            if now < (fair_from := self._pulse.fair_from(due, now)):
                self._under_way[permit.number] = attempt._replace(due=due, lost=lost)
                judged_from = min(judged_from, fair_from)
                continue
            if silence and now < self._delivered_at + silence:
                self._under_way[permit.number] = attempt._replace(due=self._delivered_at + silence, lost=lost)
                continue
            self._under_way[permit.number] = attempt._replace(due=math.inf)
            self._provisional[permit.number] = now
            self._count_failure(now, permit, Failure(Reason.TIMEOUT, OVERDUE))
            if self._state is not State.CLOSED:
                return
        self._none_due_before = min([judged_from, *(each.due for each in self._under_way.values() if each.due > now)])

    def _count_failure(self, now: float, permit: Permit, because: Failure | None, *, at_provider: bool = False) -> None:
        if permit.number > self._delivered:
            self._streak.append(permit.number)
        self._forgive(now)
        self.window.add(now, failed=True, model=permit.model)
        tally = self.window.tally(now)
        too_often = tally.total >= OUTCOMES_FOR_RATE and tally.failure_rate >= RATE_TO_TRIP
        if (len(self._streak) >= FAILURES_TO_TRIP or too_often) and (at_provider or tally.is_widespread):
            self._relapse(now, because)

    def _forgive(self, now: float) -> None:
        """Take back a relapse for each whole window that passed without a failure."""
        clean_windows = int((now - self._clean_since) / self.window.length)
        self._relapses = max(self._relapses - clean_windows, 0)
        self._clean_since = now

    def _relapse(self, now: float, because: Failure | None) -> None:
        seconds = min(OPEN_SECONDS * 2**self._relapses, MAX_OPEN_SECONDS) * (1 + JITTER * self._jitter())
        self._relapses = min(self._relapses + 1, MAX_RELAPSES)
        self._open(now, seconds, because)

    def _open(self, now: float, seconds: float, because: Failure | None, *, is_refused: bool = False) -> None:
        self.because, self.is_refused = because, is_refused
        self._until = max(self._until, now + seconds)
        self._begin(State.OPEN)

    def _close(self, now: float) -> None:
        self._clean_since = self._closed_at = now
        self._refusals = 0
        self.is_refused = False
        self._begin(State.CLOSED)

    def _begin(self, state: State) -> None:
        """A new generation: what is under way says nothing about it."""
        self._state = state
        self._generation = next(self._generations)
        self._successes = self._probe = 0
        self._streak.clear()
        self._under_way.clear()
        self._none_due_before = math.inf
        self._provisional.clear()
        self.window.clear()
        self._moved(state, self.because if state is State.OPEN else None)
