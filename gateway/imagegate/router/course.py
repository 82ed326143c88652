"""One request's way through its candidates: what to do next, after all that has happened. Pure.

Whoever carries it out (the router, or a simulation) asks for the `next` step, takes it, and says how
it ended. All that is known of the candidates is asked for anew before each step.
"""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from imagegate.router import budget
from imagegate.router.admission import Admission, Permits
from imagegate.router.events import AttemptFinished, AttemptStarted, CandidateSkipped, ChargeRisked, FellBack, Listener
from imagegate.router.payment import Charge, charge_of, is_free, pays_once
from imagegate.router.ranking import Entry, Lineup, Obstacle, Prospect, line_up, usual_seconds
from imagegate.router.repeats import RepeatBudget
from imagegate.router.routes import Candidate
from imagegate.router.verdict import Next, verdict_on
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.tasks import count_of
from imagegate.v1 import generation_pb2

MAX_ATTEMPTS = 4
# How often one request waits for a model that is being loaded, and how often it submits again after one was.
MAX_WARMINGS = 3
# Where pictures take milliseconds, a moment in which the machine was busy with something else is no hang.
OVERDUE_GRACE_SECONDS = 1.0
# Seconds for which the last candidate is waited for where it cannot be reached: it may just be starting, and our
# channels look for it every 2 s at least.
PAUSE_SECONDS = 3.0
PAY_ONCE_REMEDY = "set routing.payment to AVAILABLE to go on in such a case"


class Try(NamedTuple):
    """Make attempt `number` at `candidate`, for at most `timeout` seconds; `fallback_waits`: another would follow."""

    candidate: Candidate
    number: int
    timeout: float
    fallback_waits: bool


@dataclass(frozen=True, slots=True)
class Warm:
    """Wait until the candidate's model is loaded, at most `seconds`."""

    candidate: Candidate
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait until the candidate's provider can be reached, at most `seconds`."""

    candidate: Candidate
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Nobody delivers: the record tells why."""


Step = Try | Warm | Pause | Ended


@dataclass(slots=True)
class Made:
    """An attempt that was made, from `began` (monotonic) for `seconds`; `failure` is None where it delivered."""

    candidate: Candidate
    began: float
    seconds: float = 0.0
    failure: Failure | None = None
    upstream_id: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A candidate that was passed over at `at` (monotonic seconds)."""

    candidate: Candidate
    obstacle: Obstacle
    at: float


@dataclass(slots=True)
class _UnderWay:
    """The attempt under way; `made` is its entry in the record where it has waited for its model to be loaded."""

    prospect: Prospect
    permits: Permits
    timeout: float
    fallback_waits: bool
    began: float
    made: Made | None


