"""A PostgreSQL server of a test's own: a process in a folder, reached by a socket in that folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

STARTS_WITHIN_SECONDS = 30.0
USER = "imagegate"
# It is thrown away: nothing of it has to be on a disk.
OPTIONS = ("-F", "-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=100")


def binaries() -> Path | None:
    """Where the newest server of this machine is; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """The server, which can be stopped and started again."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make its data."""
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C").wait()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = self._run("postgres", "-k", str(self._folder), *OPTIONS)
        give_up = time.monotonic() + STARTS_WITHIN_SECONDS
        while self._run_once("pg_isready", "-q", "-h", str(self._folder)) != 0:
            if time.monotonic() > give_up or self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; whoever is connected is thrown out."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    async def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{uuid4().hex}"
        server = create_async_engine(self._url("postgres", "+asyncpg"), isolation_level="AUTOCOMMIT")
        async with server.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        await server.dispose()
        return self._url(name)

    def _url(self, database: str, driver: str = "") -> str:
        return f"postgresql{driver}://{USER}@/{database}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        data = str(self._folder / "data")
        # It refuses to run as root.
        user = "nobody" if os.geteuid() == 0 else None
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a program of this machine
                [str(self._binaries / program), "-D", data, *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )

    def _run_once(self, program: str, *arguments: str) -> int:
        return subprocess.run([str(self._binaries / program), *arguments], check=False).returncode  # noqa: S603


@contextmanager
def serving_postgres() -> Iterator[PostgresServer]:
    """A server until the block is left. Raises RuntimeError, naming the package, where the machine has none."""
    where = binaries()
    if where is None:
        raise RuntimeError("there is no PostgreSQL server on this machine: apt-get install postgresql")
    # A short path of everybody's: a socket's name has at most 107 bytes, and the server is another user.
    with tempfile.TemporaryDirectory(prefix="imagegate-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        server = PostgresServer(folder, where)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
