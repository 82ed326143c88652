"""What nobody may see any more is removed: pictures that are too old, and bytes that belong to no picture.

Any number of replicas may do it at the same time. A picture that is being kept is safe at every moment: its bytes count
as new, and who keeps and who sweeps wait for each other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, select

from imagegate.edge.database import Database
from imagegate.edge.gallery import SWEEPING
from imagegate.edge.objects import Objects
from imagegate.edge.problem import Problem
from imagegate.edge.tables import PICTURES

log = structlog.get_logger(__name__)

HOUR = 3600.0
DAY = 86_400.0
# Pictures that are forgotten in one transaction.
AT_A_TIME = 500


@dataclass(slots=True)
class Removed:
    """How many: pictures, sums that no picture had, and files of writes that came to no end."""

    pictures: int = 0
    objects: int = 0
    leftovers: int = 0


class Janitor:
    """Removes. `now` is the wall clock in seconds; `retention_days` None keeps pictures for ever.

    Raises Problem where the database or the storage does not do its work.
    """

    def __init__(
        self, database: Database, objects: Objects, retention_days: float | None, now: Callable[[], float]
    ) -> None:
        self._database = database
        self._objects = objects
        self._retention_days = retention_days
        self._now = now

    async def clean(self) -> Removed:
        """Everything that there is to remove now."""
        removed = Removed()
        if self._retention_days is not None:
            oldest = self._now() - self._retention_days * DAY
            while forgotten := await self._forget(int(oldest * 1000)):
                removed.pictures += forgotten
        before = self._now() - HOUR
        removed.leftovers = await self._objects.tidy(self._now() - DAY)
        if not await self._objects.belongs_to(await self._database.identity()):
            # A new database in front of old pictures has no row for any of them.
            log.error("pictures_of_another_database", remedy="give the database that they belong to, or another place")
            return removed
        async for some in self._objects.listed():
            removed.objects += await self._sweep([each.sha256 for each in some if each.written < before])
        return removed

    async def _forget(self, created_before: int) -> int:
        old = select(PICTURES.c.id).where(PICTURES.c.created < created_before).limit(AT_A_TIME)
        async with self._database.writing() as connection:
            return (await connection.execute(delete(PICTURES).where(PICTURES.c.id.in_(old)))).rowcount

    async def _sweep(self, sums: Sequence[str]) -> int:
        if not sums:
            return 0
        async with self._database.writing() as connection:
            # Nobody records a picture between this look and the removal.
            await self._database.lock(connection, SWEEPING)
            found = await connection.scalars(select(PICTURES.c.sha256).where(PICTURES.c.sha256.in_(sums)).distinct())
            nobodys = sorted(set(sums) - set(found))
            if nobodys:
                await self._objects.remove(nobodys)
            return len(nobodys)


@asynccontextmanager
async def at_work(janitor: Janitor, seconds: float = HOUR) -> AsyncIterator[None]:
    """Clean now, and every so many `seconds`, until the block is left."""
    task = asyncio.create_task(_clean_again_and_again(janitor, seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _clean_again_and_again(janitor: Janitor, seconds: float) -> None:
    while True:
        try:
            removed = await janitor.clean()
            log.info("cleaned", pictures=removed.pictures, objects=removed.objects, leftovers=removed.leftovers)
        except Problem as told:
            log.warning("not_cleaned", problem=told.detail)
        except Exception:
            log.exception("not cleaned by a bug")
        await asyncio.sleep(seconds)
