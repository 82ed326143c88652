"""Whether an edge should get calls."""

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from imagegate.edge import database
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Call
from imagegate.edge.health import REMEMBERED_SECONDS, Health
from imagegate.edge.problem import Problem
from imagegate.testing import FakeClock

CALL = Call(make_mocked_request("GET", "/readyz"), Caller(""), "request-1")


async def test_it_is_ready_until_it_is_about_to_stop(tmp_path: Path) -> None:
    """Whoever sends calls learns of the end before it comes; alive it is until then."""
    async with database.opened(database.sqlite_in(tmp_path)) as engine:
        health = Health(engine, FakeClock())
        assert (await health.readyz(CALL)).status == 200
        health.leave()
        with pytest.raises(Problem, match="503 NOT_READY: it is about to stop"):
            await health.readyz(CALL)
        assert (await health.livez(CALL)).status == 200


async def test_without_its_database_it_is_not_ready(tmp_path: Path) -> None:
    """What it says is at most a second old, however often anybody asks."""
    clock = FakeClock()
    async with database.opened(database.sqlite_in(tmp_path)) as engine:
        health = Health(engine, clock)
        assert (await health.readyz(CALL)).status == 200
        await engine.dispose()
        (tmp_path / "edge.sqlite").rename(tmp_path / "gone.sqlite")
        (tmp_path / "edge.sqlite").mkdir()
        assert (await health.readyz(CALL)).status == 200
        clock.advance(REMEMBERED_SECONDS)
        with pytest.raises(Problem, match="its database does not answer"):
            await health.readyz(CALL)
        (tmp_path / "edge.sqlite").rmdir()
        (tmp_path / "gone.sqlite").rename(tmp_path / "edge.sqlite")
        clock.advance(REMEMBERED_SECONDS)
        assert (await health.readyz(CALL)).status == 200
