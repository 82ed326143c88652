"""What holds of every request whatever its attempts come to, whoever else is under way, and whatever time passes.

The properties 5, 6, 7, 9 and 10, on courses over candidates of two providers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagegate.router.admission import Refusal, _Scope
from imagegate.router.breaker import State
from imagegate.router.budget import RESERVE, upstream_seconds
from imagegate.router.course import MAX_ATTEMPTS, MAX_WARMINGS, Course, Ended, Made, Pause, Step, Try, Warm
from imagegate.router.events import AttemptFinished, AttemptStarted, BreakerMoved
from imagegate.router.overrides import Mode
from imagegate.router.ranking import Entry, Obstacle, usual_seconds
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.testing import FakeReplica, entry, failed
from imagegate.v1 import generation_pb2, terms_pb2

ENTRIES = {
    "a/quick": entry("a/quick", usual=2.0, payment="pay_once"),
    "a/slow": entry("a/slow", usual=40.0),
    "b/usual": entry("b/usual", usual=10.0, payment="pay_once", limit=30.0),
    "b/free": entry("b/free", usual=10.0, credits=0),
    "b/unread": Entry(Candidate("b", "unread")),
    "a/off": replace(entry("a/off"), obstacle=Obstacle(Reason.DISABLED, "it is off")),
}
CANDIDATES = tuple(ENTRIES)
SCOPES = ("a", "b", *CANDIDATES)
# What ends a request by itself, as resilience.md says.
FINAL = {Reason.INVALID_REQUEST, Reason.CONTENT_REJECTED, Reason.CANCELLED, Reason.INTERNAL}
COUNTED = (Reason.OVERLOADED, Reason.UPSTREAM_ERROR, Reason.UNREACHABLE, Reason.TIMEOUT)
LASTING = (Reason.CREDENTIALS_REJECTED, Reason.MODEL_NOT_FOUND, Reason.RATE_LIMITED, Reason.MODEL_LOADING)
PAYMENTS = (terms_pb2.PAYMENT_UNSPECIFIED, terms_pb2.PAYMENT_PAY_ONCE, terms_pb2.PAYMENT_AVAILABLE)
TRICKLE_SECONDS = 1.0

which = st.integers(0, 20)
routes = st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=6, unique=True)
pauses = st.sampled_from((0.1, 0.9, 1.0, 5.0, 15.0, 20.0, 70.0, 400.0, 4000.0))
hints = st.sampled_from((None, 0.0, 1.0, 7.0, 18.0, 60.0, 1e6))
# Most of what an upstream says is one of these; the rest is whatever a provider could make of it.
likely = st.sampled_from((
    (Reason.UPSTREAM_ERROR, Dispatch.REFUSED, False),
    (Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN, None),
    (Reason.TIMEOUT, Dispatch.ACCEPTED, None),
    (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, True),
    (Reason.UNREACHABLE, Dispatch.NOT_SENT, None),
    (Reason.MODEL_LOADING, Dispatch.REFUSED, False),
    (Reason.MODEL_LOADING, Dispatch.ACCEPTED, None),
    (Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED, False),
))  # fmt: skip
anything = st.tuples(st.sampled_from(Reason), st.sampled_from(Dispatch), st.sampled_from((None, True, False)))


@dataclass
class Journey:
    """A request under way, and what became of its submissions."""

    course: Course
    entries: Sequence[Entry]
    # The candidates that could have been asked when the request came.
    owed: set[str] = field(default_factory=set)
    step: Step | None = None
    stepped_at: float = 0.0
    tried: list[str] = field(default_factory=list)
    submissions: int = 0
    waits: int = 0
    # Whether a picture was finished that somebody pays for, and that the rest of the request must not repeat.
    has_finished: bool = False
    reasons: list[Reason] = field(default_factory=list)


class Requests(RuleBasedStateMachine):
    """One replica, several requests at once, and the traffic of others."""

    def __init__(self) -> None:
        super().__init__()
        self.replica = FakeReplica()
        self.journeys: list[Journey] = []
        self.trickled: dict[str, float] = {}

    # ── What happens ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        route=routes,
        seconds=st.sampled_from((0.2, 3.0, 15.0, 45.0, 300.0)),
        payment=st.sampled_from(PAYMENTS),
        count=st.sampled_from((1, 1, 4)),
        goes_on=st.booleans(),
        loads_for=st.sampled_from((None, None, 7.0, 18.0)),
    )
    def a_request_comes(
        self,
        route: list[str],
        seconds: float,
        payment: "terms_pb2.Payment.ValueType",
        count: int,
        goes_on: bool,
        loads_for: float | None,
    ) -> None:
        """For the first of some candidates that delivers; that may have been found loading a moment ago."""
        if loads_for is not None:
            self.replica.fail(route[0], Reason.MODEL_LOADING, loads_for)
        request = generation_pb2.GenerateRequest(
            prompt="a fox", count=count, routing=generation_pb2.Routing(payment=payment)
        )
        entries = [ENTRIES[name] for name in route]
        course = self.replica.course(*entries, seconds=seconds, request=request)
        course.goes_on_after_refused_content = goes_on
        journey = Journey(course, entries)
        journey.owed = self.admissible(journey)
        predicted = self.replica.line_up(*entries, remaining=seconds, count=count).turns
        self.journeys.append(journey)
        step = self.go_on(journey)
        match predicted:
            case []:
                assert isinstance(step, Ended), "property 9: an attempt that was not foretold"
            case [first, *_] if first.warm_for is not None:
                assert step == Warm(first.candidate, first.warm_for), "property 9: it was foretold to wait"
            case [first, *_]:
                assert isinstance(step, Try), "property 9: the attempt that was foretold was not made"
                assert step.candidate is first.candidate, "property 9: another candidate was foretold"

    @precondition(lambda self: self.trying())
    @rule(index=which)
    def an_attempt_delivers(self, index: int) -> None:
        """And its request is done."""
        journey = self.trying()[index % len(self.trying())]
        journey.course.delivered(self.replica.clock())
        self.note_job(journey, is_finished=True)
        self.journeys.remove(journey)

    @precondition(lambda self: self.trying())
    @rule(index=which, what=likely | anything, hint=hints, finishes=st.booleans(), times=st.sampled_from((1, 1, 2, 9)))
    def an_attempt_fails(
        self, index: int, what: tuple[Reason, Dispatch, bool | None], hint: float | None, finishes: bool, times: int
    ) -> None:
        """In whatever way, and those that follow at once too; `finishes`: behind our back the upstream finishes the
        picture all the same, if it can.
        """
        journey = self.trying()[index % len(self.trying())]
        reason, dispatch, billed = what
        never_begun = dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED) or billed is False
        is_unusable = reason is Reason.BAD_OUTPUT and dispatch is Dispatch.ACCEPTED
        for _ in range(times):
            if not isinstance(journey.step, Try):
                break
            failure = failed(reason, dispatch, billed=billed, retry_after=hint)
            journey.course.failed(failure, self.replica.clock())
            journey.reasons.append(failure.reason)
            self.note_job(journey, is_finished=finishes and not never_begun and not is_unusable)
            self.go_on(journey)

    @precondition(lambda self: self.journeys)
    @rule(index=which)
    def a_caller_leaves(self, index: int) -> None:
        """At any point of its request."""
        journey = self.journeys.pop(index % len(self.journeys))
        if isinstance(journey.step, Try):
            journey.course.left(failed(Reason.CANCELLED), self.replica.clock())

    @precondition(lambda self: self.waiting())
    @rule(index=which, waits_long=st.booleans(), still=st.sampled_from((None, 2.0, 60.0)), times=st.integers(1, 6))
    def a_wait_is_over(self, index: int, waits_long: bool, still: float | None, times: int) -> None:
        """Because its time is, or what was waited for came sooner; or the model needs so many seconds `still`, as
        others hear, again and again.
        """
        journey = self.waiting()[index % len(self.waiting())]
        for _ in range(times):
            if not isinstance(journey.step, Warm | Pause):
                break
            if waits_long:
                self.replica.clock.advance(journey.step.seconds)
            if still is not None and isinstance(journey.step, Warm):
                self.replica.fail(str(journey.step.candidate), Reason.MODEL_LOADING, still)
            if self.replica.clock() > journey.stepped_at + journey.step.seconds:
                journey.owed.clear()  # it was left waiting for longer than it had asked for
            self.go_on(journey)

    @rule(candidate=st.sampled_from(CANDIDATES), reason=st.sampled_from(COUNTED), times=st.integers(1, 6))
    def others_fail(self, candidate: str, reason: Reason, times: int) -> None:
        """Attempts of requests that went to one candidate only."""
        for _ in range(times):
            self.replica.fail(candidate, reason, retry_after=0.0)

    @rule(candidate=st.sampled_from(CANDIDATES), reason=st.sampled_from(LASTING), hint=hints)
    def somebody_is_refused(self, candidate: str, reason: Reason, hint: float | None) -> None:
        """An attempt of another request, which says something about all that follow."""
        self.replica.fail(candidate, reason, hint)

    @rule(candidate=st.sampled_from(CANDIDATES), times=st.integers(1, 3), seconds=st.sampled_from((1.0, 30.0)))
    def others_are_served(self, candidate: str, times: int, seconds: float) -> None:
        """Attempts of other requests."""
        for _ in range(times):
            self.replica.deliver(candidate, seconds)

    @rule(seconds=pauses)
    def time_passes(self, seconds: float) -> None:
        """And nothing else happens."""
        self.replica.clock.advance(seconds)

    @rule(luck=st.floats(0, 1))
    def luck_changes(self, luck: float) -> None:
        """All tosses fall like this from now on."""
        self.replica.chance.luck = luck

    @rule(scope=st.sampled_from(SCOPES), mode=st.sampled_from(Mode), seconds=pauses)
    def an_operator_decides(self, scope: str, mode: Mode, seconds: float) -> None:
        """About a provider or a model."""
        self.replica.decide(scope, mode, seconds)

    @rule(candidate=st.sampled_from(CANDIDATES), is_loaded=st.booleans())
    def something_speaks_for_it(self, candidate: str, is_loaded: bool) -> None:
        """The model is loaded, or its provider has another key."""
        provider, _, model = candidate.partition("/")
        if is_loaded:
            self.replica.admission.warmed(provider, model, self.replica.clock())
        else:
            self.replica.admission.key_renewed(provider, self.replica.clock())

    @rule(route=routes)
    def everything_fails_at_once(self, route: list[str]) -> None:
        """9: where no attempt changes what another one meets, all of them are foretold."""
        entries = [ENTRIES[name] for name in route]
        predicted = [turn for turn in self.replica.line_up(*entries).turns if not turn.trickles]
        waits = next((number for number, turn in enumerate(predicted) if turn.warm_for is not None), MAX_ATTEMPTS)
        request = generation_pb2.GenerateRequest(routing={"payment": terms_pb2.PAYMENT_AVAILABLE})
        self.replica.events.clear()
        course = self.replica.course(*entries, request=request)
        made: list[Candidate] = []
        while isinstance(step := course.next(self.replica.clock()), Try):
            if not course._under_way.prospect.trickles and not self.has_moved():
                made.append(step.candidate)
            self.note_trickle(course, step)
            course.failed(failed(Reason.UPSTREAM_ERROR), self.replica.clock())
        foretold = [turn.candidate for turn in predicted[: min(waits, MAX_ATTEMPTS)]]
        assert made == foretold[: len(made)], "property 9: another order was foretold"
        assert self.has_moved() or made == foretold, "property 9: more was foretold"

    # ── What holds ───────────────────────────────────────────────────────────────────────────────────────────────

    def go_on(self, journey: Journey) -> Step:
        """Take the next step of a request, and judge it."""
        course, now = journey.course, self.replica.clock()
        self.replica.admission.look(now)
        admissible = self.admissible(journey)
        refusals = {str(one.candidate): self.replica.refusal(str(one.candidate)) for one in course.entries}
        step, journey.stepped_at = course.next(now), now
        journey.step = step
        match step:
            case Try():
                self.judge_attempt(journey, step, refusals)
            case Warm() | Pause():
                journey.waits += 1
                assert 0 <= step.seconds <= course.deadline.remaining(now)
                assert journey.waits <= MAX_WARMINGS + 1, "property 6: it waits again and again"
            case Ended():
                self.journeys.remove(journey)
                self.judge_end(journey, admissible, refusals)
        return step

    def judge_attempt(self, journey: Journey, step: Try, refusals: dict[str, Refusal | None]) -> None:
        """5: an attempt in spite of a refusal is one of half the statistical opens, or one a second. 6: the cap."""
        journey.submissions += 1
        journey.tried.append(str(step.candidate))
        made = sum(isinstance(entry, Made) for entry in journey.course.record)
        assert made < MAX_ATTEMPTS or step.number <= MAX_ATTEMPTS, "property 6: a fifth attempt"
        assert journey.submissions <= MAX_ATTEMPTS + MAX_WARMINGS, "property 6: too many submissions"
        assert 0 < step.timeout <= journey.course.deadline.remaining(self.replica.clock()) - RESERVE
        assert not self.is_forbidden(step.candidate), "property 5: what was refused or decided was bypassed"
        if refusals[str(step.candidate)] is not None and not self.note_trickle(journey.course, step):
            candidates = [entry for entry in journey.course.entries if entry.obstacle is None]
            opens = [refusals[str(one.candidate)] for one in candidates]
            removed = sum(one is not None and one.is_statistical for one in opens)
            assert removed > (len(candidates) + 1) // 2, "property 5: an open one was tried without need"

    def judge_end(self, journey: Journey, admissible: set[str], refusals: dict[str, Refusal | None]) -> None:
        """10: nobody is left who could be tried. 5: else the last resort was tried within this second."""
        made = sum(isinstance(entry, Made) for entry in journey.course.record)
        assert made <= MAX_ATTEMPTS, "property 6: a fifth attempt"
        wasted = {name for name in journey.owed if refusals[name] is None}
        assert made or not wasted, f"property 10: ended without an attempt, though {wasted} could be tried at first"
        if made == MAX_ATTEMPTS or not self.verdicts_allow(journey):
            return
        assert not admissible, f"property 10: ended although {admissible} could be tried"
        left = [
            (refusal.wait, str(one.candidate))
            for one in journey.course.entries
            if self.is_open_to(journey, one)
            and (refusal := refusals[str(one.candidate)]) is not None
            and refusal.is_statistical
        ]
        if left:
            wait, soonest = min(left, key=lambda each: each[0])
            assert any(self.saw_trickle(name) for each, name in left if each == wait), f"property 5: {soonest} waits"

    def note_job(self, journey: Journey, *, is_finished: bool) -> None:
        """7: under PAY_ONCE no second picture is finished at somebody's cost."""
        candidate = ENTRIES[journey.tried[-1]].candidate
        asked = journey.course.request.routing.payment
        of_model = candidate.model is not None and candidate.model.payment == "pay_once"
        pays_once = asked == terms_pb2.PAYMENT_PAY_ONCE or (asked == terms_pb2.PAYMENT_UNSPECIFIED and of_model)
        is_paid = candidate.model is None or candidate.model.credits != 0
        if is_finished and is_paid:
            assert not journey.has_finished, "property 7: a second picture was finished"
            journey.has_finished = pays_once

    @invariant()
    def half_of_a_route_is_never_taken_away_by_statistics(self) -> None:
        """5: of those that are configured and may be asked, statistical opens remove at most half, rounded up."""
        entries = [one for one in ENTRIES.values() if one.obstacle is None]
        passed = self.replica.line_up(*entries, remaining=None).passed
        assert sum(prospect.is_trial for prospect in passed) <= (len(entries) + 1) // 2

    def teardown(self) -> None:
        """Every attempt is told to begin and to end once, and nothing stays under way in any breaker."""
        while self.journeys:
            self.a_caller_leaves(0)
        admission = self.replica.admission
        for scope in (*admission._providers.values(), *admission._models.values()):
            assert not scope.breaker._under_way
            assert scope.breaker._probe == 0

    @invariant()
    def every_attempt_is_told_once(self) -> None:
        """What began and has not ended is under way."""
        began = sum(isinstance(event, AttemptStarted) for event in self.replica.events)
        ended = sum(isinstance(event, AttemptFinished) for event in self.replica.events)
        self.began_before = getattr(self, "began_before", 0) + began - ended
        assert self.began_before == len(self.trying())
        self.replica.events.clear()

    # ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def trying(self) -> list[Journey]:
        """The requests with an attempt under way."""
        return [journey for journey in self.journeys if isinstance(journey.step, Try)]

    def waiting(self) -> list[Journey]:
        """The requests that wait for a model, or a moment."""
        return [journey for journey in self.journeys if isinstance(journey.step, Warm | Pause)]

    def admissible(self, journey: Journey) -> set[str]:
        """The candidates that nothing is in the way of, that fit the deadline and were not tried."""
        return {
            str(one.candidate)
            for one in journey.course.entries
            if self.is_open_to(journey, one) and self.replica.refusal(str(one.candidate)) is None
        }

    def is_forbidden(self, candidate: Candidate) -> bool:
        """Whether an operator, a gate, or a refused account or model speaks against it."""
        admission, now = self.replica.admission, self.replica.clock()
        known: dict[tuple[str, str], _Scope] = {
            **{(name, ""): scope for name, scope in admission._providers.items()},
            **admission._models,
        }
        for place in ((candidate.provider, ""), (candidate.provider, candidate.key)):
            override, scope = admission.overrides.on(place, now), known.get(place)
            is_decided = override is not None and override.mode is Mode.OPEN
            is_gated = scope is not None and scope.gate.closed(now) is not None
            is_refused = scope is not None and scope.breaker.is_refused and scope.breaker.peek(now) is State.OPEN
            if is_decided or is_gated or (is_refused and override is None):
                return True
        return False

    def is_open_to(self, journey: Journey, one: Entry) -> bool:
        """Whether a candidate was not tried, is allowed, and has a p50 that fits what its upstream would get (or is the
        only one).
        """
        course, candidate = journey.course, one.candidate
        room = upstream_seconds(course.deadline.remaining(self.replica.clock()) - RESERVE)
        if str(candidate) in journey.tried or one.obstacle is not None or room <= 0:
            return False
        is_only_one = sum(entry.obstacle is None for entry in course.entries) == 1
        usual = usual_seconds(candidate, self.replica.admission, 0.5, course.request.count)
        return candidate.model is None or is_only_one or min(usual, upstream_seconds(one.limit or math.inf)) <= room

    def verdicts_allow(self, journey: Journey) -> bool:
        """Whether the reasons so far let another candidate follow."""
        if not journey.reasons:
            return True
        last = journey.reasons[-1]
        may_show_it = last is Reason.CONTENT_REJECTED and journey.course.goes_on_after_refused_content
        return may_show_it or (last not in FINAL and journey.reasons.count(Reason.UPSTREAM_REJECTED_INPUT) < 2)

    def has_moved(self) -> bool:
        """Whether a breaker has changed its state since the events were last forgotten."""
        return any(isinstance(event, BreakerMoved) for event in self.replica.events)

    def note_trickle(self, course: Course, step: Try) -> bool:
        """Whether the attempt under way is one of the last resort: at most one a second at what is open."""
        assert course._under_way is not None
        if not course._under_way.prospect.trickles:
            return False
        assert not self.saw_trickle(str(step.candidate)), "property 5: more than one trial a second"
        for scope in (step.candidate.provider, str(step.candidate)):
            self.trickled[scope] = self.replica.clock()
        return True

    def saw_trickle(self, name: str) -> bool:
        """Whether this second has seen a trial of the last resort at it, or at its provider where that is open."""
        now = self.replica.clock()
        scopes = (
            [name] if self.replica.state(name.partition("/")[0]) is State.CLOSED else [name, name.partition("/")[0]]
        )
        return any(now - self.trickled.get(scope, -TRICKLE_SECONDS) < TRICKLE_SECONDS for scope in scopes)


TestRequests = Requests.TestCase
TestRequests.settings = settings(stateful_step_count=30, max_examples=max(settings.default.max_examples, 300))
