"""What is measured side by side."""

from collections.abc import Callable

from bench.cells import BIG, MANY, SMALL, Case, Cell, Contestant, Measured, contests, percentile, rotated
from bench.systems import HAPPY, NOBODY, UPSTREAM_FAULTS

SYSTEMS = ("direct", "bare", "imagegate", "edge", "litellm", "portkey")


def test_everybody_makes_both_pictures_for_each_number_of_callers() -> None:
    """The happy cases are both sizes for 1, 16 and 64 callers, with every system that is there."""
    planned = dict(contests(SYSTEMS, (1, 16, 64), with_faults=False))
    assert set(planned) == {Case(HAPPY, sample, number) for sample in (SMALL, BIG) for number in (1, 16, 64)}
    assert all([each.system for each in contestants] == list(SYSTEMS) for contestants in planned.values())


def test_beside_every_fault_ours_takes_part_without_it() -> None:
    """A ratio to the happy path is one of the same minute; a peer that is absent is left out of faults as well."""
    planned = dict(contests(("bare", "imagegate", "litellm"), (1,), with_faults=True))
    for fault in UPSTREAM_FAULTS:
        for number in (1, MANY):
            assert planned[Case(fault, SMALL, number)] == [
                Contestant("imagegate", HAPPY),
                Contestant("imagegate", fault),
                Contestant("litellm", fault),
            ]
    assert Contestant("imagegate", HAPPY) in planned[Case(NOBODY, SMALL, MANY)]


def test_nobody_always_comes_after_the_same_one() -> None:
    """Each round begins with another contestant, and leaves none out."""
    contestants = [Contestant(name, HAPPY) for name in "abc"]
    orders = [rotated(contestants, number) for number in range(4)]
    assert ["".join(each.system for each in order) for order in orders] == ["abc", "bca", "cab", "abc"]


def test_wrong_pictures_of_peers_do_not_count_as_ours(cell: Callable[..., Cell]) -> None:
    """What a peer fails to deliver is told, and is not our failure."""
    measured = Measured()
    for name, wrong in (("imagegate", 2), ("litellm", 7)):
        measured.add(Case(HAPPY, SMALL, 1), Contestant(name, HAPPY), cell(wrong=wrong))
    assert (measured.wrong(but_of=["litellm"]), measured.wrong(but_of=[])) == (2, 9)


def test_a_percentile_is_a_time_that_was_measured() -> None:
    """Of a hundred times the 99th percentile is the last; of one it is that one."""
    assert percentile([float(each) for each in range(100)], 0.99) == 99
    assert percentile([3.0], 0.5) == 3
