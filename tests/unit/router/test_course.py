"""One request's way through its candidates."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imagegate.router.breaker import State
from imagegate.router.budget import RESERVE
from imagegate.router.course import MAX_ATTEMPTS, Course, Ended, Made, Pause, Step, Try, Warm
from imagegate.router.events import AttemptFinished, AttemptStarted, CandidateSkipped, ChargeRisked, FellBack
from imagegate.router.overrides import Mode
from imagegate.router.ranking import Entry, Obstacle
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.testing import FakeReplica, entry, failed
from imagegate.v1 import generation_pb2, terms_pb2

A, B, C, D, E = (entry(f"{provider}/m") for provider in ("a", "b", "c", "d", "e"))


@pytest.fixture
def replica() -> FakeReplica:
    """A replica that has just started."""
    return FakeReplica()


def told(steps: Sequence[Step]) -> str:
    """The steps as letters: the provider of an attempt, `w` for warming, `p` for a pause, `.` for the end."""
    letters: dict[type[Step], str] = {Warm: "w", Pause: "p", Ended: "."}
    return "".join(step.candidate.provider if isinstance(step, Try) else letters[type(step)] for step in steps)


def made(course: Course) -> str:
    """The record: the provider of each attempt, in capitals where it was passed over."""
    return "".join(
        one.candidate.provider if isinstance(one, Made) else one.candidate.provider.upper() for one in course.record
    )


def paying(payment: "terms_pb2.Payment.ValueType") -> generation_pb2.GenerateRequest:
    return generation_pb2.GenerateRequest(prompt="a fox", routing=generation_pb2.Routing(payment=payment))


SICK = failed(Reason.UPSTREAM_ERROR)
NOT_HEARD = failed(Reason.UNREACHABLE, Dispatch.NOT_SENT)


def loading(estimate: float | None) -> Failure:
    return failed(Reason.MODEL_LOADING, retry_after=estimate)


# ── Attempts and fallback ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_that_delivers_ends_it(replica: FakeReplica) -> None:
    """R10: the next candidate follows a failure at once, and the record tells of both."""
    course = replica.course(A, B)
    assert told(replica.play(course, [SICK])) == "ab"
    course.delivered(replica.clock.advance(5), "req-1")
    failing, delivering = course.record
    assert isinstance(failing, Made)
    assert isinstance(delivering, Made)
    assert (failing.failure, failing.seconds) == (SICK, 1.0)
    assert (delivering.failure, delivering.seconds, delivering.upstream_id) == (None, 5.0, "req-1")
    assert list(course.failures) == [SICK]


def test_what_waited_behind_others_says_nothing_about_a_model(replica: FakeReplica) -> None:
    """S32: the time in a provider's queue is the attempt's, and not the model's: nobody's flood makes it look slow."""
    for _ in range(30):
        course = replica.course(A)
        replica.play(course, [])
        course.delivered(replica.clock.advance(100), waited=95.0)
        assert isinstance(attempt := course.record[-1], Made)
        assert attempt.seconds == 100.0
    assert [replica.admission.usual("a", "m", share, 10.0) for share in (0.50, 0.90, 0.95)] == [pytest.approx(5.0)] * 3
    assert replica.admission.usual("a", "m", 0.99, 10.0) == 100.0  # by which those who wait are overdue
    course = replica.course(A)
    replica.play(course, [])
    course.delivered(replica.clock.advance(1), waited=1e9)


def test_at_most_four_attempts_are_made(replica: FakeReplica) -> None:
    """However many candidates there are, four attempts are the end, and the fourth waits for nobody."""
    steps = replica.play(replica.course(A, B, C, D, E), [SICK] * 5)
    assert told(steps) == "abcd."
    tries = [step for step in steps if isinstance(step, Try)]
    assert [step.number for step in tries] == [1, 2, 3, 4]
    assert [step.fallback_waits for step in tries] == [True, True, True, False]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.INVALID_REQUEST, "a."),
        (Reason.CONTENT_REJECTED, "a."),
        (Reason.CANCELLED, "a."),
        (Reason.INTERNAL, "a."),
        (Reason.UPSTREAM_REJECTED_INPUT, "ab."),
        (Reason.CREDENTIALS_REJECTED, "abc."),
        (Reason.OUT_OF_CREDIT, "abc."),
        (Reason.MODEL_ACCESS_DENIED, "abc."),
        (Reason.MODEL_NOT_FOUND, "abc."),
        (Reason.RATE_LIMITED, "abc."),
        (Reason.OVER_QUOTA, "abc."),
        (Reason.BUSY, "abca"),  # which took nobody only because another one was there
        (Reason.OVERLOADED, "abc."),
        (Reason.UPSTREAM_ERROR, "abc."),
        (Reason.UNREACHABLE, "abc."),
        (Reason.TIMEOUT, "abc."),
        (Reason.BAD_OUTPUT, "abc."),
    ],
)
def test_the_verdict_says_who_follows(replica: FakeReplica, reason: Reason, expected: str) -> None:
    """What is the input's fault is not shopped around, what is an upstream's fault is."""
    assert told(replica.play(replica.course(A, B, C), [failed(reason)] * 3)) == expected


def test_an_input_that_two_refused_is_not_shown_to_a_third(replica: FakeReplica) -> None:
    """A refused input goes to one other candidate; failures of another kind in between change nothing."""
    refused = failed(Reason.UPSTREAM_REJECTED_INPUT)
    assert told(replica.play(replica.course(A, B, C, D), [refused, SICK, refused])) == "abc."


def test_a_route_may_show_a_refused_prompt_to_the_next(replica: FakeReplica) -> None:
    """A route can allow falling back on CONTENT_REJECTED; four attempts are the end then too."""
    course = replica.course(A, B, C, D, E)
    course.goes_on_after_refused_content = True
    assert told(replica.play(course, [failed(Reason.CONTENT_REJECTED)] * 5)) == "abcd."


def test_what_is_known_is_asked_for_anew_before_each_attempt(replica: FakeReplica) -> None:
    """A candidate that opens while an earlier one is tried is passed over, and tried when nobody else is left."""
    course = replica.course(A, B, C)
    course.next(replica.clock())
    replica.trip("b/m")
    course.failed(SICK, replica.clock())
    assert told(replica.play(course, [SICK, SICK])) == "cb."
    assert made(course) == "aBcb"


def test_without_any_candidate_it_ends_at_once(replica: FakeReplica) -> None:
    """Nothing tried: every candidate is recorded with why it was passed over, once."""
    off = replace(A, obstacle=Obstacle(Reason.DISABLED))
    replica.fail("b/m", Reason.RATE_LIMITED, retry_after=7.0)
    course = replica.course(off, B)
    assert told(replica.play(course, [])) == "."
    assert isinstance(course.next(replica.clock()), Ended)
    assert made(course) == "AB"
    assert [event.reason for event in replica.events if isinstance(event, CandidateSkipped)] == [
        Reason.DISABLED,
        Reason.BACKING_OFF,
    ]


def test_events_tell_each_attempt_and_each_fallback_once(replica: FakeReplica) -> None:
    """R11: an attempt starts and ends once, and a fallback names from where, to where and why."""
    replica.play(replica.course(A, B), [SICK, SICK])
    kinds = [type(event) for event in replica.events]
    assert kinds == [AttemptStarted, AttemptFinished, FellBack, AttemptStarted, AttemptFinished]
    assert FellBack("a", "b", Reason.UPSTREAM_ERROR) in replica.events


def test_whoever_leaves_says_nothing_about_the_candidate(replica: FakeReplica) -> None:
    """S2: an attempt that is broken off gives its place back, counts for nothing, and is recorded as such."""
    replica.trip("a/m")
    replica.clock.advance(15)
    course = replica.course(A)
    course.next(replica.clock())
    assert replica.refusal("a/m") is not None
    course.left(failed(Reason.CANCELLED), replica.clock())
    assert replica.refusal("a/m") is None
    assert [failure.reason for failure in course.failures] == [Reason.CANCELLED]


def test_ten_thousand_cancelled_probes_never_leave_a_breaker_stuck(replica: FakeReplica) -> None:
    """S2: however many callers leave while their request is the probe, the next request can be it, and close it."""
    replica.trip("a/m")
    replica.clock.advance(15)
    for _ in range(10_000):
        course = replica.course(A, B)
        step = course.next(replica.clock())
        assert isinstance(step, Try)
        assert step.candidate is A.candidate
        course.left(failed(Reason.CANCELLED), replica.clock())
        replica.events.clear()
    for _ in range(2):
        course = replica.course(A, B)
        course.next(replica.clock())
        course.delivered(replica.clock())
    assert replica.state("a/m") is State.CLOSED


def test_an_end_without_an_attempt_is_a_bug(replica: FakeReplica) -> None:
    """Whoever carries the course out says how an attempt ended once, and only where there is one."""
    course = replica.course(A)
    with pytest.raises(RuntimeError, match="no attempt is under way"):
        course.delivered(replica.clock())
    course.next(replica.clock())
    course.delivered(replica.clock())
    with pytest.raises(RuntimeError, match="no attempt is under way"):
        course.failed(SICK, replica.clock())


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_leaves_the_next_its_usual_time(replica: FakeReplica) -> None:
    """An attempt gets its own limit, or what leaves the next one its p50; the last gets all less 250 ms."""
    first, second = replica.play(replica.course(A, B, seconds=40.0), [SICK])
    assert isinstance(first, Try)
    assert isinstance(second, Try)
    assert first.timeout == 40.0 - RESERVE - 10.0 / 0.8
    assert second.timeout == 39.0 - RESERVE
    (limited,) = replica.play(replica.course(replace(A, limit=5.0), B), [])
    assert isinstance(limited, Try)
    assert limited.timeout == 5.0


@pytest.mark.parametrize(("seconds", "counts"), [(12.0, 0), (13.0, 5)])
def test_a_starved_time_out_counts_for_nothing(replica: FakeReplica, seconds: float, counts: int) -> None:
    """A time-out counts, unless the upstream was given less than the model's p50."""
    for _ in range(5):
        course = replica.course(A, seconds=seconds + RESERVE)
        replica.play(course, [failed(Reason.TIMEOUT)], took=seconds)
    assert (replica.refusal("a/m") is not None) is bool(counts)


