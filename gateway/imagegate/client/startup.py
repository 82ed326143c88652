"""In which order the processes of `imagegate up` start, and what each is told about the others."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from imagegate.client import environment
from imagegate.client.client import AsyncClient
from imagegate.client.fleet import Fleet
from imagegate.client.health import until_serving
from imagegate.client.key import KEYS_VARIABLE, Role, as_document, entry
from imagegate.client.ports import Pair, Ports
from imagegate.client.process import ADMIN_LISTENING, EDGE_LISTENING, Process, ProcessFailedError
from imagegate.client.running import Options, Running, Service
from imagegate.runtime.bearer import new_key
from imagegate.runtime.settings import BIND_VARIABLE, DEFAULT_BIND, is_loopback

START_SECONDS = 20.0
# Stopped in this order, so that nobody is asked by whoever still runs.
EDGE_TIER, ROUTER_TIER, PROVIDER_TIER, SANDBOX_TIER = 0, 1, 2, 3
# Whose pictures those are that were made with the key of `up`.
DEVELOPER = "development"
# Needs no key and is in a route only where someone put it there: its being on switches nothing on.
SKETCH = "sketch"
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}  # noqa: S104 - where to reach who listens there

Answer = TypeVar("Answer")


class CannotStartError(Exception):
    """What was asked for cannot be started; the message is one sentence with the remedy."""

    exit_code = 2


class Startup:
    """Starts sandbox, providers, router and edge, in this order, in a fleet.

    `environ` is the environment of `up` itself; each process gets the part that it needs.
    """

    def __init__(self, fleet: Fleet, options: Options, environ: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._options = options
        self._environ = environ
        self._bind = environ.get(BIND_VARIABLE) or DEFAULT_BIND

    async def run(self) -> Running:
        """Start everything and wait until it is healthy.

        Raises CannotStartError before anything is started where the options or ports are wrong, and later
        where no provider is switched on; ProcessFailedError where a process is not ready in time.
        """
        key = self._key()
        configured = await self._configured_providers()
        names = [name for name, enabled in configured.items() if enabled]
        not_started = {
            name: f"providers.{name}.enabled is false in the configuration"
            for name, enabled in configured.items()
            if not enabled
        }
        sandboxed = self._sandboxed(names)
        ports = self._ports(list(configured), names, with_sandbox=bool(sandboxed))
        sandbox = await self._start_sandbox(ports.sandbox) if sandboxed else ""
        services = await asyncio.gather(
            *(self._start_provider(name, ports.providers[name], sandbox if name in sandboxed else "") for name in names)
        )
        providers = dict(zip(names, services, strict=True))
        _check_any_is_on(providers, not_started)
        router, admin = await self._start_router(ports, providers)
        webui = environment.stand_in_webui(sandbox) if "automatic1111" in sandboxed else ""
        edge = await self._start_edge(ports, router, admin, key, webui)
        world = self._options.world if sandbox else ""
        return Running(router, admin, providers, edge, key, sandboxed, not_started, sandbox, world)

    def _key(self) -> str:
        """A key for the edge, where it has none and only this machine reaches it; else empty."""
        if self._environ.get(KEYS_VARIABLE) or self._environ.get(f"{KEYS_VARIABLE}_FILE"):
            return ""
        if not is_loopback(self._bind):
            raise CannotStartError(
                f"others can reach the edge on {self._bind} ({BIND_VARIABLE}), so it needs keys in {KEYS_VARIABLE} or "
                f"{KEYS_VARIABLE}_FILE; make one with `imagegate key --user NAME`"
            )
        return new_key()

    async def _configured_providers(self) -> dict[str, bool]:
        """The providers of the router's configuration in order, and whether each takes part."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "imagegate.router", "config", "show", "--json"),
            env=environment.without_keys(self._environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, problems = await process.communicate()
        finally:
            if process.returncode is None:  # we were told to stop meanwhile
                process.kill()
                await process.wait()
        if process.returncode:
            raise CannotStartError(problems.decode(errors="replace").strip() or "the configuration cannot be read")
        providers = json.loads(out)["providers"]
        return {name: bool(provider.get("enabled", True)) for name, provider in providers.items()}

    def _sandboxed(self, names: Iterable[str]) -> frozenset[str]:
        possible = frozenset(names) & environment.STAND_INS.keys()
        if self._options.sandboxed is None:
            return possible
        for name in sorted(self._options.sandboxed - possible):
            raise CannotStartError(f"--sandbox has no stand-in for {name!r}; it has: {', '.join(sorted(possible))}")
        return self._options.sandboxed

    def _ports(self, configured: Sequence[str], used: Sequence[str], *, with_sandbox: bool) -> Ports:
        if self._options.free_ports:
            return Ports.free(configured)
        ports = Ports.fixed(configured)
        taken = ports.taken(self._bind.strip("[]"), used, with_sandbox=with_sandbox)
        if taken:
            listed = ", ".join(f"port {port} ({whose})" for whose, port in taken)
            raise CannotStartError(
                f"cannot listen on {listed}: in use already, perhaps by another `imagegate up`; "
                "stop that, or take free ports with --ports auto"
            )
        return ports

    async def _start_sandbox(self, port: int) -> str:
        """Start the sandbox and give its address. It listens on this machine only: it takes anybody's word."""
        arguments = ["--bind", "127.0.0.1", "--port", str(port), "--world", self._options.world]
        own = {**environment.without_keys(self._environ), "PYTHONUNBUFFERED": "1"}
        process = await self._fleet.start("sandbox", ["-m", "imagegate.sandbox", *arguments], own, tier=SANDBOX_TIER)
        event = await _in_time(process, process.listening())
        return f"http://127.0.0.1:{event['http']}"

    async def _start_provider(self, name: str, ports: Pair, sandbox: str) -> Service:
        own = (
            environment.of_sandboxed(name, self._environ, sandbox)
            if sandbox
            else environment.of_provider(name, self._environ)
        )
        _, service = await self._start_service(name, ["imagegate.providers", name], ports, own, PROVIDER_TIER)
        async with AsyncClient(service.address, tls=False, token="") as client:
            catalogue = await client.models()
        off = next((provider.disabled_reason for provider in catalogue.providers if not provider.enabled), "")
        return Service(service.address, service.metrics, service.pid, off)

    async def _start_router(self, ports: Ports, providers: Mapping[str, Service]) -> tuple[Service, str]:
        """Start the router; the service, and the address of its admin port."""
        targets = {environment.target_variable(name): service.address for name, service in providers.items()}
        own = environment.of_router(self._environ, targets, admin_port=ports.admin)
        process, service = await self._start_service("router", ["imagegate.router"], ports.router, own, ROUTER_TIER)
        announced = await process.listening(ADMIN_LISTENING)  # before its other ports
        return service, f"{_reachable(self._bind)}:{announced['grpc']}"

    async def _start_edge(self, ports: Ports, router: Service, admin: str, key: str, webui: str) -> Service:
        """Start the edge, which gets to know no more of `key` than its hash; the service, at its URL."""
        keys = as_document(entry(key, DEVELOPER, Role.OPERATOR)) if key else ""
        own = environment.of_edge(
            self._environ, router=router.address, admin=admin, port=ports.web, keys=keys, webui=webui
        )
        process, service = await self._start_service("edge", ["imagegate.edge"], ports.edge, own, EDGE_TIER)
        announced = await process.listening(EDGE_LISTENING)  # before its other ports
        return replace(service, address=f"http://{_reachable(self._bind)}:{announced['http']}")

    async def _start_service(
        self, name: str, module: Sequence[str], ports: Pair, environ: Mapping[str, str], tier: int
    ) -> tuple[Process, Service]:
        own = environment.of_process(environ, grpc_port=ports.grpc, http_port=ports.http)
        process = await self._fleet.start(name, ["-m", *module], own, tier=tier, essential=tier == ROUTER_TIER)
        return process, await _in_time(process, self._healthy(process))

    async def _healthy(self, process: Process) -> Service:
        event = await process.listening()
        host = _reachable(self._bind)
        address = f"{host}:{event['grpc']}"
        await until_serving(address)
        return Service(address, f"http://{host}:{event['http']}/metrics", process.pid)


async def _in_time(process: Process, work: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(START_SECONDS):
            return await work
    except TimeoutError as error:
        raise ProcessFailedError(f"{process.name} was not ready within {START_SECONDS:g} s") from error


def _check_any_is_on(providers: Mapping[str, Service], not_started: Mapping[str, str]) -> None:
    if any(name != SKETCH and not service.off for name, service in providers.items()):
        return
    reasons = {name: service.off for name, service in providers.items() if service.off} | dict(not_started)
    listed = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in reasons.items())
    raise CannotStartError(
        f"no provider is switched on ({listed}); switch one on, or play without keys: imagegate up --sandbox"
    )


def _reachable(bind: str) -> str:
    """The host to reach who listens on `bind`, as it stands before a port."""
    host = EVERY_ADDRESS.get(bind, bind)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