@dataclass(slots=True)
class Course:
    """The state of one request of `caller`. `goes_on_after_refused_content`: its route allows another one then."""

    request: generation_pb2.GenerateRequest
    entries: Sequence[Entry]
    deadline: Deadline
    admission: Admission
    repeats: RepeatBudget
    emit: Listener
    goes_on_after_refused_content: bool = False
    caller: str = ""
    record: list[Made | Passed] = field(default_factory=list)
    _tried: set[int] = field(default_factory=set)
    _passed: set[int] = field(default_factory=set)
    _under_way: _UnderWay | None = None
    # The attempts whose models are being loaded, by place: each goes on when that is over, or nobody else is left.
    _loading: dict[int, Made] = field(default_factory=dict)
    _warmings: int = 0
    _resumed: int = 0
    # Those that took nobody because another candidate was there, by place.
    _busy: set[int] = field(default_factory=set)
    _repeat: int | None = None
    _has_repeated: bool = False
    _has_paused: bool = False
    _count: int = field(init=False)

    def __post_init__(self) -> None:
        self._count = count_of(self.request)

    # ── What to do ───────────────────────────────────────────────────────────────────────────────────────────────

    def next(self, now: float) -> Step:
        """The next step. A `Try` is under way from now on, and must be told how it ended."""
        lineup = self.outlook(now)
        if self._repeat is not None:
            return self._try_again(self._repeat, lineup, now)
        turn = lineup.turns[0] if lineup.turns else None
        if not self._goes_on():
            return Ended()
        if turn is None and self._busy:
            self._tried -= self._busy  # nobody else is there any more: now they are queued at
            self._busy.clear()
            return self.next(now)
        if turn is None:
            self._pass_over(lineup.passed, now)
            return Ended()
        self._pass_over([passed for passed in lineup.passed if passed.place < turn.place], now)
        if turn.warm_for is not None:
            self._warmings += 1
            return Warm(turn.candidate, turn.warm_for)
        return self._try(turn, self._following(turn, lineup.turns[1:]), now)

    @property
    def failures(self) -> Sequence[Failure]:
        """Those of the attempts that were made, in order."""
        return [made.failure for made in self.record if isinstance(made, Made) and made.failure is not None]

    # ── How it went ──────────────────────────────────────────────────────────────────────────────────────────────

    def delivered(self, now: float, upstream_id: str = "", waited: float = 0.0) -> None:
        """The attempt under way delivered; for `waited` seconds of it others were being served in the provider."""
        attempt = self._take()
        candidate = attempt.prospect.candidate
        self._write(attempt, now, None, upstream_id)
        each = (now - attempt.began) / self._count
        usual = budget.usual_seconds(candidate.model)
        self.admission.delivered(attempt.permits, now, each, usual, waited / self._count)

    def failed(self, failure: Failure, now: float, upstream_id: str = "") -> None:
        """The attempt under way failed."""
        attempt = self._take()
        starved = failure.reason is Reason.TIMEOUT and self._is_starved(attempt, failure)
        prompt = hash(self.request.prompt)
        self.admission.failed(attempt.permits, failure, now, starved=starved, prompt=prompt)
        made = self._write(attempt, now, failure, upstream_id)
        model = attempt.prospect.candidate.model
        if charge_of(failure) is Charge.UNKNOWN and pays_once(self.request, model) and not is_free(model):
            self._keep_to_the_free(attempt.prospect.candidate)
        if failure.reason is Reason.BUSY and attempt.fallback_waits:
            self._busy.add(attempt.prospect.place)
        if failure.reason is Reason.MODEL_LOADING:
            self._loading[attempt.prospect.place] = made
            self._tried.discard(attempt.prospect.place)
        elif self._may_repeat(failure, now):
            self._repeat, self._has_repeated = attempt.prospect.place, True
            self._tried.discard(attempt.prospect.place)

    def left(self, failure: Failure, now: float, upstream_id: str = "") -> None:
        """The attempt under way was broken off in a way that says nothing about the candidate (`failure`)."""
        attempt = self._take()
        self.admission.release(attempt.permits, now)
        self._write(attempt, now, failure, upstream_id)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def outlook(self, now: float) -> Lineup:
        """Who would be tried from here on, in order, and who would be passed over."""
        remaining = self.deadline.remaining(now)
        return line_up(
            self.entries,
            self.admission,
            now,
            remaining=remaining,
            count=self._count,
            tried=self._done(),
            may_warm=self._warmings < MAX_WARMINGS,
        )

    def _done(self) -> Set[int]:
        """The places that are not tried any more, or not again."""
        done: Set[int] = self._tried
        if self._attempts >= MAX_ATTEMPTS:
            done = done | {place for place in range(len(self.entries)) if place not in self._loading}
        return done | self._loading.keys() if self._resumed >= MAX_WARMINGS else done

    @property
    def _attempts(self) -> int:
        return sum(isinstance(entry, Made) for entry in self.record)

    def _following(self, turn: Prospect, others: Sequence[Prospect]) -> Prospect | None:
        """Whoever would be tried if the attempt of `turn` failed."""
        attempts = self._attempts + (turn.place not in self._loading)
        return others[0] if others and attempts < MAX_ATTEMPTS else None

    def _goes_on(self) -> bool:
        """Whether another candidate may follow: an input that two refused is not shown to a third."""
        failures = self.failures
        if not failures:
            return True
        if failures[-1].reason is Reason.CONTENT_REJECTED and self.goes_on_after_refused_content:
            return True
        verdicts = [verdict_on(failure.reason).next for failure in failures]
        return verdicts[-1] is not Next.NONE and verdicts.count(Next.ONE) < 2

    def _try_again(self, place: int, lineup: Lineup, now: float) -> Step:
        """The candidate that did not hear us once more: at once where another one follows, else after a moment.

        Where it may not be asked any more, no time is left for it, or the last attempt is better made at another one,
        the others follow.
        """
        again = next((turn for turn in lineup.turns if turn.place == place and turn.warm_for is None), None)
        others = [turn for turn in lineup.turns if turn.place != place]
        following = self._following(again, others) if again is not None else None
        if again is None or (others and following is None):
            self._repeat = None
            self._tried.add(place)
            return self.next(now)
        if following is None and not self._has_paused:
            self._has_paused = True
            return Pause(self.entries[place].candidate, min(PAUSE_SECONDS, self.deadline.remaining(now) / 4))
        self._repeat = None
        return self._try(again, following, now)

    def allotted(self, turn: Prospect, following: Prospect | None, now: float) -> float:
        """The seconds that an attempt gets which `following` might follow."""
        usual_next = usual_seconds(following.candidate, self.admission, 0.50, self._count) if following else None
        limit = budget.own_limit(turn.candidate.model, self.entries[turn.place].limit, self._count)
        return budget.attempt_timeout(self.deadline.remaining(now), limit, usual_next)

    def _try(self, turn: Prospect, following: Prospect | None, now: float) -> Try:
        candidate = turn.candidate
        timeout = self.allotted(turn, following, now)
        overdue_after = usual_seconds(candidate, self.admission, 0.99, self._count) + OVERDUE_GRACE_SECONDS
        number, made = self._begin(turn)
        permits = self.admission.acquire(
            candidate.provider,
            candidate.key,
            now,
            timeout,
            overdue_after,
            may_queue=following is None,
            is_listed=candidate.listed,
            trickles=turn.trickles,
        )
        self.emit(AttemptStarted(candidate.provider, candidate.key, self.caller))
        self._tried.add(turn.place)
        self._under_way = _UnderWay(turn, permits, timeout, following is not None, now, made)
        return Try(candidate, number, timeout, following is not None)

    def _begin(self, turn: Prospect) -> tuple[int, Made | None]:
        """The number of the attempt, and its entry in the record where it goes on after its model was loaded."""
        attempts = [entry for entry in self.record if isinstance(entry, Made)]
        made = self._loading.pop(turn.place, None)
        self._resumed += made is not None
        if attempts and attempts[-1] is not made:
            self._tell_of_the_former(attempts[-1], turn.candidate)
        return next((n for n, entry in enumerate(attempts, 1) if entry is made), len(attempts) + 1), made

    def _tell_of_the_former(self, attempt: Made, candidate: Candidate) -> None:
        """What it means that one at `candidate` follows this attempt."""
        former, failure = attempt.candidate, attempt.failure
        if failure is None:
            return
        if former is not candidate:
            self.emit(FellBack(former.provider, candidate.provider, failure.reason))
        if charge_of(failure) is not Charge.NONE and not is_free(former.model):
            self.emit(ChargeRisked(former.provider))

    def _take(self) -> _UnderWay:
        attempt, self._under_way = self._under_way, None
        if attempt is None:
            raise RuntimeError("no attempt is under way")
        return attempt

    def _write(self, attempt: _UnderWay, now: float, failure: Failure | None, upstream_id: str) -> Made:
        """Record how the attempt ended, last of all; one that waited for its model to be loaded has one entry."""
        candidate = attempt.prospect.candidate
        self.emit(AttemptFinished(candidate.provider, candidate.key, now - attempt.began, failure, self.caller))
        made = attempt.made or Made(candidate, attempt.began)
        self.record = [entry for entry in self.record if entry is not made] + [made]
        made.seconds, made.failure, made.upstream_id = now - made.began, failure, upstream_id
        return made

    def _may_repeat(self, failure: Failure, now: float) -> bool:
        """Whether the same candidate is asked once more: only where provably nobody heard us the first time."""
        never_heard = failure.reason is Reason.UNREACHABLE and failure.dispatch is Dispatch.NOT_SENT
        at_our_hop = not failure.phase  # the provider's process, not its upstream: another replica may answer
        has_room = self._attempts < MAX_ATTEMPTS
        return never_heard and at_our_hop and has_room and not self._has_repeated and self.repeats.take(now)

    def _keep_to_the_free(self, candidate: Candidate) -> None:
        """There may be a picture, and a bill, somewhere: only what costs nothing may follow."""
        obstacle = Obstacle(
            Reason.NOT_ALLOWED,
            f"the attempt at {candidate} may be charged although it failed, and this request pays once",
            PAY_ONCE_REMEDY,
        )
        self.entries = [
            entry if entry.obstacle or is_free(entry.candidate.model) else replace(entry, obstacle=obstacle)
            for entry in self.entries
        ]

    def _is_starved(self, attempt: _UnderWay, failure: Failure) -> bool:
        """Whether the attempt's time-out says nothing about the candidate: it was never sent, or its upstream had less
        than the usual time, and less than an operator allows it.
        """
        prospect = attempt.prospect
        allowed = budget.upstream_seconds(self.entries[prospect.place].limit or math.inf)
        fair = min(usual_seconds(prospect.candidate, self.admission, 0.50, self._count), allowed)
        return failure.dispatch is Dispatch.NOT_SENT or budget.upstream_seconds(attempt.timeout) < fair

    def _pass_over(self, prospects: Sequence[Prospect], now: float) -> None:
        for prospect in prospects:
            if prospect.obstacle is not None and prospect.place not in self._passed | self._loading.keys():
                self._passed.add(prospect.place)
                self.record.append(Passed(prospect.candidate, prospect.obstacle, now))
                self.emit(
                    CandidateSkipped(prospect.candidate.provider, prospect.candidate.key, prospect.obstacle.reason)
                )
