"""The pulse of a process, and what breakers make of it, with time as a number."""

import pytest

from imagegate.router.breaker import FAILURES_TO_TRIP, CircuitBreaker, State
from imagegate.router.pulse import BEAT_SECONDS, LATE_SECONDS, MAKE_UP_SECONDS, Pulse
from imagegate.testing import FakeClock

OVERDUE = 2.0
STILL = 4.0


def beat(pulse: Pulse, clock: FakeClock, seconds: float, every: float = BEAT_SECONDS) -> None:
    """Time passes, with beats."""
    for _ in range(round(seconds / every)):
        pulse.beat(clock.advance(every))


def beating(clock: FakeClock) -> Pulse:
    """A pulse that has begun."""
    pulse = Pulse()
    pulse.beat(clock())
    return pulse


def with_calls_under_way(pulse: Pulse, clock: FakeClock) -> CircuitBreaker:
    """A breaker of as many attempts as trip it once they are overdue."""
    breaker = CircuitBreaker("fal", pulse=pulse)
    for _ in range(FAILURES_TO_TRIP):
        breaker.acquire(clock(), 60.0, OVERDUE)
    return breaker


def test_while_it_beats_others_are_judged() -> None:
    """A process that runs has no excuse: beats in time, and up to as late again, lose nothing."""
    clock = FakeClock()
    pulse = beating(clock)
    beat(pulse, clock, 10)
    clock.advance(BEAT_SECONDS + LATE_SECONDS)
    assert pulse.lost(clock()) == 0
    assert pulse.fair_from(clock(), clock()) == clock()


def test_who_never_beat_is_not_known_to_stand_still() -> None:
    """What has no pulse, or none any more because it stops, judges by time alone."""
    clock, pulse = FakeClock(), Pulse()
    assert pulse.lost(clock.advance(3600)) == 0
    pulse.beat(clock())
    pulse.stop()
    clock.advance(3600)
    assert pulse.lost(clock()) == 0
    assert pulse.fair_from(clock(), clock()) == clock()


def test_what_is_lost_is_known_before_the_next_beat() -> None:
    """Whoever asks first after a standstill hears of it, and it is counted once."""
    clock = FakeClock()
    pulse = beating(clock)
    clock.advance(STILL + BEAT_SECONDS)
    assert pulse.lost(clock()) == pytest.approx(STILL)
    assert pulse.fair_from(clock(), clock()) == pytest.approx(clock() + STILL)
    pulse.beat(clock())
    awake = clock()
    beat(pulse, clock, STILL / 2)
    assert pulse.lost(clock()) == pytest.approx(STILL)
    assert pulse.fair_from(awake, clock()) == pytest.approx(awake + STILL)


def test_an_hour_is_made_up_for_in_seconds() -> None:
    """A process that was paused for long needs no longer to read what waits in its sockets."""
    clock = FakeClock()
    pulse = beating(clock)
    pulse.beat(clock.advance(3600))
    assert pulse.fair_from(clock(), clock()) == pytest.approx(clock() + MAKE_UP_SECONDS)


def test_a_shorter_standstill_shortens_no_longer_one() -> None:
    """What is being made up for goes on, whatever comes in between."""
    clock = FakeClock()
    pulse = beating(clock)
    pulse.beat(clock.advance(STILL + BEAT_SECONDS))
    awake = clock()
    pulse.beat(clock.advance(1))
    assert pulse.fair_from(clock(), clock()) == pytest.approx(awake + STILL)


def test_no_attempt_is_overdue_because_we_stood_still() -> None:
    """Answers that came while the router stood still wait in its own sockets: no breaker opens for that."""
    clock = FakeClock()
    pulse = beating(clock)
    breaker = with_calls_under_way(pulse, clock)
    clock.advance(STILL)
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.window.tally(clock()).total == 0


def test_who_hangs_all_the_same_is_found_afterwards() -> None:
    """What is still under way when the lost time is made up for is overdue: a hang is seen, only later."""
    clock = FakeClock()
    pulse = beating(clock)
    breaker = with_calls_under_way(pulse, clock)
    pulse.beat(clock.advance(STILL + BEAT_SECONDS))
    beat(pulse, clock, STILL - BEAT_SECONDS)
    assert breaker.state(clock()) is State.CLOSED
    beat(pulse, clock, BEAT_SECONDS)
    assert breaker.state(clock()) is State.OPEN


@pytest.mark.parametrize("every", [0.55, 1.0, 4.0])
def test_a_process_that_always_lags_sees_a_hang_too(every: float) -> None:
    """However often the process stands still, who hangs is found in the time that is left, and a few seconds."""
    clock = FakeClock()
    pulse = beating(clock)
    breaker = with_calls_under_way(pulse, clock)
    began, runs = clock(), BEAT_SECONDS / every
    while breaker.state(clock()) is State.CLOSED:
        beat(pulse, clock, every, every)
        assert clock() - began < (OVERDUE + MAKE_UP_SECONDS) / runs + every, "it is never seen"


def test_who_begins_after_a_pause_of_an_hour_is_judged_as_ever() -> None:
    """Lost time is that of the attempts which it was lost for."""
    clock = FakeClock()
    pulse = beating(clock)
    pulse.beat(clock.advance(3600))
    beat(pulse, clock, MAKE_UP_SECONDS)
    breaker = with_calls_under_way(pulse, clock)
    beat(pulse, clock, OVERDUE - BEAT_SECONDS)
    assert breaker.state(clock()) is State.CLOSED
    beat(pulse, clock, BEAT_SECONDS)
    assert breaker.state(clock()) is State.OPEN
