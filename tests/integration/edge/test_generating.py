"""What is paid for is kept, whatever becomes of who ordered it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from imagegate.edge import database
from imagegate.edge.caller import Caller
from imagegate.edge.database import sqlite_in
from imagegate.edge.generating import Generating, Order
from imagegate.testing.fronted import ServedEdge

ALICE = Caller("alice")
ORDER = Order("a lighthouse", "fal/flux-schnell", {"seed": 7, "width": 256, "height": 256})


async def at_once(generating: Generating) -> None:
    await generating.generate(ALICE, "r-1", ORDER)


async def told(generating: Generating) -> None:
    async for _ in generating.stream(ALICE, "r-1", ORDER):
        pass


def written_in(data: Path) -> list[Path]:
    return list(data.glob("pictures/??/*"))


@pytest.mark.parametrize("make", [at_once, told])
async def test_who_leaves_while_a_picture_is_being_kept_finds_it_later(
    edge: ServedEdge, tmp_path: Path, make: Callable[[Generating], Coroutine[Any, Any, None]]
) -> None:
    """P10: from the router's answer on a picture is paid for: leaving then stops nothing, and it is in the gallery."""
    async with database.opened(sqlite_in(tmp_path)) as other, asyncio.timeout(20):
        async with other.writing():  # so that the edge waits before it records anything
            making = asyncio.create_task(make(edge.house.generating))
            while not written_in(tmp_path):
                await asyncio.sleep(0.01)
            making.cancel()
            await asyncio.wait({making}, timeout=0.05)
        with pytest.raises(asyncio.CancelledError):
            await making
    [kept] = await edge.house.gallery.page("alice")
    assert kept.request_id == "r-1"