def test_a_time_out_for_want_of_a_slot_counts_for_nothing(replica: FakeReplica) -> None:
    """Whoever never had his turn in the provider's queue says nothing about the model."""
    for _ in range(5):
        replica.play(replica.course(A, seconds=60), [failed(Reason.TIMEOUT, Dispatch.NOT_SENT)], took=50)
    assert replica.refusal("a/m") is None


def test_many_pictures_that_no_attempt_has_time_for_count_for_nothing(replica: FakeReplica) -> None:
    """An attempt at eight pictures whose usual time is beyond any attempt's says nothing about the model."""
    request = generation_pb2.GenerateRequest(prompt="a fox", count=8)
    for _ in range(5):
        course = replica.course(entry("a/m", usual=30.0), B, seconds=600.0, request=request)
        replica.play(course, [failed(Reason.TIMEOUT)], took=120)
    assert replica.refusal("a/m") is None


def test_who_is_busy_is_queued_at_when_nobody_else_is_left(replica: FakeReplica) -> None:
    """A candidate that took nobody because another one was there is asked again, without one, when that has failed."""
    busy = failed(Reason.BUSY, Dispatch.NOT_SENT)
    steps = replica.play(replica.course(A, B), [busy, SICK])
    assert told(steps) == "aba"
    assert isinstance(steps[0], Try)
    assert isinstance(steps[-1], Try)
    assert (steps[0].fallback_waits, steps[-1].fallback_waits) == (True, False)


