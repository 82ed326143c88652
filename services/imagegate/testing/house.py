"""A router over scripted providers called a, b, c…, for a test that is about the router."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_status import rpc_status

from imagegate.router.config import RouteOptions
from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Failure, Reason, from_status
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.testing.scripted import Reply, ScriptedProvider, Telling
from imagegate.testing.serving import ServedRouter, serving_provider, serving_router
from imagegate.v1 import error_pb2, generation_pb2

NAMES = "abcdefgh"
A_LIGHTHOUSE = generation_pb2.GenerateRequest(prompt="a lighthouse")


@dataclass(slots=True)
class House:
    """The providers by name, all with `model` in the route `default`, and the router over them."""

    stack: AsyncExitStack
    providers: dict[str, ScriptedProvider] = field(default_factory=dict)
    built: ServedRouter | None = None

    @property
    def router(self) -> ServedRouter:
        """The router, once it was built."""
        if self.built is None:
            raise RuntimeError("build the house first")
        return self.built

    async def build(
        self,
        *scripts: Sequence[Reply | Telling],
        attempt_timeout: float | None = None,
        stream_bounds: Bounds = BOUNDS,
        options: RouteOptions | None = None,
        kind: type[ScriptedProvider] = ScriptedProvider,
        **changes: Any,
    ) -> "House":
        """One provider per script, each of this `kind`; `changes` are fields of every one, `options` the route's."""
        targets = {}
        for name, replies in zip(NAMES, scripts, strict=False):
            provider = kind(name, replies, **changes)
            served = await self.stack.enter_async_context(serving_provider(provider))
            self.providers[name] = provider
            targets[name] = served.target
        routes = {"default": [f"{name}/model" for name in targets]}
        self.built = await self.stack.enter_async_context(
            serving_router(
                targets,
                routes,
                attempt_timeout=attempt_timeout,
                route_options={"default": options} if options else None,
                stream_bounds=stream_bounds,
            )
        )
        return self

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to the router, for any stub."""
        async with grpc.aio.insecure_channel(self.router.target, options=MESSAGE_OPTIONS) as channel:
            yield channel

    async def generate(
        self, request: generation_pb2.GenerateRequest = A_LIGHTHOUSE, timeout: float = 20
    ) -> generation_pb2.GenerateResponse:
        """The router's answer."""
        async with self.router.stubs() as (generation, _):
            return await generation.Generate(request, timeout=timeout)

    async def fail(
        self, request: generation_pb2.GenerateRequest = A_LIGHTHOUSE, timeout: float = 20
    ) -> tuple[grpc.aio.AioRpcError, Failure]:
        """The router's error, as gRPC raises it and as we read it."""
        try:
            answer = await self.generate(request, timeout)
        except grpc.aio.AioRpcError as error:
            return error, told(error)
        raise AssertionError(f"it was answered by {answer.provider}")


def told(error: grpc.aio.AioRpcError) -> Failure:
    """Our failure in the details of an error."""
    status = rpc_status.from_call(error)
    failure = from_status(status) if status is not None else None
    if failure is None:
        raise AssertionError(f"an error without our details: {error}")
    return failure


def outcomes(attempts: Sequence[error_pb2.Attempt]) -> list[str]:
    """Each attempt as `provider REASON`, skipped ones in brackets."""
    return [
        f"[{attempt.provider} {Reason.from_proto(attempt.skipped.reason)}]"
        if attempt.HasField("skipped")
        else f"{attempt.provider} {Reason.from_proto(attempt.reason) if attempt.reason else 'OK'}"
        for attempt in attempts
    ]
