"""One of our processes on the network: gRPC with health, reflection and channelz, and HTTP beside it.

Stopping is graceful and in this order: health says NOT_SERVING, clients get a moment to notice,
then no new calls, and those under way may end.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import grpc
import structlog
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from imagegate.runtime.deadline import DEFAULT_TIMEOUT
from imagegate.runtime.guard import Guard
from imagegate.runtime.interceptors import CallInterceptor
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.settings import ProcessSettings, SettingsError, is_loopback
from imagegate.runtime.telemetry import http_endpoint
from imagegate.runtime.tls_files import TlsFiles, TlsPaths
from imagegate.runtime.traffic import Traffic
from imagegate.runtime.transport import server_credentials

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service: its full name, and how it is added to a server."""

    name: str
    add: Callable[[grpc.aio.Server], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts calls, on these ports. `tell_health` says whether a name is served just now."""

    grpc_port: int
    http_port: int
    tell_health: Callable[[str, bool], Awaitable[None]]


@asynccontextmanager
async def serving(
    services: Sequence[Service],
    settings: ProcessSettings,
    metrics: ProcessMetrics,
    redactor: Redactor,
    default_timeout: float = DEFAULT_TIMEOUT,
    guard: Guard | None = None,
    traffic: Traffic | None = None,
) -> AsyncIterator[Running]:
    """Serve those whom the `guard` admits (without one: everybody) until the block is left, then drain. A call without
    a deadline gets `default_timeout` seconds; `traffic` is that of the whole process, by default within the usual
    limits.

    Raises SettingsError where a port is in use, or where the TLS files cannot be used.
    """
    tls = _tls(settings)
    if tls is not None:
        metrics.watch_tls("server", tls)
    elif not is_loopback(settings.bind):
        log.warning("in_the_clear", bind=settings.bind, remedy="IMAGEGATE_TLS_CERT_FILE, or a mesh that encrypts")
    traffic = traffic or Traffic()
    metrics.watch_traffic(traffic)
    metrics.watch_tasks(asyncio.get_running_loop())
    interceptor = CallInterceptor(metrics, redactor, default_timeout, guard, traffic)
    server = grpc.aio.server(interceptors=[interceptor], options=traffic.limits.options())
    checks = _add(services, server, settings)
    ready = asyncio.Event()
    async with http_endpoint(settings.bind, settings.http_port, metrics.registry, ready.is_set) as http_port:
        grpc_port = _bind(server, settings, tls, settings.port, "IMAGEGATE_PORT")
        await server.start()
        for name in ("", *(service.name for service in services)):
            await checks.tell(name, True)
        ready.set()
        log.info("listening", grpc=grpc_port, http=http_port)
        try:
            yield Running(grpc_port, http_port, checks.tell)
        finally:
            ready.clear()
            await checks.enter_graceful_shutdown()
            await asyncio.sleep(settings.drain_seconds)
            checks.stop_watching()
            await server.stop(settings.grace_seconds)
            log.info("stopped")


@asynccontextmanager
async def also_serving(
    services: Sequence[Service],
    settings: ProcessSettings,
    port: int,
    variable: str,
    metrics: ProcessMetrics,
    redactor: Redactor,
    guard: Guard | None = None,
    traffic: Traffic | None = None,
) -> AsyncIterator[int]:
    """Serve on one more `port` of a process that is `serving`, until the block is left; the port that it got. Its
    `traffic` counts with that of the others.

    `variable` is what sets the port. Raises SettingsError where it is in use, or where the TLS files cannot be used.
    """
    traffic = traffic or Traffic()
    interceptor = CallInterceptor(metrics, redactor, DEFAULT_TIMEOUT, guard, traffic)
    server = grpc.aio.server(interceptors=[interceptor], options=traffic.limits.options())
    checks = _add(services, server, settings)
    bound = _bind(server, settings, _tls(settings), port, variable)
    await server.start()
    await checks.tell("", True)
    try:
        yield bound
    finally:
        await checks.enter_graceful_shutdown()
        checks.stop_watching()
        await server.stop(settings.grace_seconds)


async def until_told_to_stop() -> None:
    """Wait for SIGTERM or SIGINT."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    log.info("stopping")


class _Health(health.aio.HealthServicer):  # type: ignore[misc]  # no types
    """The library's health service, whose watchers do not keep a server from stopping for its whole grace."""

    def __init__(self) -> None:
        super().__init__()
        self._over = asyncio.Event()

    async def tell(self, name: str, is_serving: bool) -> None:
        """Answer for `name` from now on."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self.set(name, status)

    def stop_watching(self) -> None:
        """End every `Watch`: whoever watches has heard NOT_SERVING by now."""
        self._over.set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: object) -> None:
        """Tell each change of a service's health until the caller leaves or the server stops."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((watching, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            watching.cancel()
            await asyncio.gather(watching, over, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Method(grpc.HandlerCallDetails):
    """What a generic handler is asked for."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class _FoundByName:
    """A server as services are added to it, whose methods are found by their names and wait for their turns together.

    gRPC's generated code also registers each method with the server, which gives it a line of its own. What waits for
    calls then waits at each of those lines, and begins anew to wait at all of them with every call: of 23 that was a
    thirtieth of a call's CPU.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self._added: grpc.GenericRpcHandler | None = None

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Where several have a method, the first one that was added is asked."""
        self._server.add_generic_rpc_handlers(handlers)
        self._added = handlers[-1]

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, object]) -> None:
        """Register nothing: the same handlers were added as generic ones a moment ago.

        Raises RuntimeError for others, which would never be asked.
        """
        for name, handler in handlers.items():
            method = _Method(f"/{service}/{name}")
            if self._added is None or self._added.service(method) is not handler:
                raise RuntimeError(f"{method.method} is not found by its name: add its handler as a generic one")


def _add(services: Sequence[Service], to: grpc.aio.Server, settings: ProcessSettings) -> _Health:
    """Add `services`, health, which is returned, and what else the settings ask for. Reflection lists all of them."""
    server = cast("grpc.aio.Server", _FoundByName(to))
    for service in services:
        service.add(server)
    checks = _Health()  # clients of ours look at it, and complain where it is missing
    health_pb2_grpc.add_HealthServicer_to_server(checks, to)  # probes wait behind nobody else's calls
    names = [*(service.name for service in services), health.SERVICE_NAME]
    if settings.channelz:
        channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.aio.ChannelzServicer(), server)
        names.append(channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name)
    if settings.reflection:
        servicer = reflection.aio.ReflectionServicer([*names, reflection.SERVICE_NAME])
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    return checks


def _tls(settings: ProcessSettings) -> TlsFiles | None:
    """What the server shows; None where it speaks in the clear."""
    if settings.tls_cert_file is None:
        return None
    return TlsFiles(TlsPaths(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file))


def _bind(server: grpc.aio.Server, settings: ProcessSettings, tls: TlsFiles | None, port: int, variable: str) -> int:
    address = f"{settings.bind}:{port}"
    try:
        if tls is None:
            return int(server.add_insecure_port(address))
        asks = settings.tls_client_ca_file is not None
        return int(server.add_secure_port(address, server_credentials(tls, asks_for_certificates=asks)))
    except RuntimeError as error:
        raise SettingsError(
            f"gRPC port {port} on {settings.bind} cannot be used; set {variable} to a free one, or to 0 for any"
        ) from error
