"""How long one picture of a model takes, as this replica has seen it. Pure; all values in seconds."""

import math
from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import itemgetter

# Until so many pictures were seen, the catalogue's usual time stands in, times a factor.
ENOUGH = 20
FACTORS = {0.50: 1.0, 0.90: 2.0, 0.95: 2.5, 0.99: 4.0}
# A model's speed changes with its hosting: older pictures say little. Once there are enough, one in
# `SPACING` seconds is remembered, so that what is known does not shrink to seconds under load.
KEPT = 300
SPACING = 2.0
# Slow is: of at least ten, four in five took longer than twice what was usual before.
SLOW_OUT_OF = 10
SLOW_SHARE = 0.8
SLOW_TIMES = 2.0
RECENT = 50


class Latency:
    """What the successes of one model took."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._ordered: list[float] = []
        # What those took that came until some time, which is from the first of these on and before the second.
        self._earlier: list[float] = []
        self._earlier_from = self._earlier_to = 0.0
        self._ordered_with_waits: list[float] = []

    def __repr__(self) -> str:
        return f"<Latency of {len(self._kept)} pictures>"

    def add(self, now: float, seconds: float, waited: float = 0.0) -> None:
        """One picture that came at `now` took so long, `waited` of it behind others in the provider."""
        alone = seconds - min(waited, seconds)
        self._recent.append((now, alone))
        if len(self._kept) < ENOUGH or now - self._kept[-1][0] >= SPACING:
            self._kept.append((now, alone, seconds))
            self._ordered = []
            self._earlier_from = self._earlier_to = 0.0

    def quantile(self, share: float, usual: float) -> float:
        """The time that `share` (0.50, 0.90, 0.95 or 0.99) of the pictures stay within, without waiting behind others;
        the last one with it, since it says when an attempt that may be waiting is overdue.

        `usual` is the catalogue's usual time, which counts until enough were seen; but what was seen to succeed is
        never beyond the slowest hundredth.
        """
        if not self._ordered:
            self._ordered = sorted(alone for _, alone, _ in self._kept)
            self._ordered_with_waits = sorted(seconds for _, _, seconds in self._kept)
        ordered = self._ordered_with_waits if share == 0.99 else self._ordered
        if len(ordered) < ENOUGH:
            longest = ordered[-1] if ordered and share == 0.99 else 0.0
            return max(FACTORS[share] * usual, longest)
        return _quantile(ordered, share)

    def is_slow(self, now: float, window: float, usual: float, objective: float | None) -> bool:
        """Whether four in five of the pictures of the last `window` seconds took longer than they may.

        They may take twice the p95 of the time before that window, or `objective` seconds where that is more.
        """
        if len(self._recent) < SLOW_OUT_OF:
            return False
        begins = now - window
        before = self._until(begins)
        baseline = _quantile(before, 0.95) if len(before) >= ENOUGH else FACTORS[0.95] * usual
        limit = max(SLOW_TIMES * baseline, objective or 0.0)
        seen = quick = 0
        most = len(self._recent) - SLOW_SHARE * len(self._recent)
        for at, seconds in reversed(self._recent):
            if at <= begins or quick > most:  # more than a fifth of all: however many of them the window holds
                break
            seen += 1
            quick += seconds <= limit
        return seen >= SLOW_OUT_OF and seen - quick >= SLOW_SHARE * seen

    def _until(self, end: float) -> list[float]:
        """What those took that came until then, in order; the same ones are put in order once."""
        if not self._earlier_from <= end < self._earlier_to:
            number = bisect_right(self._kept, end, key=itemgetter(0))
            self._earlier = sorted(alone for _, alone, _ in islice(self._kept, number))
            self._earlier_from = self._kept[number - 1][0] if number else -math.inf
            self._earlier_to = self._kept[number][0] if number < len(self._kept) else math.inf
        return self._earlier


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
