"""One target of gRPC calls: questions with one answer, and answers that come in pieces."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import grpc

from imagegate.client.address import Target
from imagegate.client.error import from_rpc_error
from imagegate.runtime.channels import ChannelPool
from imagegate.runtime.transport import Transport

ASK_TIMEOUT = 15.0  # seconds for a question that no upstream is asked

Stub = TypeVar("Stub")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Connection:
    """Calls to one target. What fails is told as GenerationError. Belongs to one event loop."""

    def __init__(self, target: Target, transport: Transport) -> None:
        self.target = target
        self._channels = ChannelPool(target.address, transport)

    async def close(self) -> None:
        """Close the channels; calls under way are cancelled."""
        await self._channels.close()

    async def ask(
        self,
        make_stub: Callable[[grpc.aio.Channel], Stub],
        call: Callable[[Stub], Awaitable[Answer]],
        timeout: float,
        request_id: str = "",
    ) -> Answer:
        """The answer of `call`, which gets the stub and must end within `timeout` seconds by itself."""
        async with self._channels.call_slot() as channel:
            try:
                return await call(make_stub(channel))
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error, self.target, timeout, request_id) from error

    async def follow(
        self,
        make_stub: Callable[[grpc.aio.Channel], Stub],
        call: Callable[[Stub], grpc.aio.UnaryStreamCall[Asked, Answer]],
        timeout: float | None,
        request_id: str = "",
        instead: str = "",
    ) -> AsyncGenerator[Answer, None]:
        """What `call` answers, piece by piece. Leaving it cancels the call.

        `instead` is what to do where the other side does not know the method.
        """
        async with self._channels.call_slot() as channel:
            under_way = call(make_stub(channel))
            try:
                async for piece in under_way:
                    yield piece
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error, self.target, timeout, request_id, instead) from error
            finally:
                under_way.cancel()
