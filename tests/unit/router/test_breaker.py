"""The breaker's rules, with time as a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.breaker import (
    FAILURES_TO_TRIP,
    OPEN_SECONDS,
    PROBE_LEASE_SECONDS,
    CircuitBreaker,
    State,
)
from imagegate.testing import FakeClock


def tripped(clock: FakeClock) -> CircuitBreaker:
    breaker = CircuitBreaker("fal")
    for _ in range(FAILURES_TO_TRIP):
        permit = breaker.acquire(clock())
        assert permit is not None
        breaker.failed(permit, clock(), jitter=0)
    return breaker


def test_five_failures_in_a_row_open_it_for_fifteen_seconds() -> None:
    """S2: a breaker opens after five consecutive failures and admits nobody until its time is over."""
    clock = FakeClock()
    breaker = tripped(clock)
    assert breaker.state(clock()) is State.OPEN
    assert breaker.acquire(clock()) is None
    assert breaker.until(clock()) == clock() + OPEN_SECONDS
    clock.advance(OPEN_SECONDS)
    assert breaker.state(clock()) is State.HALF_OPEN


def play(breaker: CircuitBreaker, clock: FakeClock, outcomes: str) -> None:
    """One attempt a second: `.` delivers, `x` fails."""
    for outcome in outcomes:
        permit = breaker.acquire(clock.advance(1))
        assert permit is not None, "refused"
        if outcome == ".":
            breaker.succeeded(permit, clock())
        else:
            breaker.failed(permit, clock(), jitter=0)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("xxxx.xxxx.x", State.OPEN),
        ("x.x.x.x.x", State.CLOSED),
        ("x.x.x.x.xx", State.OPEN),
        ("..x..x..x..x..x..x..x", State.CLOSED),
        ("xxxx", State.CLOSED),
        ("....................xxxxx", State.OPEN),
    ],
)
def test_half_of_at_least_ten_or_five_in_a_row_open_it(outcomes: str, state: State) -> None:
    """S2: it trips on five failures in a row whatever came before, or on half of ten and more in the window."""
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


def test_one_that_flaps_is_remembered_until_it_stays_well() -> None:
    """A relapse soon after closing opens for twice as long; each clean window takes one relapse back."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    play(breaker, clock, "..")
    play(breaker, clock, "xxxxx")
    assert breaker.until(clock()) == clock() + 2 * OPEN_SECONDS
    clock.advance(2 * OPEN_SECONDS)
    play(breaker, clock, "..")
    clock.advance(2 * breaker.window.length)
    play(breaker, clock, "xxxxx")
    assert breaker.until(clock()) == clock() + OPEN_SECONDS


def test_a_late_release_does_not_free_another_probes_place() -> None:
    """A probe whose lease has expired cannot give back the lease of the one that followed it."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    lost = breaker.acquire(clock())
    clock.advance(PROBE_LEASE_SECONDS)
    following = breaker.acquire(clock())
    assert lost is not None
    assert following is not None
    breaker.release(lost)
    assert breaker.acquire(clock()) is None


def test_half_open_lets_one_probe_pass_at_a_time() -> None:
    """While a probe is under way nobody else is admitted; two successes close."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    for _ in range(2):
        probe = breaker.acquire(clock())
        assert probe is not None
        assert probe.probe
        assert breaker.acquire(clock()) is None
        breaker.succeeded(probe, clock())
    assert breaker.state(clock()) is State.CLOSED


def test_a_failed_probe_opens_again_for_twice_as_long() -> None:
    """The first failure in HALF_OPEN opens again, doubled."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    probe = breaker.acquire(clock())
    assert probe is not None
    breaker.failed(probe, clock(), jitter=0)
    assert breaker.until(clock()) == clock() + 2 * OPEN_SECONDS


def test_a_released_probe_gives_its_place_back_at_once() -> None:
    """A neutral end of a probe lets the next request be the probe."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    probe = breaker.acquire(clock())
    assert probe is not None
    breaker.release(probe)
    assert breaker.acquire(clock()) is not None


