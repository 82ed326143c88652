"""How time is shared out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.budget import RESERVE, attempt_timeout, own_limit
from imagegate.runtime.models import Model

MODEL = Model(key="m", display_name="m", upstream_model="m", typical_seconds=(3, 15))


@pytest.mark.parametrize(
    ("remaining", "limit", "next_usual", "expected"),
    [
        (300, 45, 5, 45),
        (300, 45, None, 300 - RESERVE),
        (30, 45, 5, 30 - RESERVE - 5 / 0.8),  # a fifth of its time the next provider keeps back
        (100, 90, 30, 100 - RESERVE - 33),  # of a longer one 3 s
        (6, 45, 5, (6 - RESERVE) / 2),
        (0.1, 45, None, 0),
    ],
)
def test_an_attempt_leaves_time_for_the_next(
    remaining: float, limit: float, next_usual: float | None, expected: float
) -> None:
    """An attempt gets its own limit or what the next one leaves; the last gets all but the reserve."""
    assert attempt_timeout(remaining, limit, next_usual) == pytest.approx(expected)


def test_the_limit_is_three_times_the_usual_within_bounds() -> None:
    """Three times the upper end of the usual time, 20 to 120 s, unless it is configured."""
    assert own_limit(MODEL, None, 1) == 45
    assert own_limit(MODEL, None, 8) == 120
    assert own_limit(MODEL.model_copy(update={"typical_seconds": (0.1, 1.0)}), None, 1) == 20
    assert own_limit(MODEL, 2.0, 1) == 2.0


@given(st.floats(0, 1000), st.floats(0.1, 1000), st.one_of(st.none(), st.floats(0.1, 1000)))
def test_no_attempt_outlives_the_request(remaining: float, limit: float, next_usual: float | None) -> None:
    """Whatever the numbers, an attempt ends before the deadline."""
    assert 0 <= attempt_timeout(remaining, limit, next_usual) <= max(remaining - RESERVE, 0)