def test_whoever_is_busy_twice_is_left(replica: FakeReplica) -> None:
    """The last candidate that is busy all the same ends the request: it is asked again once."""
    busy = failed(Reason.BUSY, Dispatch.NOT_SENT)
    assert told(replica.play(replica.course(A, B), [busy, SICK, busy])) == "aba."


def test_a_refused_picture_may_be_shown_on_though_it_was_charged(replica: FakeReplica) -> None:
    """Where a route shows refused content to the next one, a charge for what nobody may have is no hindrance."""
    course = replica.course(entry("a/m", payment="pay_once"), B)
    course.goes_on_after_refused_content = True
    assert told(replica.play(course, [failed(Reason.CONTENT_REJECTED, Dispatch.ACCEPTED)])) == "ab"


def test_the_time_of_a_picture_is_its_share_of_the_attempt(replica: FakeReplica) -> None:
    """What is learnt of a model's speed is the time of one picture, however many were asked for."""
    request = generation_pb2.GenerateRequest(prompt="a fox", count=4)
    for _ in range(20):
        course = replica.course(A, request=request)
        course.next(replica.clock())
        course.delivered(replica.clock.advance(40))
    assert replica.admission.usual("a", "m", 0.5, usual=1.0) == 10.0


# ── The same candidate again ─────────────────────────────────────────────────────────────────────────────────────────


