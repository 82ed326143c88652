"""The breaker's rules, with time as a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.breaker import (
    FAILURES_TO_TRIP,
    LEASE_GRACE_SECONDS,
    MAX_OPEN_SECONDS,
    OPEN_SECONDS,
    RAMP_SECONDS,
    CircuitBreaker,
    Permit,
    State,
)
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeClock

TIMEOUT = 60.0
OVERDUE = 40.0


def asked(breaker: CircuitBreaker, clock: FakeClock, model: str = "") -> Permit:
    """An attempt of a minute, which is overdue after 40 s."""
    return breaker.acquire(clock(), TIMEOUT, OVERDUE, model)


def fail(breaker: CircuitBreaker, clock: FakeClock, permit: Permit, *, at_provider: bool = False) -> None:
    """The attempt failed, as the router tells it."""
    breaker.failed(permit, clock(), Failure(Reason.UPSTREAM_ERROR, "500"), at_provider=at_provider)
    breaker.release(permit)


def play(breaker: CircuitBreaker, clock: FakeClock, outcomes: str, model: str = "") -> None:
    """One attempt a second, where it may be asked: `.` delivers, `x` fails, `-` says nothing."""
    for outcome in outcomes:
        clock.advance(1)
        assert breaker.until(clock()) is None, "refused"
        permit = asked(breaker, clock, model)
        match outcome:
            case ".":
                breaker.succeeded(permit, clock())
            case "x":
                fail(breaker, clock, permit)
            case "-":
                breaker.release(permit)


def tripped(clock: FakeClock, jitter: float = 0.0) -> CircuitBreaker:
    """A breaker that has just opened."""
    breaker = CircuitBreaker("fal", lambda: jitter)
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    return breaker


def half_open(clock: FakeClock) -> CircuitBreaker:
    """A breaker whose next attempt is its probe."""
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    return breaker


# ── Tripping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_failures_in_a_row_open_it_for_fifteen_seconds() -> None:
    """S2: a breaker opens after five consecutive failures, with one upstream too, until its time is over."""
    clock = FakeClock()
    breaker = tripped(clock)
    assert breaker.state(clock()) is State.OPEN
    assert breaker.until(clock()) == clock() + OPEN_SECONDS
    clock.advance(OPEN_SECONDS)
    assert breaker.state(clock()) is State.HALF_OPEN
    assert breaker.until(clock()) is None


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("xxxx.xxxx.x", State.OPEN),
        ("x.x.x.x.x", State.CLOSED),
        ("x.x.x.x.xx", State.OPEN),
        ("..x..x..x..x..x..x..x", State.CLOSED),
        ("xxxx", State.CLOSED),
        ("....................xxxxx", State.OPEN),
        ("xx-xx---x", State.OPEN),
        ("x.x.x-.x.-x----", State.CLOSED),
    ],
)
def test_half_of_at_least_ten_or_five_in_a_row_open_it(outcomes: str, state: State) -> None:
    """S2: it trips on five failures in a row whatever came before, or on half of ten and more in the window; what says
    nothing is in no denominator.
    """
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    play(breaker, clock, outcomes)
    assert breaker.state(clock()) is state


def test_what_left_the_window_does_not_count() -> None:
    """Failures of long ago trip nothing together with those of today."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(12):
        play(breaker, clock, "xx.")
        clock.advance(breaker.window.length)
    assert breaker.state(clock()) is State.CLOSED


def test_a_provider_opens_when_two_of_its_models_fail() -> None:
    """A provider's pooled window trips it with failures of two models, not of one while another one has traffic."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    play(breaker, clock, ".", model="well")
    play(breaker, clock, "x" * 20, model="sick")
    assert breaker.state(clock()) is State.CLOSED
    play(breaker, clock, "x", model="well")
    assert breaker.state(clock()) is State.OPEN


def test_a_provider_opens_by_its_only_model_with_traffic() -> None:
    """A provider of which one model is used is as sick as that model."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    play(breaker, clock, "xxxxx", model="only")
    assert breaker.state(clock()) is State.OPEN


