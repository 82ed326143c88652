"""How many requests of a caller may be under way at a time: the others wait here, the oldest first.

Only callers with a `max_inflight` wait here, each behind its own requests and nobody else's. Whose turn it is between
callers is decided where there is not enough for all: in the process of a provider, for every router that calls it.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

from imagegate.router import progress
from imagegate.router.endpoint import Tell
from imagegate.runtime.callers import Caller
from imagegate.runtime.deadline import kept_back
from imagegate.runtime.errors import Failure
from imagegate.runtime.slots import Slots, TellPlace


class Turns:
    """The callers of this replica, and their requests under way."""

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}

    def __repr__(self) -> str:
        return f"<Turns {self._slots}>"

    def turn(self, caller: Caller, seconds: float, tell: Tell | None = None) -> AbstractAsyncContextManager[None]:
        """One request of `caller`, which has `seconds` in all, is under way in the block; `tell` hears its place in the
        queue. Entering raises Failure(BUSY) where too many wait already, or its turn does not come in time.
        """
        slots = self._slots_of(caller)
        return nullcontext() if slots is None else _turn(slots, caller, seconds, tell)

    def _slots_of(self, caller: Caller) -> Slots | None:
        """As many as the caller's configuration says now; None where it says nothing."""
        if caller.max_inflight is None:
            return None
        slots = self._slots.setdefault(caller.name, Slots(caller.max_inflight))
        if slots.number != caller.max_inflight:
            slots.resize(caller.max_inflight)
        return slots


@asynccontextmanager
async def _turn(slots: Slots, caller: Caller, seconds: float, tell: Tell | None) -> AsyncIterator[None]:
    try:
        await slots.acquire(seconds - kept_back(seconds), _teller(tell), caller)
    except Failure as failure:
        raise _busy(failure, caller) from failure
    try:
        yield
    finally:
        slots.release()


def _teller(tell: Tell | None) -> TellPlace | None:
    return None if tell is None else lambda place: tell(progress.queued(place))


def _busy(failure: Failure, caller: Caller) -> Failure:
    message = f"{caller.max_inflight} requests of {caller.name} are under way, and no more may be: {failure.message}"
    remedy = f"try again, ask for less at a time, or raise callers.{caller.name}.max_inflight"
    return replace(failure, message=message, remedy=remedy)
