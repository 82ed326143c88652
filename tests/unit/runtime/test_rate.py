"""So many requests a second (R9)."""

import pytest

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.rate import Rate


def refused(rate: Rate, now: float, patience: float) -> Failure:
    with pytest.raises(Failure) as caught:
        rate.take(now, patience)
    assert (caught.value.reason, caught.value.dispatch) == (Reason.RATE_LIMITED, Dispatch.NOT_SENT)
    return caught.value


def test_rate_allows_a_second_at_once() -> None:
    """R9: a second's worth of requests goes at once; the next waits for its turn."""
    rate = Rate(2.0)
    assert [rate.take(0.0, 1.0) for _ in range(4)] == [0, 0, 0.5, 1.0]


def test_rate_tells_who_comes_after_others() -> None:
    """R9: how long it takes may be asked for, and uses nothing up."""
    rate = Rate(2.0)
    assert [rate.wait(0.0, before) for before in (0, 1, 2, 3, 2, 1)] == [0, 0, 0.5, 1.0, 0.5, 0]


def test_rate_refuses_who_would_wait_too_long() -> None:
    """R9: who would wait longer than his patience is told when to come back, and uses nothing up."""
    rate = Rate(0.5)
    assert rate.take(0.0, 1.0) == 0
    for now, wait in ((0.0, 2.0), (0.0, 2.0), (0.5, 1.5)):
        assert refused(rate, now, 1.0).retry_after == pytest.approx(wait)
    assert rate.take(1.0, 1.0) == pytest.approx(1.0)


def test_rate_saves_up_no_more_than_a_second() -> None:
    """R9: a night without requests does not allow a burst in the morning."""
    rate = Rate(3.0)
    rate.take(0.0, None)
    assert [rate.take(36_000.0, None) for _ in range(4)] == [0, 0, 0, pytest.approx(1 / 3)]


def test_rate_keeps_a_burst() -> None:
    """P12: a rate may keep more than a second's worth, and never more than that."""
    rate = Rate(0.5, burst=3)
    assert [rate.take(0.0, 0.0) for _ in range(3)] == [0, 0, 0]
    assert refused(rate, 0.0, 0.0).retry_after == 2
    assert [rate.take(3600.0, None) for _ in range(4)] == [0, 0, 0, 2]


def test_rate_is_owed_what_was_used_beyond_it() -> None:
    """P12: several at once weigh as many; whoever comes next waits for what is owed."""
    rate = Rate(1.0, burst=2)
    assert rate.take(0.0, None, count=5) == 3
    assert refused(rate, 0.0, 0.0).retry_after == 4
    assert rate.take(4.0, 0.0) == 0


@pytest.mark.parametrize("per_second", [0.1, 0.7, 3.0, 1 / 3, 123.456])
def test_who_waited_as_long_as_told_has_its_turn(per_second: float) -> None:
    """R9: no rounding makes anybody wait for a second time."""
    rate, now = Rate(per_second), 1_000_000.123
    while not rate.wait(now):
        rate.take(now, None)
    for _ in range(1000):
        now += rate.wait(now)
        assert rate.take(now, None) == 0


def test_a_token_that_was_not_used() -> None:
    """R9: it is there for the next."""
    rate = Rate(1.0)
    assert rate.take(0.0, 0.0) == 0
    rate.give_back()
    assert rate.take(0.0, 0.0) == 0
