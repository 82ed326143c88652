"""The SDK without `await`: a thin face over the asynchronous core, which runs in a thread of its own.

The thread is why it works from any thread, and inside a program (or a notebook) that already runs an event loop.
"""

import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from imagegate.client.batch import DEFAULT_CONCURRENCY, BatchItem
from imagegate.client.client import CHECK_TIMEOUT, DEFAULT_TIMEOUT, AsyncClient
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.event import Event
from imagegate.client.fields import GenerateFields, RecommendFields
from imagegate.client.result import Result
from imagegate.client.runner import Runner
from imagegate.client.transport import TransportFields
from imagegate.v1 import catalog_pb2, router_pb2

Answer = TypeVar("Answer")


class Client:
    """`AsyncClient` without `await`; see there for what the arguments mean and what is raised.

    Any thread may use it, several at once. Close it (`with Client() as client:`); one that is forgotten
    is closed when it is collected, or at the end of the program.
    """

    def __init__(
        self,
        router: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        **transport: Unpack[TransportFields],
    ) -> None:
        self._client = AsyncClient(router, timeout=timeout, **transport)
        self._runner = Runner(self._client)
        self._finalizer = weakref.finalize(self, self._runner.shut_down)

    def __repr__(self) -> str:
        return f"<Client {self._client.router}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def router(self) -> str:
        """The address that it talks to."""
        return self._client.router

    def close(self) -> None:
        """Close the connections; calls under way in other threads are cancelled. Closing twice is harmless."""
        self._finalizer()

    def generate(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> Result:
        """Make pictures from `prompt`, and say how they came about: `AsyncClient.generate`."""
        return self._wait(self._client.generate(prompt, model=model, timeout=timeout, **fields))

    def stream(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> Generator[Event, None, None]:
        """`generate`, told while it happens: `AsyncClient.stream`. Leaving the loop, or `close()`, cancels the call."""
        return self._iterate(self._client.stream(prompt, model=model, timeout=timeout, **fields))

    def generate_batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        timeout: float | None = None,
    ) -> Generator[BatchItem, None, None]:
        """Make several requests, and tell what becomes of each: `AsyncClient.generate_batch`."""
        return self._iterate(self._client.generate_batch(requests, concurrency=concurrency, timeout=timeout))

    def explain(
        self, prompt: str, *, model: str = "", timeout: float | None = None, **fields: Unpack[GenerateFields]
    ) -> router_pb2.Explanation:
        """What `generate` would do with these arguments now: `AsyncClient.explain`."""
        return self._wait(self._client.explain(prompt, model=model, timeout=timeout, **fields))

    def estimate(
        self, prompt: str = "", *, model: str = "", timeout: float = ASK_TIMEOUT, **fields: Unpack[GenerateFields]
    ) -> catalog_pb2.CostEstimate:
        """What `generate` would cost at least and at most: `AsyncClient.estimate`."""
        return self._wait(self._client.estimate(prompt, model=model, timeout=timeout, **fields))

    def recommend(
        self, *, timeout: float = ASK_TIMEOUT, **fields: Unpack[RecommendFields]
    ) -> catalog_pb2.RecommendModelsResponse:
        """Which models to use for a purpose, and why: `AsyncClient.recommend`."""
        return self._wait(self._client.recommend(timeout=timeout, **fields))

    def models(
        self, provider: str = "", *, task: str = "", tier: str = "", use_case: str = "", timeout: float = ASK_TIMEOUT
    ) -> catalog_pb2.ListModelsResponse:
        """The models and the providers they belong to: `AsyncClient.models`."""
        return self._wait(self._client.models(provider, task=task, tier=tier, use_case=use_case, timeout=timeout))

    def check(self, name: str, *, timeout: float = CHECK_TIMEOUT) -> catalog_pb2.ModelCheck:
        """What the upstream says of a model now: `AsyncClient.check`."""
        return self._wait(self._client.check(name, timeout=timeout))

    def poses(
        self, *, include_images: bool = False, timeout: float = ASK_TIMEOUT
    ) -> catalog_pb2.ListPoseTemplatesResponse:
        """The poses that a request may refer to by name: `AsyncClient.poses`."""
        return self._wait(self._client.poses(include_images=include_images, timeout=timeout))

    def status(self, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RouterStatus:
        """How every provider, model and route is doing: `AsyncClient.status`."""
        return self._wait(self._client.status(timeout=timeout))

    def watch_status(self) -> Generator[router_pb2.RouterStatus, None, None]:
        """The status whenever it has changed, for ever: `AsyncClient.watch_status`."""
        return self._iterate(self._client.watch_status())

    def requests(
        self, *, failed_only: bool = False, limit: int = 100, timeout: float = ASK_TIMEOUT
    ) -> router_pb2.ListRequestsResponse:
        """What became of the last requests: `AsyncClient.requests`."""
        return self._wait(self._client.requests(failed_only=failed_only, limit=limit, timeout=timeout))

    def request(self, request_id: str, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RequestRecord:
        """What became of one request: `AsyncClient.request`."""
        return self._wait(self._client.request(request_id, timeout=timeout))

    def _iterate(self, pieces: AsyncGenerator[Answer, None]) -> Generator[Answer, None, None]:
        """What `pieces` yields, one at a time. However it is left, the call behind it is cancelled."""
        try:
            while (piece := self._wait(_next(pieces))) is not None:
                yield piece
        finally:
            # Not waited for: the collector may leave it, in any thread.
            self._runner.begin(_end(pieces))

    def _wait(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        future = self._runner.begin(call)
        if future is None:
            raise RuntimeError(f"{self!r} is closed")
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError(f"{self!r} is closed: that ended the call") from None
        except BaseException:
            future.cancel()  # Ctrl-C while waiting: the call is cancelled down to the upstream
            raise


async def _next(pieces: AsyncGenerator[Answer, None]) -> Answer | None:
    return await anext(pieces, None)


async def _end(pieces: AsyncGenerator[Answer, None]) -> None:
    await pieces.aclose()
