"""What a window remembers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.window import BUCKETS, LONGEST, SHORTEST, OutcomeWindow


def filled(**outcomes: str) -> OutcomeWindow:
    """A window with the outcomes of each model: `.` delivered, `x` failed."""
    window = OutcomeWindow()
    for model, marks in outcomes.items():
        for mark in marks:
            window.add(0.0, failed=mark == "x", model=model)
    return window


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


@pytest.mark.parametrize(
    ("outcomes", "is_widespread"),
    [
        ({"a": "x", "b": "x"}, True),
        ({"a": "x.", "b": "x."}, True),
        ({"a": "xxx"}, True),
        ({"a": "xx.."}, True),
        ({"a": "xxx", "b": "."}, False),
        ({"a": "xxx", "b": ".x"}, True),
    ],
)
def test_more_than_one_model_is_to_blame_where_two_failed_or_no_other_was_asked(
    outcomes: dict[str, str], is_widespread: bool
) -> None:
    """Failures are a provider's own where two models or more failed, or the only one with traffic did."""
    assert filled(**outcomes).tally(0.0).is_widespread is is_widespread


def test_a_failure_that_turned_out_to_be_none_is_taken_back_from_its_own_model() -> None:
    """What an early trip counted is withdrawn, and no other model's failure with it."""
    window = filled(a="x", b="x")
    window.withdraw_failure(0.0, "a")
    window.withdraw_failure(0.0, "a")
    tally = window.tally(0.0)
    assert (tally.failed, tally.models_failed) == (1, {"b"})


def test_a_failure_that_has_left_the_window_takes_no_other_with_it() -> None:
    """A withdrawal of what was forgotten meanwhile leaves a later failure of the same model where it is."""
    window = OutcomeWindow()
    window.add(0.0, failed=True)
    window.add(70.0, failed=True)
    window.withdraw_failure(0.0)
    assert window.tally(70.0).failed == 1


def test_what_nobody_asks_about_takes_bounded_memory() -> None:
    """A model that only ever delivers is never counted up, and does not pile up its past."""
    window = OutcomeWindow()
    for second in range(10_000):
        window.add(float(second), failed=False)
    assert len(window._buckets) <= BUCKETS + 1


def test_the_share_of_failures_of_nothing_is_none() -> None:
    """A window without outcomes has no failure rate to speak of, and one with some has their share."""
    assert OutcomeWindow().tally(0.0).failure_rate == 0.0
    assert filled(a="xx.x").tally(0.0).failure_rate == 0.75


def test_its_repr_counts() -> None:
    """A window in a log line says what it holds."""
    assert repr(filled(a="xx.")) == "<OutcomeWindow 60s 1 ok 2 failed>"
