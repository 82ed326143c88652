"""What is measured side by side: imagegate, and what is less than it."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.asking import Ask
from bench.pictures import SAMPLES, Sample
from bench.processes import Running, environment, python, running
from imagegate.client.health import until_serving
from imagegate.client.process import ADMIN_LISTENING, EDGE_LISTENING
from imagegate.testing import fronted
from imagegate.v1 import admin_pb2, admin_pb2_grpc, generation_pb2, router_pb2

# Nothing listens there.
DEAD = "http://127.0.0.1:1"
# More than callers, so that nobody waits; everything else is as it is by default.
SLOTS = "128"
# Of an attempt, as the peers have it.
ATTEMPT_SECONDS = 1
# What becomes of the first candidate: its upstream answers 503 to each call and its breakers are held closed, nothing
# listens there, it never answers; its breakers are held open; and so they are with nobody behind it.
HAPPY = "happy"
UPSTREAM_FAULTS = ("refusing", "dead", "hanging")
HELD_OPEN, NOBODY = "open", "nobody"
# The first candidate of a route, and the one behind it.
FIRST, SECOND = "huggingface", "automatic1111"
MODELS = {FIRST: "flux-schnell", SECOND: "local"}


@dataclass(frozen=True, slots=True)
class System:
    """One that makes pictures: its processes by scenario and name, what it is asked by scenario and sample."""

    name: str
    processes: Mapping[str, Mapping[str, Running]]
    asks: Mapping[tuple[str, str], Ask]


@asynccontextmanager
async def ours(folder: Path, upstream: str, *, with_faults: bool = True) -> AsyncIterator[Sequence[System]]:
    """The provider called directly, the bare pass-through before it, imagegate, and its HTTP edge."""
    async with AsyncExitStack() as stack:
        house = _House(stack, folder, upstream)
        local = await house.provider(SECOND, f"{upstream}/webui")
        bare = await stack.enter_async_context(
            running("bare", python("bench.passthrough", local.address), folder, environment())
        )
        router = await house.router("router", {SECOND: local})
        edge = await house.edge(router)
        asks = dict(_asks(HAPPY, router.address, "default"))
        behind = {"provider": local}
        processes = {HAPPY: {**behind, "router": router}}
        for fault in (*UPSTREAM_FAULTS, HELD_OPEN) if with_faults else ():
            first = await house.provider(FIRST, DEAD if fault in ("dead", HELD_OPEN) else f"{upstream}/{fault}")
            faulty = await house.router(f"router, {fault}", {FIRST: first, SECOND: local})
            processes[fault] = {**behind, "router": faulty, "first provider": first}
            asks |= dict(_asks(fault, faulty.address, "default"))
            if fault == "refusing":
                await _decide(faulty, router_pb2.OVERRIDE_MODE_CLOSED)
            if fault == HELD_OPEN:
                await _decide(faulty, router_pb2.OVERRIDE_MODE_OPEN)
                processes[NOBODY] = processes[HELD_OPEN]
                asks |= dict(_asks(NOBODY, faulty.address, "first", fails=True))
        yield [
            System("direct", {HAPPY: behind}, dict(_asks(HAPPY, local.address, MODELS[SECOND]))),
            System("bare", {HAPPY: {**behind, "bare": bare}}, dict(_asks(HAPPY, bare.address, MODELS[SECOND]))),
            System("imagegate", processes, asks),
            System("edge", {HAPPY: {**processes[HAPPY], "edge": edge}}, dict(_edge_asks(edge))),
        ]


@asynccontextmanager
async def upstream(folder: Path) -> AsyncIterator[Running]:
    """The stand-in of every upstream."""
    async with running("upstream", python("bench.upstream"), folder, environment()) as process:
        yield process


class _House:
    """Processes of ours, started one by one."""

    def __init__(self, stack: AsyncExitStack, folder: Path, upstream: str) -> None:
        self._stack = stack
        self._folder = folder
        self._upstream = upstream

    async def provider(self, name: str, url: str) -> Running:
        """A provider whose upstream is at `url`."""
        environ = {
            "SD_API_URL": url,
            "HUGGINGFACE_BASE_URL": url,
            "HUGGINGFACE_HUB_URL": f"{self._upstream}/hub",
            "HUGGINGFACE_API_KEY": "hf_nobody_EXAMPLE",
            f"IMAGEGATE_{name.upper()}_CONCURRENCY": SLOTS,
        }
        return await self._started(f"{name}, {url.rpartition('/')[2]}", ["imagegate.providers", name], environ)

    async def router(self, name: str, providers: Mapping[str, Running]) -> Running:
        """A router whose route `default` goes through those providers in their order, and `first` to the first one."""
        candidates = [f"{provider}/{MODELS[provider]}" for provider in providers]
        config = {
            "providers": {name: {"target": process.address} for name, process in providers.items()},
            "routes": {"default": candidates, "first": candidates[:1]},
            "route_options": {"default": {"attempt_timeout": f"{ATTEMPT_SECONDS}s"}},
        }
        path = self._folder / f"{name} configured" / "router.yaml"
        path.parent.mkdir()  # whose changes are watched: no log may be there
        path.write_text(json.dumps(config), encoding="utf-8")
        return await self._started(name, ["imagegate.router"], {"IMAGEGATE_CONFIG": str(path)})

    async def edge(self, router: Running) -> Running:
        """The HTTP edge before a router, which knows the keys of tests."""
        environ = {
            "IMAGEGATE_ROUTER": router.address,
            "IMAGEGATE_EDGE_KEYS": fronted.KEYS,
            "IMAGEGATE_DATA": str(self._folder / "data"),
            "IMAGEGATE_EDGE_PORT": "0",
            **{f"IMAGEGATE_EDGE_{name.upper()}": str(limit) for name, limit in fronted.UNLIMITED.items()},
        }
        return await self._started("edge", ["imagegate.edge"], environ)

    async def _started(self, name: str, module: Sequence[str], environ: Mapping[str, str]) -> Running:
        own = running(name, python(*module), self._folder, {**environment(), **environ})
        started = await self._stack.enter_async_context(own)
        await until_serving(started.address)
        return started


async def _decide(router: Running, mode: "router_pb2.OverrideMode.ValueType") -> None:
    """Hold the first candidate's breakers, as an operator would."""
    async with grpc.aio.insecure_channel(router.address_of(ADMIN_LISTENING)) as channel:
        stub = admin_pb2_grpc.RouterAdminServiceStub(channel)
        for model in ("", MODELS[FIRST]):
            decision = admin_pb2.OverrideBreakerRequest(
                provider=FIRST, model=model, mode=mode, reason="to measure", actor="bench"
            )
            await stub.OverrideBreaker(decision)


Asks = Iterator[tuple[tuple[str, str], Ask]]


def _asks(scenario: str, target: str, model: str, *, fails: bool = False) -> Asks:
    for sample in SAMPLES.values():
        yield (scenario, sample.name), Ask("grpc", target, _request(sample, model), fails=fails)


def _request(sample: Sample, model: str) -> bytes:
    return generation_pb2.GenerateRequest(
        prompt="a lighthouse at dusk", model=model, width=sample.width, height=sample.height
    ).SerializeToString()


def _edge_asks(edge: Running) -> Asks:
    """The same by OpenAI's API, as the peers are asked."""
    url = f"http://{edge.address_of(EDGE_LISTENING)}/v1/images/generations"
    for sample in SAMPLES.values():
        body = {"prompt": "a lighthouse at dusk", "model": "default", "size": f"{sample.width}x{sample.height}"}
        headers = {"Authorization": f"Bearer {fronted.ALICE}"}
        yield (HAPPY, sample.name), Ask("http", url, json.dumps(body).encode(), headers)
