"""Patterns that providers write and callers' names are matched against."""

from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.patterns import MAX_CHARACTERS, MAX_NAME_CHARACTERS, matches, problem_of


@pytest.mark.parametrize(
    "pattern",
    [
        "^$",
        "",
        ".+/.+",
        r"[\w.-]+/[\w.-]+",
        "[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}",
        "[]()+*?]+",
    ],
)
def test_patterns_of_names_are_taken(pattern: str) -> None:
    """What describes an upstream's id is taken, whatever characters stand in its sets."""
    assert problem_of(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a+)+$", "neither groups"),
        ("(?:a|a)*", "neither groups"),
        (r"(a)\1", "neither groups"),
        ("a|b", "neither groups"),
        (".*.*.*x", "at most 2"),
        ("a{1,9}b?c*", "at most 2"),
        (r"[\]]+[^]]+\++", "at most 2"),
        ("(", "is not a regular expression"),
        ("a{99999999999}", "is not a regular expression"),
        ("a" * (MAX_CHARACTERS + 1), "is longer"),
    ],
)
def test_patterns_that_may_cost_time_are_refused(pattern: str, problem: str) -> None:
    """A pattern that could be matched in very many ways is refused before anything is matched."""
    assert problem in problem_of(pattern)


@pytest.mark.parametrize("pattern", [".*.*" + "a" * 100 + "b", "a*a*b", "a{0,999}a{0,999}b", ".*a?" + "a" * 60 + "b"])
def test_the_worst_that_is_taken_is_cheap(pattern: str) -> None:
    """A name made to be tried in every way costs a moment."""
    assert problem_of(pattern) == ""
    began = monotonic()
    assert not matches(pattern, "a" * MAX_NAME_CHARACTERS)
    assert monotonic() - began < 0.2  # some 5 ms on an idle machine


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of sets that may be nested one day
@given(st.text(r"ab.*+?[]{}(),|\\12^$-", max_size=MAX_CHARACTERS))
def test_whatever_is_taken_can_be_matched(pattern: str) -> None:
    """Any text is refused or matched, without an error and without delay."""
    if not problem_of(pattern):
        began = monotonic()
        matches(pattern, "ab" * (MAX_NAME_CHARACTERS // 2))
        assert monotonic() - began < 0.5


@pytest.mark.parametrize("name", [".", "../a", ".a/b", "a/.b", "a/../b", "a/b/.."])
def test_a_name_with_a_part_that_begins_with_a_dot_is_not_matched(name: str) -> None:
    """R7: an id may become a path, and must not lead out of it, whatever a pattern allows."""
    assert not matches(".+", name)
    assert matches(".+", "a.b/c..d/e.")


def test_a_name_beyond_every_id_is_not_matched() -> None:
    """A name of a megabyte costs nothing."""
    assert matches(".+", "a" * MAX_NAME_CHARACTERS)
    assert not matches(".+", "a" * (MAX_NAME_CHARACTERS + 1))