def test_who_was_not_heard_is_asked_once_more(replica: FakeReplica) -> None:
    """The same candidate again at most once, where provably nothing was sent; then the next one."""
    course = replica.course(A, B)
    assert told(replica.play(course, [NOT_HEARD, NOT_HEARD, SICK])) == "aab."
    assert made(course) == "aab"
    assert [event for event in replica.events if isinstance(event, FellBack)] == [
        FellBack("a", "b", Reason.UNREACHABLE)
    ]


def test_the_last_candidate_is_given_a_moment(replica: FakeReplica) -> None:
    """Where nobody follows, the repeat waits, for 3 s or a quarter of a short deadline: it may just be starting."""
    steps = replica.play(replica.course(A), [NOT_HEARD, NOT_HEARD])
    assert told(steps) == "apa."
    assert steps[1] == Pause(A.candidate, 3.0)
    assert replica.play(replica.course(A, seconds=2.0), [NOT_HEARD], took=0.0)[1] == Pause(A.candidate, 0.5)


def test_the_last_attempt_is_rather_somebody_elses(replica: FakeReplica) -> None:
    """S2: with one attempt left nobody is waited for and asked again while another candidate is there."""
    assert told(replica.play(replica.course(A, B, C, D), [SICK, SICK, NOT_HEARD])) == "abcd"


def test_a_repeat_needs_admission_like_any_attempt(replica: FakeReplica) -> None:
    """S2: who was not heard is not asked again where an operator, a refusal or its own breaker forbids it meanwhile."""
    course = replica.course(A)
    assert told([course.next(replica.clock())]) == "a"
    course.failed(NOT_HEARD, replica.clock())
    assert told([course.next(replica.clock())]) == "p"
    replica.decide("a", Mode.OPEN)
    assert told(replica.play(course, [])) == "."
    for _ in range(4):
        replica.fail("b/m", Reason.UNREACHABLE)
    assert told(replica.play(replica.course(B, C), [NOT_HEARD])) == "bc"


def test_a_repeat_needs_time(replica: FakeReplica) -> None:
    """An attempt that used up the time is not repeated."""
    assert told(replica.play(replica.course(A, seconds=30.0), [NOT_HEARD], took=30.0)) == "a."


@pytest.mark.parametrize(
    "failure",
    [
        failed(Reason.UNREACHABLE, Dispatch.UNKNOWN),
        failed(Reason.UNREACHABLE, Dispatch.REFUSED),
        failed(Reason.UNREACHABLE, Dispatch.NOT_SENT, phase="connect"),
        failed(Reason.BUSY, Dispatch.NOT_SENT),
        failed(Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT),
    ],
)
def test_who_may_have_been_heard_is_not_asked_again(replica: FakeReplica, failure: Failure) -> None:
    """No repeat where the upstream may have heard us, or where the provider has its own word on it."""
    assert told(replica.play(replica.course(A), [failure])) == "a."


