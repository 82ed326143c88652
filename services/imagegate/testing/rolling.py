"""Replicas as processes of their own that are stopped and started in turn, and what stands before them."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from imagegate.client.health import until_serving
from imagegate.client.process import Process

START_SECONDS = 60.0
PROBE_SECONDS = 0.2
# Below those that Linux gives to outgoing connections.
PORTS = (20_000, 32_000)


@dataclass(slots=True)
class Replica:
    """One process of a service on ports that it keeps over restarts; an edge has one more for its callers, `web_port`.

    `restarts` has the seconds that each one took, from SIGTERM until it was ready again.
    """

    name: str
    module: Sequence[str]
    environ: Mapping[str, str]
    port: int
    web_port: int = 0
    lines: list[str] = field(default_factory=list)
    process: Process | None = None
    restarts: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where its gRPC is."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where an edge's callers find it."""
        return f"http://127.0.0.1:{self.web_port}"

    async def start(self) -> None:
        """Start it, and wait until it is ready. Raises TimeoutError where it does not get there."""
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1"}
        environ |= {"IMAGEGATE_PORT": str(self.port), "IMAGEGATE_HTTP_PORT": "0", "IMAGEGATE_ADMIN_PORT": "0"}
        environ |= {"IMAGEGATE_EDGE_PORT": str(self.web_port), "IMAGEGATE_LOG_LEVEL": "warning", **self.environ}
        command = ["-m", *self.module]
        self.process = await Process.start(self.name, command, environ, lambda _, line: self.lines.append(line))
        async with asyncio.timeout(START_SECONDS):
            await until_serving(self.address)

    async def stop(self) -> None:
        """SIGTERM, and wait until it has gone. Raises TimeoutError where it stays."""
        if self.process is not None:
            self.process.signal(signal.SIGTERM)
            async with asyncio.timeout(START_SECONDS):
                await self.process.wait()

    async def restart(self) -> None:
        """Stop it and start it again."""
        began = time.monotonic()
        await self.stop()
        await self.start()
        self.restarts.append(time.monotonic() - began)

    async def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            await self.process.wait()


@asynccontextmanager
async def started(*replicas: Replica) -> AsyncIterator[None]:
    """Start all of them; they are killed when the block is left."""
    async with AsyncExitStack() as stack:
        for replica in replicas:
            stack.push_async_callback(replica.kill)
        await asyncio.gather(*(replica.start() for replica in replicas))
        yield


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, and that no connection gets while their replica is away."""
    found: list[int] = []
    candidates = random.sample(range(*PORTS), 20 * number)
    while len(found) < number:
        with suppress(OSError), socket.create_server(("127.0.0.1", port := candidates.pop())):
            found.append(port)
    return found


class Service(AbstractResolver):
    """One name before several edges, as a Service of Kubernetes is: a new connection goes to one that /readyz says is
    ready, the next one to the next. Connections that there are already stay where they are.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._ready: list[Replica] = []
        self._turn = count()
        self._is_known = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where the next connection goes to. Raises OSError where nobody is ready."""
        if not self._ready:
            raise OSError("no edge is ready")
        port = self._ready[next(self._turn) % len(self._ready)].web_port
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=flags)]

    async def close(self) -> None:
        """Nothing to give back."""

    @asynccontextmanager
    async def session(self, key: str) -> AsyncIterator[aiohttp.ClientSession]:
        """A client with this key whose calls to `http://edge` go through here, with any number of connections."""
        headers = {"Authorization": f"Bearer {key}"}
        connector = aiohttp.TCPConnector(limit=0, resolver=self, use_dns_cache=False)
        probing = asyncio.create_task(self._probe())
        try:
            async with aiohttp.ClientSession("http://edge", connector=connector, headers=headers) as session:
                async with asyncio.timeout(START_SECONDS):
                    await self._is_known.wait()
                yield session
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _probe(self) -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while True:
                ready = [await _is_ready(session, replica) for replica in self._replicas]
                self._ready = [replica for replica, is_ready in zip(self._replicas, ready, strict=True) if is_ready]
                self._is_known.set()
                await asyncio.sleep(PROBE_SECONDS)


async def _is_ready(session: aiohttp.ClientSession, replica: Replica) -> bool:
    try:
        async with session.get(f"{replica.url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