def test_what_would_fail_with_any_model_needs_no_second_one() -> None:
    """A provider that cannot be reached opens although only one model was asked for."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    play(breaker, clock, ".", model="well")
    for _ in range(FAILURES_TO_TRIP):
        fail(breaker, clock, asked(breaker, clock, "sick"), at_provider=True)
    assert breaker.state(clock()) is State.OPEN


@pytest.mark.parametrize("jitter", [-1.0, 0.0, 1.0])
def test_the_open_time_is_spread_by_a_fifth(jitter: float) -> None:
    """Open times are spread by ± 20 %, so that replicas do not probe together."""
    clock = FakeClock()
    until = tripped(clock, jitter).until(clock())
    assert until is not None
    assert until - clock() == pytest.approx(OPEN_SECONDS * (1 + 0.2 * jitter))


def test_relapses_double_the_time_up_to_five_minutes() -> None:
    """Open for 15 s, doubled by each relapse, at most 300 s."""
    clock = FakeClock()
    breaker = tripped(clock)
    lengths = []
    for _ in range(7):
        until = breaker.until(clock())
        assert until is not None
        lengths.append(until - clock())
        clock.advance(until - clock() - 1)
        play(breaker, clock, "x")
    assert lengths == [15, 30, 60, 120, 240, 300, MAX_OPEN_SECONDS]


def test_one_that_flaps_is_remembered_until_it_stays_well() -> None:
    """A relapse soon after closing opens for twice as long; each clean window takes one relapse back."""
    clock = FakeClock()
    breaker = half_open(clock)
    play(breaker, clock, "..")
    play(breaker, clock, "xxxxx")
    assert breaker.until(clock()) == clock() + 2 * OPEN_SECONDS
    clock.advance(2 * OPEN_SECONDS)
    play(breaker, clock, "..")
    clock.advance(2 * breaker.window.length)
    play(breaker, clock, "xxxxx")
    assert breaker.until(clock()) == clock() + OPEN_SECONDS


# ── Early trip ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_attempts_that_hang_trip_it_before_their_time_outs() -> None:
    """An attempt in flight longer than its p99 counts as a failure: a hang is seen then, not at the time-out."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(FAILURES_TO_TRIP):
        asked(breaker, clock)
    clock.advance(OVERDUE - 0.1)
    assert breaker.state(clock()) is State.CLOSED
    clock.advance(0.1)
    assert breaker.state(clock()) is State.OPEN
    assert breaker.because is not None
    assert breaker.because.reason is Reason.TIMEOUT


def test_an_overdue_attempt_that_delivers_after_all_is_no_failure() -> None:
    """The provisional failure is withdrawn if the attempt succeeds later."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = [asked(breaker, clock) for _ in range(FAILURES_TO_TRIP - 1)]
    clock.advance(OVERDUE)
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.window.tally(clock()).failed == FAILURES_TO_TRIP - 1
    for permit in late:
        breaker.succeeded(permit, clock())
    tally = breaker.window.tally(clock())
    assert (tally.failed, tally.succeeded) == (0, FAILURES_TO_TRIP - 1)
    play(breaker, clock, "xxxx")
    assert breaker.state(clock()) is State.CLOSED


def test_an_overdue_attempt_that_fails_counts_once() -> None:
    """What was counted when it became overdue is not counted again when it ends."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = [asked(breaker, clock) for _ in range(FAILURES_TO_TRIP - 1)]
    clock.advance(OVERDUE)
    assert breaker.state(clock()) is State.CLOSED
    for permit in late:
        fail(breaker, clock, permit)
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.window.tally(clock()).failed == FAILURES_TO_TRIP - 1


