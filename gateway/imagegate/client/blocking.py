"""The SDK without `await`: a thin face over the asynchronous core, which runs in a thread of its own.

The thread is why it works from any thread, and inside a program (or a notebook) that already runs an event loop.
"""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
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
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_serve, args=(self._loop,), name="imagegate-client", daemon=True)
        thread.start()
        self._finalizer = weakref.finalize(self, _shut_down, self._client, self._loop, thread)

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
        if not self._finalizer.alive:
            call.close()
            raise RuntimeError(f"{self!r} is closed")
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while waiting: the call is cancelled down to the upstream
            raise


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


def _shut_down(client: AsyncClient, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(_drain(client), loop).add_done_callback(
        lambda _: loop.call_soon_threadsafe(loop.stop)
    )
    thread.join(CLOSE_SECONDS)


async def _drain(client: AsyncClient) -> None:
    """Close, and see every call that is still under way to its end: a loop must not stop above pending tasks."""
    await client.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
