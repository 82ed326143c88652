"""Threads that wait, for a test that needs to know what happens meanwhile."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")
HELD_SECONDS = 20.0


class HeldThreads(ThreadPoolExecutor):
    """A loop's executor whose work begins only when `go` is set. `submitted` pieces came, `most` at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.submitted = self.most = 0
        self._under_way = 0

    def submit(self, work: "Callable[..., Made]", /, *args: object, **more: object) -> "Future[Made]":
        """Do it once it may begin."""

        def held() -> Made:
            if not self.go.wait(HELD_SECONDS):
                raise AssertionError("nobody let the threads go")
            return work(*args, **more)

        self.submitted += 1
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        future = super().submit(held)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, _future: "Future[Made]") -> None:
        self._under_way -= 1
