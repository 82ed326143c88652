"""What one call sends, in its turn among all calls of the process."""

import asyncio
from collections.abc import Callable
from typing import Any

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.unread import STALLED_SECONDS, Holding, Unread

# google.rpc.Code, as gRPC says that something is used up.
RESOURCE_EXHAUSTED = 8
# After so many seconds it makes sense to come back.
RETRY_SECONDS = 1.0


class Reply:
    """A call's context whose writes wait for their turn. Everything else is the context's own.

    Whoever has to give way to others gets Failure(CANCELLED) with the code RESOURCE_EXHAUSTED.
    """

    def __init__(self, context: Any, unread: Unread, serializer: Callable[[Any], bytes] | None = None) -> None:
        self._context = context
        self._unread = unread
        self._serializer = serializer
        self._holding = Holding(context.peer(), go=self._go, lost=self._lose)
        self._kept = 0
        self._turn: asyncio.Future[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._is_lost = False
        self.is_left_behind = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def connection(self) -> str:
        """Whom the call came from, as gRPC writes it."""
        return self._holding.connection

    @property
    def is_unread(self) -> bool:
        """Whether gRPC was handed something that the caller has not taken yet."""
        return self._holding.handed > 0

    def keep(self, size: int) -> None:
        """So many bytes are meant for the caller by now, the write under way included."""
        self._kept = size
        if not self._is_lost:
            self._unread.keep(self._holding, max(size - self._holding.handed, 0))

    async def turn(self, message: bytes) -> None:
        """Wait until `message`, the last one of the call, may be handed over. Raises Failure."""
        self.keep(max(self._kept, len(message)))
        await self._in_turn(len(message))

    async def write(self, message: Any) -> None:
        """Send one message, as the context's own `write` does, once it has its turn. Raises Failure as well."""
        data = message if self._serializer is None else self._serializer(message)
        self.keep(max(self._kept, len(data)))
        await self._in_turn(len(data))
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._context.write(data)
        except TimeoutError:
            if self._is_lost:
                raise _gave_way() from None
            raise
        finally:
            self._patience = None
        self._unread.taken(self._holding, len(data))
        self.keep(self._kept - len(data))

    async def room(self) -> None:
        """Wait while answers on this connection wait for their turn, before another one is made. Raises Failure(BUSY)
        where that lasts.
        """
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._in_turn(0)
        except TimeoutError:
            self._unread.leave(self._holding)
            raise no_room("answers wait on this connection to be read", "read answers as they come") from None

    def end(self) -> None:
        """The call is over, and nothing of it is left, or nothing that could be known of any more."""
        self._unread.end(self._holding)

    async def _in_turn(self, size: int) -> None:
        if self._is_lost:
            raise _gave_way()
        if self._unread.in_turn(self._holding, size):
            return
        self._turn = asyncio.get_running_loop().create_future()
        try:
            await self._turn
        finally:
            self._turn = None

    def _go(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _lose(self) -> None:
        self._is_lost = True
        if self._turn is not None and not self._turn.done():
            self._turn.set_exception(_gave_way())
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())


def keeper(context: Any) -> Callable[[int], None]:
    """What a handler tells how many bytes it has for the caller and did not write yet."""
    return context.keep if isinstance(context, Reply) else _nobody


async def until_room(context: Any) -> None:
    """Wait until the caller has read enough of what there is for it. Raises Failure(BUSY) where that lasts."""
    if isinstance(context, Reply):
        await context.room()


def no_room(why: str, remedy: str = "") -> Failure:
    """Who finds no room here; nothing was begun."""
    return Failure(Reason.BUSY, why, remedy=remedy, retry_after=RETRY_SECONDS, dispatch=Dispatch.NOT_SENT)


def _nobody(_size: int) -> None:
    """Nobody counts."""


def _gave_way() -> Failure:
    return Failure(
        Reason.CANCELLED,
        "the answers on this connection are not read, and there is no more room to keep them",
        remedy="read answers as they come",
        retry_after=RETRY_SECONDS,
        code=RESOURCE_EXHAUSTED,
    )
