"""A router whose answers are scripted, on a real socket: what the SDK and the command line are tested against."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image
from prometheus_client import CollectorRegistry

from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.server import Service, serving
from imagegate.runtime.settings import ProcessSettings
from imagegate.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    error_pb2,
    generation_pb2,
    generation_pb2_grpc,
    router_pb2,
    router_pb2_grpc,
)

Reply = Callable[[generation_pb2.GenerateRequest], Awaitable[generation_pb2.GenerateResponse]]


def a_picture(width: int = 64, height: int = 48) -> bytes:
    """A small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 120, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def an_answer(request: generation_pb2.GenerateRequest, count: int = 1) -> generation_pb2.GenerateResponse:
    """What a router answers after one fallback."""
    data = a_picture()
    digest = hashlib.sha256(data).hexdigest()
    image = generation_pb2.Image(data=data, mime_type="image/png", width=64, height=48, seed=7, sha256=digest)
    denied = error_pb2.Attempt(
        provider="huggingface",
        model="flux-dev",
        reason=error_pb2.ERROR_REASON_MODEL_ACCESS_DENIED,
        message="the key may not use it",
        upstream_status=400,
        upstream_message="Model requires PRO subscription",
        remedy="use a PRO key",
    )
    skip = error_pb2.Skip(reason=error_pb2.ERROR_REASON_BACKING_OFF, until=Timestamp(seconds=1_800_000_000))
    return generation_pb2.GenerateResponse(
        images=[image] * count,
        provider="fal",
        model="flux-schnell",
        request_id=request.request_id,
        resolved_by=generation_pb2.RESOLVED_BY_ROUTE,
        attempts=[
            denied,
            error_pb2.Attempt(provider="huggingface", model="flux-schnell", skipped=skip),
            error_pb2.Attempt(provider="fal", model="flux-schnell"),
        ],
        adjustments=[
            generation_pb2.Adjustment(
                parameter="negative_prompt",
                requested="fog",
                action=generation_pb2.ACTION_DROPPED,
                why="FLUX takes none",
            )
        ],
        warnings=["it is one colour throughout"],
        sandbox=True,
    )


class ScriptedRouter(
    generation_pb2_grpc.GenerationServiceServicer,
    catalog_pb2_grpc.CatalogServiceServicer,
    router_pb2_grpc.RouterServiceServicer,
):
    """Answers with `reply`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[generation_pb2.GenerateRequest] = []
        self.peers: set[str] = set()
        self.cancelled = asyncio.Event()
        self.reply: Reply = self.deliver

    async def deliver(self, request: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
        return an_answer(request, request.count or 1)

    async def hang(self, request: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return generation_pb2.GenerateResponse()

    def fail(self, failure: Exception) -> None:
        async def reply(_: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
            raise failure

        self.reply = reply

    async def Generate(self, request: generation_pb2.GenerateRequest, context: Any) -> generation_pb2.GenerateResponse:
        self.requests.append(request)
        self.peers.add(context.peer())
        return await self.reply(request)

    async def ListModels(self, request: catalog_pb2.ListModelsRequest, context: Any) -> catalog_pb2.ListModelsResponse:
        return catalog_pb2.ListModelsResponse(
            models=[catalog_pb2.Model(provider="fal", key="flux-schnell", tier="free", credits=5, enabled=True)],
            providers=[
                catalog_pb2.Provider(name="fal", enabled=True),
                catalog_pb2.Provider(name="huggingface", disabled_reason="set HUGGINGFACE_API_KEY"),
            ],
        )

    async def GetStatus(self, request: router_pb2.GetStatusRequest, context: Any) -> router_pb2.RouterStatus:
        model = router_pb2.ModelStatus(key="flux-schnell", breaker=router_pb2.BREAKER_STATE_CLOSED, succeeded=3)
        return router_pb2.RouterStatus(
            providers=[
                router_pb2.ProviderStatus(
                    name="fal",
                    enabled=True,
                    reachable=True,
                    breaker=router_pb2.BREAKER_STATE_HALF_OPEN,
                    models=[model],
                )
            ],
            routes=[router_pb2.RouteStatus(name="default", candidates=["fal/flux-schnell"], available=True)],
        )

    def services(self) -> list[Service]:
        def add(server: grpc.aio.Server) -> None:
            generation_pb2_grpc.add_GenerationServiceServicer_to_server(self, server)
            catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self, server)
            router_pb2_grpc.add_RouterServiceServicer_to_server(self, server)

        return [Service("imagegate.v1.GenerationService", add)]


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    """A scripted router that is up: its `address` is HOST:PORT."""
    scripted = ScriptedRouter()
    settings = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=0)
    async with serving(scripted.services(), settings, ProcessMetrics(CollectorRegistry()), Redactor()) as running:
        scripted.address = f"127.0.0.1:{running.grpc_port}"
        yield scripted