def test_an_attempt_that_ended_is_not_overdue() -> None:
    """Nothing that was settled in time counts later."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    play(breaker, clock, "-" * 10)
    clock.advance(OVERDUE)
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.window.tally(clock()).total == 0
    assert not breaker._under_way


# ── Half open ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_half_open_lets_one_probe_pass_at_a_time() -> None:
    """While a probe is under way nobody else is admitted; two successes close."""
    clock = FakeClock()
    breaker = half_open(clock)
    for _ in range(2):
        assert breaker.state(clock()) is State.HALF_OPEN
        probe = asked(breaker, clock)
        assert probe.is_probe
        assert breaker.until(clock()) is not None
        assert not asked(breaker, clock).is_probe
        breaker.succeeded(probe, clock())
    assert breaker.state(clock()) is State.CLOSED


def test_a_failed_probe_opens_again_for_twice_as_long() -> None:
    """The first failure in HALF_OPEN opens again, doubled."""
    clock = FakeClock()
    breaker = half_open(clock)
    play(breaker, clock, ".x")
    assert breaker.until(clock()) == clock() + 2 * OPEN_SECONDS


def test_a_released_probe_gives_its_place_back_at_once() -> None:
    """A neutral end of a probe lets the next request be the probe."""
    clock = FakeClock()
    breaker = half_open(clock)
    breaker.release(asked(breaker, clock))
    assert breaker.until(clock()) is None
    assert asked(breaker, clock).is_probe


def test_a_lost_probe_gives_its_place_back_by_itself() -> None:
    """The lease of a probe that never reports expires soon after it is overdue: a hang does not put off recovery."""
    clock = FakeClock()
    breaker = half_open(clock)
    asked(breaker, clock)
    assert breaker.until(clock()) == clock() + OVERDUE + LEASE_GRACE_SECONDS
    clock.advance(OVERDUE + LEASE_GRACE_SECONDS)
    assert asked(breaker, clock).is_probe


def test_a_probe_with_little_time_holds_its_place_no_longer() -> None:
    """The lease of a probe ends with its time-out where that comes before it is overdue."""
    clock = FakeClock()
    breaker = half_open(clock)
    breaker.acquire(clock(), timeout=1, overdue_after=OVERDUE)
    assert breaker.until(clock()) == clock() + 1 + LEASE_GRACE_SECONDS


def test_a_row_is_counted_by_when_attempts_began() -> None:
    """Early trip: what was under way when a hang began and delivers late does not hide that all later ones fail."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    before = [asked(breaker, clock) for _ in range(5)]
    for late in before:
        breaker.failed(asked(breaker, clock), clock.advance(1))
        breaker.succeeded(late, clock())
    assert breaker.state(clock()) is State.OPEN


def test_what_began_before_a_delivery_is_no_row() -> None:
    """No false trip: stragglers of before, however many, do not open a breaker whose later attempts deliver."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(30):
        play(breaker, clock, ".")
    stragglers = [asked(breaker, clock) for _ in range(9)]
    play(breaker, clock, ".")
    for straggler in stragglers:
        breaker.failed(straggler, clock.advance(0.1))
    assert breaker.state(clock()) is State.CLOSED


def test_a_late_release_does_not_free_another_probes_place() -> None:
    """A probe whose lease has expired cannot give back the lease of the one that followed it."""
    clock = FakeClock()
    breaker = half_open(clock)
    lost = asked(breaker, clock)
    clock.advance(TIMEOUT + LEASE_GRACE_SECONDS)
    asked(breaker, clock)
    breaker.release(lost)
    assert breaker.until(clock()) is not None


def test_ten_thousand_cancelled_probes_never_leave_it_stuck() -> None:
    """However many probes are cancelled or lost, the next request can be the probe, and two successes close."""
    clock = FakeClock()
    breaker = half_open(clock)
    for number in range(10_000):
        probe = asked(breaker, clock)
        assert probe.is_probe
        if number % 10:
            breaker.release(probe)
        else:  # lost: nobody ever tells
            clock.advance(TIMEOUT + LEASE_GRACE_SECONDS)
    play(breaker, clock, "..")
    assert breaker.state(clock()) is State.CLOSED


# ── Trials: nobody else was left ─────────────────────────────────────────────────────────────────────────────────────


def test_a_trials_success_counts_and_its_failure_does_not() -> None:
    """An attempt made although it is open may close it, by two successes, and does not prolong it."""
    clock = FakeClock()
    breaker = tripped(clock)
    until = breaker.until(clock())
    breaker.succeeded(asked(breaker, clock), clock())
    fail(breaker, clock, asked(breaker, clock))
    breaker.succeeded(asked(breaker, clock), clock())
    assert breaker.until(clock()) == until
    breaker.succeeded(asked(breaker, clock), clock())
    assert breaker.state(clock()) is State.CLOSED


def test_a_trial_that_began_while_it_was_open_may_tell_when_it_is_half_open() -> None:
    """By becoming half open no older result is outdated; but a trial is no probe, and its failure opens nothing."""
    clock = FakeClock()
    breaker = tripped(clock)
    trials = [asked(breaker, clock) for _ in range(3)]
    clock.advance(OPEN_SECONDS)
    assert breaker.state(clock()) is State.HALF_OPEN
    fail(breaker, clock, trials[0])
    assert breaker.state(clock()) is State.HALF_OPEN
    for trial in trials[1:]:
        breaker.succeeded(trial, clock())
    assert breaker.state(clock()) is State.CLOSED


def test_a_trial_beside_the_probe_leaves_it_its_lease() -> None:
    """While a probe is under way another attempt neither takes its lease nor gives it back."""
    clock = FakeClock()
    breaker = half_open(clock)
    asked(breaker, clock)
    until = breaker.until(clock())
    clock.advance(1)
    breaker.release(asked(breaker, clock))
    assert breaker.until(clock()) == until


# ── Generations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_result_from_before_the_last_transition_counts_for_nothing() -> None:
    """A late success of an older generation does not close an open breaker, a late failure does not prolong it."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = [asked(breaker, clock) for _ in range(3)]
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    until = breaker.until(clock())
    for permit in late:
        breaker.succeeded(permit, clock())
        fail(breaker, clock, permit)
    assert breaker.until(clock()) == until
    assert breaker.state(clock()) is State.OPEN


