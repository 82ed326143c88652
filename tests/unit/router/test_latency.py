"""What is known of a model's speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.latency import ENOUGH, FACTORS, KEPT, RECENT, SPACING, Latency


def seen(*seconds: float, every: float = SPACING) -> Latency:
    """A model whose pictures took these times, one after another from 0 on."""
    latency = Latency()
    for index, each in enumerate(seconds):
        latency.add(index * every, each)
    return latency


@pytest.mark.parametrize(("share", "factor"), FACTORS.items())
def test_the_catalogue_stands_in_until_enough_was_seen(share: float, factor: float) -> None:
    """Until 20 successes p50, p90, p95, p99 are 1, 2, 2.5 and 4 times the catalogue's usual time."""
    latency = seen(*[0.5] * (ENOUGH - 1))
    assert latency.quantile(share, usual=9.0) == 9.0 * factor
    latency.add(1000.0, 0.5)
    assert latency.quantile(share, usual=9.0) == 0.5


def test_what_was_seen_to_succeed_is_never_overdue() -> None:
    """Before 20 successes the slowest of them moves the p99 up, so that no attempt counts as a hang too early."""
    assert seen(100.0).quantile(0.99, usual=9.0) == 100.0
    assert seen(100.0).quantile(0.95, usual=9.0) == 22.5


@given(st.lists(st.floats(0.01, 600), min_size=ENOUGH, max_size=3 * KEPT))
def test_its_own_pictures_count_from_then_on(seconds: list[float]) -> None:
    """Quantiles rise, are times that were seen, and forget all but the last hundred."""
    latency = seen(*seconds)
    found = [latency.quantile(share, usual=1.0) for share in FACTORS]
    assert found == sorted(found)
    assert set(found) <= set(seconds[-KEPT:])


def test_under_load_it_still_knows_minutes() -> None:
    """Once there are enough, one picture in three seconds is remembered: a burst does not wipe out what was usual."""
    latency = seen(*[5.0] * KEPT)
    for index in range(1000):
        latency.add(KEPT * SPACING + index / 1000, 50.0)
    assert latency.quantile(0.95, usual=1.0) == 5.0
    assert len(latency._kept) <= KEPT
    assert len(latency._recent) <= RECENT


NOW = 1000.0


@pytest.mark.parametrize(
    ("recent", "objective", "is_slow"),
    [
        ([51.0] * 9, None, False),
        ([51.0] * 10, None, True),
        ([50.0] * 10, None, False),
        ([51.0] * 8 + [1.0] * 2, None, True),
        ([51.0] * 7 + [1.0] * 3, None, False),
        ([51.0] * 10, 60.0, False),
        ([61.0] * 10, 60.0, True),
        ([51.0] * 10, 5.0, True),
    ],
)
def test_slow_is_four_in_five_of_ten_beyond_twice_what_was_usual(
    recent: list[float], objective: float | None, is_slow: bool
) -> None:
    """Slow: at least 80 % of at least 10 took longer than twice the p95 before, or than the objective where that
    is more.
    """
    latency = Latency()
    for index, seconds in enumerate(recent):
        latency.add(NOW - 30 + index, seconds)
    assert latency.is_slow(NOW, window=60.0, usual=10.0, objective=objective) is is_slow


def test_slow_is_measured_against_its_own_past_where_there_is_one() -> None:
    """Twenty pictures from before the window are the baseline, in place of the catalogue's word."""
    latency = Latency()
    for index in range(ENOUGH):
        latency.add(NOW - 500 + index, 100.0)
    for index in range(10):
        latency.add(NOW - 30 + index, 150.0)
    assert not latency.is_slow(NOW, window=60.0, usual=10.0, objective=None)
    for index in range(40):
        latency.add(NOW - 20 + index / 10, 201.0)
    assert latency.is_slow(NOW, window=60.0, usual=10.0, objective=None)


def test_slowness_is_forgotten_with_its_window() -> None:
    """One that stands further back sees little traffic: what is older than the window no longer speaks against it."""
    latency = Latency()
    for index in range(10):
        latency.add(NOW + index, 500.0)
    assert latency.is_slow(NOW + 10, window=60.0, usual=10.0, objective=None)
    assert not latency.is_slow(NOW + 70, window=60.0, usual=10.0, objective=None)
