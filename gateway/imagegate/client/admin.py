"""What operators decide: the admin port of a router."""

import os
from types import TracebackType
from typing import Literal, Self, Unpack

from google.protobuf.duration_pb2 import Duration

from imagegate.client.address import admin_address, admin_target
from imagegate.client.connection import ASK_TIMEOUT, Connection
from imagegate.client.transport import TransportFields, transport_of
from imagegate.v1 import admin_pb2, router_pb2
from imagegate.v1.admin_pb2_grpc import RouterAdminServiceStub

Mode = Literal["OPEN", "CLOSED", "OBSERVE_ONLY"]


class AsyncAdminClient:
    """A client of one router replica's admin port, given as HOST:PORT.

    The default is IMAGEGATE_ADMIN, else port 50052 of the host of IMAGEGATE_ROUTER, else of this machine. Whatever is
    asked takes at most `timeout` seconds, and raises GenerationError where it fails. Use it in one event loop, and
    close it (`async with AsyncAdminClient() as admin:`). `transport` as for `AsyncClient`. Raises ValueError for an
    address that names no host, or files that cannot be used.
    """

    def __init__(self, admin: str = "", *, timeout: float = ASK_TIMEOUT, **transport: Unpack[TransportFields]) -> None:
        target = admin_target(admin_address(admin, "", os.environ))
        self._connection = Connection(target, transport_of(transport, os.environ))
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<AsyncAdminClient {self.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()

    @property
    def address(self) -> str:
        """The address that it talks to."""
        return self._connection.target.address

    async def override_breaker(
        self, provider: str, model: str = "", *, mode: Mode, reason: str, actor: str, seconds: float | None = None
    ) -> router_pb2.BreakerOverride:
        """Decide about the breaker of `provider`, or of its `model`, for `seconds` (None: an hour; at most 7 days).

        `reason` says why, in 1 to 200 characters, and `actor` who, in 1 to 100.
        """
        request = admin_pb2.OverrideBreakerRequest(
            provider=provider,
            model=model,
            mode=router_pb2.OverrideMode.Value(f"OVERRIDE_MODE_{mode}"),
            reason=reason,
            actor=actor,
        )
        if seconds is not None:
            length = Duration()
            length.FromNanoseconds(round(seconds * 1e9))
            request.duration.CopyFrom(length)
        return await self._connection.ask(
            RouterAdminServiceStub, lambda stub: stub.OverrideBreaker(request, timeout=self.timeout), self.timeout
        )

    async def clear_override(self, provider: str, model: str = "") -> None:
        """Take a decision back before its end. GenerationError has NOT_FOUND where there is none."""
        request = admin_pb2.ClearOverrideRequest(provider=provider, model=model)
        await self._connection.ask(
            RouterAdminServiceStub, lambda stub: stub.ClearOverride(request, timeout=self.timeout), self.timeout
        )

    async def list_overrides(self) -> admin_pb2.ListOverridesResponse:
        """The decisions in force on this replica."""
        request = admin_pb2.ListOverridesRequest()
        return await self._connection.ask(
            RouterAdminServiceStub, lambda stub: stub.ListOverrides(request, timeout=self.timeout), self.timeout
        )

    async def get_config(self) -> admin_pb2.EffectiveConfig:
        """The configuration in force on this replica, overrides by variables included."""
        request = admin_pb2.GetConfigRequest()
        return await self._connection.ask(
            RouterAdminServiceStub, lambda stub: stub.GetConfig(request, timeout=self.timeout), self.timeout
        )