def test_a_late_refusal_does_not_open_what_has_closed_since() -> None:
    """Property 8: a 401 of an attempt from before the last transition changes nothing."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = asked(breaker, clock)
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    clock.advance(OPEN_SECONDS)
    play(breaker, clock, "..")
    breaker.refused(late, clock(), longest=3600)
    assert breaker.state(clock()) is State.CLOSED


def test_what_hung_before_a_transition_is_not_overdue_after_it() -> None:
    """An attempt of an older generation counts for nothing, however long it takes."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(FAILURES_TO_TRIP):
        asked(breaker, clock)
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    clock.advance(OPEN_SECONDS)
    play(breaker, clock, "..")
    clock.advance(OVERDUE)
    assert breaker.state(clock()) is State.CLOSED


# ── Refusals, keys and operators ─────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_account_opens_at_once_for_ten_minutes() -> None:
    """Refused credentials open without counting, for 10 min, doubled by each refusal that follows, up to 1 h."""
    clock = FakeClock()
    breaker = CircuitBreaker("huggingface")
    for length in (600, 1200, 2400, 3600, 3600):
        breaker.refused(asked(breaker, clock), clock(), longest=3600)
        assert breaker.until(clock()) == clock() + length
        assert breaker.is_refused
        clock.advance(length)


def test_refusals_are_counted_by_themselves() -> None:
    """A first refusal holds for 10 min however often failures had opened it before, or refusals before it delivered."""
    clock = FakeClock()
    breaker = half_open(clock)
    for _ in range(4):
        play(breaker, clock, "x")
        clock.advance(MAX_OPEN_SECONDS)
    for _ in range(2):
        breaker.refused(asked(breaker, clock), clock(), longest=3600)
        assert breaker.until(clock()) == clock() + 600
        clock.advance(600)
        play(breaker, clock, "..")


def test_another_key_lets_the_next_request_find_out() -> None:
    """What speaks for a refused account ends its time; closing takes two deliveries as ever."""
    clock = FakeClock()
    breaker = CircuitBreaker("huggingface")
    breaker.refused(asked(breaker, clock), clock(), longest=3600)
    breaker.give_chance(clock())
    assert breaker.state(clock()) is State.HALF_OPEN
    play(breaker, clock, "..")
    assert breaker.state(clock()) is State.CLOSED
    assert not breaker.is_refused


def test_a_refusal_during_a_trial_opens_for_the_longer_time() -> None:
    """A refused account holds longer than the statistics that had opened it."""
    clock = FakeClock()
    breaker = tripped(clock)
    breaker.refused(asked(breaker, clock), clock(), longest=3600)
    assert breaker.is_refused
    until = breaker.until(clock())
    assert until is not None
    assert until - clock() >= 600


def test_an_operators_reset_forgets_everything() -> None:
    """Who resets a breaker gets it closed, with all of its traffic, no relapses and an empty window."""
    clock = FakeClock()
    breaker = tripped(clock)
    breaker.reset(clock())
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.share(clock()) == 1.0
    play(breaker, clock, "xxxx")
    assert breaker.state(clock()) is State.CLOSED
    play(breaker, clock, "x")
    assert breaker.until(clock()) == clock() + OPEN_SECONDS


