"""The SDK's core, asynchronous. `blocking.Client` is a thin face over it."""

import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from imagegate.client.address import router_address
from imagegate.client.error import from_rpc_error
from imagegate.client.fields import GenerateFields, to_request
from imagegate.client.result import Result
from imagegate.runtime.channels import ChannelPool
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2_grpc, router_pb2, router_pb2_grpc

DEFAULT_TIMEOUT = 300.0  # seconds for a picture, warming and fallback included
ASK_TIMEOUT = 15.0  # seconds for a question that no upstream is asked

Answer = TypeVar("Answer")


class AsyncClient:
    """A client of one router (or of one provider: they speak the same protocol).

    `router` is HOST:PORT or any gRPC target; the default is IMAGEGATE_ROUTER, else 127.0.0.1:50051.
    `timeout` is the seconds that a `generate` may take. Use it in one event loop, and close it
    (`async with AsyncClient() as client:`). Any number of calls may be under way at once.
    """

    def __init__(self, router: str | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.router = router_address(router, os.environ)
        self.timeout = timeout
        self._channels = ChannelPool(self.router)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.router}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        await self._channels.close()

    async def generate(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> Result:
        """Make pictures from `prompt`, and say how they came about.

        `model` is a route, `provider/key`, a key, an alias or an upstream's id; empty takes the route `default`.
        `timeout` is in seconds and replaces the client's for this call. `fields` are those of `GenerateRequest`.

        Raises GenerationError where no picture could be had, TypeError for a field that does not exist.
        """
        request = to_request(prompt, model, fields)

        async def call(channel: grpc.aio.Channel, seconds: float) -> Result:
            stub = generation_pb2_grpc.GenerationServiceStub(channel)
            return Result.of(await stub.Generate(request, timeout=seconds))

        return await self._call(call, self.timeout if timeout is None else timeout, request.request_id)

    async def models(self, provider: str = "", *, timeout: float = ASK_TIMEOUT) -> catalog_pb2.ListModelsResponse:
        """The models and the providers they belong to; only those of `provider` if it is named.

        Raises GenerationError where the router cannot be asked.
        """

        async def call(channel: grpc.aio.Channel, seconds: float) -> catalog_pb2.ListModelsResponse:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            return await stub.ListModels(catalog_pb2.ListModelsRequest(provider=provider), timeout=seconds)

        return await self._call(call, timeout)

    async def status(self, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RouterStatus:
        """How every provider, model and route is doing, as this router sees it.

        Raises GenerationError where the router cannot be asked.
        """

        async def call(channel: grpc.aio.Channel, seconds: float) -> router_pb2.RouterStatus:
            stub = router_pb2_grpc.RouterServiceStub(channel)
            return await stub.GetStatus(router_pb2.GetStatusRequest(), timeout=seconds)

        return await self._call(call, timeout)

    async def _call(
        self, call: Callable[[grpc.aio.Channel, float], Awaitable[Answer]], timeout: float, request_id: str = ""
    ) -> Answer:
        async with self._channels.call_slot() as channel:
            try:
                return await call(channel, timeout)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error, self.router, timeout, request_id) from error
