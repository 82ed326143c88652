"""How much room the requests under way have."""

from imagegate.runtime.intake import SMALL_BYTES, Intake

LARGE = SMALL_BYTES * 10


def test_what_does_not_fit_changes_nothing() -> None:
    """A request that finds no room takes none; what is given back is there again."""
    intake = Intake(LARGE * 2)
    assert intake.take(LARGE)
    assert intake.take(LARGE)
    assert not intake.take(LARGE)
    assert intake.taken == LARGE * 2
    intake.give_back(LARGE)
    assert intake.take(LARGE)


def test_one_at_a_time_and_small_ones_always_fit() -> None:
    """The largest request is served where it is alone, and a small one beside whatever there is."""
    intake = Intake(1)
    assert intake.take(LARGE)
    assert intake.take(SMALL_BYTES)
    assert not intake.take(SMALL_BYTES + 1)
