"""The numbers, as a table: one row for each cell, in each column one value for each policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tables
from simulation.measure import Figures
from simulation.scenarios import ASSUMPTIONS, POLICIES


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario at one rate with one or two candidates."""

    scenario: str
    candidates: int
    rate: float


Results = Mapping[Cell, Mapping[str, Figures]]

COLUMNS: Mapping[str, Callable[[Figures], float | None]] = {
    "detected s": lambda figures: figures.detected,
    "failed": lambda figures: figures.failed,
    "wasted": lambda figures: figures.wasted,
    "false trips": lambda figures: figures.false_trips,
    "back s": lambda figures: figures.back,
    "waited s": lambda figures: figures.waited,
}


def rows(results: Results) -> tables.Rows:
    """The head and the rows."""
    head = ("scenario", "candidates", "per s", "callers", *COLUMNS)
    return [head, *(_row(cell, of_policies) for cell, of_policies in results.items())]


def _row(cell: Cell, of_policies: Mapping[str, Figures]) -> Sequence[str]:
    figures = [of_policies[policy] for policy in POLICIES]
    values = (" / ".join(_told(value(each)) for each in figures) for value in COLUMNS.values())
    return (cell.scenario, str(cell.candidates), f"{cell.rate:g}", str(figures[0].callers), *values)


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def totals(results: Results) -> Sequence[str]:
    """A sentence for one candidate and one for two: the callers who failed over all cells, by policy."""
    said = []
    for candidates in sorted({cell.candidates for cell in results}):
        of_policy = {
            policy: sum(found[policy].failed for cell, found in results.items() if cell.candidates == candidates)
            for policy in POLICIES
        }
        listed = ", ".join(f"{policy} {failed}" for policy, failed in of_policy.items())
        said.append(f"Callers failed over all rows with {candidates} candidate{'s'[: candidates - 1]}: {listed}.")
    return said


def markdown(results: Results) -> str:
    """For a README."""
    return "\n".join([*_above("- "), "", tables.markdown(rows(results)), "", *totals(results)])


def plain(results: Results) -> str:
    """For a terminal."""
    return "\n".join([*_above("* "), "", tables.plain(rows(results)), "", *totals(results)])


def _above(bullet: str) -> Sequence[str]:
    return [f"Each value: {' / '.join(POLICIES)}.", "", *(bullet + assumption for assumption in ASSUMPTIONS)]
