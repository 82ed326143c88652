"""Lengths of time as people write them. Pure."""

import pytest

from imagegate.runtime.duration import seconds


@pytest.mark.parametrize(
    ("text", "length"), [("500ms", 0.5), ("90s", 90.0), (" 1.5 m ", 90.0), ("1h", 3600.0), ("7d", 604_800.0)]
)
def test_a_number_and_its_unit_are_a_length(text: str, length: float) -> None:
    """Milliseconds, seconds, minutes, hours and days."""
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "90", "1h30m", "-1s", "an hour", "1w", "s", "1 s s", "nan s", "1e3s"])
def test_everything_else_is_none(text: str) -> None:
    """Nothing is guessed: a number without a unit could mean anything."""
    assert seconds(text) is None