def test_repeats_are_attempts(replica: FakeReplica) -> None:
    """A repeat counts towards the four attempts, and a request has one."""
    assert told(replica.play(replica.course(A, B, C, D), [NOT_HEARD] * 5)) == "aabc."


def test_repeats_have_a_budget(replica: FakeReplica) -> None:
    """With little traffic three repeats in ten seconds are made, then none."""
    told_ = [told(replica.play(replica.course(entry(f"p{n}/m"), B), [NOT_HEARD, NOT_HEARD])) for n in range(4)]
    assert [word.count(f"p{n}") for n, word in enumerate(told_)] == [2, 2, 2, 1]


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_short_loading_is_waited_for_within_the_attempt(replica: FakeReplica) -> None:
    """R8: 20 s of loading are waited for although another candidate is there; what follows is the same attempt."""
    course = replica.course(A, B)
    steps = replica.play(course, [loading(20.0)])
    assert told(steps) == "awa"
    assert steps[1] == Warm(A.candidate, 20.0)
    course.delivered(replica.clock.advance(3))
    assert made(course) == "a"
    (attempt,) = course.record
    assert isinstance(attempt, Made)
    assert (attempt.failure, attempt.seconds) == (None, 24.0)
    assert [step.number for step in steps if isinstance(step, Try)] == [1, 1]
    assert not [event for event in replica.events if isinstance(event, FellBack)]


def test_a_long_loading_is_left_to_others(replica: FakeReplica) -> None:
    """R8: a longer estimate sends the request to the next candidate now."""
    assert told(replica.play(replica.course(A, B), [loading(21.0)])) == "ab"


def test_a_long_loading_is_waited_for_where_nobody_else_is_there(replica: FakeReplica) -> None:
    """R8: where nothing else is admissible an estimate that fits the deadline is waited for; else it is the end."""
    assert told(replica.play(replica.course(A), [loading(100.0)])) == "awa"
    assert told(replica.play(replica.course(B, seconds=100.0), [loading(100.0)])) == "b."


def test_a_long_loading_is_waited_for_when_the_others_have_failed(replica: FakeReplica) -> None:
    """R8: once nothing else is admissible the first candidate's attempt goes on, and its outcome is the last word."""
    course = replica.course(A, B)
    steps = replica.play(course, [loading(60.0), SICK, failed(Reason.TIMEOUT)])
    assert told(steps) == "abwa."
    assert steps[2] == Warm(A.candidate, 59.0)
    assert [step.number for step in steps if isinstance(step, Try)] == [1, 2, 1]
    assert [failure.reason for failure in course.failures] == [Reason.UPSTREAM_ERROR, Reason.TIMEOUT]
    assert [event for event in replica.events if isinstance(event, FellBack)] == [
        FellBack("a", "b", Reason.MODEL_LOADING),
        FellBack("b", "a", Reason.UPSTREAM_ERROR),
    ]


def test_a_verdict_ends_the_waiting_too(replica: FakeReplica) -> None:
    """Where another candidate found the input at fault nobody waits for the first one's model."""
    course = replica.course(A, B)
    assert told(replica.play(course, [loading(60.0), failed(Reason.CONTENT_REJECTED)])) == "ab."


@pytest.mark.parametrize("candidates", [(A, B, C, D), (A, B, C, D, E)])
def test_a_loading_attempt_goes_on_after_the_fourth(replica: FakeReplica, candidates: tuple[Entry, ...]) -> None:
    """R8: what goes on is no new attempt: after the four, the one whose model was loading has its second part."""
    course = replica.course(*candidates)
    assert told(replica.play(course, [loading(60.0), SICK, SICK, SICK, SICK])) == "abcdwa."


