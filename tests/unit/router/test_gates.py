"""Whom not to ask for a while, without its being a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.gates import LONGEST_QUOTA_SECONDS, Closed, Gate
from imagegate.runtime.errors import Failure, Reason


def limited(retry_after: float | None = None, reason: Reason = Reason.RATE_LIMITED) -> Failure:
    return Failure(reason, "429", retry_after=retry_after)


def test_it_is_closed_until_its_time() -> None:
    """R9: nobody behind a gate is asked before Retry-After has passed."""
    gate, failure = Gate(), limited(7.0)
    gate.close(failure, 100.0, jitter=0)
    assert gate.closed(106.9) == Closed(Reason.BACKING_OFF, 107.0, failure)
    assert gate.closed(107.0) is None


def test_without_a_retry_after_the_wait_is_guessed_and_doubled() -> None:
    """R9: 1, 2, 4 … up to 60 s, and back to the shortest after a success."""
    gate = Gate()
    waits = [gate.close(limited(), 1000.0 * i, jitter=0) - 1000.0 * i for i in range(8)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    gate.delivered()
    assert gate.close(limited(), 9000.0, jitter=0) == 9001


def test_a_burst_that_is_refused_at_once_doubles_once() -> None:
    """R9: ten requests under way that hear the same 429 are one reason to wait for longer, not ten."""
    gate = Gate()
    assert {gate.close(limited(), 0.0, jitter=0) for _ in range(10)} == {1.0}
    assert {gate.close(limited(), 1.0, jitter=0) for _ in range(10)} == {3.0}


@pytest.mark.parametrize(("jitter", "wait"), [(-1.0, 0.5), (0.0, 1.0), (1.0, 1.5)])
def test_a_guess_is_spread_by_half(jitter: float, wait: float) -> None:
    """Guessed times are spread by ± 50 %; what an upstream asks for is not."""
    assert Gate().close(limited(), 0.0, jitter) == wait
    assert Gate().close(limited(7.0), 0.0, jitter) == 7.0


def test_an_until_never_moves_back() -> None:
    """Property 2: a later, shorter hint does not shorten an earlier one, and no hint reaches beyond its bound."""
    gate = Gate()
    gate.close(limited(100.0), 0.0, jitter=0)
    assert gate.close(limited(5.0), 1.0, jitter=0) == 100.0
    assert gate.close(limited(1e12), 0.0, jitter=0) == 600.0
    assert Gate().close(limited(1e12, Reason.OVER_QUOTA), 0.0, jitter=0) == LONGEST_QUOTA_SECONDS
    assert Gate().close(limited(-5.0), 1.0, jitter=0) == 1.0


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(-1, 1e6), st.floats(-1, 1)), max_size=50))
def test_whatever_is_heard_it_only_extends(hints: list[tuple[float, float | None, float]]) -> None:
    """Property 2: hints extend, never shorten, and never hold back for longer than ten minutes from now."""
    gate, now, until = Gate(), 0.0, 0.0
    for pause, retry_after, jitter in hints:
        now += pause
        later = gate.close(limited(retry_after), now, jitter)
        assert until <= later <= max(until, now + 600.0)
        until = later


@pytest.mark.parametrize(
    ("reason", "skip"),
    [
        (Reason.RATE_LIMITED, Reason.BACKING_OFF),
        (Reason.OVERLOADED, Reason.BACKING_OFF),
        (Reason.OVER_QUOTA, Reason.OVER_QUOTA),
        (Reason.MODEL_LOADING, Reason.WARMING),
    ],
)
def test_a_caller_is_told_what_holds_a_candidate_back(reason: Reason, skip: Reason) -> None:
    """To callers a gate is BACKING_OFF, OVER_QUOTA where a quota is used up, WARMING where a model is loaded."""
    gate = Gate()
    gate.close(limited(5.0, reason), 0.0, jitter=0)
    closed = gate.closed(0.0)
    assert closed is not None
    assert closed.skip is skip


def test_what_it_waited_for_opens_it() -> None:
    """A gate whose reason is gone is open at once, and guesses from the shortest again."""
    gate = Gate()
    for _ in range(3):
        gate.close(limited(), 0.0, jitter=0)
    gate.open()
    assert gate.closed(0.0) is None
    assert gate.close(limited(), 0.0, jitter=0) == 1.0
    assert repr(gate) == "<Gate BACKING_OFF until 1>"
    assert repr(Gate()) == "<Gate>"
