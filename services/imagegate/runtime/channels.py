"""Channels to one target, as many as the calls under way need.

A server refuses the calls beyond its limit of streams on one connection, by a reset that retries do
not help against. So no channel carries more calls than `CALLS_PER_CHANNEL`, well below that limit:
when all are full another one is opened, over a connection of its own.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc

from imagegate.runtime.transport import IN_THE_CLEAR, Transport

CALLS_PER_CHANNEL = 100
# Channels that may stay open without a call: one for the next call, one for the next burst.
IDLE_CHANNELS = 2

ChannelOptions = Sequence[tuple[str, str | int]]

# Both directions, on every hop of ours: one constant, so that no hop is narrower than another.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MESSAGE_OPTIONS: ChannelOptions = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)
# Replicas behind one name share the calls, and one that says NOT_SERVING gets none.
SERVICE_CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}

CHANNEL_OPTIONS: ChannelOptions = (
    *MESSAGE_OPTIONS,
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # One layer tries again, the router: no policy here lets gRPC repeat what was begun, and none is taken from DNS.
    # What it repeats by itself never left, or was never looked at: a connection that grows old would lose a call else.
    ("grpc.enable_retries", 1),
    ("grpc.service_config_disable_resolution", 1),
    # A picture takes longer than many a proxy keeps a silent connection. Servers of ours allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Whoever was away is looked for again within seconds, not within gRPC's two minutes.
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # When replicas are replaced in turn, a name is looked up for the one that came before the next one goes.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    # Otherwise gRPC would give two channels to one target the same connection.
    ("grpc.use_local_subchannel_pool", 1),
    # Our hops are internal: a web proxy that the environment names is not meant for them.
    ("grpc.enable_http_proxy", 0),
)


@dataclass(eq=False, slots=True)
class Line:
    """One channel, the certificates that it was made with, and the number of calls on it."""

    channel: grpc.aio.Channel
    revision: int
    calls: int = 0


class ChannelPool:
    """Channels to `target`, opened when they are needed. Belongs to one event loop, the one that first calls.

    Where the certificates of the `transport` have changed, calls go to new channels; the old ones are closed as soon as
    the calls on them have ended.
    """

    def __init__(
        self, target: str, transport: Transport = IN_THE_CLEAR, options: ChannelOptions = CHANNEL_OPTIONS
    ) -> None:
        self.target = target
        self._transport = transport
        self._options = options
        self._lines: list[Line] = []
        self._closed = False

    def __repr__(self) -> str:
        calls = sum(line.calls for line in self._lines)
        return f"<ChannelPool {self.target} {len(self._lines)} channels {calls} calls>"

    def call_slot(self) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        """A channel with room for one call, which is yours until the block is left. Never waits for other calls.

        Entering raises RuntimeError after `close`.
        """
        return _CallSlot(self)

    async def close(self) -> None:
        """Close every channel; calls under way are cancelled. Closing twice is harmless."""
        self._closed = True
        lines, self._lines = self._lines, []
        for line in lines:
            await line.channel.close()

    async def begin(self) -> Line:
        """A line with room for one call, which is on it until its `end`. Raises RuntimeError after `close`."""
        line = self._line_with_room()
        line.calls += 1
        if len(self._lines) > 1:
            await self._close_former(line)
        return line

    async def end(self, line: Line) -> None:
        """One call on the line has ended."""
        line.calls -= 1
        if len(self._lines) > 1:  # an only one is the one for the next call
            await self._close_if_spare(line)

    def _line_with_room(self) -> Line:
        if self._closed:
            raise RuntimeError(f"the channels to {self.target} are closed")
        revision = self._transport.revision
        # The first with room: the last ones fall idle soonest and can be closed.
        for line in self._lines:
            if line.calls < CALLS_PER_CHANNEL and line.revision == revision:
                return line
        line = Line(self._transport.channel(self.target, self._options), revision)
        self._lines.append(line)
        return line

    async def _close_former(self, line: Line) -> None:
        """Close what is idle of before the certificates of this line; whoever leaves meanwhile has no call on it."""
        try:
            for former in [each for each in self._lines if each.revision != line.revision]:
                await self._close_if_spare(former)
        except BaseException:
            line.calls -= 1
            raise

    async def _close_if_spare(self, line: Line) -> None:
        idle = sum(1 for each in self._lines if each.calls == 0)
        is_former = line.revision != self._lines[-1].revision if self._lines else False
        if line.calls == 0 and (is_former or idle > IDLE_CHANNELS) and line in self._lines:
            self._lines.remove(line)
            await line.channel.close()


class _CallSlot:
    """The room for one call. A generator would do, and takes three times as long."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> grpc.aio.Channel:
        self._line = await self._pool.begin()
        return self._line.channel

    async def __aexit__(self, *_: object) -> None:
        await self._pool.end(self._line)
