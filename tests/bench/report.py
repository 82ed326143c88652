"""The figures for people and for machines: rows of tables, and JSON. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.cells import Cell, Measured, median
from bench.goals import Judgement
from tables import Rows

COLUMNS: Mapping[str, Callable[[Cell], float]] = {
    "pictures/s": lambda cell: cell.pictures_per_second,
    "p50 ms": lambda cell: cell.p50,
    "p99 ms": lambda cell: cell.p99,
    "CPU ms": lambda cell: sum(cell.cpu_ms.values()),
    "faults": lambda cell: sum(cell.faults.values()),
    "MiB": lambda cell: sum(cell.resident_mib.values()),
}


def cell_rows(measured: Measured) -> Rows:
    """A row for each contestant of each case: medians over the rounds. CPU is told process by process."""
    return [("case", "system", *COLUMNS, "CPU by process", "wrong"), *_cell_rows(measured)]


def _cell_rows(measured: Measured) -> Iterator[Sequence[str]]:
    for case, contestants in measured.cells.items():
        for contestant, cells in contestants.items():
            values = [_spread([value(cell) for cell in cells]) for value in COLUMNS.values()]
            used = {name: median([cell.cpu_ms[name] for cell in cells]) for name in cells[0].cpu_ms}
            by_process = ", ".join(f"{name} {ms:.2f}" for name, ms in used.items() if ms >= 0.005)
            name = contestant.system if contestant.scenario == case.scenario else str(contestant)
            yield (str(case), name, *values, by_process, str(sum(cell.wrong for cell in cells)))


def goal_rows(judgements: Sequence[Judgement]) -> Rows:
    """A row for each goal: the median of the rounds' ratios, the least and the greatest, and what was to be reached."""
    return [("goal", "median (least to greatest)", "limit", "proud", ""), *map(_goal_row, judgements)]


def _goal_row(judgement: Judgement) -> Sequence[str]:
    goal = judgement.goal
    sign = "≥" if goal.at_least else "≤"
    found = _spread(judgement.ratios, digits=2) if judgement.ratios else "–"
    proud = "" if goal.proud is None else f"{sign} {goal.proud:g}"
    return (goal.name, found, f"{sign} {goal.limit:g}", proud, judgement.verdict)


def document(about: Mapping[str, str], measured: Measured, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "about": dict(about),
        "goals": [
            {
                "name": each.goal.name, "limit": each.goal.limit, "proud": each.goal.proud,
                "at_least": each.goal.at_least, "ratios": list(each.ratios), "verdict": each.verdict,
            }
            for each in judgements
        ],
        "cells": [
            {
                **asdict(case), "system": contestant.system, "of": contestant.scenario,
                "rounds": [asdict(cell) for cell in cells],
            }
            for case, contestants in measured.cells.items()
            for contestant, cells in contestants.items()
        ],
    }  # fmt: skip


def _spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and between what the values lie."""
    middle = median(values)
    precision = digits if middle < 100 else 0
    return f"{middle:,.{precision}f} ({min(values):,.{precision}f} to {max(values):,.{precision}f})"
