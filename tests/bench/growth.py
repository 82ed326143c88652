"""What thousands of calls leave behind in a process, and whether that is too much. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, median
from typing import Self

# From here to there memory may grow by so much of what it was: before, caches and the allocator's arenas fill.
FROM_PICTURE, TO_PICTURE, GROWTH = 2_000, 20_000, 0.05


@dataclass(frozen=True, slots=True)
class Left:
    """What a process holds while nobody calls."""

    files: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of one process: its memory by pictures, in MiB, and what it holds before and after."""

    name: str
    last_mib: float
    growth: float
    mib_per_10_000: float
    before: Left
    after: Left

    @classmethod
    def of(cls, name: str, memory: Sequence[tuple[float, float]], before: Left, after: Left) -> Self:
        """The figures; by the line through all looks, since the allocator breathes."""
        span = [each for each in memory if FROM_PICTURE <= each[0] <= TO_PICTURE]
        slope, level = linear_regression(*zip(*span, strict=True))
        growth = slope * (TO_PICTURE - FROM_PICTURE) / (level + slope * FROM_PICTURE)
        return cls(name, memory[-1][1], growth, slope * 10_000, before, after)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.last_mib:.0f} MiB, {self.growth:+.1%} from picture {FROM_PICTURE:,} to "
            f"{TO_PICTURE:,}, {self.mib_per_10_000:+.2f} MiB per 10,000; files {self.before.files} → "
            f"{self.after.files}, tasks {self.before.tasks} → {self.after.tasks}"
        )

    @property
    def holds_more(self) -> bool:
        """Whether it holds more than before."""
        return self.after.files > self.before.files or self.after.tasks > self.before.tasks


@dataclass(frozen=True, slots=True)
class Judged:
    """What several rounds, each of a process begun anew, say together. Growth is their median: a look counts the calls
    that happen to be under way, so single rounds of one state lie between -1 and 16 %.
    """

    rounds: Sequence[Figures]

    @property
    def growth(self) -> float:
        """The median of all rounds."""
        return median(each.growth for each in self.rounds)

    @property
    def is_bad(self) -> bool:
        """Whether it grows, or held more than before in any round."""
        return self.growth > GROWTH or any(each.holds_more for each in self.rounds)

    def __str__(self) -> str:
        growths = [each.growth for each in self.rounds]
        return (
            f"{self.rounds[0].name}: {self.growth:+.1%} from picture {FROM_PICTURE:,} to {TO_PICTURE:,} "
            f"({min(growths):+.1%} to {max(growths):+.1%}; at most {GROWTH:+.0%}), at the end "
            f"{median(each.last_mib for each in self.rounds):.0f} MiB"
            + ("; it holds more than before" if any(each.holds_more for each in self.rounds) else "")
        )
