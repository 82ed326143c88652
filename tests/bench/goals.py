"""What the figures have to show: ratios within one round, their medians, and where they are judged. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.cells import BIG, IMAGEGATE, MANY, SMALL, Case, Cell, Measured, median
from bench.systems import HAPPY, HELD_OPEN, NOBODY

Ratios = Callable[[Measured], list[float]]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, the limit that it must keep and the one that would make us proud; those `at_least` are of a rate."""

    name: str
    ratios: Ratios
    limit: float
    proud: float | None = None
    at_least: bool = False
    needs_peer: str = ""

    def judge(self, measured: Measured) -> "Judgement":
        """What the measured rounds say of it."""
        return Judgement(self, self.ratios(measured))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The ratio of each round; none where a contestant was absent."""

    goal: Goal
    ratios: Sequence[float]

    @property
    def verdict(self) -> str:
        """PASS, PROUD or FAIL by the median; ABSENT where there is none."""
        if not self.ratios:
            return "ABSENT"
        if not self._keeps(self.goal.limit):
            return "FAIL"
        return "PROUD" if self.goal.proud is not None and self._keeps(self.goal.proud) else "PASS"

    @property
    def decides(self) -> bool:
        """Whether the benchmark fails by it: what peers do is information."""
        return self.verdict == "FAIL" and not self.goal.needs_peer

    def _keeps(self, limit: float) -> bool:
        value = median(self.ratios)
        return value >= limit if self.goal.at_least else value <= limit


def _pairs(measured: Measured, case: Case, *systems: str) -> Iterator[tuple[Cell, ...]]:
    """Of each round the cells of these systems; one beside a fault is named with its scenario, as `imagegate happy`."""
    found = (each.partition(" ") for each in systems)
    return zip(*(measured.of(case, system, scenario or None) for system, _, scenario in found), strict=False)


def router_cpu(sample: str) -> Ratios:
    """The router's CPU per picture beside the bare pass-through's."""
    case = Case(HAPPY, sample, MANY)
    return lambda measured: [
        ours.cpu_ms["router"] / bare.cpu_ms["bare"] for ours, bare in _pairs(measured, case, IMAGEGATE, "bare")
    ]


def added_p50(sample: str) -> Ratios:
    """What the router adds to the time of a call, beside what the bare pass-through adds."""
    case = Case(HAPPY, sample, 1)
    return lambda measured: [
        (ours.p50 - direct.p50) / (bare.p50 - direct.p50)
        for ours, bare, direct in _pairs(measured, case, IMAGEGATE, "bare", "direct")
    ]


def rate(case: Case, peer: str) -> Ratios:
    """Pictures per second beside a peer's."""
    return lambda measured: [
        ours.pictures_per_second / theirs.pictures_per_second
        for ours, theirs in _pairs(measured, case, IMAGEGATE, peer)
    ]


def p50(case: Case, other: str) -> Ratios:
    """The median time of a call beside another's."""
    return lambda measured: [ours.p50 / theirs.p50 for ours, theirs in _pairs(measured, case, IMAGEGATE, other)]


def p99(case: Case, other: str) -> Ratios:
    """The 99th percentile of it."""
    return lambda measured: [ours.p99 / theirs.p99 for ours, theirs in _pairs(measured, case, IMAGEGATE, other)]


def nobody_cpu(measured: Measured) -> list[float]:
    """The router's CPU for a call that nobody may be asked for, beside one that is delivered."""
    pairs = _pairs(measured, Case(NOBODY, SMALL, MANY), IMAGEGATE, HAPPIER)
    return [ours.cpu_ms["router"] / happy.cpu_ms["router"] for ours, happy in pairs]


def added_by_open_breakers(measured: Measured) -> list[float]:
    """Milliseconds that a call takes longer with open breakers before the one that delivers."""
    pairs = _pairs(measured, Case(HELD_OPEN, SMALL, 1), IMAGEGATE, HAPPIER)
    return [ours.p50 - happy.p50 for ours, happy in pairs]


def nobody_p99(measured: Measured) -> list[float]:
    """Milliseconds until a caller is told that nobody may be asked."""
    return [cell.p99 for cell in measured.of(Case(NOBODY, SMALL, MANY), IMAGEGATE)]


def upstream_share(measured: Measured) -> list[float]:
    """Of a core, by the upstream's stand-in, where it was busiest: at a third it could do three times as much."""
    every = (cells for contestants in measured.cells.values() for cells in contestants.values())
    return [max(median([cell.upstream for cell in cells]) for cells in every)]


