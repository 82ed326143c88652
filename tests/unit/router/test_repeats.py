"""How often the same candidate may be asked again."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.repeats import AT_LEAST, SHARE, WINDOW_SECONDS, RepeatBudget


def test_with_little_traffic_three_repeats_in_ten_seconds_are_allowed() -> None:
    """At least three repeats in ten seconds, and the next when the first is ten seconds old."""
    budget = RepeatBudget()
    assert [budget.take(float(at)) for at in range(5)] == [True, True, True, False, False]
    assert not budget.take(9.9)
    assert budget.take(10.0)


def test_with_much_traffic_a_fifth_of_the_requests_may_repeat() -> None:
    """Repeats draw on 20 % of the requests of the last ten seconds."""
    budget = RepeatBudget()
    for number in range(100):
        budget.requested(number / 100)
    assert sum(budget.take(1.0) for _ in range(100)) == 20
    assert repr(budget) == "<RepeatBudget 20 of 100>"


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_trouble_never_multiplies(steps: list[tuple[float, bool]]) -> None:
    """Whatever happens, ten seconds never see more repeats than a fifth of their requests, or three."""
    budget = RepeatBudget()
    now = 0.0
    requests: list[float] = []
    repeats: list[float] = []
    for pause, is_request in steps:
        now += pause
        if is_request:
            budget.requested(now)
            requests.append(now)
        elif budget.take(now):
            repeats.append(now)
            since = now - WINDOW_SECONDS
            allowed = max(SHARE * sum(at > since for at in requests), AT_LEAST)
            assert sum(at > since for at in repeats) < allowed + 1


def test_it_remembers_ten_seconds_only() -> None:
    """The memory of a busy replica is that of ten seconds."""
    budget = RepeatBudget()
    for number in range(10_000):
        budget.requested(number / 10)
    assert len(budget._requests) == 100
