"""Requests on their way in. Nobody knows the size of one before it is whole: where that takes long it takes the room of
the largest one meanwhile, or is refused.

They are watched together, by one timer: almost all are there at once, and a timer of its own costs a call more than
reading it.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.intake import Intake
from imagegate.runtime.reply import no_room

# A request that is not whole by then counts as the largest that there may be, until it is. Seconds.
QUICK_SECONDS = 0.25
# Where we ourselves are later than that, it is not the caller who is slow.
LATE_SECONDS = 0.05
# Timers are no more exact than this.
TICK_SECONDS = 0.001


@dataclass(eq=False, slots=True)
class _Request:
    """One that is read: since when, for how long, when it is looked at next, and the room that it takes."""

    began: float
    due: float
    patience: asyncio.Timeout
    taken: int = 0
    is_refused: bool = False


class Incoming:
    """The requests that are read now. Each has `seconds` to become whole; the largest may have `most` bytes."""

    def __init__(self, intake: Intake, most: int, seconds: float) -> None:
        self._intake = intake
        self._most = most
        self._seconds = seconds
        self._quick = min(QUICK_SECONDS, seconds)
        # Those that nobody has found slow yet: the first is the next to be looked at, by the timer.
        self._coming: dict[_Request, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Incoming {len(self._coming)} requests>"

    async def read(self, context: Any) -> Any:
        """What the `context` of a call reads. Raises Failure: BUSY where there is no room, TIMEOUT where it does not
        come.
        """
        now = asyncio.get_running_loop().time()
        patience = asyncio.timeout(None)
        request = _Request(now, now + self._quick, patience)
        try:
            async with patience:
                self._watch(request)
                try:
                    return await context.read()
                finally:
                    self._coming.pop(request, None)
                    self._intake.give_back(request.taken)
        except TimeoutError as error:
            if request.is_refused:
                raise no_room("the requests that are coming in leave no room for this one") from error
            told = f"the request was not whole within {self._seconds:g} s"
            raise Failure(Reason.TIMEOUT, told, dispatch=Dispatch.NOT_SENT) from error

    def _watch(self, request: _Request) -> None:
        self._coming[request] = None
        if self._timer is None:
            self._set_timer()

    def _set_timer(self) -> None:
        """For the first of them."""
        first = next(iter(self._coming), None)
        loop = asyncio.get_running_loop()
        self._timer = None if first is None else loop.call_at(first.due, self._look)

    def _look(self) -> None:
        """Find those that are slow."""
        now = asyncio.get_running_loop().time()
        while (first := next(iter(self._coming), None)) is not None and first.due <= now + TICK_SECONDS:
            del self._coming[first]
            self._look_at(first, now)
        self._set_timer()

    def _look_at(self, request: _Request, now: float) -> None:
        if request.patience.expired():
            return
        request.patience.reschedule(request.began + self._seconds)
        if now > request.due + LATE_SECONDS:
            request.due = now + self._quick
            self._coming[request] = None
        elif self._intake.take(self._most):
            request.taken = self._most
        else:
            request.is_refused = True
            request.patience.reschedule(now)
