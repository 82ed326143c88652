"""The edge's database: SQLite in a file by default, PostgreSQL by its URL, brought up to date when it is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from imagegate.runtime.settings import SettingsError

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# One replica at a time changes the tables; the number is ours alone.
MIGRATING = 7_420_112


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    """The database at `url`, with today's tables, until the block is left.

    Raises SettingsError for an address that is none.
    """
    engine = _engine(url)
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATING})
            await connection.run_sync(_upgrade)
        yield engine
    finally:
        await engine.dispose()


def sqlite_in(folder: Path) -> str:
    """The URL of the database in the folder of data."""
    return f"sqlite:///{folder / 'edge.sqlite'}"


def _engine(url: str) -> AsyncEngine:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise SettingsError("IMAGEGATE_EDGE_DATABASE: must be a URL such as postgresql://host/name") from error
    if address.drivername not in DRIVERS:
        raise SettingsError(f"IMAGEGATE_EDGE_DATABASE: must begin with one of {', '.join(DRIVERS)}")
    engine = create_async_engine(address.set(drivername=DRIVERS[address.drivername]), pool_pre_ping=True)
    if address.drivername == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # the driver would begin by itself, and too late
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "busy_timeout=10000", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
