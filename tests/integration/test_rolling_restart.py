"""Restarting replicas in turn, with real processes, while callers go on calling."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from imagegate.client import AsyncClient, Completed, GenerationError
from imagegate.testing import fronted
from imagegate.testing.events import events_of
from imagegate.testing.rolling import START_SECONDS, Replica, Service, free_ports, started

SKETCH = """
providers:
  sketch: {{target: "{target}"}}
routes:
  default: [sketch/sketch]
"""
PACED = """
providers:
  paced: {{target: "{target}"}}
routes:
  default: [paced/paced]
"""
MODELS = """
models:
  paced:
    display_name: Takes its time
    upstream_model: tests/paced
    tier: free
    credits: 0
    typical_seconds: [1, 20]
    parameters:
      width: {minimum: 64, maximum: 64, default: 64}
      height: {minimum: 64, maximum: 64, default: 64}
      seed: {minimum: 0, maximum: 4294967295}
"""
# The smallest picture there is, after as many seconds as an upstream might take: thousands fit on a small machine.
PROVIDER = """
import asyncio, os, random
from pathlib import Path
from imagegate.providers.sketch.drawing import draw
from imagegate.providers.sketch.provider import SketchProvider
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.order import Delivery, Picture
from imagegate.v1 import generation_pb2

LEAST, MOST = map(float, os.environ["PACED_SECONDS"].split())
PICTURE = draw("a lighthouse", 1, 64, 64)

def models(environ):
    return CatalogueSource("paced", Path(__file__).with_name("models.yaml"), environ)

def create(environ, on_secret):
    return Paced(models=models(environ), enabled=True)

class Paced(SketchProvider):
    async def generate(self, order):
        order.sending()
        await order.accepted("")
        seconds = random.uniform(LEAST, MOST)
        for step in range(4):
            order.tell(generation_pb2.PHASE_RUNNING, step=step, steps=4)
            await asyncio.sleep(seconds / 4)
        return Delivery([Picture(PICTURE, order.seed())])
