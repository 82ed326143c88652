"""Who calls when. The script depends on its seed only, so every policy is asked for the same pictures."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

# Pictures take a lognormal time: half of them within 10 s, one in a hundred longer than 32 s, none longer than 50 s.
MEDIAN_SECONDS = 10.0
SIGMA = 0.5
P99_SECONDS = 32.0
LONGEST_SECONDS = 50.0
# Callers leave after the edge's default.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Request:
    """One caller. `seconds` is what the picture takes at a healthy candidate, by the candidate's place.

    `lot` (0 to 1) decides where chance does: the same for every policy.
    """

    number: int
    arrives: float
    seconds: tuple[float, float]
    lot: float

    @property
    def deadline(self) -> float:
        """When the caller leaves."""
        return self.arrives + PATIENCE_SECONDS


def script(rate: float, until: float, seed: int) -> Iterator[Request]:
    """The callers of a Poisson stream of `rate` a second, from 0 to `until` seconds."""
    rng = random.Random(seed)  # noqa: S311 it must repeat
    now, number = 0.0, 0
    while (now := now + rng.expovariate(rate)) < until:
        yield Request(number, now, (_picture(rng), _picture(rng)), rng.random())
        number += 1


def _picture(rng: random.Random) -> float:
    return min(MEDIAN_SECONDS * rng.lognormvariate(0, SIGMA), LONGEST_SECONDS)
