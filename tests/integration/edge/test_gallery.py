"""What the gallery keeps, on each database that it may stand on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from imagegate.edge import database
from imagegate.edge.database import Database
from imagegate.edge.gallery import Gallery
from imagegate.edge.objects import Objects
from imagegate.edge.problem import Problem
from imagegate.edge.room import Room
from imagegate.edge.tables import METADATA, PICTURES
from imagegate.runtime.settings import SettingsError
from imagegate.testing.clock import FakeClock
from imagegate.testing.galleries import answer, opened_gallery
from imagegate.testing.pictures import picture

OWNERS_AT_A_TIME = 50


async def test_the_migrations_make_the_tables_that_the_code_uses(database_url: str) -> None:
    """Whoever changes a table and writes no migration for it, or another one, is told here."""
    async with database.opened(database_url) as opened, opened.reading() as connection:
        assert await connection.run_sync(_differences) == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


async def test_edges_that_open_a_database_at_the_same_time_all_come_up(database_url: str) -> None:
    """Of several replicas that start on an empty database one makes the tables, and it is one database for all."""

    async def identity() -> str:
        async with database.opened(database_url) as opened:
            return await opened.identity()

    [only] = set(await asyncio.gather(*(identity() for _ in range(6))))
    assert len(only) == 32


async def test_a_picture_comes_back_with_everything_that_was_known_of_it(database_url: str, tmp_path: Path) -> None:
    """P10: what is kept is what was made, down to a NUL that one of the databases has no place for."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri(), now=lambda: 1000.0) as opened:
        [kept] = await opened.keep(picture(), project="Küche", prompt="a\0b ☃", parameters={"seed": 7})
        assert await opened.gallery.find("alice", kept.id) == kept
        assert await opened.gallery.named("alice", kept.filename) == kept
        assert kept.prompt == "a\ufffdb ☃"
        assert (kept.created, kept.filename) == (1_000_000, "1000000-generated.png")
        assert (kept.cost, kept.seconds, kept.seed, kept.project) == (2, 1.5, 7, "Küche")
        assert await opened.gallery.data(kept) == picture()


class LosesTheWord(Database):
    """A database whose first word that all is done gets lost on the way."""

    def __init__(self, behind: Database) -> None:
        self._behind = behind
        self.lost = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._behind.reading() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        async with self._behind.writing() as connection:
            yield connection
        if not self.lost:
            self.lost += 1
            raise Problem(503, "STORE_UNAVAILABLE", "the connection was lost", retry_after=5)

    async def lock(self, connection: AsyncConnection, number: int, *, shared: bool = False) -> None:
        await self._behind.lock(connection, number, shared=shared)


async def test_what_was_recorded_though_nobody_said_so_is_recorded_once(database_url: str, tmp_path: Path) -> None:
    """F38: a connection that breaks when all is done costs no picture, and makes no two of one."""
    async with database.opened(database_url) as opened:
        losing = LosesTheWord(opened)
        gallery = Gallery(losing, Objects.at(tmp_path.joinpath("pictures").as_uri()), Room([], 0), lambda: 1000.0)
        kept = await gallery.keep("alice", "", "a lighthouse", {}, answer([picture(), picture(seed=1)]))
        assert losing.lost == 1
        assert [each.id for each in await gallery.page("alice")] == [each.id for each in reversed(kept)]


async def test_what_is_somebody_elses_is_not_there(database_url: str, tmp_path: Path) -> None:
    """P12: for others a picture does not exist: not by its id, its name, in a list or to be removed."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        [kept] = await opened.keep(project="secret")
        assert await opened.gallery.find("bob", kept.id) is None
        assert await opened.gallery.named("bob", kept.filename) is None
        assert await opened.gallery.page("bob") == []
        assert await opened.gallery.projects("bob") == []
        assert not await opened.gallery.remove("bob", kept.id)
        assert await opened.gallery.remove("alice", kept.id)
        assert await opened.gallery.find("alice", kept.id) is None


async def test_pages_follow_one_another_without_a_gap(database_url: str, tmp_path: Path) -> None:
    """The latest first; each page ends where the next begins, in all projects or in one."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri(), now=FakeClock()) as opened:
        for number in range(7):
            await opened.keep(project="even" if number % 2 == 0 else "odd")
        seen: list[int] = []
        while some := await opened.gallery.page("alice", before=seen[-1] if seen else None, limit=3):
            seen += [each.created for each in some]
        assert len(seen) == 7
        assert seen == sorted(seen, reverse=True)
        assert len(await opened.gallery.page("alice", project="even")) == 4
        assert [(name, count) for name, count, _ in await opened.gallery.projects("alice")] == [("even", 4), ("odd", 3)]


async def test_however_many_an_owner_keeps_at_the_same_time_each_has_its_own_name(
    database_url: str, tmp_path: Path
) -> None:
    """Fifty answers of three pictures each, in one moment of a clock that stands: nobody fails, no name is twice."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri(), now=lambda: 5.0) as opened:
        kept = await asyncio.gather(*(opened.keep(*[picture()] * 3) for _ in range(OWNERS_AT_A_TIME)))
        names = {each.filename for some in kept for each in some}
        assert len(names) == OWNERS_AT_A_TIME * 3
        assert len({each.created for some in kept for each in some}) == OWNERS_AT_A_TIME * 3
        assert len(await opened.gallery.page("alice", limit=1000)) == OWNERS_AT_A_TIME * 3


async def test_the_same_piece_of_work_is_kept_once(database_url: str, tmp_path: Path) -> None:
    """A repeat with the same idempotency key finds what was kept; another key, or another picture, is another one."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        first = await opened.keep(picture(), picture(seed=1), idempotency_key="k")
        assert await opened.keep(picture(), picture(seed=1), idempotency_key="k") == first
        assert len(await opened.gallery.page("alice")) == 2
        await opened.keep(picture(), idempotency_key="another")
        await opened.keep(picture(seed=2), idempotency_key="k")
        await opened.keep(picture(), owner="bob", idempotency_key="k")
        assert len(await opened.gallery.page("alice")) == 4
        assert len(await opened.gallery.page("bob")) == 1


async def test_whoever_only_reads_waits_for_nobody_who_writes(database_url: str, tmp_path: Path) -> None:
    """A look into the gallery is answered while a transaction is under way, with what was before it."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        [kept] = await opened.keep()
        async with opened.database.writing() as connection:
            await connection.execute(update(PICTURES).values(prompt="not yet"))
            async with asyncio.timeout(5):
                assert await opened.gallery.find("alice", kept.id) == kept


async def test_a_database_of_a_later_program_is_left_alone(database_url: str) -> None:
    """An edge that finds tables which it does not know says so and does not start."""
    async with database.opened(database_url) as opened, opened.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer imagegate"):
        async with database.opened(database_url):
            pass