def test_a_loading_attempt_leaves_the_next_its_time(replica: FakeReplica) -> None:
    """The second part of the third attempt still has a fourth candidate behind it."""
    steps = replica.play(replica.course(A, B, C, D, seconds=100.0), [SICK, SICK, loading(5.0)])
    assert told(steps) == "abcwc"
    resumed = steps[-1]
    assert isinstance(resumed, Try)
    assert resumed.fallback_waits


def test_a_model_that_stands_still_is_given_up(replica: FakeReplica) -> None:
    """R8: the third estimate that does not fall is OVERLOADED: the next candidate, or the end."""
    course = replica.course(A, B)
    assert told(replica.play(course, [loading(20.0) for _ in range(3)])) == "awawab"
    assert [failure.reason for failure in course.failures] == [Reason.OVERLOADED]
    assert made(course) == "a"


def test_a_request_waits_for_loading_three_times_at_most(replica: FakeReplica) -> None:
    """Estimates that fall all the time do not keep one request submitting for ever."""
    estimates = [loading(20.0 - number) for number in range(9)]
    assert told(replica.play(replica.course(A), estimates)) == "awawawa."


def test_a_model_that_others_found_loading_is_waited_for_before_the_attempt(replica: FakeReplica) -> None:
    """R8: what another request heard is known: the wait comes first, and then the one submission."""
    replica.fail("a/m", Reason.MODEL_LOADING, retry_after=15.0)
    assert told(replica.play(replica.course(A, B), [SICK])) == "wab"


# ── Paying once ──────────────────────────────────────────────────────────────────────────────────────────────────────

