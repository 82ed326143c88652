"""A thread with an event loop, in which an asynchronous client lives."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from imagegate.client.client import AsyncClient

CLOSE_SECONDS = 5.0

Answer = TypeVar("Answer")


class Runner:
    """The thread, and the loop in it. It knows nothing of the `Client`, which could never be collected otherwise."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="imagegate-client", daemon=True)
        self._thread.start()
        # Whatever began under it before the end is seen by the end, and nothing begins after. The collector may come
        # in while it is held, and leave a stream: hence reentrant.
        self._lock = threading.RLock()
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
        await asyncio.get_running_loop().shutdown_asyncgens()
