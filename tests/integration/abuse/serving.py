"""A server of ours in this process, with limits that a test can cross."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from grpc_status import rpc_status

from imagegate.runtime.channels import CHANNEL_OPTIONS
from imagegate.runtime.errors import Failure, Reason, from_status
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import Service, serving
from imagegate.runtime.server_limits import ServerLimits
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.traffic import Traffic
from imagegate.runtime.unread import Unread
from imagegate.v1 import generation_pb2, generation_pb2_grpc
from integration.abuse.wire import Wire

Request, Response = generation_pb2.GenerateRequest, generation_pb2.GenerateResponse
SETTINGS = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=0)
SERVICE = "imagegate.v1.GenerationService"


@dataclass(slots=True)
class Served(generation_pb2_grpc.GenerationServiceServicer):
    """What answers, and where. Whoever asks for `wait` waits for `go_on`, who asks for `fail` gets that; `more` is said
    to everybody.
    """

    traffic: Traffic
    port: int = 0
    more: str = ""
    begun: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: ProcessMetrics = field(default_factory=lambda: ProcessMetrics(Registry()))

    def ended(self, code: str) -> float:
        """How many calls ended with this code."""
        labels = {"method": f"{SERVICE}/Generate", "code": code}
        return self.metrics.registry.get_sample_value("imagegate_requests_total", labels) or 0

    async def Generate(self, request: Request, context: object) -> Response:
        """Answer with the prompt's length."""
        self.begun += 1
        if request.prompt.startswith("wait"):
            await self.go_on.wait()
        if request.prompt == "fail":
            raise Failure(Reason.OVERLOADED, "as asked")
        return Response(provider=str(len(request.prompt)), warnings=[self.more] if self.more else [])

    @asynccontextmanager
    async def stub(self) -> AsyncIterator["generation_pb2_grpc.GenerationServiceAsyncStub"]:
        """A client with a connection of its own."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=CHANNEL_OPTIONS) as channel:
            yield generation_pb2_grpc.GenerationServiceStub(channel)


@asynccontextmanager
async def served(
    limits: ServerLimits | None = None, settings: ProcessSettings = SETTINGS, unread: Unread | None = None
) -> AsyncIterator[Served]:
    """A server within these limits."""
    house = Served(Traffic(limits))
    house.traffic.unread = unread or house.traffic.unread
    service = Service(SERVICE, lambda s: generation_pb2_grpc.add_GenerationServiceServicer_to_server(house, s))
    async with serving([service], settings, house.metrics, Redactor(), traffic=house.traffic) as running:
        house.port = running.grpc_port
        yield house


async def failing(call: Awaitable[object]) -> tuple[grpc.aio.AioRpcError, Failure | None]:
    """How a call fails, and what of ours it says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    return caught.value, from_status(status) if status is not None else None


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for it, so long at most."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def wires(port: int) -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """What makes connections, which are closed when the block is left."""
    made: list[Wire] = []

    async def connect(window: int = 65_535) -> Wire:
        made.append(await Wire.connect(port, window))
        return made[-1]

    try:
        yield connect
    finally:
        for wire in made:
            await wire.close()