ROWS = {
    "refused, DNS, TLS, no local slot": failed(Reason.BUSY, Dispatch.NOT_SENT, billed=False),
    "an HTTP answer of 400 and above": failed(Reason.UPSTREAM_ERROR, Dispatch.REFUSED, billed=False),
    "failed by the upstream's own word": failed(Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, billed=False),
    "cancelled by the upstream's own word": failed(Reason.TIMEOUT, Dispatch.ACCEPTED, billed=False),
    "200 but BAD_OUTPUT": failed(Reason.BAD_OUTPUT, Dispatch.ACCEPTED, billed=True),
    "reset": failed(Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
    "silence": failed(Reason.TIMEOUT, Dispatch.UNKNOWN),
    "silence after its id was seen": failed(Reason.TIMEOUT, Dispatch.ACCEPTED),
    "provider process gone": failed(Reason.UNREACHABLE, Dispatch.UNKNOWN),
    "provider process gone after the id was seen": failed(Reason.UNREACHABLE, Dispatch.ACCEPTED),
}
STOP = {row for row, failure in ROWS.items() if failure.billed is None}
AT_RISK = STOP | {"200 but BAD_OUTPUT"}


@pytest.mark.parametrize("row", ROWS)
def test_pay_once_goes_on_where_nothing_can_be_delivered_twice(replica: FakeReplica, row: str) -> None:
    """Each row of "Paying once": PAY_ONCE goes on where nobody can deliver the first picture any more."""
    course = replica.course(A, B, request=paying(terms_pb2.PAYMENT_PAY_ONCE))
    assert told(replica.play(course, [ROWS[row]])) == ("a." if row in STOP else "ab")
    assert made(course) == ("aB" if row in STOP else "a")


@pytest.mark.parametrize("row", ROWS)
def test_available_goes_on_in_every_row(replica: FakeReplica, row: str) -> None:
    """AVAILABLE goes on at once in every row; what may be charged twice is counted."""
    assert told(replica.play(replica.course(A, B), [ROWS[row]])) == "ab"
    risks = [event for event in replica.events if isinstance(event, ChargeRisked)]
    assert risks == ([ChargeRisked("a")] if row in AT_RISK else [])


@pytest.mark.parametrize("row", sorted(STOP))
def test_the_models_word_holds_where_the_request_says_nothing(replica: FakeReplica, row: str) -> None:
    """A model that is paid once stops the request, unless `routing.payment` says AVAILABLE."""
    once = entry("a/m", payment="pay_once")
    assert told(replica.play(replica.course(once, B), [ROWS[row]])) == "a."
    request = paying(terms_pb2.PAYMENT_AVAILABLE)
    assert told(replica.play(replica.course(once, B, request=request), [ROWS[row]])) == "ab"


def test_what_costs_nothing_may_always_follow(replica: FakeReplica) -> None:
    """After an attempt that may be charged PAY_ONCE goes on to free candidates only, and past the others."""
    free = entry("c/m", credits=0)
    course = replica.course(A, B, free, D, request=paying(terms_pb2.PAYMENT_PAY_ONCE))
    assert told(replica.play(course, [failed(Reason.TIMEOUT, Dispatch.UNKNOWN), SICK])) == "ac."
    assert made(course) == "aBcD"


def test_a_loading_that_may_be_charged_is_not_submitted_again(replica: FakeReplica) -> None:
    """Property 7: what an upstream accepted, or may have, is not submitted again when its model is loaded."""
    for dispatch in (Dispatch.ACCEPTED, Dispatch.UNKNOWN):
        course = replica.course(entry(f"{dispatch.lower()}/m", payment="pay_once"))
        assert len(replica.play(course, [failed(Reason.MODEL_LOADING, dispatch, retry_after=5.0)])) == 2
        assert isinstance(course.next(replica.clock()), Ended)
        assert len(course.record) == 1


def test_after_a_free_attempt_the_first_charge_is_still_to_come(replica: FakeReplica) -> None:
    """What costs nothing stops nobody under PAY_ONCE, however it ends."""
    course = replica.course(entry("a/m", credits=0), B, request=paying(terms_pb2.PAYMENT_PAY_ONCE))
    assert told(replica.play(course, [failed(Reason.UNREACHABLE, Dispatch.UNKNOWN)])) == "ab"


def test_an_unknown_price_is_not_free(replica: FakeReplica) -> None:
    """A candidate of unknown price does not follow under PAY_ONCE."""
    course = replica.course(A, entry("b/m", credits=None), request=paying(terms_pb2.PAYMENT_PAY_ONCE))
    assert told(replica.play(course, [failed(Reason.TIMEOUT, Dispatch.UNKNOWN)])) == "a."


def test_a_free_attempt_risks_no_charge(replica: FakeReplica) -> None:
    """What costs nothing is not counted as a charge that may be paid twice."""
    replica.play(replica.course(entry("a/m", credits=0), B), [failed(Reason.TIMEOUT, Dispatch.UNKNOWN)])
    assert not [event for event in replica.events if isinstance(event, ChargeRisked)]


# ── The last resort ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_request_a_second_tries_an_open_one(replica: FakeReplica) -> None:
    """S2: where nothing is admissible one request a second is let through, the others end at once with its time."""
    replica.trip("a/m")
    assert told(replica.play(replica.course(A), [SICK], took=0.9)) == "a."
    course = replica.course(A)
    assert told(replica.play(course, [])) == "."
    assert made(course) == "A"
    replica.clock.advance(0.1)
    assert told(replica.play(replica.course(A), [SICK])) == "a."


def test_nothing_bypasses_an_operator(replica: FakeReplica) -> None:
    """S2: what an operator opened is not tried, by no request and for no reason."""
    replica.decide("a", Mode.OPEN)
    assert told(replica.play(replica.course(A), [])) == "."


def entries(number: int) -> list[Entry]:
    return [entry(f"p{index}/m") for index in range(number)]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 9])
def test_the_attempts_of_a_request_are_bounded_by_its_candidates(replica: FakeReplica, number: int) -> None:
    """Each candidate once, four at most."""
    steps = replica.play(replica.course(*entries(number)), [SICK] * 9)
    assert sum(isinstance(step, Try) for step in steps) == min(number, MAX_ATTEMPTS)