def test_what_an_operator_closed_opens_for_no_longer_than_its_new_failures_ask_for() -> None:
    """The end of a refusal that an operator took back does not come back with the next trip."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    breaker.refused(asked(breaker, clock), clock(), longest=3600)
    breaker.reset(clock())
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    assert breaker.until(clock()) == clock() + OPEN_SECONDS


# ── After closing ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_closing_its_traffic_comes_back_over_half_a_minute() -> None:
    """Slow start: from 10 % to 100 % within 30 s after closing; one that never opened has all of it."""
    clock = FakeClock()
    assert CircuitBreaker("fal").share(clock()) == 1.0
    breaker = half_open(clock)
    play(breaker, clock, "..")
    shares = []
    for _ in range(4):
        shares.append(breaker.share(clock()))
        clock.advance(RAMP_SECONDS / 3)
    assert shares == pytest.approx([0.1, 0.4, 0.7, 1.0])


# ── For people, and for whoever only looks ───────────────────────────────────────────────────────────────────────────


def test_looking_changes_nothing() -> None:
    """Whoever only looks sees it half open when its time is over, without making it so."""
    clock = FakeClock()
    moves: list[State] = []
    breaker = CircuitBreaker("fal", moved=lambda state, _: moves.append(state))
    play(breaker, clock, "x" * FAILURES_TO_TRIP)
    clock.advance(OPEN_SECONDS)
    assert breaker.peek(clock()) is State.HALF_OPEN
    assert moves == [State.OPEN]
    assert breaker.state(clock()) is State.HALF_OPEN
    assert moves == [State.OPEN, State.HALF_OPEN]


def test_its_repr_tells_name_and_state() -> None:
    """A breaker in a log line says whose it is and how it stands."""
    assert repr(tripped(FakeClock())) == "<CircuitBreaker fal OPEN>"


# ── Properties of one breaker ────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from(["release", "succeed"]), max_size=60))
def test_no_sequence_of_neutral_outcomes_and_successes_opens_a_breaker(outcomes: list[str]) -> None:
    """Property 1: neutral outcomes change nothing."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for outcome in outcomes:
        play(breaker, clock, "." if outcome == "succeed" else "-")
    assert breaker.state(clock()) is State.CLOSED


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fail", "succeed", "release", "lose", "refuse"]),
            st.floats(0, 400, allow_nan=False),
            st.floats(-1, 1, allow_nan=False),
        ),
        max_size=80,
    )
)
def test_it_always_admits_somebody_again(steps: list[tuple[str, float, float]]) -> None:
    """Property 5: whatever happens, a breaker admits an attempt again within a bounded time."""
    clock = FakeClock()
    jitters = iter(jitter for _, _, jitter in steps)
    breaker = CircuitBreaker("fal", lambda: next(jitters, 1.0))
    for outcome, pause, _ in steps:
        permit = asked(breaker, clock)
        match outcome:
            case "fail":
                fail(breaker, clock, permit)
            case "succeed":
                breaker.succeeded(permit, clock())
            case "release":
                breaker.release(permit)
            case "refuse":
                breaker.refused(permit, clock(), longest=3600)
        clock.advance(pause)
    breaker.state(clock.advance(OVERDUE))  # what was lost is overdue now, and may open it once more
    clock.advance(3600 * 1.2 + TIMEOUT + LEASE_GRACE_SECONDS)
    assert breaker.until(clock()) is None


def test_a_queue_that_moves_is_no_hang() -> None:
    """Early trip: attempts that wait in the provider's own queue are not overdue while others are delivered."""
    clock = FakeClock()
    breaker = CircuitBreaker("webui")
    queued = [breaker.acquire(clock(), TIMEOUT, OVERDUE, may_queue=True) for _ in range(15)]
    for permit in queued:
        breaker.succeeded(permit, clock.advance(OVERDUE - 1))
        assert breaker.state(clock()) is State.CLOSED


def test_a_queue_that_stands_is_a_hang() -> None:
    """Early trip: when nothing was delivered for as long as an attempt may take, those in the queue are overdue."""
    clock = FakeClock()
    breaker = CircuitBreaker("webui")
    queued = [breaker.acquire(clock(), TIMEOUT, OVERDUE, may_queue=True) for _ in range(7)]
    breaker.succeeded(queued[0], clock.advance(5))
    clock.advance(OVERDUE - 1)
    assert breaker.state(clock()) is State.CLOSED
    clock.advance(1)
    assert breaker.state(clock()) is State.OPEN


def test_overdue_attempts_whose_callers_leave_are_forgotten() -> None:
    """What is remembered of an overdue attempt ends with it."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(100):
        overdue = asked(breaker, clock)
        clock.advance(OVERDUE)
        breaker.state(clock())
        breaker.release(overdue)
        play(breaker, clock, "......")
    assert not breaker._provisional
