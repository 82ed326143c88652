"""Requests that come in slowly, beside those that are there at once."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

import pytest

from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.incoming import Incoming
from imagegate.runtime.intake import Intake

MOST = 1000 * 1024


class Context:
    """The context of a call whose message comes when it is sent."""

    def __init__(self) -> None:
        self._message = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        """The message."""
        return bytes(await self._message)

    def send(self, message: bytes) -> None:
        """It is whole now."""
        self._message.set_result(message)


def reading(incoming: Incoming, context: Context) -> asyncio.Task[bytes]:
    """A call that reads its message."""
    work: Coroutine[Any, Any, bytes] = incoming.read(context)
    return asyncio.create_task(work)


async def until(intake: Intake, taken: int) -> None:
    """Wait until so much room is taken."""
    async with asyncio.timeout(5):
        while intake.taken != taken:
            await asyncio.sleep(0.01)


async def test_slow_takes_room() -> None:
    """A request that is not there at once takes the room of the largest, until it is whole."""
    intake = Intake(10 * MOST)
    incoming, context = Incoming(intake, MOST, 30), Context()
    call = reading(incoming, context)
    await until(intake, MOST)
    context.send(b"whole")
    assert await call == b"whole"
    assert intake.taken == 0


async def test_each_is_looked_at_in_its_time() -> None:
    """Those that come one after another are each found slow, whatever became of those before them."""
    intake = Intake(10 * MOST)
    incoming = Incoming(intake, MOST, 30)
    contexts = [Context() for _ in range(4)]
    calls = []
    for context in contexts:
        calls.append(reading(incoming, context))
        await asyncio.sleep(0)
    contexts[0].send(b"")
    await until(intake, 3 * MOST)
    calls.append(reading(incoming, contexts[0]))  # it is there already
    assert await calls[-1] == b""
    late = Context()
    calls.append(reading(incoming, late))
    await until(intake, 4 * MOST)
    for context in (*contexts[1:], late):
        context.send(b"")
    await asyncio.gather(*calls)
    assert intake.taken == 0


async def test_no_room_for_a_slow_one() -> None:
    """A slow request for which there is no room is refused, and takes none."""
    intake = Intake(MOST)
    incoming, first = Incoming(intake, MOST, 30), Context()
    call = reading(incoming, first)
    await until(intake, MOST)
    with pytest.raises(Failure) as refused:
        await incoming.read(Context())
    assert refused.value.reason is Reason.BUSY
    assert intake.taken == MOST
    first.send(b"")
    await call


@pytest.mark.parametrize("seconds", [0.05, 0.4])
async def test_too_slow(seconds: float) -> None:
    """A request that does not become whole in its time ends with TIMEOUT, and its room is free again."""
    intake = Intake(10 * MOST)
    with pytest.raises(Failure) as late:
        await Incoming(intake, MOST, seconds).read(Context())
    assert late.value.reason is Reason.TIMEOUT
    assert intake.taken == 0


async def test_whoever_leaves() -> None:
    """A caller who leaves while its request comes in gives back its room."""
    intake = Intake(10 * MOST)
    call = reading(Incoming(intake, MOST, 30), Context())
    await until(intake, MOST)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    assert intake.taken == 0


async def test_a_late_loop_blames_nobody() -> None:
    """Where this process itself was busy for long, nobody's request counts as slow because of that."""
    intake = Intake(10 * MOST)
    context = Context()
    call = reading(Incoming(intake, MOST, 30), context)
    await asyncio.sleep(0)
    block_for(0.4)
    for _ in range(3):  # its timer goes off
        await asyncio.sleep(0)
    assert intake.taken == 0
    context.send(b"whole")
    assert await call == b"whole"


def block_for(seconds: float) -> None:
    """Keep the loop busy."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass
