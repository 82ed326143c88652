"""The whole system for a test: the sandbox in this process, providers and router as processes of their own."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from imagegate.client import AsyncClient
from imagegate.client.health import until_serving
from imagegate.client.key import KEYS_VARIABLE
from imagegate.client.process import ADMIN_LISTENING, EDGE_LISTENING, Process, log_event
from imagegate.runtime.settings import DATA_VARIABLE
from imagegate.sandbox.app import Pace, Sandbox, serving
from imagegate.testing import fronted

PROVIDERS = ("huggingface", "fal", "automatic1111")
KEYS = {"HUGGINGFACE_API_KEY": "hf_sandbox_free_account", "FAL_KEY": "sandbox-id:sandbox-secret", "SD_ENABLED": "true"}
START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Member:
    """One of our processes: where it is (the edge by its URL), and every line that it wrote."""

    process: Process
    address: str
    http: str
    environ: Mapping[str, str]
    lines: list[str] = field(default_factory=list)

    def events(self, name: str) -> list[dict[str, object]]:
        """Its log events called `name`, in order."""
        return [event for line in self.lines if (event := log_event(line)).get("event") == name]

    def memory(self) -> int:
        """Its resident memory, in bytes."""
        return self._memory("VmRSS")

    def peak_memory(self) -> int:
        """The most resident memory that it ever had, in bytes."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        if found is None:
            raise RuntimeError(f"{self.process} has ended")
        return int(found[1]) * 1024


@dataclass(slots=True)
class System:
    """Everything, running. `members` has the providers, `router` and, where it was asked for, `edge`."""

    sandbox: Sandbox
    members: dict[str, Member]

    def client(self, member: str = "router", timeout: float = 100) -> AsyncClient:
        """A client of the router, or of another member; its time leaves room for every model's usual one."""
        return AsyncClient(self.members[member].address, timeout=timeout)

    async def metrics(self, member: str) -> str:
        """What Prometheus would scrape."""
        url = f"{self.members[member].http}/metrics"
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as answer:
            return await answer.text()

    def kill(self, member: str) -> None:
        """SIGKILL, as a node that dies."""
        self.members[member].process.signal(signal.SIGKILL)

    async def restart(self, provider: str) -> None:
        """Start a provider that has ended once more, where it was."""
        former = self.members[provider]
        await former.process.ended()
        ports = {
            "IMAGEGATE_PORT": former.address.rpartition(":")[2],
            "IMAGEGATE_HTTP_PORT": former.http.rpartition(":")[2],
        }
        await _start(self.members, provider, ["imagegate.providers", provider], {**former.environ, **ports})


@asynccontextmanager
async def system(
    environ: Mapping[str, str] | None = None,
    *,
    providers: Sequence[str] = PROVIDERS,
    world: str = "today",
    pace: Pace | None = None,
    edge_data: Path | None = None,
) -> AsyncIterator[System]:
    """Run the system with the packaged configuration, free keys and `environ` on top (an empty value unsets).

    With `edge_data`, the folder of what it keeps, there is an edge as well; it knows the keys of `fronted`.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(
            serving(world="2025" if world == "2025" else "today", pace=pace or Pace())
        )
        own = {**plain_environment(), **sandbox.environment, **KEYS, **(environ or {})}
        own = {name: value for name, value in own.items() if value}
        members: dict[str, Member] = {}
        stack.push_async_callback(_stop, members)
        started = await asyncio.gather(
            *(_start(members, name, ["imagegate.providers", name], own) for name in providers)
        )
        targets = {
            f"IMAGEGATE_PROVIDERS__{name.upper()}__TARGET": member.address
            for name, member in zip(providers, started, strict=True)
        }
        router = await _start(members, "router", ["imagegate.router"], {**own, **targets})
        if edge_data is not None:
            await _start_edge(members, router, edge_data, own)
        yield System(sandbox, members)


@asynccontextmanager
async def router_alone(configuration: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Member]:
    """Run a router as a process of its own, with this configuration and nothing around it."""
    members: dict[str, Member] = {}
    try:
        own = {**plain_environment(), "IMAGEGATE_CONFIG": str(configuration), **(environ or {})}
        yield await _start(members, "router", ["imagegate.router"], own)
    finally:
        await _stop(members)


async def _start_edge(members: dict[str, Member], router: Member, data: Path, environ: Mapping[str, str]) -> None:
    admin = str(router.events(ADMIN_LISTENING)[0]["grpc"])
    decided = {
        "IMAGEGATE_ROUTER": router.address,
        "IMAGEGATE_ADMIN": f"127.0.0.1:{admin}",
        "IMAGEGATE_EDGE_PORT": "0",
        DATA_VARIABLE: str(data),
    }
    edge = await _start(members, "edge", ["imagegate.edge"], {KEYS_VARIABLE: fronted.KEYS, **environ, **decided})
    edge.address = f"http://127.0.0.1:{edge.events(EDGE_LISTENING)[0]['http']}"


@asynccontextmanager
async def edge_alone(data: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Member]:
    """Run an edge as a process of its own, with no router behind it; its address is its URL. It knows the keys of
    `fronted`, and keeps what it keeps in the folder `data`.
    """
    members: dict[str, Member] = {}
    decided = {"IMAGEGATE_EDGE_PORT": "0", "IMAGEGATE_ROUTER": "127.0.0.1:1", DATA_VARIABLE: str(data)}
    keys = {KEYS_VARIABLE: fronted.KEYS}
    try:
        edge = await _start(
            members, "edge", ["imagegate.edge"], {**plain_environment(), **keys, **decided, **(environ or {})}
        )
        edge.address = f"http://127.0.0.1:{edge.events(EDGE_LISTENING)[0]['http']}"
        yield edge
    finally:
        await _stop(members)


def plain_environment() -> dict[str, str]:
    """Ours without anything that would configure the system, with free ports and a quick end."""
    ours = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV", "LANG") if name in os.environ}
    return ours | {
        "PYTHONUNBUFFERED": "1",
        "IMAGEGATE_PORT": "0",
        "IMAGEGATE_HTTP_PORT": "0",
        "IMAGEGATE_ADMIN_PORT": "0",
        "IMAGEGATE_DRAIN_SECONDS": "0",
        "IMAGEGATE_GRACE_SECONDS": "1",
    }


async def _start(members: dict[str, Member], name: str, module: Sequence[str], environ: Mapping[str, str]) -> Member:
    lines: list[str] = []
    process = await Process.start(name, ["-m", *module], environ, lambda _name, line: lines.append(line))
    members[name] = Member(process, "", "", environ, lines)
    try:
        async with asyncio.timeout(START_SECONDS):
            event = await process.listening()
            address = f"127.0.0.1:{event['grpc']}"
            await until_serving(address)
    except TimeoutError as error:
        raise RuntimeError(f"{name} did not start: {lines[-5:]}") from error
    members[name] = Member(process, address, f"http://127.0.0.1:{event['http']}", environ, lines)
    return members[name]


async def _stop(members: Mapping[str, Member]) -> None:
    for member in members.values():
        member.process.signal(signal.SIGTERM)
    waiting = [asyncio.create_task(member.process.ended()) for member in members.values()]
    if waiting:
        await asyncio.wait(waiting, timeout=STOP_SECONDS)
    for member in members.values():
        member.process.signal(signal.SIGKILL)
    await asyncio.gather(*waiting)
