"""An edge over a router over the sandbox, for every test of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from imagegate.edge.database import sqlite_in
from imagegate.testing.fronted import ServedEdge, serving_edge
from imagegate.testing.postgres import PostgresServer, binaries, serving_postgres
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import ServedRouter, serving_router

ROUTES = {
    "default": ["huggingface/flux-schnell", "fal/flux-schnell", "automatic1111/local"],
    "web": ["huggingface/flux-schnell", "automatic1111/local"],
}
# PostgreSQL where the machine has it; `make e2e` fails where it has none.
ENGINES = ["sqlite", *(["postgresql"] if binaries() else [])]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a process; each has a database of its own in it."""
    with serving_postgres() as server:
        yield server


@pytest.fixture(params=ENGINES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return sqlite_in(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return await server.new_database()


@pytest.fixture
async def upstreams() -> AsyncIterator[Sandboxed]:
    """The sandbox with the providers in front of it."""
    async with serving_sandboxed() as sandboxed:
        yield sandboxed


@pytest.fixture
async def router(upstreams: Sandboxed) -> AsyncIterator[ServedRouter]:
    """A router over all of them."""
    async with serving_router(upstreams.targets, ROUTES) as served:
        yield served


@pytest.fixture
async def edge(router: ServedRouter, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge in front of the router."""
    async with serving_edge(router.target, tmp_path, admin=f"127.0.0.1:{router.admin_port}") as served:
        yield served
