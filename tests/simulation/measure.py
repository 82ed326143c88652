"""What came of it. Everything is read from what the policy did, nothing from what it thinks of itself.

A caller is *spared* who is not sent to the sick candidate first. `sick` is the first candidate; it is sick between
`begins` and `ends`.
"""

import math
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

# Stretches of sparing that lie closer together are one false trip.
ONE_TRIP_SECONDS = 60.0
# It is back when nine of ten callers of this long (and at least so many) went to it first.
BACK_SHARE, BACK_SECONDS, BACK_CALLERS = 0.9, 30.0, 10


@dataclass(frozen=True, slots=True)
class Figures:
    """What one policy made of one cell. Times are in seconds, None where it never happened.

    callers      those who arrived from the fault's beginning on
    detected     from the first call that the fault hit to the first caller who was spared
    failed       of the callers, those who got no picture within their deadline
    wasted       calls sent to the sick candidate that failed
    false_trips  stretches in which callers were kept from a candidate that was well (before the fault)
    back         from the fault's end until nine of ten callers went to it again
    waited       95 % of those who arrived during the fault had their answer, of whichever kind, within this
    """

    callers: int
    detected: float | None
    failed: int
    wasted: int
    false_trips: int
    back: float | None
    waited: float | None


class Ledger:
    """Notes what happens during a replay; `sick` is the candidate that the fault is about."""

    def __init__(self, sick: str) -> None:
        self.sick = sick
        self.wasted = 0
        self._hits: list[tuple[float, float]] = []
        self._arrived = array("d")
        self._waited = array("d")
        self._spared = bytearray()
        self._delivered = bytearray()

    def arrived(self, now: float, candidate: str) -> int:
        """A caller came and was sent to `candidate`, or to nobody (empty); returns the caller's place."""
        self._arrived.append(now)
        self._waited.append(math.inf)
        self._spared.append(candidate != self.sick)
        self._delivered.append(False)
        return len(self._arrived) - 1

    def failed(self, candidate: str, began: float, ended: float) -> None:
        """A call to `candidate` that will fail, or outlive its caller."""
        if candidate == self.sick:
            self.wasted += 1
            self._hits.append((began, ended))

    def ended(self, place: int, now: float, *, delivered: bool) -> None:
        """The caller got an answer, or left."""
        self._waited[place] = now - self._arrived[place]
        self._delivered[place] = delivered

    def figures(self, begins: float, ends: float) -> Figures:
        """The numbers, for a fault from `begins` to `ends`; both are infinite where there was none."""
        watched_from = begins if begins < math.inf else 0.0
        watched = [place for place, when in enumerate(self._arrived) if when >= watched_from]
        return Figures(
            callers=len(watched),
            detected=self._detected(begins, ends),
            failed=sum(not self._delivered[place] for place in watched),
            wasted=self.wasted,
            false_trips=self._false_trips(begins),
            back=self._back(ends),
            waited=self._waited_during(watched_from, ends),
        )

    def _detected(self, begins: float, ends: float) -> float | None:
        first_hit = min((max(began, begins) for began, ended in self._hits if ended >= begins), default=None)
        if first_hit is None:
            return None
        spared = zip(self._arrived, self._spared, strict=True)
        return next((when - first_hit for when, is_spared in spared if is_spared and first_hit <= when < ends), None)

    def _false_trips(self, begins: float) -> int:
        trips, last = 0, -math.inf
        for when, is_spared in zip(self._arrived, self._spared, strict=True):
            if when >= begins:
                break
            if is_spared:
                trips += when - last > ONE_TRIP_SECONDS
                last = when
        return trips

    def _back(self, ends: float) -> float | None:
        after = bisect_left(self._arrived, ends)
        spared_before = [0, *accumulate(self._spared[after:])]
        for index in range(len(self._arrived) - after):
            place = after + index
            until = bisect_left(self._arrived, self._arrived[place] + BACK_SECONDS) - after
            until = max(until, index + BACK_CALLERS)
            if until > len(self._arrived) - after:
                return None
            spared = spared_before[until] - spared_before[index]
            if not self._spared[place] and until - index - spared >= BACK_SHARE * (until - index):
                return self._arrived[place] - ends
        return None

    def _waited_during(self, begins: float, ends: float) -> float | None:
        during = sorted(
            waited for when, waited in zip(self._arrived, self._waited, strict=True) if begins <= when < ends
        )
        return during[int(0.95 * len(during))] if during else None
