"""The pulse of a process, and what breakers make of it, with time as a number."""

from imagegate.router.breaker import FAILURES_TO_TRIP, CircuitBreaker, State
from imagegate.router.pulse import BEAT_SECONDS, LATE_SECONDS, Pulse
from imagegate.testing import FakeClock

OVERDUE = 2.0
STILL = 5.0


def beat(pulse: Pulse, clock: FakeClock, seconds: float) -> None:
    """Time passes, with a beat whenever one is due."""
    for _ in range(round(seconds / BEAT_SECONDS)):
        pulse.beat(clock.advance(BEAT_SECONDS))


def with_calls_under_way(pulse: Pulse, clock: FakeClock) -> CircuitBreaker:
    """A breaker of as many attempts as trip it once they are overdue."""
    breaker = CircuitBreaker("fal", pulse=pulse)
    for _ in range(FAILURES_TO_TRIP):
        breaker.acquire(clock(), 60.0, OVERDUE)
    return breaker


def test_while_it_beats_others_are_judged() -> None:
    """A process that runs has no excuse: beats in time, and up to as late again, put nothing off."""
    clock, pulse = FakeClock(), Pulse()
    pulse.beat(clock())
    beat(pulse, clock, 10)
    assert pulse.fair_from(clock()) <= clock()
    assert pulse.fair_from(clock.advance(BEAT_SECONDS + LATE_SECONDS)) <= clock()


def test_who_never_beat_is_not_known_to_stand_still() -> None:
    """What has no pulse, or none any more because it stops, judges by time alone."""
    clock, pulse = FakeClock(), Pulse()
    assert pulse.fair_from(clock.advance(3600)) <= clock()
    pulse.beat(clock())
    pulse.stop()
    assert pulse.fair_from(clock.advance(3600)) <= clock()


def test_it_makes_up_for_as_long_as_it_stood_still() -> None:
    """Whoever asks first after a standstill, even before the next beat, is told to wait for that time again."""
    clock, pulse = FakeClock(), Pulse()
    pulse.beat(clock())
    clock.advance(STILL)
    assert pulse.fair_from(clock()) == clock() + STILL
    pulse.beat(clock())
    awake = clock()
    beat(pulse, clock, STILL - BEAT_SECONDS)
    assert pulse.fair_from(clock()) == awake + STILL
    beat(pulse, clock, BEAT_SECONDS)
    assert pulse.fair_from(clock()) <= clock()


def test_a_shorter_standstill_shortens_no_longer_one() -> None:
    """What is being made up for goes on, whatever comes in between."""
    clock, pulse = FakeClock(), Pulse()
    pulse.beat(clock())
    pulse.beat(clock.advance(STILL))
    fair_from = clock() + STILL
    pulse.beat(clock.advance(1))
    assert pulse.fair_from(clock()) == fair_from


def test_no_attempt_is_overdue_because_we_stood_still() -> None:
    """Answers that came while the router stood still wait in its own sockets: nobody's breaker opens for that."""
    clock, pulse = FakeClock(), Pulse()
    pulse.beat(clock())
    breaker = with_calls_under_way(pulse, clock)
    clock.advance(STILL)
    assert breaker.state(clock()) is State.CLOSED
    assert breaker.window.tally(clock()).total == 0


def test_who_hangs_all_the_same_is_found_afterwards() -> None:
    """What is still under way when the time is made up for is overdue then: a hang is seen, only later."""
    clock, pulse = FakeClock(), Pulse()
    pulse.beat(clock())
    breaker = with_calls_under_way(pulse, clock)
    pulse.beat(clock.advance(STILL))
    beat(pulse, clock, STILL - BEAT_SECONDS)
    assert breaker.state(clock()) is State.CLOSED
    beat(pulse, clock, BEAT_SECONDS)
    assert breaker.state(clock()) is State.OPEN
