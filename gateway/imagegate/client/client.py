"""The SDK's core, asynchronous. `blocking.Client` is a thin face over it."""

import math
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from imagegate.client.address import router_target
from imagegate.client.batch import DEFAULT_CONCURRENCY, BatchItem, item_of, to_batch_request
from imagegate.client.connection import ASK_TIMEOUT, Connection
from imagegate.client.error import GenerationError, without_answer
from imagegate.client.event import Completed, Event, event_of
from imagegate.client.fields import (
    GenerateFields,
    RecommendFields,
    to_list_request,
    to_order,
    to_recommend_request,
    to_request,
)
from imagegate.client.result import Result
from imagegate.client.transport import TransportFields, transport_of
from imagegate.v1 import catalog_pb2, generation_pb2, router_pb2
from imagegate.v1.catalog_pb2_grpc import CatalogServiceStub
from imagegate.v1.generation_pb2_grpc import GenerationServiceStub
from imagegate.v1.router_pb2_grpc import RouterServiceStub

DEFAULT_TIMEOUT = 300.0  # seconds for a picture, warming and fallback included
MAX_BATCH_TIMEOUT = 3600.0  # seconds: as long as a router lets a call take
CHECK_TIMEOUT = 30.0  # seconds for a question that an upstream is asked


class AsyncClient:
    """A client of one router (or of one provider: they speak the same protocol).

    `router` is HOST:PORT or any gRPC target; the default is IMAGEGATE_ROUTER, else 127.0.0.1:50051.
    `timeout` is the seconds that a `generate` or `stream` may take; `transport` are the `TransportFields`: `tls`, `ca`,
    `cert`, `key`, `server_name` and `token`. Use it in one event loop, and close it
    (`async with AsyncClient() as client:`). Any number of calls may be under way at once.

    Whatever is asked raises GenerationError where it fails, or where the router cannot be asked. Raises ValueError for
    an address, or files, that cannot be used.
    """

    def __init__(
        self,
        router: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        **transport: Unpack[TransportFields],
    ) -> None:
        self._connection = Connection(router_target(router, os.environ), transport_of(transport, os.environ))
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<AsyncClient {self.router}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def router(self) -> str:
        """The address that it talks to."""
        return self._connection.target.address

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        await self._connection.close()

    async def generate(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> Result:
        """Make pictures from `prompt`, and say how they came about.

        `model` is a route, `provider/key`, a key, an alias or an upstream's id; empty takes the route `default`.
        `timeout` is in seconds and replaces the client's for this call. `fields` are those of `GenerateRequest`.

        Raises GenerationError where no picture could be had, TypeError for a field that does not exist.
        """
        request = to_order(prompt, model, fields)
        seconds = self.timeout if timeout is None else timeout
        answer = await self._connection.ask(
            GenerationServiceStub, lambda stub: stub.Generate(request, timeout=seconds), seconds, request.request_id
        )
        return Result.of(answer)

    def stream(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> AsyncGenerator[Event, None]:
        """`generate`, told while it happens: attempts and progress, and `Completed` with the result as the last event.

        Leaving the loop cancels the call; so does `aclose()`, where the generator is kept under a name.

        Raises TypeError for a field that does not exist, and while iterating what `generate` raises.
        """
        request = to_order(prompt, model, fields)
        return self._events(request, self.timeout if timeout is None else timeout)

    def generate_batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        timeout: float | None = None,
    ) -> AsyncGenerator[BatchItem, None]:
        """Make several requests, 1 to 100, and tell what becomes of each as it ends: its result or its error.

        Each is a mapping with `prompt`, `model` and the other arguments of `generate`; `concurrency` of them, 1 to 16,
        are made at a time. `timeout` is the seconds for all of them; by default as many as the client's for each round
        of `concurrency`, at most an hour. Leaving the loop cancels those under way, as with `stream`.

        Raises GenerationError with everything that is wrong with any of them, and while iterating where the batch as a
        whole fails.
        """
        batch = to_batch_request(requests, concurrency)
        rounds = math.ceil(len(batch.requests) / max(concurrency, 1))
        return self._items(batch, min(self.timeout * rounds, MAX_BATCH_TIMEOUT) if timeout is None else timeout)

    async def explain(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> router_pb2.Explanation:
        """What `generate` would do with these arguments now, `timeout` included. Asks no upstream and costs nothing.

        Raises GenerationError where `generate` would refuse the request itself.
        """
        request = to_request(prompt, model, fields)
        seconds = self.timeout if timeout is None else timeout
        return await self._connection.ask(
            RouterServiceStub, lambda stub: stub.Explain(request, timeout=seconds), seconds, request.request_id
        )

    async def estimate(
        self, prompt: str = "", *, model: str = "", timeout: float = ASK_TIMEOUT, **fields: Unpack[GenerateFields]
    ) -> catalog_pb2.CostEstimate:
        """What `generate` would cost at least and at most, whoever delivers; the prompt plays no part in it.

        `low` and `high` are in credits, and absent where nobody knows. Raises GenerationError where `generate` would
        refuse the request itself, or could ask nobody.
        """
        request = to_request(prompt, model, fields)
        return await self._connection.ask(
            CatalogServiceStub, lambda stub: stub.EstimateCost(request, timeout=timeout), timeout, request.request_id
        )

    async def recommend(
        self, *, timeout: float = ASK_TIMEOUT, **fields: Unpack[RecommendFields]
    ) -> catalog_pb2.RecommendModelsResponse:
        """Which models to use for a purpose, best first, and why; where none fits, what is in the way (`message`).

        Raises GenerationError for a value that no router takes, TypeError for a field that does not exist.
        """
        request = to_recommend_request(fields)
        return await self._connection.ask(
            CatalogServiceStub, lambda stub: stub.RecommendModels(request, timeout=timeout), timeout
        )

    async def models(
        self, provider: str = "", *, task: str = "", tier: str = "", use_case: str = "", timeout: float = ASK_TIMEOUT
    ) -> catalog_pb2.ListModelsResponse:
        """The models and the providers they belong to.

        Only those of `provider`, that can do `task` (such as `text_to_image`), of this `tier` (free, basic, pro,
        enterprise) and whose use case has all words of `use_case`, where these are given.
        """
        request = to_list_request(provider, task, tier, use_case)
        return await self._connection.ask(
            CatalogServiceStub, lambda stub: stub.ListModels(request, timeout=timeout), timeout
        )

    async def check(self, name: str, *, timeout: float = CHECK_TIMEOUT) -> catalog_pb2.ModelCheck:
        """What the upstream says of the model `name` now; it is asked without paying.

        Trouble with the upstream is told in the answer. GenerationError has NOT_FOUND where no model has this name.
        """
        request = catalog_pb2.CheckModelRequest(name=name)
        return await self._connection.ask(
            CatalogServiceStub, lambda stub: stub.CheckModel(request, timeout=timeout), timeout
        )

    async def poses(
        self, *, include_images: bool = False, timeout: float = ASK_TIMEOUT
    ) -> catalog_pb2.ListPoseTemplatesResponse:
        """The poses that a request may refer to as `template:NAME`, with their pictures where these are asked for."""
        request = catalog_pb2.ListPoseTemplatesRequest(include_images=include_images)
        return await self._connection.ask(
            CatalogServiceStub, lambda stub: stub.ListPoseTemplates(request, timeout=timeout), timeout
        )

    async def status(self, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RouterStatus:
        """How every provider, model and route is doing, as this router sees it."""
        request = router_pb2.GetStatusRequest()
        return await self._connection.ask(
            RouterServiceStub, lambda stub: stub.GetStatus(request, timeout=timeout), timeout
        )

    def watch_status(self) -> AsyncGenerator[router_pb2.RouterStatus, None]:
        """The status now, and again whenever it has changed (at most once a second, at least every 10 s), for ever.

        Leaving the loop ends it, as with `stream`.
        """
        request = router_pb2.WatchStatusRequest()
        return self._connection.follow(
            RouterServiceStub, lambda stub: stub.WatchStatus(request), None, instead="ask without watching"
        )

    async def requests(
        self, *, failed_only: bool = False, limit: int = 100, timeout: float = ASK_TIMEOUT
    ) -> router_pb2.ListRequestsResponse:
        """What became of this router's last requests, the latest first: at most `limit` of them, 1 to 1,000."""
        request = router_pb2.ListRequestsRequest(failed_only=failed_only, limit=limit)
        return await self._connection.ask(
            RouterServiceStub, lambda stub: stub.ListRequests(request, timeout=timeout), timeout
        )

    async def request(self, request_id: str, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RequestRecord:
        """What became of one request. A router keeps its last 1,000; of others GenerationError has NOT_FOUND."""
        request = router_pb2.GetRequestRequest(request_id=request_id)
        return await self._connection.ask(
            RouterServiceStub, lambda stub: stub.GetRequest(request, timeout=timeout), timeout
        )

    async def _items(self, batch: router_pb2.GenerateBatchRequest, timeout: float) -> AsyncGenerator[BatchItem, None]:
        left = len(batch.requests)
        pieces = self._connection.follow(
            RouterServiceStub,
            lambda stub: stub.GenerateBatch(batch, timeout=timeout),
            timeout,
            instead="make each request by itself",
        )
        try:
            async for piece in pieces:
                item = item_of(piece)
                if item is not None:
                    left -= 1
                    yield item
        finally:
            await pieces.aclose()
        if left:
            raise without_answer(self._connection.target, "")

    async def _events(self, request: generation_pb2.GenerateRequest, timeout: float) -> AsyncGenerator[Event, None]:
        completed: Completed | None = None
        pieces = self._connection.follow(
            GenerationServiceStub,
            lambda stub: stub.GenerateStream(request, timeout=timeout),
            timeout,
            request.request_id,
            instead="ask without streaming",
        )
        try:
            async for piece in pieces:
                event = event_of(piece)
                if isinstance(event, Completed):
                    completed = event  # told at the very end: who then leaves cancels nothing
                elif event is not None:
                    yield event
        except GenerationError:
            if completed is None:
                raise
        finally:
            await pieces.aclose()
        if completed is None:
            raise without_answer(self._connection.target, request.request_id)
        yield completed
