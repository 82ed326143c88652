"""So many requests a second (R9)."""

import pytest

from imagegate.runtime.rate import Rate


def test_a_second_at_once() -> None:
    """R9: a second's worth of requests goes at once; the next waits for its turn."""
    rate = Rate(2.0)
    assert [rate.take(0.0) for _ in range(3)] == [True, True, False]
    assert [rate.wait(0.0, before) for before in range(3)] == [0.5, 1.0, 1.5]
    assert rate.take(0.5)
    assert not rate.take(0.5)


def test_who_is_told_to_wait_uses_nothing_up() -> None:
    """R9: asking how long it takes, and asking too early, leave the next turn where it was."""
    rate = Rate(0.5)
    assert rate.take(0.0)
    for now, wait in ((0.0, 2.0), (0.0, 2.0), (0.5, 1.5)):
        assert not rate.take(now)
        assert rate.wait(now) == pytest.approx(wait)
    assert rate.take(2.0)


def test_no_more_than_a_second_is_saved_up() -> None:
    """R9: a night without requests does not allow a burst in the morning."""
    rate = Rate(3.0)
    rate.take(0.0)
    assert [rate.take(36_000.0) for _ in range(4)] == [True, True, True, False]
    assert rate.wait(36_000.0) == pytest.approx(1 / 3)


@pytest.mark.parametrize("per_second", [0.1, 0.7, 3.0, 1 / 3, 123.456])
def test_who_waited_as_long_as_told_has_its_turn(per_second: float) -> None:
    """R9: no rounding makes anybody wait for a second time."""
    rate, now = Rate(per_second), 1_000_000.123
    while rate.take(now):
        pass
    for _ in range(1000):
        now += rate.wait(now)
        assert rate.take(now)


def test_a_token_that_was_not_used() -> None:
    """R9: it is there for the next."""
    rate = Rate(1.0)
    assert rate.take(0.0)
    rate.give_back()
    assert rate.take(0.0)
