"""The timer cooldown, as published."""

import random

import pytest

from imagegate.runtime.errors import Failure, Reason
from simulation.cooldown import Cooldown
from simulation.gateway import Ended, Try, Wait
from simulation.traffic import Request

REQUEST = Request(0, 0.0, (10.0, 10.0), lot=0.5)


def gateway(*candidates: str) -> Cooldown:
    return Cooldown(candidates, 60.0, random.Random(1))  # noqa: S311 it must repeat


def answered(status: int, retry_after: float | None = None) -> Failure:
    return Failure(Reason.UPSTREAM_ERROR, "no", upstream_status=status, retry_after=retry_after)


@pytest.mark.parametrize("status", [401, 404, 429])
def test_one_such_failure_cools_for_five_seconds(status: int) -> None:
    """401, 404 and 429 take a deployment out at once, for 5 s, without a probe after."""
    cooldown = gateway("a", "b")
    cooldown.failed("a", answered(status), 100.0)
    assert [list(cooldown.open_to(now)) for now in (100.0, 104.9, 105.0)] == [["b"], ["b"], ["a", "b"]]


def test_a_retry_after_stands_in_for_the_five_seconds() -> None:
    """What the upstream says comes first."""
    cooldown = gateway("a", "b")
    cooldown.failed("a", answered(429, retry_after=30.0), 100.0)
    assert list(cooldown.open_to(129.0)) == ["b"]


def test_more_than_half_of_five_in_a_clock_minute_cool_it() -> None:
    """Exactly half is not enough, nor are four; the next minute begins anew."""
    cooldown = gateway("a", "b")
    for _ in range(4):
        cooldown.failed("a", answered(500), 59.0)
    assert list(cooldown.open_to(59.0)) == ["a", "b"]
    for _ in range(2):
        cooldown.succeeded("a", 61.0)
        cooldown.failed("a", answered(500), 61.0)
    assert list(cooldown.open_to(61.0)) == ["a", "b"]
    cooldown.failed("a", answered(500), 61.0)
    assert list(cooldown.open_to(61.0)) == ["b"]


def test_a_time_out_counts_and_does_not_cool_by_itself() -> None:
    """408 is worth a retry: only its share of the minute cools."""
    cooldown = gateway("a", "b")
    cooldown.failed("a", Failure(Reason.TIMEOUT, "late"), 1.0)
    assert repr(cooldown) == "<Cooldown none>"
    for _ in range(4):
        cooldown.failed("a", Failure(Reason.TIMEOUT, "late"), 1.0)
    assert repr(cooldown) == "<Cooldown a until 6s>"


def test_a_rejected_input_counts_nowhere() -> None:
    """400 and its like say nothing about a deployment."""
    cooldown = gateway("a", "b")
    for _ in range(100):
        cooldown.failed("a", answered(400), 1.0)
    assert list(cooldown.open_to(1.0)) == ["a", "b"]


def test_the_only_deployment_is_not_cooled() -> None:
    """Not by 429 and 500, until a thousand of a minute failed; where all cool, all are asked."""
    cooldown = gateway("a")
    for _ in range(999):
        cooldown.failed("a", answered(500), 1.0)
    assert repr(cooldown) == "<Cooldown none>"
    cooldown.failed("a", answered(429), 1.0)
    assert repr(cooldown) == "<Cooldown a until 6s>"
    assert list(cooldown.open_to(1.0)) == ["a"]


def test_a_failed_request_falls_back_at_once() -> None:
    """The next deployment that did not fail it."""
    call = gateway("a", "b").begin(REQUEST, 0.0)
    assert call.next(0.0) == Try("a", 60.0)
    call.report(answered(400), 1.0)
    assert call.next(1.0) == Try("b", 60.0)
    call.report(None, 2.0)
    assert call.next(2.0) == Ended(delivered=True)


def test_where_nobody_is_left_it_retries_twice() -> None:
    """After the Retry-After, or half a second doubled with jitter; then the caller gets the error."""
    call = gateway("a").begin(REQUEST, 0.0)
    waits = []
    for retry_after in (None, 7.0, None):
        assert call.next(0.0) == Try("a", 60.0)
        call.report(answered(429, retry_after), 0.0)
        waits.append(call.next(0.0))
    assert isinstance(waits[0], Wait)
    assert 0.5 <= waits[0].seconds <= 1.25
    assert waits[1:] == [Wait(7.0), Ended(delivered=False)]


def test_what_is_not_worth_a_retry_ends_at_once() -> None:
    """A refused key or input is refused again."""
    for status in (400, 401):
        call = gateway("a").begin(REQUEST, 0.0)
        call.next(0.0)
        call.report(answered(status), 0.0)
        assert call.next(0.0) == Ended(delivered=False)
