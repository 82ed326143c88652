"""Restarting replicas in turn, with real processes, while callers go on calling."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from imagegate.client import AsyncClient, GenerationError
from imagegate.client.health import until_serving
from imagegate.client.process import Process

CALLS = 5_000
CALLERS = 16
START_SECONDS = 30.0

CONFIG = """
providers:
  sketch: {{target: "{target}"}}
routes:
  default: [sketch/sketch]
"""


@dataclass(slots=True)
class Replica:
    """One process of a service on a port that it keeps over restarts."""

    module: tuple[str, ...]
    port: int
    environ: dict[str, str]
    lines: list[str] = field(default_factory=list)
    process: Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.environ}
        environ |= {"IMAGEGATE_PORT": str(self.port), "IMAGEGATE_HTTP_PORT": "0"}
        environ |= {"IMAGEGATE_ADMIN_PORT": "0"}
        environ |= {"IMAGEGATE_DRAIN_SECONDS": "1", "IMAGEGATE_GRACE_SECONDS": "20", "PYTHONUNBUFFERED": "1"}
        environ |= {"IMAGEGATE_LOG_LEVEL": "warning"}
        self.process = await Process.start(
            self.module[-1], ["-m", *self.module], environ, lambda _, line: self.lines.append(line)
        )
        async with asyncio.timeout(START_SECONDS):
            await until_serving(self.address)

    async def is_connected(self, clients: int) -> None:
        """Wait until so many are connected to it: to roll on sooner takes away the last replica that somebody has."""
        async with grpc.aio.insecure_channel(self.address) as channel, asyncio.timeout(START_SECONDS):
            stub = channelz_pb2_grpc.ChannelzStub(channel)
            while True:
                servers = (await stub.GetServers(channelz_pb2.GetServersRequest())).server
                asked = [channelz_pb2.GetServerSocketsRequest(server_id=server.ref.server_id) for server in servers]
                sockets = sum([len((await stub.GetServerSockets(each)).socket_ref) for each in asked])
                if sockets > clients:  # and this one
                    return
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        assert self.process is not None
        self.process.signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            await self.process.wait()


@dataclass(slots=True)
class Load:
    """Callers that go on calling until `CALLS` are over and they are told to stop."""

    client: AsyncClient
    done: int = 0
    failed: list[GenerationError] = field(default_factory=list)
    may_stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self) -> None:
        while self.done < CALLS or not self.may_stop.is_set():
            try:
                await self.client.generate("a lighthouse", width=64, height=64)
            except GenerationError as error:
                self.failed.append(error)
            self.done += 1


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@asynccontextmanager
async def started(*replicas: Replica) -> AsyncIterator[None]:
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        yield
    finally:
        for replica in replicas:
            if replica.process is not None:
                replica.process.signal(signal.SIGKILL)
                await replica.process.wait()


async def test_restarting_every_replica_in_turn_loses_no_call(tmp_path: Path) -> None:
    """Two replicas of a provider behind two routers, each restarted in turn under load: every call is answered."""
    first, second, third, fourth = free_ports(4)
    config = tmp_path / "imagegate.yaml"
    config.write_text(CONFIG.format(target=f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"))
    providers = [Replica(("imagegate.providers", "sketch"), port, {}) for port in (first, second)]
    environ = {"IMAGEGATE_CONFIG": str(config)}
    routers = [Replica(("imagegate.router",), port, environ) for port in (third, fourth)]
    async with (
        started(*providers),
        started(*routers),
        AsyncClient(f"ipv4:127.0.0.1:{third},127.0.0.1:{fourth}", timeout=60) as client,
    ):
        load = Load(client)
        async with asyncio.timeout(110), asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(load.call())
            for replica, clients in ((providers[0], 2), (providers[1], 2), (routers[0], 1), (routers[1], 1)):
                await replica.stop()
                await replica.start()
                await replica.is_connected(clients)
            load.may_stop.set()
    assert [str(error) for error in load.failed] == []
    assert load.done >= CALLS
