"""Waiting together for a model that is being loaded."""

import asyncio

import pytest

from imagegate.router.warmup import Warmup
from imagegate.testing import FakeClock

PLACE = ("fal", "m")


class Upstream:
    """Says whether the model is ready when told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[bool] = asyncio.Queue()

    async def is_ready(self) -> bool:
        """The next answer."""
        self.asked += 1
        await asyncio.sleep(0)  # as whatever goes over a network
        return await self.answers.get()


async def waiting(warmup: Warmup, upstream: Upstream, callers: int, seconds: float = 60.0) -> list[asyncio.Task[None]]:
    """Callers that have begun to wait."""
    tasks = [asyncio.create_task(warmup.wait(PLACE, seconds, upstream.is_ready)) for _ in range(callers)]
    await asyncio.sleep(0)
    return tasks


async def test_of_many_callers_one_asks_and_all_hear_it() -> None:
    """R8: one caller keeps the warming going; when the model is ready everybody goes on without asking for himself."""
    warmup, upstream = Warmup(), Upstream()
    tasks = await waiting(warmup, upstream, callers=50)
    upstream.answers.put_nowait(True)
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    assert upstream.asked == 1
    assert repr(warmup) == "<Warmup 0 models>"


async def test_if_who_asks_leaves_another_one_goes_on() -> None:
    """R8: a caller that leaves hands over, and takes nobody with it."""
    warmup, upstream = Warmup(), Upstream()
    asking, *others = await waiting(warmup, upstream, callers=5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    upstream.answers.put_nowait(True)
    async with asyncio.timeout(5):
        await asyncio.gather(*others)
    assert upstream.asked == 2


async def test_a_caller_that_only_waits_may_leave_alone() -> None:
    """R8: others wait or leave by their own deadline; who asks notices nothing."""
    warmup, upstream = Warmup(), Upstream()
    asking, leaving = await waiting(warmup, upstream, callers=2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    (late,) = await waiting(warmup, upstream, callers=1, seconds=0.01)
    async with asyncio.timeout(5):
        await late
    assert not asking.done()
    upstream.answers.put_nowait(True)
    async with asyncio.timeout(5):
        await asking
    assert upstream.asked == 1


async def test_the_estimate_is_the_end_of_waiting() -> None:
    """R8: nobody waits for longer than the estimate, whatever is heard."""
    warmup, upstream = Warmup(), Upstream()
    tasks = await waiting(warmup, upstream, callers=3, seconds=0.05)
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    assert repr(warmup) == "<Warmup 0 models>"


async def test_a_bug_in_asking_is_told_to_who_asks_and_leaves_nobody_waiting() -> None:
    """An error while asking ends one caller's waiting, and the next one asks."""
    warmup, upstream = Warmup(), Upstream()

    async def fails() -> bool:
        await asyncio.sleep(0)
        raise RuntimeError("a bug of ours")

    asking = asyncio.create_task(warmup.wait(PLACE, 60.0, fails))
    await asyncio.sleep(0)
    (other,) = await waiting(warmup, upstream, callers=1)
    upstream.answers.put_nowait(True)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        await asking
    async with asyncio.timeout(5):
        await other


async def test_the_time_that_is_waited_for_is_the_callers_clocks() -> None:
    """Nobody begins to wait for what is over by the clock that decides."""
    clock, upstream = FakeClock(), Upstream()
    warmup = Warmup(clock)
    asking = asyncio.create_task(warmup.wait(PLACE, 60.0, upstream.is_ready))
    await asyncio.sleep(0)
    other = asyncio.create_task(warmup.wait(PLACE, 5.0, upstream.is_ready))
    await asyncio.sleep(0)
    clock.advance(10)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(5):
        await other
    assert upstream.asked == 1
