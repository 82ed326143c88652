"""When a model that says it is being loaded is no longer believed."""

import pytest

from imagegate.router.warming import SECONDS_BETWEEN_ESTIMATES, SECONDS_TO_GIVE_UP, Warming


def heard(*estimates: tuple[float, float]) -> list[bool]:
    """What each of these estimates, at these times, leads to."""
    warming = Warming()
    return [warming.heard(estimate, at) for at, estimate in estimates]


@pytest.mark.parametrize(
    ("estimates", "given_up"),
    [
        ([(0, 20), (20, 20), (40, 20)], [False, False, True]),
        ([(0, 20), (20, 21), (40, 1809)], [False, False, True]),
        ([(0, 60), (20, 40), (40, 20)], [False, False, False]),
        ([(0, 20), (20, 20), (40, 19), (60, 19), (80, 19)], [False, False, False, False, True]),
    ],
)
def test_three_estimates_that_do_not_fall_are_enough(
    estimates: list[tuple[float, float]], given_up: list[bool]
) -> None:
    """R8: a model that stands at the same estimate three times is not getting nearer; one whose estimate falls is."""
    assert heard(*estimates) == given_up


def test_several_callers_hear_one_estimate() -> None:
    """What several callers hear at the same moment is one estimate, not three."""
    soon = SECONDS_BETWEEN_ESTIMATES / 10
    assert heard(*((soon * number, 20.0) for number in range(9))) == [False] * 9


def test_five_minutes_are_enough() -> None:
    """R8: after five minutes of warming it is overloaded, however fast its estimates fall."""
    times = range(0, int(SECONDS_TO_GIVE_UP) + 1, 50)
    assert heard(*((float(at), 1000.0 - at) for at in times)) == [False] * 6 + [True]


def test_an_estimate_of_long_ago_says_nothing() -> None:
    """R8: a model that nobody asked for meanwhile is loaded anew, and has not been loading all that time."""
    assert heard((0, 20), (SECONDS_TO_GIVE_UP + 21, 20), (10_000, 20)) == [False, False, False]


def test_a_model_that_was_ready_in_between_begins_anew() -> None:
    """A delivery ends the warming: the next estimate is a first one."""
    warming = Warming()
    for at in (0.0, 20.0):
        warming.heard(20.0, at)
    warming.over()
    assert not warming.heard(20.0, 1000.0)
    assert repr(warming) == "<Warming since 1000.0>"
