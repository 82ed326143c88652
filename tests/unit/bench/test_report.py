"""The figures for people and for machines."""

import json
from collections.abc import Callable

import pytest

from bench.cells import SMALL, Case, Cell, Contestant, Measured
from bench.goals import Goal, Judgement
from bench.report import cell_rows, document, goal_rows
from bench.systems import HAPPY

CASE = Case(HAPPY, SMALL, 16)
GOAL = Goal("a figure", lambda _: [], limit=2, proud=1.5)


@pytest.fixture
def measured(cell: Callable[..., Cell]) -> Measured:
    """Three rounds of one contestant."""
    made = Measured()
    for p50 in (3.0, 1.0, 2.0):
        made.add(CASE, Contestant("imagegate", HAPPY), cell(p50=p50, wrong=1))
    return made


def test_a_cell_is_told_by_its_median_and_between_what_it_lay(measured: Measured) -> None:
    """Nobody has to trust a mean: beside the median stand the least and the greatest round; wrong answers are told."""
    [_, row] = cell_rows(measured)
    assert row[:2] == ("happy, 32 kB, 16 callers", "imagegate")
    assert "2.0 (1.0 to 3.0)" in row
    assert row[-1] == "3"


def test_a_goal_is_told_with_its_limits_and_verdict() -> None:
    """What was measured, what had to be reached and what was reached stand in one row; absence is no figure."""
    [_, kept, absent] = goal_rows([Judgement(GOAL, [1.0, 1.2, 1.4]), Judgement(GOAL, [])])
    assert kept == ("a figure", "1.20 (1.00 to 1.40)", "≤ 2", "≤ 1.5", "PROUD")
    assert absent == ("a figure", "–", "≤ 2", "≤ 1.5", "ABSENT")


def test_machines_get_every_round(measured: Measured) -> None:
    """The JSON holds each round of each cell, and each ratio of each goal."""
    told = json.loads(json.dumps(document({"machine": "2 cores"}, measured, [Judgement(GOAL, [1.0])])))
    assert told["about"] == {"machine": "2 cores"}
    [found] = told["cells"]
    assert (found["scenario"], found["callers"], found["system"]) == (HAPPY, 16, "imagegate")
    assert [each["p50"] for each in found["rounds"]] == [3, 1, 2]
    assert told["goals"] == [
        {"name": "a figure", "limit": 2, "proud": 1.5, "at_least": False, "ratios": [1], "verdict": "PROUD"}
    ]
