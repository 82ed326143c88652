"""The edge's database: SQLite in a file by default, PostgreSQL by its URL, brought up to date when it is opened."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, make_url, text, update
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from imagegate.edge.problem import Problem, no_room
from imagegate.edge.tables import IDENTITY
from imagegate.runtime.settings import SettingsError

log = structlog.get_logger(__name__)

VARIABLE = "IMAGEGATE_EDGE_DATABASE"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# One replica at a time changes the tables; the number is ours alone.
MIGRATING = 7_420_112
# Seconds: to connect, for one statement, to wait for a connection of the pool or a turn to write, and how old a
# connection may become.
CONNECT, STATEMENT, WAIT, OLDEST = 5, 15, 10, 600
# What is wrong with a statement of ours, and not with the database.
OUR_BUGS = (IntegrityError, ProgrammingError, DataError, NotSupportedError)
# PostgreSQL: the server has become a standby, and every connection to it is of no more use; the disk is full.
READ_ONLY, DISK_FULL = "25006", "53100"


class Database:
    """Connections. Raises Problem where the database does not do its work: 503, or 507 where its disk is full."""

    def __init__(self, engine: AsyncEngine, wait: float = WAIT) -> None:
        """A transaction waits at most `wait` seconds for its turn."""
        self._engine = engine
        self._wait = wait
        # SQLite has one writer at a time and no line before it: whoever finds it busy looks again at ever longer
        # intervals, while others go ahead. Those of one process stand in line here.
        self._line = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for looking one thing up, which waits for nobody who writes."""
        async with self._told(), self._engine.connect() as connection:
            yield await connection.execution_options(only_reads=True)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it is done when the block is left, or nothing where that raises."""
        async with self._told(), self._in_turn(), self._engine.begin() as connection:
            yield connection

    async def lock(self, connection: AsyncConnection, number: int, *, shared: bool = False) -> None:
        """Hold this number until the transaction ends, alone or with everybody else who shares it. SQLite needs none:
        it has one writer at a time.
        """
        if self._engine.dialect.name == "postgresql":
            kind = "_shared" if shared else ""
            await connection.execute(text(f"SELECT pg_advisory_xact_lock{kind}(:number)"), {"number": number})

    async def check(self) -> None:
        """Raises Problem where it does not answer."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def identity(self) -> str:
        """What tells this database from every other one."""
        async with self.reading() as connection:
            return str(await connection.scalar(IDENTITY.select()))

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._line is None:
            yield
            return
        async with asyncio.timeout(self._wait):
            await self._line.acquire()
        try:
            yield
        finally:
            self._line.release()

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        try:
            yield
        except OUR_BUGS:
            raise
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            log.warning("database_failed", error=first_line(error))
            if getattr(getattr(error, "orig", None), "sqlstate", None) == READ_ONLY:
                await self._engine.dispose()
            raise _problem(error) from error


@asynccontextmanager
async def opened(url: str, *, wait: float = WAIT) -> AsyncIterator[Database]:
    """The database at `url`, with today's tables, until the block is left. Whoever needs a connection or a turn has it
    within `wait` seconds, or fails.

    Raises SettingsError for an address that is none, and for a database that cannot be used.
    """
    folder = folder_of(url)
    if folder is not None and not await asyncio.to_thread(folder.is_dir):
        raise SettingsError(f"{VARIABLE}: unable to open a database in {folder}, which is no folder")
    engine = _engine(url, wait)
    try:
        try:
            if folder is not None:
                await asyncio.to_thread(_make_private, Path(engine.url.database or ""))
            await _bring_up_to_date(engine)
        except CommandError as error:
            raise SettingsError(f"{VARIABLE}: {error}; was it used by a newer imagegate?") from error
        except (SQLAlchemyError, OSError, TypeError) as error:  # TypeError: an option that the driver does not have
            raise SettingsError(f"{VARIABLE}: {_shown(engine)} cannot be used ({first_line(error)})") from error
        yield Database(engine, wait)
    finally:
        await engine.dispose()


def sqlite_in(folder: Path) -> str:
    """The URL of the database in the folder of data."""
    return URL.create("sqlite", database=str(folder / "edge.sqlite")).render_as_string()


def folder_of(url: str) -> Path | None:
    """The folder that the database's file is in, where it is one."""
    address = _address(url)
    is_file = address.drivername == "sqlite" and address.database and not address.database.startswith((":", "file:"))
    return Path(address.database or "").parent if is_file else None


def password_of(url: str) -> str:
    """The password in the URL, for the log to be scrubbed of; empty where there is none."""
    return str(_address(url).password or "")


def first_line(error: Exception) -> str:
    """What it says, without the statement and its values."""
    said = str(getattr(error, "orig", None) or error)
    return said.rpartition("'>: ")[2].partition("\n")[0][:300] or type(error).__name__


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise SettingsError(f"{VARIABLE}: must be a URL such as postgresql://host/name") from error
    name = address.get_backend_name()
    if name not in DRIVERS:
        raise SettingsError(f"{VARIABLE}: must begin with one of {', '.join(DRIVERS)}")
    return address.set(drivername=name)


def _engine(url: str, wait: float) -> AsyncEngine:
    address = _address(url)
    driver = DRIVERS[address.drivername]
    if address.drivername == "sqlite":
        engine = create_async_engine(address.set(drivername=driver), pool_timeout=wait)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        _with_ssl(address).set(drivername=driver),
        pool_pre_ping=True,
        pool_timeout=wait,
        pool_recycle=OLDEST,
        connect_args={"timeout": CONNECT, "command_timeout": STATEMENT},
    )


def _with_ssl(address: URL) -> URL:
    """What everybody else calls sslmode, this driver calls ssl."""
    if "sslmode" not in address.query:
        return address
    return address.difference_update_query(["sslmode"]).update_query_dict({"ssl": address.query["sslmode"]})


def _prepare_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # the driver would begin by itself, and too late
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # First of all how long to wait: the next one is written to the file.
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("only_reads", False):  # one statement sees one state by itself
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _bring_up_to_date(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await Database(engine).lock(connection, MIGRATING)
        await connection.run_sync(_upgrade)
        # A database that takes no writes is found here, and not when a picture has been paid for.
        await connection.execute(update(IDENTITY).values(id=IDENTITY.c.id))


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_private(file: Path) -> None:
    """Prompts are nobody else's, whichever folder it is: what SQLite writes beside a file gets its rights."""
    file.touch(mode=0o600)


def _shown(engine: AsyncEngine) -> str:
    return engine.url.set(drivername=engine.url.get_backend_name()).render_as_string(hide_password=True)


def _problem(error: Exception) -> Problem:
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state == DISK_FULL or "disk is full" in str(error):
        return no_room("the disk of the gallery's database is full")
    return Problem(503, "STORE_UNAVAILABLE", "the gallery's database does not answer; try again soon", retry_after=5)
