"""The breaker over a count of calls, as published."""

import pytest

from imagegate.runtime.errors import Failure, Reason
from simulation.count_window import CountBreaker, CountWindow, State
from simulation.gateway import Ended, Try
from simulation.traffic import Request

REQUEST = Request(0, 0.0, (10.0, 10.0), lot=0.5)


def opened(now: float = 0.0) -> CountBreaker:
    breaker = CountBreaker()
    for _ in range(100):
        breaker.record(now, failed=True)
    return breaker


@pytest.mark.parametrize(("failures", "state"), [(49, State.CLOSED), (50, State.OPEN)])
def test_it_opens_at_half_of_a_hundred(failures: int, state: State) -> None:
    """Nothing is judged before a hundred calls ended; then 50 % open it."""
    breaker = CountBreaker()
    for number in range(99):
        breaker.record(0.0, failed=number < failures)
        assert breaker.state is State.CLOSED
    breaker.record(0.0, failed=False)
    assert breaker.state is state


def test_the_window_slides() -> None:
    """The hundred-and-first call pushes the first one out."""
    breaker = CountBreaker()
    for failed in [True] * 49 + [False] * 51 + [True] * 49:
        breaker.record(0.0, failed=failed)
    assert breaker.state is State.CLOSED
    breaker.record(0.0, failed=True)
    assert breaker.state is State.OPEN


def test_after_a_minute_ten_calls_are_permitted() -> None:
    """Open for 60 s, then ten at once and no more; a cancelled one gives its permission back."""
    breaker = opened()
    assert not breaker.acquire(59.9)
    assert [breaker.acquire(60.0) for _ in range(11)] == [True] * 10 + [False]
    breaker.release()
    assert breaker.acquire(60.0)


@pytest.mark.parametrize(("failures", "state"), [(4, State.CLOSED), (5, State.OPEN)])
def test_ten_results_decide(failures: int, state: State) -> None:
    """When ten have ended, half of them failed opens it again, less closes it."""
    breaker = opened()
    breaker.acquire(60.0)
    for number in range(10):
        assert breaker.state is State.HALF_OPEN
        breaker.record(70.0, failed=number < failures)
    assert breaker.state is state


def test_each_candidate_is_tried_once_where_its_breaker_permits() -> None:
    """The fallback of one is the next; a caller who leaves is counted nowhere."""
    gateway = CountWindow(["a", "b"], 60.0)
    call = gateway.begin(REQUEST, 0.0)
    assert call.next(0.0) == Try("a", 60.0)
    call.report(Failure(Reason.RATE_LIMITED, "429", upstream_status=429), 1.0)
    assert repr(gateway.breakers["a"]) == "<CountBreaker CLOSED 1 of 1 failed>"
    assert call.next(1.0) == Try("b", 60.0)
    call.left(2.0)
    assert repr(gateway.breakers["b"]) == "<CountBreaker CLOSED 0 of 0 failed>"
    gateway.breakers["a"] = gateway.breakers["b"] = opened()
    assert gateway.begin(REQUEST, 3.0).next(3.0) == Ended(delivered=False)