def test_a_lost_probe_gives_its_place_back_by_itself() -> None:
    """A probe whose holder never reports cannot leave the breaker stuck half-open."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(OPEN_SECONDS)
    assert breaker.acquire(clock()) is not None
    assert breaker.acquire(clock()) is None
    clock.advance(PROBE_LEASE_SECONDS)
    assert breaker.acquire(clock()) is not None


def test_a_result_from_before_the_last_transition_counts_for_nothing() -> None:
    """A late success of an older generation does not close an open breaker, a late failure does not prolong it."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = [breaker.acquire(clock()), breaker.acquire(clock())]
    for _ in range(FAILURES_TO_TRIP):
        permit = breaker.acquire(clock())
        assert permit is not None
        breaker.failed(permit, clock(), jitter=0)
    until = breaker.until(clock())
    for permit in late:
        assert permit is not None
        breaker.succeeded(permit, clock())
        breaker.failed(permit, clock(), jitter=0)
    assert breaker.until(clock()) == until


def test_a_refused_account_opens_at_once_for_ten_minutes() -> None:
    """Refused credentials open without counting, for 10 min, and never beyond the limit."""
    clock = FakeClock()
    breaker = CircuitBreaker("huggingface")
    permit = breaker.acquire(clock())
    assert permit is not None
    breaker.refused(permit, clock(), jitter=0, longest=3600)
    assert breaker.until(clock()) == clock() + 600


def test_a_late_refusal_does_not_open_what_has_closed_since() -> None:
    """Property 8: a 401 of an attempt from before the last transition changes nothing."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    late = breaker.acquire(clock())
    assert late is not None
    for _ in range(FAILURES_TO_TRIP):
        permit = breaker.acquire(clock())
        assert permit is not None
        breaker.failed(permit, clock(), jitter=0)
    clock.advance(OPEN_SECONDS)
    for _ in range(2):
        probe = breaker.acquire(clock())
        assert probe is not None
        breaker.succeeded(probe, clock())
    breaker.refused(late, clock(), jitter=0, longest=3600)
    assert breaker.state(clock()) is State.CLOSED


def test_its_repr_tells_name_and_state() -> None:
    """A breaker in a log line says whose it is and how it stands."""
    assert repr(tripped(FakeClock())) == "<CircuitBreaker fal OPEN>"


@given(st.lists(st.sampled_from(["release", "succeed"]), max_size=60))
def test_no_sequence_of_neutral_outcomes_and_successes_opens_a_breaker(outcomes: list[str]) -> None:
    """Property 1: neutral outcomes change nothing."""
    breaker = CircuitBreaker("fal")
    for outcome in outcomes:
        permit = breaker.acquire(0.0)
        assert permit is not None
        if outcome == "release":
            breaker.release(permit)
        else:
            breaker.succeeded(permit, 0.0)
    assert breaker.state(0.0) is State.CLOSED


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
    breaker = CircuitBreaker("fal")
    for outcome, pause, jitter in steps:
        permit = breaker.acquire(clock())
        if permit is not None and outcome == "fail":
            breaker.failed(permit, clock(), jitter)
        elif permit is not None and outcome == "succeed":
            breaker.succeeded(permit, clock())
        elif permit is not None and outcome == "release":
            breaker.release(permit)
        elif permit is not None and outcome == "refuse":
            breaker.refused(permit, clock(), jitter, longest=3600)
        clock.advance(pause)
    clock.advance(3600 * 1.2 + PROBE_LEASE_SECONDS)
    assert breaker.acquire(clock()) is not None


@pytest.mark.parametrize("jitter", [-1.0, 0.0, 1.0])
def test_the_open_time_is_spread_by_a_fifth(jitter: float) -> None:
    """Open times are spread by ± 20 %, so that replicas do not probe together."""
    clock = FakeClock()
    breaker = CircuitBreaker("fal")
    for _ in range(FAILURES_TO_TRIP):
        permit = breaker.acquire(clock())
        assert permit is not None
        breaker.failed(permit, clock(), jitter)
    until = breaker.until(clock())
    assert until is not None
    assert until - clock() == pytest.approx(OPEN_SECONDS * (1 + 0.2 * jitter))
