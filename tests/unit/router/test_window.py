"""What a window remembers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.window import BUCKETS, LONGEST, SHORTEST, OutcomeWindow


@pytest.mark.parametrize(("slow_attempt", "length"), [(1.0, SHORTEST), (40.0, 120.0), (1000.0, LONGEST)])
def test_it_spans_three_slow_attempts(slow_attempt: float, length: float) -> None:
    """The window is three times the p95 of an attempt, within 1 and 10 minutes."""
    window = OutcomeWindow()
    window.span(slow_attempt)
    assert window.length == length


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=200))
def test_it_holds_what_is_younger_and_nothing_that_is_much_older(steps: list[tuple[float, bool]]) -> None:
    """Everything of the last length less a tenth is counted, nothing older than the length is."""
    window = OutcomeWindow(60.0)
    now, outcomes = 0.0, []
    for pause, failed in steps:
        now += pause
        window.add(now, failed=failed)
        outcomes.append((now, failed))
    tally = window.tally(now)
    surely = [failed for at, failed in outcomes if now - at < 60.0 - 60.0 / BUCKETS]
    perhaps = [failed for at, failed in outcomes if now - at < 60.0]
    assert len(surely) <= tally.total <= len(perhaps)
    assert sum(surely) <= tally.failed <= sum(perhaps)
    assert len(window._buckets) <= BUCKETS + 1
