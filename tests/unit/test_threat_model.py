"""The threat model is about this repository: what it names is there, and nothing of the checklist is left out."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "THREAT_MODEL.md").read_text().splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in LINES if line.startswith("| S")]
THREATS = [row for row in ROWS if len(row) == 6]
WITHOUT = [row for row in ROWS if len(row) == 2]
CHECKLIST = {f"S{number}" for number in range(1, 48)}
# No test of this repository crosses it.
UNTESTED = {"S32"}
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """The names of a file's tests, read without running it."""
    tree = ast.parse(path.read_text())
    found = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def test_every_row_is_one_of_two_kinds() -> None:
    """S46: a row is a threat with six cells, or says why a point of the checklist does not apply."""
    assert len(THREATS) + len(WITHOUT) == len(ROWS)
    assert all(all(row) for row in ROWS)
    assert {row[1] for row in THREATS} <= {", ".join(kinds) for kinds in _kinds()}


def _kinds() -> list[tuple[str, ...]]:
    return [*((a,) for a in "STRIDE"), *((a, b) for a in "STRIDE" for b in "STRIDE")]


def test_every_row_names_tests_that_exist() -> None:
    """S46: whatever a row says stops a threat, there is a test of it, by that name in that file."""
    for row in THREATS:
        named = TEST.findall(row[5])
        assert named, row
        assert len(named) == row[5].count("::"), row
        for path, name in named:
            assert (ROOT / path).exists(), path
            assert name in names_of_tests(ROOT / path), f"{path}::{name}"


def test_every_module_that_is_named_exists() -> None:
    """S46: what stops a threat is named by a path that leads somewhere."""
    for row in THREATS:
        for path in re.findall(r"[\w/]+\.py", row[4]):
            places = (ROOT / path, *(ROOT / root / "imagegate" / path for root in ("services", "gateway")))
            assert any(place.exists() for place in places), path


def test_nothing_of_the_checklist_is_left_out() -> None:
    """S46: each of S1 to S47 has a row, says why it does not apply, or is on the list of what has no test here."""
    covered = {each for row in THREATS for each in row[0].split(", ")}
    does_not_apply = {row[0] for row in WITHOUT}
    assert covered | does_not_apply | UNTESTED == CHECKLIST
    assert len(covered) + len(does_not_apply) + len(UNTESTED) == len(CHECKLIST)
