"""How long one picture of a model takes, as this replica has seen it. Pure; all values in seconds."""

from collections import deque

# Until so many pictures were seen, the catalogue's usual time stands in, times a factor.
ENOUGH = 20
FACTORS = {0.50: 1.0, 0.90: 2.0, 0.95: 2.5, 0.99: 4.0}
# A model's speed changes with its hosting: older pictures say little.
KEPT = 100


class Latency:
    """The last `KEPT` successes of one model."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._ordered: list[float] = []

    def __repr__(self) -> str:
        return f"<Latency of {len(self._seconds)} pictures>"

    def add(self, seconds: float) -> None:
        """One picture took so long."""
        self._seconds.append(seconds)
        self._ordered = []

    def quantile(self, share: float, usual: float) -> float:
        """The time that `share` (0.50, 0.90, 0.95 or 0.99) of the pictures stay within.

        `usual` is the catalogue's usual time, which counts until enough were seen.
        """
        if len(self._seconds) < ENOUGH:
            return FACTORS[share] * usual
        self._ordered = self._ordered or sorted(self._seconds)
        return self._ordered[min(int(share * len(self._ordered)), len(self._ordered) - 1)]
