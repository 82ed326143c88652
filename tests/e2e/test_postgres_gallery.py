"""The gallery on PostgreSQL: the rules that it keeps on every database, and what only a server can do.

`make test` keeps the same rules on SQLite.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from imagegate.edge import database
from imagegate.edge.problem import Problem
from imagegate.edge.tables import IDENTITY
from imagegate.runtime.settings import SettingsError
from imagegate.testing.galleries import opened_gallery
from imagegate.testing.postgres import PostgresServer, serving_postgres
from integration.edge.test_gallery import (  # noqa: F401 - the same rules, here
    test_a_database_of_a_later_program_is_left_alone,
    test_a_picture_comes_back_with_everything_that_was_known_of_it,
    test_edges_that_open_a_database_at_the_same_time_all_come_up,
    test_however_many_an_owner_keeps_at_the_same_time_each_has_its_own_name,
    test_pages_follow_one_another_without_a_gap,
    test_the_migrations_make_the_tables_that_the_code_uses,
    test_the_same_piece_of_work_is_kept_once,
    test_what_is_somebody_elses_is_not_there,
    test_whoever_only_reads_waits_for_nobody_who_writes,
)
from integration.edge.test_janitor import (  # noqa: F401 - the same rules, here
    test_what_is_too_old_is_forgotten_and_its_bytes_with_it,
    test_while_others_keep_the_same_picture_no_sweep_takes_it_away,
)

CUT_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server for the tests of this file."""
    with serving_postgres() as server:
        yield server


@pytest.fixture
async def database_url(postgres: PostgresServer) -> str:
    """An empty database."""
    return await postgres.new_database()


async def test_connections_that_were_cut_off_are_taken_up_again(database_url: str, tmp_path: Path) -> None:
    """F37: whoever keeps a picture notices nothing of connections that end between two calls."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        await opened.keep()
        other = create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:"))
        for _ in range(3):
            async with other.begin() as connection:
                await connection.execute(text(CUT_OFF))
            await opened.keep()
        await other.dispose()
        assert len(await opened.gallery.page("alice")) == 4


async def test_a_server_that_is_down_is_told_as_such_and_taken_up_when_it_is_back(
    postgres: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    """F36: while the server is away that is said, with when to come again; afterwards all goes on by itself."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        [kept] = await opened.keep()
        await asyncio.to_thread(postgres.stop)
        try:
            for ask in (opened.gallery.check_room, opened.keep, lambda: opened.gallery.page("alice")):
                with pytest.raises(Problem, match="503 STORE_UNAVAILABLE") as told:
                    await ask()
                assert told.value.retry_after == 5
            with pytest.raises(SettingsError, match="IMAGEGATE_EDGE_DATABASE"):
                async with database.opened(database_url):
                    pass
        finally:
            await asyncio.to_thread(postgres.start)
        assert await opened.gallery.page("alice") == [kept]


async def test_a_server_that_takes_no_writes_is_found_at_the_start(database_url: str) -> None:
    """A standby is refused before any picture is paid for."""
    async with database.opened(database_url) as opened, opened.writing() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
        await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with pytest.raises(SettingsError, match="read-only"):
        async with database.opened(database_url):
            pass


async def test_a_server_that_takes_no_writes_any_more_is_down(database_url: str, tmp_path: Path) -> None:
    """F36: a server that has become a standby counts as down, and its connections are given up."""
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri()) as opened:
        async with opened.database.writing() as connection:
            name = await connection.scalar(text("SELECT current_database()"))
        other = create_async_engine(
            database_url.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT"
        )
        async with other.connect() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
            await connection.execute(text(CUT_OFF))
            with pytest.raises(Problem, match="503 STORE_UNAVAILABLE"):
                await opened.keep()
            await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = off"))
        await other.dispose()
        assert len(await opened.keep()) == 1


async def test_an_address_that_leads_nowhere_is_one_clear_error(database_url: str) -> None:
    """A wrong database, user, host or option is named, and no password with it."""
    base, _, options = database_url.partition("?")
    server = base.rpartition("/")[0]
    for wrong, told in {
        f"{server}/nothing?{options}": 'database "nothing" does not exist',
        f"postgresql://nobody:hunter2@/postgres?{options}": 'role "nobody" does not exist',
        "postgresql://nobody:hunter2@127.0.0.1:1/postgres": "refused|Connect call failed",
        f"{database_url}&nonsense=1": "nonsense",
    }.items():
        with pytest.raises(SettingsError, match=told) as error:
            async with database.opened(wrong):
                pass
        assert "IMAGEGATE_EDGE_DATABASE" in str(error.value)
        assert "hunter2" not in str(error.value)


async def test_what_a_statement_of_ours_does_wrong_is_not_taken_for_a_server_that_is_down(database_url: str) -> None:
    """A bug is a bug: nobody is told to come again for it."""
    async with database.opened(database_url) as opened:
        async with opened.writing() as connection:
            await connection.run_sync(IDENTITY.drop)
        with pytest.raises(Exception, match="identity") as error:
            await opened.identity()
        assert not isinstance(error.value, Problem)
