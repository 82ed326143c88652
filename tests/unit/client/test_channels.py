"""How many channels a pool opens and keeps."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from imagegate.runtime.channels import CALLS_PER_CHANNEL, IDLE_CHANNELS, ChannelPool
from imagegate.runtime.transport import Transport


async def take(pool: ChannelPool, calls: int) -> tuple[AsyncExitStack, list[Any]]:
    stack = AsyncExitStack()
    return stack, [await stack.enter_async_context(pool.call_slot()) for _ in range(calls)]


async def test_a_full_channel_gets_no_further_call() -> None:
    """A server refuses what exceeds its limit on one connection: so another one is opened, and no call waits."""
    pool = ChannelPool("127.0.0.1:1")
    stack, channels = await take(pool, 2 * CALLS_PER_CHANNEL + 1)
    assert len(set(map(id, channels))) == 3
    assert repr(pool) == "<ChannelPool 127.0.0.1:1 3 channels 201 calls>"
    await stack.aclose()
    await pool.close()


async def test_a_few_idle_channels_are_kept_and_the_others_closed() -> None:
    """A burst does not leave its connections behind, and the next call need not connect again."""
    pool = ChannelPool("127.0.0.1:1")
    stack, _ = await take(pool, 5 * CALLS_PER_CHANNEL)
    await stack.aclose()
    assert repr(pool) == f"<ChannelPool 127.0.0.1:1 {IDLE_CHANNELS} channels 0 calls>"
    await pool.close()


async def test_calls_share_the_first_channel_with_room() -> None:
    """One call after the other uses one connection."""
    pool = ChannelPool("127.0.0.1:1")
    async with pool.call_slot() as first, pool.call_slot() as second:
        assert first is second
    async with pool.call_slot() as third:
        assert third is first
    await pool.close()


async def test_a_closed_pool_says_so() -> None:
    """After `close` no channel is opened in secret."""
    pool = ChannelPool("127.0.0.1:1")
    await pool.close()
    await pool.close()
    with pytest.raises(RuntimeError, match="are closed"):
        async with pool.call_slot():
            pass


class Renewed(Transport):
    """A transport whose certificates are renewed by hand."""

    number = 0

    @property
    def revision(self) -> int:
        return self.number


async def test_after_a_renewal_calls_go_to_new_channels_and_old_ones_end_with_their_calls() -> None:
    """A renewed certificate is shown from the next call on; a call under way goes on where it is."""
    transport = Renewed()
    pool = ChannelPool("127.0.0.1:1", transport)
    async with pool.call_slot() as old:
        transport.number = 1
        async with pool.call_slot() as new:
            assert new is not old
            assert repr(pool) == "<ChannelPool 127.0.0.1:1 2 channels 2 calls>"
        assert repr(pool) == "<ChannelPool 127.0.0.1:1 2 channels 1 calls>"
    assert repr(pool) == "<ChannelPool 127.0.0.1:1 1 channels 0 calls>"
    transport.number = 2
    async with pool.call_slot():
        assert repr(pool) == "<ChannelPool 127.0.0.1:1 1 channels 1 calls>"
    await pool.close()
