"""What is known of a model's speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.latency import ENOUGH, FACTORS, KEPT, Latency


@pytest.mark.parametrize(("share", "factor"), FACTORS.items())
def test_the_catalogue_stands_in_until_enough_was_seen(share: float, factor: float) -> None:
    """Until 20 successes p50, p90, p95, p99 are 1, 2, 2.5 and 4 times the catalogue's usual time."""
    latency = Latency()
    for _ in range(ENOUGH - 1):
        latency.add(1000.0)
    assert latency.quantile(share, usual=9.0) == 9.0 * factor
    latency.add(1000.0)
    assert latency.quantile(share, usual=9.0) == 1000.0


@given(st.lists(st.floats(0.01, 600), min_size=ENOUGH, max_size=3 * KEPT))
def test_its_own_pictures_count_from_then_on(seconds: list[float]) -> None:
    """Quantiles rise, are times that were seen, and forget all but the last hundred."""
    latency = Latency()
    for each in seconds:
        latency.add(each)
    found = [latency.quantile(share, usual=1.0) for share in FACTORS]
    assert found == sorted(found)
    assert set(found) <= set(seconds[-KEPT:])
