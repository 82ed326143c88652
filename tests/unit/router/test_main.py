"""The router's process: what must go on for as long as it serves."""

import asyncio

import pytest
import structlog

from imagegate.router.__main__ import BrokenError, working
from imagegate.router.config import ModelOverrides
from imagegate.router.events import Listeners
from imagegate.router.lookout import keep_looking
from imagegate.router.router import Router


async def for_ever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    return


async def broken() -> None:
    raise LookupError("a bug of ours")


@pytest.mark.parametrize("work", [broken, at_once])
async def test_work_that_ends_too_soon_ends_the_process(work: object) -> None:
    """A process whose background work has died says so in its log and ends, instead of seeming to be well."""
    with structlog.testing.capture_logs() as logs, pytest.raises(BrokenError, match="looking has ended"):
        await working(for_ever(), reloading=for_ever(), looking=work())  # type: ignore[operator]
    assert [(line["log_level"], line["work"]) for line in logs] == [("error", "looking")]


async def test_all_work_ends_when_the_process_is_told_to_stop() -> None:
    """A process that is told to stop leaves no work behind, and tells of no trouble."""
    before = asyncio.all_tasks()
    await working(at_once(), looking=for_ever())
    assert asyncio.all_tasks() == before


async def test_a_bug_in_looking_does_not_blind_the_router() -> None:
    """What fails once a second is logged, and looked at again a second later."""
    looked: list[bool] = []
    again = asyncio.Event()

    def broken_clock() -> float:
        looked.append(True)
        if len(looked) == 2:
            again.set()
        raise LookupError("a bug of ours")

    router = Router(ModelOverrides(), Listeners(), clock=broken_clock)
    looking = asyncio.create_task(keep_looking(router, for_ever))
    async with asyncio.timeout(10):
        await again.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
