"""What is measured: cases, and in each of them contestants side by side. Pure."""

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.pictures import SAMPLES
from bench.systems import HAPPY, HELD_OPEN, NOBODY, UPSTREAM_FAULTS

SMALL, BIG = SAMPLES
IMAGEGATE = "imagegate"
# Who takes part where a candidate is at fault: ours, and the peers.
WITHSTANDING = (IMAGEGATE, "litellm", "portkey")
MANY = 16


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario with pictures of one size for so many callers at a time."""

    scenario: str
    sample: str
    callers: int

    def __str__(self) -> str:
        return f"{self.scenario}, {self.sample}, {self.callers} caller{'s'[: self.callers - 1]}"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A system in a case; beside a scenario of faults ours takes part once more without them, for comparison."""

    system: str
    scenario: str

    def __str__(self) -> str:
        return self.system if self.scenario != HAPPY else f"{self.system}, {HAPPY}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured of a contestant in one round: times in milliseconds, the rest per picture."""

    pictures_per_second: float
    p50: float
    p99: float
    calls: int
    wrong: int
    cpu_ms: Mapping[str, float]
    faults: Mapping[str, float]
    resident_mib: Mapping[str, float]
    # Of a core, by processes that take no part.
    foreign: float
    # Of a core, by the upstream's stand-in: at 1 everybody waits for it.
    upstream: float


@dataclass(slots=True)
class Measured:
    """The cells of every case, by contestant, round by round."""

    cells: dict[Case, dict[Contestant, list[Cell]]] = field(default_factory=dict)

    def add(self, case: Case, contestant: Contestant, cell: Cell) -> None:
        """One more round."""
        self.cells.setdefault(case, {}).setdefault(contestant, []).append(cell)

    def of(self, case: Case, system: str, scenario: str | None = None) -> list[Cell]:
        """The rounds of one contestant; none where it was absent."""
        return self.cells.get(case, {}).get(Contestant(system, scenario or case.scenario), [])

    def wrong(self, but_of: Collection[str]) -> int:
        """Calls without the picture, but those of these systems."""
        every = (each for contestants in self.cells.values() for each in contestants.items())
        return sum(cell.wrong for contestant, cells in every if contestant.system not in but_of for cell in cells)


def contests(
    systems: Collection[str], callers: Sequence[int], *, with_faults: bool
) -> Iterator[tuple[Case, Sequence[Contestant]]]:
    """Every case with those who take part in it."""
    for sample in SAMPLES:
        for number in callers:
            yield Case(HAPPY, sample, number), [Contestant(each, HAPPY) for each in systems]
    if not with_faults:
        return
    happy = Contestant(IMAGEGATE, HAPPY)
    peers = [each for each in WITHSTANDING if each in systems]
    for fault in UPSTREAM_FAULTS:
        for number in (1, MANY):
            yield Case(fault, SMALL, number), [happy, *(Contestant(each, fault) for each in peers)]
    for number in (1, MANY):
        yield Case(HELD_OPEN, SMALL, number), [happy, Contestant(IMAGEGATE, HELD_OPEN)]
    yield Case(NOBODY, SMALL, MANY), [happy, Contestant(IMAGEGATE, NOBODY)]


def rotated(contestants: Sequence[Contestant], by: int) -> Sequence[Contestant]:
    """In another order in each round, so that nobody always comes after the same one."""
    by %= len(contestants)
    return [*contestants[by:], *contestants[:by]]


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def percentile(times: Sequence[float], share: float) -> float:
    """The smallest of the times that so large a share of them does not exceed."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
