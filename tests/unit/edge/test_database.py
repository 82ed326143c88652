"""A database of the edge: what is wrong with it is one clear error, and whoever writes has a turn."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from imagegate.edge import database
from imagegate.edge.problem import Problem
from imagegate.edge.tables import IDENTITY
from imagegate.runtime.settings import SettingsError


async def refused(url: str, told: str) -> str:
    """What is said of an address, which has to hold `told`."""
    with pytest.raises(SettingsError, match=told) as error:
        async with database.opened(url):
            pass
    assert "IMAGEGATE_EDGE_DATABASE" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["plain", "with space", "a%20b", "what?", "no#1", "ünïcode"])
async def test_a_file_is_made_wherever_the_folder_of_data_is(tmp_path: Path, name: str) -> None:
    """Whatever the folder is called, the database is in it, and the same one the next time."""
    folder = tmp_path / name
    folder.mkdir()
    url = database.sqlite_in(folder)
    assert database.folder_of(url) == folder
    async with database.opened(url) as opened:
        identity = await opened.identity()
        await opened.check()
    async with database.opened(url) as opened:
        assert await opened.identity() == identity
    assert (folder / "edge.sqlite").is_file()


async def test_what_is_in_the_database_is_nobody_elses(tmp_path: Path) -> None:
    """R14: prompts are for the edge alone, although the folder may be open to everybody on the machine."""
    async with database.opened(database.sqlite_in(tmp_path)) as opened, opened.writing():
        modes = modes_in(tmp_path)
    assert modes == dict.fromkeys(("edge.sqlite", "edge.sqlite-shm", "edge.sqlite-wal"), 0o600)


async def test_who_writes_has_a_turn_in_the_order_of_coming(tmp_path: Path) -> None:
    """Many who write at the same time are served one after the other: nobody is overtaken, so nobody waits for long."""
    done = []

    async def write(opened: database.Database, number: int) -> None:
        async with opened.writing() as connection:
            await connection.execute(update(IDENTITY).values(id=str(number)))
            done.append(number)

    async with database.opened(database.sqlite_in(tmp_path)) as opened:
        await asyncio.gather(*(write(opened, number) for number in range(40)))
        assert done == list(range(40))
        assert await opened.identity() == "39"


async def test_who_has_no_turn_in_time_is_told(tmp_path: Path) -> None:
    """Behind a transaction that does not end nobody waits for ever; once it has ended the next one is served."""
    async with database.opened(database.sqlite_in(tmp_path), wait=0.05) as opened:
        async with opened.writing():
            with pytest.raises(Problem, match="does not answer") as told:
                async with opened.writing():
                    pass
        async with opened.writing() as connection:
            await connection.execute(update(IDENTITY).values(id="later"))
        assert (told.value.status, await opened.identity()) == (503, "later")


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody's file is not written over."""
    file = tmp_path / "edge.sqlite"
    file.write_bytes(b"somebody's diary" * 1000)
    await refused(database.sqlite_in(tmp_path), "not a database")
    assert file.read_bytes() == b"somebody's diary" * 1000


async def test_a_database_that_takes_no_writes_is_refused(tmp_path: Path) -> None:
    """A disk that is read-only is found at the start, although there is nothing to bring up to date."""
    async with database.opened(database.sqlite_in(tmp_path)):
        pass
    await refused(f"sqlite:///file:{tmp_path}/edge.sqlite?mode=ro&uri=true", "readonly")


async def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A folder that is missing, or is a file, is named."""
    assert "no/such" in await refused(database.sqlite_in(tmp_path / "no" / "such"), "unable to open")
    (tmp_path / "file").write_text("")
    await refused(database.sqlite_in(tmp_path / "file"), "unable to open")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "/var/lib/edge.sqlite", "mysql://host/name", "postgresql://host:port/name"]
)
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Only what is a URL of one of the two is taken."""
    await refused(url, "must b")


def test_what_lets_one_in_is_known_so_that_no_log_has_it() -> None:
    """The password is found as it is, not as it is written in a URL."""
    assert database.password_of("postgresql://me:hunter%402@host/name") == "hunter@2"
    assert database.password_of("postgresql+asyncpg://me@host/name") == ""
    assert database.folder_of("postgresql://me@host/name") is None
    assert database.folder_of("sqlite://") is None
