"""The real services on real sockets of this process, around whatever a test puts behind them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import grpc

from imagegate.router.admin_service import AdminFace
from imagegate.router.batch import Batches
from imagegate.router.catalog_service import CatalogFace
from imagegate.router.config import CallerConfig, ModelOverrides, ProviderConfig, RouteOptions, RouterConfig
from imagegate.router.events import Event, Listeners
from imagegate.router.generation_service import GenerationFace
from imagegate.router.history import History
from imagegate.router.hops import Hops
from imagegate.router.lookout import keep_beating
from imagegate.router.metrics import RouterMetrics
from imagegate.router.router import Router
from imagegate.router.router_service import RouterFace
from imagegate.router.status import Scoreboard
from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.guard import Guard
from imagegate.runtime.limits import Limits
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.runtime.poses import PoseTemplates
from imagegate.runtime.provider import Provider
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import Running, also_serving, serving
from imagegate.runtime.service import ProviderService
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.traffic import Traffic
from imagegate.v1 import admin_pb2_grpc, generation_pb2_grpc, router_pb2_grpc

LOCAL = "127.0.0.1"
SETTINGS = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=0)
CATALOGUES_WITHIN_SECONDS = 10.0


@dataclass(slots=True)
class ServedProvider:
    """A provider's service, and where it is."""

    provider: Provider
    running: Running
    metrics: ProcessMetrics

    @property
    def target(self) -> str:
        """Its gRPC address."""
        return f"{LOCAL}:{self.running.grpc_port}"


@dataclass(slots=True)
class ServedRouter:
    """A router's service, and where it is; `events` has all that happened."""

    router: Router
    running: Running
    admin_port: int
    metrics: ProcessMetrics
    events: list[Event] = field(default_factory=list)

    @property
    def target(self) -> str:
        """Its gRPC address."""
        return f"{LOCAL}:{self.running.grpc_port}"

    @asynccontextmanager
    async def admin(self) -> AsyncIterator["admin_pb2_grpc.RouterAdminServiceAsyncStub"]:
        """An operator's stub, on the admin port."""
        async with grpc.aio.insecure_channel(f"{LOCAL}:{self.admin_port}") as channel:
            yield admin_pb2_grpc.RouterAdminServiceStub(channel)

    @asynccontextmanager
    async def stubs(
        self,
    ) -> AsyncIterator[
        tuple["generation_pb2_grpc.GenerationServiceAsyncStub", "router_pb2_grpc.RouterServiceAsyncStub"]
    ]:
        """A client's stubs on a channel of their own."""
        async with grpc.aio.insecure_channel(self.target, options=MESSAGE_OPTIONS) as channel:
            yield (
                generation_pb2_grpc.GenerationServiceStub(channel),
                router_pb2_grpc.RouterServiceStub(channel),
            )


@asynccontextmanager
async def serving_provider(
    provider: Provider,
    *,
    limits: Limits | None = None,
    redactor: Redactor | None = None,
    port: int = 0,
    bounds: Bounds = BOUNDS,
    entrance: Entrance | None = None,
    process: ProcessSettings = SETTINGS,
    guard: Guard | None = None,
    traffic: Traffic | None = None,
) -> AsyncIterator[ServedProvider]:
    """Serve `provider` until the block is left."""
    redactor = redactor or Redactor()
    poses = PoseTemplates()
    entrance = entrance or Entrance(poses)
    metrics = ProcessMetrics(Registry())
    catalogue = provider.catalogue
    service = ProviderService(
        provider,
        limits=limits or Limits(concurrency=provider.concurrency),
        metrics=ProviderMetrics(metrics.registry, catalogue.provider, tuple(model.key for model in catalogue.models)),
        redactor=redactor,
        bounds=bounds,
        entrance=entrance,
        poses=poses,
    )
    settings = process.model_copy(update={"port": port})
    try:
        async with serving(service.services(), settings, metrics, redactor, traffic=traffic, guard=guard) as running:
            yield ServedProvider(provider, running, metrics)
    finally:
        await entrance.close()
        await provider.close()


@asynccontextmanager
async def serving_router(
    targets: Mapping[str, str],
    routes: Mapping[str, Sequence[str] | Mapping[str, Sequence[str]]],
    *,
    overrides: ModelOverrides | None = None,
    attempt_timeout: float | None = None,
    wait_for_catalogues: bool = True,
    route_options: Mapping[str, RouteOptions] | None = None,
    stream_bounds: Bounds = BOUNDS,
    clock: Callable[[], float] = monotonic,
    random_source: random.Random | None = None,
    keep_prompts: bool = True,
    entrance: Entrance | None = None,
    poses: PoseTemplates | None = None,
    port: int = 0,
    callers: Mapping[str, CallerConfig] | None = None,
    process: ProcessSettings = SETTINGS,
    hops: Hops | None = None,
) -> AsyncIterator[ServedRouter]:
    """Serve a router over the providers at `targets` until the block is left. `clock` decides, but ends no wait; one of
    a test's own may leap, which is no standstill.
    """
    config = RouterConfig.model_validate(
        {
            "providers": {n: ProviderConfig(target=t, attempt_timeout=attempt_timeout) for n, t in targets.items()},
            "routes": routes,
            "route_options": route_options or {},
            "callers": callers or {},
        }
    )
    metrics = ProcessMetrics(Registry())
    listeners = Listeners()
    poses = poses or PoseTemplates()
    entrance = entrance or Entrance(poses)
    router = Router(
        overrides or ModelOverrides(),
        listeners,
        entrance,
        clock=clock,
        random_source=random_source,
        keep_prompts=keep_prompts,
        hops=hops,
    )
    scoreboard = Scoreboard(router.catalogues.has)
    events: list[Event] = []
    listeners.add(RouterMetrics(metrics.registry, router), scoreboard, events.append)
    await router.configure(config)
    beating = asyncio.create_task(keep_beating(router)) if clock is monotonic else None
    try:
        if wait_for_catalogues:
            await router.catalogues.asked_once(within=CATALOGUES_WITHIN_SECONDS)
        history = History(keep_prompts=keep_prompts)
        generation, redactor = GenerationFace(router, history, stream_bounds), Redactor()
        batches = Batches(generation.answer, router.clock, redactor, stream_bounds)
        face = RouterFace(router, scoreboard, history, "a test", batches)
        services = [
            *generation.services(),
            *CatalogFace(router, poses).services(),
            *face.services(),
        ]
        admin = AdminFace(router, "a test").services()
        guard = Guard(lambda: router.callers, asks_for_certificates=process.tls_client_ca_file is not None)
        async with (
            also_serving(admin, process, 0, "none", metrics, redactor, guard) as admin_port,
            serving(services, process.model_copy(update={"port": port}), metrics, redactor, guard=guard) as running,
        ):
            yield ServedRouter(router, running, admin_port, metrics, events)
            face.stop_watching()
    finally:
        if beating is not None:
            beating.cancel()
        await entrance.close()
        await router.close()
