"""Whose turn is next where there is not enough for all: callers by their weights, and one caller's own by age. Pure.

Start-time fair queueing: each turn moves its caller on by 1/weight in virtual time, and next is whoever stands furthest
back. Who was away comes back where the others are: not to have asked earns nothing, and to have asked a lot while
nobody else did costs nothing. What only waits moves nobody, so that whoever leaves the queue has left no trace in it.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# Names come from outside the process: beyond so many at a time all further ones are one caller.
MAX_CALLERS = 1000
FURTHER = ""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Ticket(Generic[Item]):
    """One that waits, or was served: the `number`th that came."""

    caller: str
    weight: float
    number: int
    item: Item


@dataclass(slots=True)
class _Line(Generic[Item]):
    """One caller's own, the oldest first, and where in virtual time the caller stands."""

    stands: float
    waiting: OrderedDict[int, Ticket[Item]] = field(default_factory=OrderedDict)


class FairQueue(Generic[Item]):
    """Those who wait for a turn. `len` is how many."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line[Item]] = {}
        self._now = 0.0  # in virtual time: where the last one stood who was served
        self._numbers = itertools.count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        waiting = ", ".join(f"{name or 'anybody'} {len(line.waiting)}" for name, line in self._lines.items())
        return f"<FairQueue {waiting}>"

    def waiting(self, caller: str) -> int:
        """How many of one caller wait."""
        return len(self._lines[caller].waiting) if caller in self._lines else 0

    def add(self, caller: str, weight: float, item: Item) -> Ticket[Item]:
        """Let `item` wait. A turn of a caller with a `weight` of 2 counts half as much as one of weight 1."""
        name = caller if caller in self._lines or len(self._lines) < MAX_CALLERS else FURTHER
        ticket = Ticket(name, weight, next(self._numbers), item)
        line = self._lines.setdefault(name, _Line(self._now))
        if not line.waiting:
            line.stands = max(line.stands, self._now)
        line.waiting[ticket.number] = ticket
        self._length += 1
        return ticket

    def remove(self, ticket: Ticket[Item]) -> None:
        """Whoever waits leaves. Raises KeyError where it does not wait."""
        del self._lines[ticket.caller].waiting[ticket.number]
        self._length -= 1

    def pop(self) -> Ticket[Item]:
        """Serve whoever is next. Raises IndexError where nobody waits."""
        lines = [line for line in self._lines.values() if line.waiting]
        if not lines:
            raise IndexError("nobody waits")
        line = min(lines, key=lambda each: (each.stands, next(iter(each.waiting))))
        _, ticket = line.waiting.popitem(last=False)
        self._length -= 1
        self._now = max(self._now, line.stands)
        line.stands += 1 / ticket.weight
        self._forget_the_idle()
        return ticket

    def take_back(self, ticket: Ticket[Item]) -> None:
        """Whoever was served has left before it began: its caller stands where it stood before."""
        if ticket.caller in self._lines:
            self._lines[ticket.caller].stands -= 1 / ticket.weight

    def in_order(self) -> Iterator[Ticket[Item]]:
        """Those who wait as they will be served, if nobody comes or leaves."""
        heads = [(line.stands, iter(line.waiting.values())) for line in self._lines.values() if line.waiting]
        due = [(stands, (ticket := next(those)).number, ticket, those) for stands, those in heads]
        heapq.heapify(due)
        while due:
            stands, _, ticket, those = due[0]
            yield ticket
            following = next(those, None)
            if following is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (stands + 1 / ticket.weight, following.number, following, those))

    def _forget_the_idle(self) -> None:
        """A caller of whom nobody waits, and who stands where anybody would who came now, need not be remembered."""
        idle = [name for name, line in self._lines.items() if not line.waiting and line.stands <= self._now]
        for name in idle:
            del self._lines[name]
