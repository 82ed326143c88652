"""The provider under test, over gRPC.

Every method is called as if it answered a stream (the same bytes on the wire): only so does initial metadata arrive
before the answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from imagegate.client.address import Target
from imagegate.client.error import from_rpc_error
from imagegate.conformance.told import Told
from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.transport import IN_THE_CLEAR, Transport
from imagegate.v1 import catalog_pb2, generation_pb2

DETAILS_KEY = "grpc-status-details-bin"
OPTIONS = (*MESSAGE_OPTIONS, ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0))

CHECK = "/grpc.health.v1.Health/Check"
LIST_MODELS = "/imagegate.v1.CatalogService/ListModels"
GET_MODEL = "/imagegate.v1.CatalogService/GetModel"
CHECK_MODEL = "/imagegate.v1.CatalogService/CheckModel"
GENERATE = "/imagegate.v1.GenerationService/Generate"
GENERATE_STREAM = "/imagegate.v1.GenerationService/GenerateStream"
ANSWERS: Mapping[str, type[Message]] = {
    CHECK: health_pb2.HealthCheckResponse,
    LIST_MODELS: catalog_pb2.ListModelsResponse,
    GET_MODEL: catalog_pb2.Model,
    CHECK_MODEL: catalog_pb2.ModelCheck,
    GENERATE: generation_pb2.GenerateResponse,
    GENERATE_STREAM: generation_pb2.GenerateEvent,
}

Metadata = Sequence[tuple[str, str]]


class Call:
    """One call under way."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._began = monotonic()
        self._head: Mapping[str, str] = {}
        self._head_seconds = 0.0

    async def head(self) -> Mapping[str, str]:
        """The initial metadata, when it comes; empty where the call ends before."""
        if not self._head_seconds:
            self._head = _texts(await self._call.initial_metadata())
            self._head_seconds = monotonic() - self._began
        return self._head

    async def told(self) -> Told:
        """How it ended."""
        answers: list[Message] = []
        try:
            await self.head()
            async for answer in self._call:
                answers.append(answer)
        except grpc.aio.AioRpcError:
            pass  # read below, as a success is
        except asyncio.CancelledError:
            if not self._call.cancelled():
                raise
        trailers = await self._call.trailing_metadata() or ()
        return Told(
            code=(await self._call.code()).name,
            message=await self._call.details() or "",
            details=next((bytes(value) for key, value in trailers if key == DETAILS_KEY), b""),
            answers=answers,
            head=self._head,
            head_seconds=self._head_seconds,
            trailers=_texts(trailers),
            seconds=monotonic() - self._began,
        )

    def leave(self) -> None:
        """Cancel it, as a caller does that goes away."""
        self._call.cancel()


class Face:
    """The service at `address`, reached over `transport`. `async with` it."""

    def __init__(self, address: str, transport: Transport = IN_THE_CLEAR) -> None:
        self.address = address
        self._transport = transport

    async def __aenter__(self) -> Self:
        self._channel = self._transport.channel(self.address, OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    def call(self, method: str, request: Message, timeout: float, metadata: Metadata = ()) -> Call:
        """Begin a call of `method`, one of the constants above, which ends after `timeout` seconds at the latest."""
        begin: grpc.aio.UnaryStreamMultiCallable[Any, Any] = self._channel.unary_stream(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=ANSWERS[method].FromString,
        )
        return Call(begin(request, timeout=timeout, metadata=grpc.aio.Metadata(*metadata)))

    def generate(self, request: generation_pb2.GenerateRequest, timeout: float, metadata: Metadata = ()) -> Call:
        """Begin to ask for pictures."""
        return self.call(GENERATE, request, timeout, metadata)

    async def unreached(self, timeout: float) -> str:
        """Why nobody is reached there within `timeout` seconds, and what to do; empty where somebody is."""
        is_connected = False
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._channel.channel_ready()
                is_connected = True
        # Whoever was not let in hears of it only now: a handshake of TLS 1.3 ends before the server has looked.
        check: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            CHECK, request_serializer=health_pb2.HealthCheckRequest.SerializeToString
        )
        try:
            await check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE or not is_connected:
                return from_rpc_error(error, _provider_at(self.address), timeout).message
        return ""


def _provider_at(address: str) -> Target:
    silent = "start the provider, for example: python -m imagegate.providers sketch"
    return Target(address, "provider", silent, "give the address of a provider's own service")


def _texts(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}
