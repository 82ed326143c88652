"""The status board: one look at every router replica, shared by everybody who looks at the board."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import structlog

from imagegate.client import AsyncClient, GenerationError, TransportFields
from imagegate.edge.api.record import moment
from imagegate.edge.api.replica_view import UNKNOWN, Replica
from imagegate.edge.api.samples import SAMPLE_SECONDS, Samples
from imagegate.edge.sse import with_heartbeats
from imagegate.v1 import router_pb2

log = structlog.get_logger(__name__)

# Answers with the addresses behind the router's name, as it resolves now. Raises GenerationError.
FindReplicas = Callable[[], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class BoardPace:
    """Seconds: how often replicas are looked for, how long after a failure one is asked again, how long it may say
    nothing (a router tells its status every 10 s), and how often samples are taken.
    """

    look: float = 30.0
    again: float = 2.0
    silent: float = 25.0
    sample: float = SAMPLE_SECONDS


PACE = BoardPace()


class Board:
    """What the routers say of themselves, kept up to date in the background. `now` is the wall clock in seconds."""

    def __init__(
        self, find: FindReplicas, now: Callable[[], float], pace: BoardPace, transport: TransportFields
    ) -> None:
        self._find = find
        self._transport = transport
        self._now = now
        self._pace = pace
        self._replicas: dict[str, Replica] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._nowhere = UNKNOWN
        self._news = asyncio.Event()
        self.samples = Samples()
        # Changes whenever what the replicas say does.
        self.version = 0
        # Nothing will be told any more: who looks on is to leave.
        self.is_closing = False

    @property
    def replicas(self) -> list[Replica]:
        """Every replica, in the order of their addresses; where none can be found, one without an address."""
        known = [self._replicas[address] for address in sorted(self._replicas)]
        return known or [Replica("", problem=self._nowhere)]

    async def news(self) -> None:
        """Wait until there is something that was not there before."""
        await self._news.wait()

    def close(self) -> None:
        """Have everybody who looks on leave."""
        self.is_closing = True
        self._tell()

    async def look(self) -> None:
        """See which replicas there are, begin to watch the new ones, and forget those that are gone."""
        try:
            found = set(await self._find())
        except GenerationError as error:
            # Those that are known may be there all the same: each says so itself.
            self._nowhere = error.message.partition(";")[0]
            self._changed()
            return
        known = set(self._replicas)
        await self.forget(*known - found)
        for address in sorted(found - known):
            self._replicas[address] = Replica(address)
            self._watching[address] = asyncio.create_task(self._watch(address))
        if found != known:
            self._changed()

    async def sample(self) -> None:
        """Take one sample."""
        statuses = {replica.address: replica.status for replica in self._replicas.values()}
        self.samples.take(moment(self._now()), statuses)
        self._tell()

    async def forget(self, *addresses: str) -> None:
        """Watch these replicas no more."""
        for address in addresses:
            task = self._watching.pop(address)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._replicas[address]

    async def stop(self) -> None:
        """Watch nobody any more."""
        await self.forget(*self._watching)

    async def _watch(self, address: str) -> None:
        async with AsyncClient(address, **self._transport) as router:
            await _again_and_again(lambda: self._follow(address, router), self._pace.again)

    async def _follow(self, address: str, router: AsyncClient) -> None:
        """Note what one replica says until it says nothing more."""
        problem = "it has stopped"
        try:
            async with (
                aclosing(router.watch_status()) as statuses,
                aclosing(with_heartbeats(statuses, self._pace.silent)) as told,
            ):
                async for status in told:
                    if status is None:
                        problem = f"it has said nothing for {self._pace.silent:g} s"
                        break
                    self._note(address, status)
        except GenerationError as error:
            problem = error.message
        self._note(address, None, problem)

    def _note(self, address: str, status: router_pb2.RouterStatus | None, problem: str = "") -> None:
        replica = Replica(address, status, problem)
        if replica != self._replicas.get(address):  # a router repeats itself to show that it is there
            self._replicas[address] = replica
            self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@asynccontextmanager
async def watching(
    find: FindReplicas, now: Callable[[], float], pace: BoardPace = PACE, transport: TransportFields | None = None
) -> AsyncIterator[Board]:
    """A board that is kept up to date until the block is left. `transport` is how replicas are reached."""
    board = Board(find, now, pace, transport or {})
    tasks = [
        asyncio.create_task(_again_and_again(board.look, pace.look)),
        asyncio.create_task(_again_and_again(board.sample, pace.sample)),
    ]
    try:
        yield board
    finally:
        board.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await board.stop()


async def _again_and_again(step: Callable[[], Awaitable[None]], pause: float) -> None:
    while True:
        try:
            await step()
        except Exception:  # a bug of ours must not blind the board for ever
            log.exception("the board could not be kept up to date")
        await asyncio.sleep(pause)
