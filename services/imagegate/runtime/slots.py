"""So many at a time, and so many a second: whoever finds no room waits for its turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from imagegate.runtime.callers import ANONYMOUS, Caller
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fair_queue import FairQueue, Ticket
from imagegate.runtime.rate import Rate

# How many requests of one caller who is known by name may wait. Where callers are not told apart nobody is protected
# from anybody by a bound, and there is none.
MAX_WAITING = 1000
BUSY_SECONDS = 1.0

TellPlace = Callable[[int], None]


@dataclass(slots=True, eq=False)
class _Waiting:
    """One who waits for a slot, and perhaps wants to hear its place."""

    tell_place: TellPlace | None
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    place: int | None = None

    def hear(self, place: int) -> None:
        if self.tell_place is not None and place != self.place:
            self.place = place
            self.tell_place(place)


class Slots:
    """`number` slots, which may begin at a `rate` (None: any). `clock` is monotonic.

    Those who wait are served by the weights of their callers, and one caller's own by age.
    """

    def __init__(self, number: int, rate: Rate | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.number = number
        self._free = number
        self._rate = rate
        self._clock = clock
        self._queue: FairQueue[_Waiting] = FairQueue()
        self._again: asyncio.TimerHandle | None = None
        self._listening = 0

    def __repr__(self) -> str:
        return f"<Slots {self._free} of {self.number} free, {len(self._queue)} wait>"

    def resize(self, number: int) -> None:
        """From now on there are so many; where more are taken, nobody begins until enough have ended."""
        self._free += number - self.number
        self.number = number
        self._serve()

    async def acquire(
        self, patience: float | None, tell_place: TellPlace | None = None, caller: Caller = ANONYMOUS
    ) -> None:
        """Take a slot, which has to be released. Waits at most `patience` seconds for it, for ever where that is None.

        Whoever has to wait hears, now and whenever it changes, how many are before it: 0 is next. Raises Failure, BUSY
        or RATE_LIMITED, with `retry_after` and why as its message.
        """
        if caller.name and self._queue.waiting(caller.name) >= MAX_WAITING:
            raise _refused(Reason.BUSY, f"{MAX_WAITING:,} requests of this caller wait already", BUSY_SECONDS)
        waiting = _Waiting(tell_place)
        ticket = self._queue.add(caller.name, caller.weight, waiting)
        self._serve()
        if waiting.turn.is_set():
            return
        self._listening += tell_place is not None
        try:
            self._check_rate(ticket, patience)
            self._tell_places()
            await self._wait(ticket, patience)
        finally:
            self._listening -= tell_place is not None
            if not waiting.turn.is_set():
                self._queue.remove(ticket)
                self._tell_places()

    def release(self) -> None:
        """Give a slot back to whoever is next."""
        self._free += 1
        self._serve()

    def give_back(self) -> None:
        """Return the share of the rate that a slot has used up, where nothing came of it. It is released as well."""
        if self._rate is not None:
            self._rate.give_back()

    async def _wait(self, ticket: Ticket[_Waiting], patience: float | None) -> None:
        turn = ticket.item.turn
        try:
            async with asyncio.timeout(patience):
                await turn.wait()
        except TimeoutError:
            if not turn.is_set():  # else it came in the same moment
                raise self._no_turn() from None
        except BaseException:
            if turn.is_set():  # it came, and nobody is there any more
                self._queue.take_back(ticket)
                self.give_back()
                self.release()
            raise

    def _no_turn(self) -> Failure:
        """Why its turn did not come."""
        if self._rate is not None and self._free > 0:
            return _too_far_back(self._rate, BUSY_SECONDS)
        return _refused(Reason.BUSY, f"all {self.number} of its slots are taken", BUSY_SECONDS)

    def _check_rate(self, ticket: Ticket[_Waiting], patience: float | None) -> None:
        """Raises Failure where the rate alone lets the turn come too late: RATE_LIMITED where it does so for anybody,
        and BUSY where only those before it do, who are not before every other caller.
        """
        if self._rate is None or patience is None:
            return
        soonest = self._rate.wait(self._clock())
        if soonest > patience:
            raise self._rate.used_up(soonest)
        before = next(place for place, each in enumerate(self._queue.in_order()) if each is ticket)
        wait = self._rate.wait(self._clock(), before)
        if wait > patience:
            raise _too_far_back(self._rate, wait)

    def _serve(self) -> None:
        """Give turns, as far as there are slots and the rate allows."""
        length = len(self._queue)
        while self._free > 0 and self._queue:
            if self._rate is not None:
                now = self._clock()
                if wait := self._rate.wait(now):
                    self._serve_in(wait)
                    break
                self._rate.take(now, None)
            self._free -= 1
            self._queue.pop().item.turn.set()
        if len(self._queue) < length:
            self._tell_places()

    def _serve_in(self, seconds: float) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(seconds, self._serve)

    def _tell_places(self) -> None:
        if self._listening:
            for place, ticket in enumerate(self._queue.in_order()):
                ticket.item.hear(place)


def _too_far_back(rate: Rate, wait: float) -> Failure:
    return _refused(Reason.BUSY, f"too many wait at its rate of {rate.per_second:g} requests a second", wait)


def _refused(reason: Reason, why: str, wait: float) -> Failure:
    return Failure(reason, why, retry_after=wait, dispatch=Dispatch.NOT_SENT)
