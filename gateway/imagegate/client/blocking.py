"""The SDK without `await`: a thin face over the asynchronous core, which runs in a thread of its own.

The thread is why it works from any thread, and inside a program (or a notebook) that already runs an event loop.
"""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from imagegate.client.client import ASK_TIMEOUT, DEFAULT_TIMEOUT, AsyncClient
from imagegate.client.fields import GenerateFields
from imagegate.client.result import Result
from imagegate.v1 import catalog_pb2, router_pb2

CLOSE_SECONDS = 5.0

Answer = TypeVar("Answer")


class Client:
    """`AsyncClient` without `await`; see there for what the arguments mean and what is raised.

    Any thread may use it, several at once. Close it (`with Client() as client:`); one that is forgotten
    is closed when it is collected, or at the end of the program.
    """

    def __init__(self, router: str | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._client = AsyncClient(router, timeout=timeout)
        self._runner = _Runner(self._client)
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

    def models(self, provider: str = "", *, timeout: float = ASK_TIMEOUT) -> catalog_pb2.ListModelsResponse:
        """The models and the providers they belong to: `AsyncClient.models`."""
        return self._wait(self._client.models(provider, timeout=timeout))

    def status(self, *, timeout: float = ASK_TIMEOUT) -> router_pb2.RouterStatus:
        """How every provider, model and route is doing: `AsyncClient.status`."""
        return self._wait(self._client.status(timeout=timeout))

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


class _Runner:
    """The thread, and the loop in it. It knows nothing of the `Client`, which could never be collected otherwise."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="imagegate-client", daemon=True)
        self._thread.start()
        # Whatever began under it before the end is seen by the end, and nothing begins after.
        self._lock = threading.Lock()
        self._ended = False

    def begin(self, call: Coroutine[Any, Any, Answer]) -> Future[Answer] | None:
        """Run `call` in the thread; None, and the call is dropped, where that has ended."""
        with self._lock:
            if not self._ended:
                return asyncio.run_coroutine_threadsafe(call, self._loop)
        call.close()
        return None

    def shut_down(self) -> None:
        """Cancel what is under way and end the thread. The collector may call this anywhere, even in that thread."""
        with self._lock:
            if self._ended or not self._thread.is_alive():
                return
            self._ended = True
            drained = asyncio.run_coroutine_threadsafe(_drain(self._client), self._loop)
        drained.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


async def _drain(client: AsyncClient) -> None:
    """Close, and see every call that is still under way to its end: a loop must not stop above pending tasks."""
    try:
        await client.close()
    finally:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
