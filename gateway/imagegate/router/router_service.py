"""RouterService: how the providers are doing, what would be tried for a request, and what was tried for others."""

import asyncio
from collections.abc import Awaitable, Sequence

import grpc

from imagegate.router.batch import Batches
from imagegate.router.batch import Context as BatchContext
from imagegate.router.explanation import explanation_of
from imagegate.router.history import History
from imagegate.router.router import Router
from imagegate.router.status import Scoreboard, status_of
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.server import Service
from imagegate.v1 import generation_pb2, router_pb2, router_pb2_grpc

# A changed status is told at most so often, an unchanged one at least so often. Seconds.
LOOK_SECONDS = 1.0
AT_LEAST_SECONDS = 10.0
ROUTER_SERVICE = "imagegate.v1.RouterService"
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

WatchContext = grpc.aio.ServicerContext[router_pb2.WatchStatusRequest, router_pb2.RouterStatus]
ExplainContext = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, router_pb2.Explanation]


class RouterFace(router_pb2_grpc.RouterServiceServicer):
    """Tells what the router knows, and hands batches on; decides nothing."""

    def __init__(
        self, router: Router, scoreboard: Scoreboard, history: History, config_source: str, batches: Batches
    ) -> None:
        self._router = router
        self._batches = batches
        self._scoreboard = scoreboard
        self._history = history
        self._config_source = config_source
        self._over = asyncio.Event()

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        return [Service(ROUTER_SERVICE, self._add)]

    def _add(self, server: grpc.aio.Server) -> None:
        # Before the generated one, which would serialise what is bytes already: the first one is taken.
        ours = grpc.method_handlers_generic_handler(ROUTER_SERVICE, {"GenerateBatch": self._batches.handler()})
        server.add_generic_rpc_handlers((ours,))
        router_pb2_grpc.add_RouterServiceServicer_to_server(self, server)

    async def GenerateBatch(  # type: ignore[override]  # as WatchStatus
        self, request: router_pb2.GenerateBatchRequest, context: BatchContext
    ) -> None:
        """Tell what becomes of each of several requests, as it happens."""
        await self._batches.generate_batch(request, context)

    def stop_watching(self) -> None:
        """End every `WatchStatus`, so that nobody keeps a server from stopping."""
        self._over.set()

    async def GetStatus(self, request: router_pb2.GetStatusRequest, context: object) -> router_pb2.RouterStatus:
        """How everything is doing."""
        return status_of(self._router, self._scoreboard, self._router.configured(), self._config_source)

    async def WatchStatus(  # type: ignore[override]  # the stubs know streams as generators only
        self, request: router_pb2.WatchStatusRequest, context: WatchContext
    ) -> None:
        """Tell the status now and after every change, until the caller leaves or the server stops."""
        await context.send_initial_metadata(())  # first: see `streaming` on writes that are given up
        told: router_pb2.RouterStatus | None = None
        told_at = 0.0
        while not self._over.is_set():
            status = await self.GetStatus(router_pb2.GetStatusRequest(), context)
            now = self._router.clock()
            if told is None or now - told_at >= AT_LEAST_SECONDS or _essence(status) != _essence(told):
                told, told_at = status, now
                await self._unless_over(context.write(status))
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._over.wait()
            except TimeoutError:
                continue

    async def _unless_over(self, writing: Awaitable[None]) -> None:
        """Wait for a caller to take what is written to it, who may not read, but only while watching goes on."""
        write = asyncio.ensure_future(writing)
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((write, over), return_when=asyncio.FIRST_COMPLETED)
            if write.done():
                write.result()
        finally:
            write.cancel()
            over.cancel()
            await asyncio.gather(write, over, return_exceptions=True)

    async def Explain(self, request: generation_pb2.GenerateRequest, context: ExplainContext) -> router_pb2.Explanation:
        """What would become of this request now."""
        admitted = await self._router.admitted(request)
        resolution, course = self._router.explain(admitted, Deadline.from_context(context, now=self._router.clock()))
        return explanation_of(resolution, course, self._router.clock())

    async def GetRequest(self, request: router_pb2.GetRequestRequest, context: object) -> router_pb2.RequestRecord:
        """One of the last requests."""
        return self._history.get(request.request_id, self._router.clock())

    async def ListRequests(
        self, request: router_pb2.ListRequestsRequest, context: object
    ) -> router_pb2.ListRequestsResponse:
        """The last requests, the latest first."""
        if not 0 <= request.limit <= MAX_LIMIT:
            raise invalid_request([Violation("limit", f"must be 0 to {MAX_LIMIT}")])
        limit = request.limit or DEFAULT_LIMIT
        now = self._router.clock()
        return router_pb2.ListRequestsResponse(requests=self._history.last(limit, now, failed_only=request.failed_only))


def _essence(status: router_pb2.RouterStatus) -> router_pb2.RouterStatus:
    """The status without the points in time, which move a little whenever they are read."""
    essence = router_pb2.RouterStatus()
    essence.CopyFrom(status)
    for provider in essence.providers:
        provider.ClearField("until")
        provider.override.ClearField("until")
        for model in provider.models:
            model.ClearField("until")
            model.override.ClearField("until")
    return essence
