"""Whether an edge should get calls."""

import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request

from imagegate.edge import health
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Call
from imagegate.edge.health import REMEMBERED_SECONDS, Health
from imagegate.edge.problem import Problem
from imagegate.testing import FakeClock

CALL = Call(make_mocked_request("GET", "/readyz"), Caller(""), "request-1")


class FakeDatabase:
    """Answers, does not, or not in time."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.hangs = False

    async def check(self) -> None:
        self.asked += 1
        if self.fails:
            raise Problem(503, "DATABASE", "it is away")
        if self.hangs:
            await asyncio.Event().wait()


async def test_it_is_ready_until_it_is_about_to_stop() -> None:
    """Whoever sends calls learns of the end before it comes; alive it is until then."""
    ours = Health(FakeDatabase().check, FakeClock())
    assert (await ours.readyz(CALL)).status == 200
    ours.leave()
    with pytest.raises(Problem, match="503 NOT_READY: it is about to stop"):
        await ours.readyz(CALL)
    assert (await ours.livez(CALL)).status == 200


async def test_without_its_database_it_is_not_ready() -> None:
    """However often anybody asks, the database is asked once a second, and what is said is not older."""
    clock, database = FakeClock(), FakeDatabase()
    ours = Health(database.check, clock)
    assert (await ours.readyz(CALL)).status == 200
    database.fails = True
    await asyncio.gather(*(ours.readyz(CALL) for _ in range(50)))
    assert database.asked == 1
    clock.advance(REMEMBERED_SECONDS)
    for _ in range(50):
        with pytest.raises(Problem, match="its database does not answer"):
            await ours.readyz(CALL)
    assert database.asked == 2
    database.fails = False
    clock.advance(REMEMBERED_SECONDS)
    assert (await ours.readyz(CALL)).status == 200


async def test_a_database_that_hangs_is_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe gets its answer before it gives up."""
    monkeypatch.setattr(health, "DATABASE_SECONDS", 0.01)
    database = FakeDatabase()
    database.hangs = True
    with pytest.raises(Problem, match="its database does not answer"):
        await Health(database.check, FakeClock()).readyz(CALL)
