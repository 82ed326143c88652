"""What is judged of thousands of calls: memory that goes on growing, and what is left behind."""

from collections.abc import Callable

import pytest

from bench.growth import FROM_PICTURE, GROWTH, TO_PICTURE, Figures, Judged, Left

BEFORE = Left(files=20, tasks=10)
MIDDLE = (FROM_PICTURE + TO_PICTURE) / 2


def looks(mib: Callable[[int], float], upto: int = 30_000) -> list[tuple[float, float]]:
    """The memory at every 500th picture."""
    return [(picture, mib(picture)) for picture in range(500, upto + 1, 500)]


def line(start: float, end: float) -> Callable[[int], float]:
    """Memory that is so much at the first picture that is compared, and so much at the last."""
    return lambda picture: start + (end - start) * (picture - FROM_PICTURE) / (TO_PICTURE - FROM_PICTURE)


def test_growth_is_between_two_pictures_in_parts_of_what_was_there() -> None:
    """From 100 MiB to 109 over 18,000 pictures is 9 %, and 5 MiB for each 10,000."""
    figures = Figures.of("router", looks(line(100, 109)), BEFORE, BEFORE)
    assert figures.growth == pytest.approx(0.09)
    assert figures.mib_per_10_000 == pytest.approx(5)


def test_what_fills_before_and_what_comes_after_is_no_growth() -> None:
    """Caches fill before the first picture that is compared; what is told at the end is the last look all the same."""
    figures = Figures.of(
        "router", looks(lambda at: 50 if at < FROM_PICTURE else 300 if at > TO_PICTURE else 200), BEFORE, BEFORE
    )
    assert figures.growth == pytest.approx(0)
    assert figures.last_mib == 300
    assert not Judged([figures]).is_bad


def test_one_breath_of_the_allocator_is_no_growth() -> None:
    """A look in the middle at half as much again moves the line through all of them by nothing."""
    figures = Figures.of("router", looks(lambda at: 150 if at == MIDDLE else 100), BEFORE, BEFORE)
    assert figures.growth == pytest.approx(0)


@pytest.mark.parametrize(
    ("growth", "after", "is_bad"),
    [
        (GROWTH, BEFORE, False),
        (GROWTH + 0.001, BEFORE, True),
        (-0.5, Left(files=19, tasks=9), False),
        (0.0, Left(files=21, tasks=10), True),
        (0.0, Left(files=20, tasks=11), True),
        (0.0, Left(files=10, tasks=11), True),
    ],
)
def test_growing_or_holding_more_than_before_is_bad(growth: float, after: Left, is_bad: bool) -> None:
    """Neither memory beyond its bound nor one file or task too many is made up for by anything that got less."""
    assert Judged([Figures("router", 100, growth, 0, BEFORE, after)]).is_bad is is_bad


def grown(*growths: float) -> Judged:
    """Rounds that grew so much and left nothing."""
    return Judged([Figures("router", 100, growth, 0, BEFORE, BEFORE) for growth in growths])


def test_of_several_rounds_the_median_counts() -> None:
    """Neither one round that breathed out late nor one that breathed in late decides."""
    assert not grown(0.09, GROWTH, 0.01).is_bad
    assert grown(-0.2, GROWTH + 0.001, GROWTH + 0.002).is_bad
    assert grown(0.01, 0.03).growth == pytest.approx(0.02)


def test_what_one_round_leaves_behind_counts() -> None:
    """A file that is left once is left."""
    leaving = Figures("router", 100, 0, 0, BEFORE, Left(files=21, tasks=10))
    judged = Judged([*grown(0, 0).rounds, leaving])
    assert judged.is_bad
    assert str(judged).endswith("it holds more than before")


def test_a_round_is_told_in_one_line() -> None:
    """Who, how large, how much larger and what is left, each with what it was."""
    told = str(Figures("router", 123.4, 0.042, 5.0, BEFORE, Left(files=21, tasks=10)))
    assert told.startswith("router: 123 MiB, +4.2% ")
    assert told.endswith("files 20 → 21, tasks 10 → 10")


def test_what_is_judged_is_told_with_its_bound_and_its_range() -> None:
    """The median, between which rounds it lies, and what it may be."""
    told = str(grown(0.042, -0.01, 0.08))
    assert told.startswith("router: +4.2% ")
    assert "(-1.0% to +8.0%; at most +5%), at the end 100 MiB" in told