"""
DRAINING = {"IMAGEGATE_DRAIN_SECONDS": "2", "IMAGEGATE_GRACE_SECONDS": "40"}
# So long is whoever came ready before the next one goes, as `minReadySeconds` has it: clients that were away from it
# connect again within 2.4 s.
MIN_READY_SECONDS = 4.0
# With so many there is no use in going on.
MOST_FAILED = 50
Ask = Callable[[], Awaitable[object]]
Record = Callable[[str, object], None]


class RefusedError(Exception):
    """An answer that is none."""


@dataclass(slots=True)
class Load:
    """Callers that go on calling until `calls` are over and they may stop."""

    calls: int
    done: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    longest: float = 0.0
    may_stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_calling(self, kind: str, ask: Ask) -> None:
        while self.done.total() < self.calls or not self.may_stop.is_set():
            began = time.monotonic()
            await self._tried(kind, ask)
            self.done[kind] += 1
            self.longest = max(self.longest, time.monotonic() - began)

    async def keep_looking(self, kind: str, look: Ask) -> None:
        """Look on for as long as one is told anything, again and again."""
        while not self.may_stop.is_set():
            await self._tried(kind, look)
            self.looks[kind] += 1

    async def is_on(self, calls: int) -> None:
        """Wait until so many are over."""
        while self.done.total() < calls:
            await asyncio.sleep(0.05)

    async def _tried(self, kind: str, ask: Ask) -> None:
        try:
            await ask()
        except (GenerationError, RefusedError, aiohttp.ClientError, OSError) as error:
            self.failed.append(f"{kind}: {error!r}")
            if len(self.failed) > MOST_FAILED:
                raise


@dataclass(slots=True)
class House:
    """Two of each process, all of them there for each other."""

    providers: list[Replica]
    routers: list[Replica]
    edges: list[Replica]

    @classmethod
    def of(cls, folder: Path, seconds: str) -> "House":
        """Answers take `seconds`, from least to most."""
        ports = free_ports(8)
        plugin = folder / "imagegate/providers/paced"
        plugin.mkdir(parents=True)
        (plugin / "provider.py").write_text(PROVIDER)
        (plugin / "models.yaml").write_text(MODELS)
        config = folder / "imagegate.yaml"
        config.write_text(PACED.format(target=target_of(ports[:2])))
        paced = DRAINING | {"PYTHONPATH": str(folder), "PACED_SECONDS": seconds, "IMAGEGATE_PACED_CONCURRENCY": "1000"}
        routing = DRAINING | {"IMAGEGATE_CONFIG": str(config)}
        edging = DRAINING | {
            "IMAGEGATE_ROUTER": target_of(ports[2:4]),
            "IMAGEGATE_ADMIN": "127.0.0.1:1",
            "IMAGEGATE_DATA": str(folder / "data"),
            "IMAGEGATE_EDGE_KEYS": fronted.KEYS,
            "IMAGEGATE_EDGE_LINK_KEYS": "a-key-of-a-test",
            "IMAGEGATE_EDGE_GENERATIONS_PER_MINUTE": "100000",
            "IMAGEGATE_EDGE_GENERATIONS_AT_A_TIME": "10000",
            "IMAGEGATE_EDGE_REQUESTS_PER_MINUTE": "1000000",
        }
        return cls(
            [Replica(f"provider {port}", ("imagegate.providers", "paced"), paced, port) for port in ports[:2]],
            [Replica(f"router {port}", ("imagegate.router",), routing, port) for port in ports[2:4]],
            [
                Replica(f"edge {port}", ("imagegate.edge",), edging, port, web)
                for port, web in zip(ports[4:6], ports[6:], strict=True)
            ],
        )

    @property
    def replicas(self) -> list[Replica]:
        return [*self.providers, *self.routers, *self.edges]

    async def under_load(self, load: Load, callers: int, restarted: Sequence[Replica]) -> str:
        """Restart these in turn while so many call in every way there is; the figures."""
        async with (
            started(*self.providers, *self.routers, *self.edges),
            AsyncClient(target_of([each.port for each in self.routers]), timeout=100) as client,
            Service(self.edges).session(fronted.OPERATOR) as session,
        ):
            calls: dict[str, Ask] = {
                "unary": lambda: client.generate("a lighthouse"),
                "stream": lambda: streamed(client),
                "http": lambda: posted(session),
                "events": lambda: posted_for_events(session),
            }
            looks: dict[str, Ask] = {"watch": lambda: watched(client), "board": lambda: looked_on(session)}
            began = time.monotonic()
            async with on_lookers(load, looks), asyncio.TaskGroup() as group:
                for _, (kind, ask) in zip(range(callers), cycle(calls.items()), strict=False):
                    group.create_task(load.keep_calling(kind, ask))
                await load.is_on(callers)
                for number, replica in enumerate(restarted):
                    await asyncio.sleep(MIN_READY_SECONDS if number else 0)
                    await replica.restart()
                load.may_stop.set()
            return figures(load, time.monotonic() - began, restarted)


@asynccontextmanager
async def on_lookers(load: Load, looks: Mapping[str, Ask]) -> AsyncIterator[None]:
    """Some who look on until the block is left."""
    tasks = [asyncio.create_task(load.keep_looking(kind, look)) for kind, look in looks.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def figures(load: Load, seconds: float, restarted: Sequence[Replica]) -> str:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(load.done.items()))
    restarts = ", ".join(f"{each.name} {', '.join(f'{took:.1f} s' for took in each.restarts)}" for each in restarted)
    return (
        f"{load.done.total():,} calls ({kinds}), {len(load.failed)} failed, the longest {load.longest:.1f} s, "
        f"in {seconds:.0f} s; looked on anew {load.looks.total()} times; restarted: {restarts}"
    )


def target_of(ports: Iterable[int]) -> str:
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


async def streamed(client: AsyncClient) -> None:
    async with aclosing(client.stream("a lighthouse")) as events:
        last = [event async for event in events][-1]
    if not isinstance(last, Completed):
        raise RefusedError(f"ended with {last}")


async def posted(session: aiohttp.ClientSession) -> None:
    async with session.post("/api/generations", json={"prompt": "a lighthouse"}) as answer:
        if answer.status != 200:
            raise RefusedError(await answer.text())
        await answer.read()


async def posted_for_events(session: aiohttp.ClientSession) -> None:
    accept = {"Accept": "text/event-stream"}
    async with session.post("/api/generations", json={"prompt": "a lighthouse"}, headers=accept) as answer:
        if answer.status != 200:
            raise RefusedError(await answer.text())
        events = [event async for event in events_of(answer)]
    if not events or events[-1][0] != "completed":
        raise RefusedError(f"ended with {events[-1:]}")


async def watched(client: AsyncClient) -> None:
    async with aclosing(client.watch_status()) as statuses:
        async for _ in statuses:
            pass


async def looked_on(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/status/stream") as answer:
        if answer.status != 200:
            raise RefusedError(await answer.text())
        async for _ in events_of(answer):
            pass


async def is_connected(replica: Replica, clients: int) -> None:
    """Wait until so many are connected to it: to roll on sooner takes away the last replica that somebody has."""
    async with grpc.aio.insecure_channel(replica.address) as channel, asyncio.timeout(START_SECONDS):
        stub = channelz_pb2_grpc.ChannelzStub(channel)
        while True:
            servers = (await stub.GetServers(channelz_pb2.GetServersRequest())).server
            asked = [channelz_pb2.GetServerSocketsRequest(server_id=server.ref.server_id) for server in servers]
            sockets = sum([len((await stub.GetServerSockets(each)).socket_ref) for each in asked])
            if sockets > clients:  # and this one
                return
            await asyncio.sleep(0.05)


async def test_restarting_every_replica_in_turn_loses_no_call(tmp_path: Path) -> None:
    """Two replicas of a provider behind two routers, each restarted in turn under load: every call is answered."""
    ports = free_ports(4)
    config = tmp_path / "imagegate.yaml"
    config.write_text(SKETCH.format(target=target_of(ports[:2])))
    leaving = {"IMAGEGATE_DRAIN_SECONDS": "1", "IMAGEGATE_GRACE_SECONDS": "20"}
    providers = [Replica(f"sketch {port}", ("imagegate.providers", "sketch"), leaving, port) for port in ports[:2]]
    environ = leaving | {"IMAGEGATE_CONFIG": str(config)}
    routers = [Replica(f"router {port}", ("imagegate.router",), environ, port) for port in ports[2:]]
    load = Load(5_000)
    async with (
        started(*providers),
        started(*routers),
        AsyncClient(target_of(ports[2:]), timeout=60) as client,
        asyncio.timeout(110),
        asyncio.TaskGroup() as group,
    ):
        for _ in range(16):
            group.create_task(load.keep_calling("unary", lambda: client.generate("a lighthouse", width=64, height=64)))
        for replica, clients in ((providers[0], 2), (providers[1], 2), (routers[0], 1), (routers[1], 1)):
            await replica.restart()
            await is_connected(replica, clients)
        load.may_stop.set()
    assert load.failed == []


async def test_a_restart_of_each_process_loses_no_call(tmp_path: Path, record_property: Record) -> None:
    """One of the two providers, routers and edges restarted in turn under calls of every kind: all are answered, and
    who looks on is let go in order.
    """
    house, load = House.of(tmp_path, "0.5 2"), Load(400)
    record_property("figures", await house.under_load(load, 24, [house.providers[0], house.routers[0], house.edges[0]]))
    assert load.failed == []


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_rolling_restarts_under_long_calls_lose_none(tmp_path: Path, record_property: Record) -> None:
    """Two providers, two routers and two edges, all restarted in turn under calls of 1 to 20 s of every kind: none of
    10,000 is lost.
    """
    house, load = House.of(tmp_path, "1 20"), Load(10_000)
    restarted = [*house.providers, *house.routers, *house.edges]
    record_property("figures", await house.under_load(load, 600, restarted))
    assert load.failed == []
    assert load.longest >= 20