def faults(sample: str) -> Ratios:
    """Minor page faults per picture, of the router or the provider, whichever has more."""
    case = Case(HAPPY, sample, MANY)
    return lambda measured: [
        max(cell.faults["router"], cell.faults["provider"]) for cell in measured.of(case, IMAGEGATE)
    ]


HAPPIER = f"{IMAGEGATE} {HAPPY}"
LITELLM, PORTKEY = "litellm", "portkey"
_HERE = {sample: Case(HAPPY, sample, MANY) for sample in (SMALL, BIG)}
_ALONE = {sample: Case(HAPPY, sample, 1) for sample in (SMALL, BIG)}

GOALS: Sequence[Goal] = (
    Goal("router CPU ÷ bare, 32 kB, 16 callers", router_cpu(SMALL), 1.35, 1.20),
    Goal("router CPU ÷ bare, 1.2 MB, 16 callers", router_cpu(BIG), 1.12, 1.06),
    Goal("p50 added ÷ bare's, 32 kB, 1 caller", added_p50(SMALL), 1.4, 1.2),
    Goal("p50 added ÷ bare's, 1.2 MB, 1 caller", added_p50(BIG), 1.3, 1.1),
    Goal("pictures/s ÷ LiteLLM, 32 kB, 16 callers", rate(_HERE[SMALL], LITELLM), 6, 9,
         at_least=True, needs_peer=LITELLM),
    Goal("pictures/s ÷ LiteLLM, 1.2 MB, 16 callers", rate(_HERE[BIG], LITELLM), 4, 5.5,
         at_least=True, needs_peer=LITELLM),
    Goal("pictures/s ÷ Portkey, 32 kB, 16 callers", rate(_HERE[SMALL], PORTKEY), 2, 2.5,
         at_least=True, needs_peer=PORTKEY),
    Goal("pictures/s ÷ Portkey, 1.2 MB, 16 callers", rate(_HERE[BIG], PORTKEY), 8, 10,
         at_least=True, needs_peer=PORTKEY),
    Goal("p50 ÷ Portkey, 32 kB, 1 caller", p50(_ALONE[SMALL], PORTKEY), 1.15, 1.0,
         needs_peer=PORTKEY),
    Goal("p50 ÷ Portkey, 1.2 MB, 1 caller", p50(_ALONE[BIG], PORTKEY), 0.25,
         needs_peer=PORTKEY),
    Goal("first refusing: p50 ÷ happy, 1 caller", p50(Case("refusing", SMALL, 1), HAPPIER), 1.8),
    Goal("first refusing: pictures/s ÷ LiteLLM, 16 callers", rate(Case("refusing", SMALL, MANY), LITELLM), 20, 50,
         at_least=True, needs_peer=LITELLM),
    Goal("first dead: p50 ÷ happy, 1 caller", p50(Case("dead", SMALL, 1), HAPPIER), 1.15),
    Goal("first hanging: p50 ÷ happy, 1 caller", p50(Case("hanging", SMALL, 1), HAPPIER), 1.2),
    Goal("first hanging: p99 ÷ happy, 1 caller", p99(Case("hanging", SMALL, 1), HAPPIER), 1.5),
    Goal("nothing admissible: router CPU ÷ happy, 16 callers", nobody_cpu, 0.5),
    Goal("breakers open: ms added, 1 caller", added_by_open_breakers, 5),
    Goal("nothing admissible: p99 in ms, 16 callers", nobody_p99, 50),
    Goal("page faults per picture, 32 kB, 16 callers", faults(SMALL), 10),
    Goal("page faults per picture, 1.2 MB, 16 callers", faults(BIG), 20),
    Goal("the stand-in upstream's share of a core", upstream_share, 0.33),
)  # fmt: skip
# In a minute, on a machine that does other things as well.
SHORT_GOALS: Sequence[Goal] = (
    Goal("router CPU ÷ bare, 32 kB, 16 callers", router_cpu(SMALL), 2),
    Goal("router CPU ÷ bare, 1.2 MB, 16 callers", router_cpu(BIG), 2),
    Goal("page faults per picture, 32 kB, 16 callers", faults(SMALL), 100),
    Goal("page faults per picture, 1.2 MB, 16 callers", faults(BIG), 100),
    Goal("the stand-in upstream's share of a core", upstream_share, 0.33),
)
