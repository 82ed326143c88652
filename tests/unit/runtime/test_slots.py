"""Slots are given to whoever waits, whatever happens to those who have them (R9, S32)."""

import asyncio
import random

import pytest

from imagegate.runtime.callers import Caller
from imagegate.runtime.errors import Failure
from imagegate.runtime.rate import Rate
from imagegate.runtime.slots import Slots

CALLERS = [Caller(""), Caller("web", weight=4), Caller("batch", weight=0.5)]


class Crowd:
    """Those who want slots, have them, leave, lose patience and are cancelled at any moment."""

    def __init__(self, slots: Slots, rng: random.Random) -> None:
        self.slots, self.rng = slots, rng
        self.holding = 0
        self.tasks = set[asyncio.Task[None]]()

    def comes(self) -> None:
        self.tasks.add(
            asyncio.create_task(self._one(self.rng.choice(CALLERS), self.rng.choice([None, None, 0.0, 0.001])))
        )

    def leaves(self) -> None:
        if self.tasks:
            self.rng.choice(sorted(self.tasks, key=id)).cancel()

    async def gone(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _one(self, caller: Caller, patience: float | None) -> None:
        try:
            await self.slots.acquire(patience, None, caller)
        except Failure:
            return
        self.holding += 1
        assert self.holding <= self.slots.number
        try:
            for _ in range(self.rng.randrange(5)):
                await asyncio.sleep(0)
        finally:
            self.holding -= 1
            self.slots.release()


async def test_a_turn_that_came_too_late_counts_for_nothing() -> None:
    """S32, P11: who is cancelled in the moment of its turn has used up neither a turn of its caller's nor a part of the
    rate: the next of its own is served before another caller's, and at once.
    """
    slots = Slots(1, Rate(per_second=0.001, burst=2), lambda: 0.0)
    await slots.acquire(None, caller=CALLERS[1])
    served = list[str]()

    async def serve(name: str) -> None:
        await slots.acquire(None, caller=Caller(name))
        served.append(name)

    cancelled, *others = [asyncio.create_task(serve(name)) for name in ("a", "a", "b")]
    await asyncio.sleep(0)
    assert repr(slots) == "<Slots 0 of 1 free, 3 wait>"
    slots.release()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await asyncio.sleep(0)
    assert served == ["a"]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("seed", range(20))
async def test_no_slot_is_lost_or_idle(seed: int) -> None:
    """R9, S32: in any weather no more slots are held than there are, none is free while somebody waits, and in the end
    all of them are free.
    """
    rng = random.Random(seed)  # noqa: S311 the same in every run
    slots = Slots(rng.randint(1, 4))
    crowd = Crowd(slots, rng)
    for _ in range(300):
        rng.choice([crowd.comes, crowd.comes, crowd.leaves])()
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
            assert not slots._free or not slots._queue
    await crowd.gone()
    assert repr(slots) == f"<Slots {slots.number} of {slots.number} free, 0 wait>"
