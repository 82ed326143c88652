"""Processes that live and end together."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from imagegate.client.process import Process, ProcessFailedError, ShowLine

STOP_SECONDS = 5.0  # in all; whoever still lives then is killed

Answer = TypeVar("Answer")


class Fleet:
    """Processes that start and stop together. Until `settle` is called the end of any one ends `run` with
    its failure; afterwards only that of an essential one does, and the others' is shown.

    They are stopped in tiers, in the order of the tiers' numbers.
    """

    def __init__(self, show_line: ShowLine) -> None:
        self._show_line = show_line
        self._tiers: dict[int, list[Process]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[ProcessFailedError] = asyncio.get_running_loop().create_future()
        self._is_settled = False
        self.is_stopping = False

    async def start(
        self, name: str, arguments: Sequence[str], environ: Mapping[str, str], *, tier: int, essential: bool = False
    ) -> Process:
        """Start a process; see `Process.start`."""
        process = await Process.start(name, arguments, environ, self._show_line)
        self._tiers.setdefault(tier, []).append(process)
        self._watching.add(asyncio.create_task(self._watch(process, essential)))
        return process

    def settle(self) -> None:
        """Everything has started: from now on the others do without whoever is not essential."""
        self._is_settled = True

    async def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The result of `work`. Raises ProcessFailedError as soon as one process has ended."""
        task = asyncio.create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._failure}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                raise self._failure.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self, within: float = STOP_SECONDS) -> None:
        """Stop all, tier by tier; kill whoever is left after `within` seconds. All have ended when it returns."""
        self.is_stopping = True
        for _, processes in sorted(self._tiers.items()):
            for process in processes:
                process.signal(signal.SIGTERM)
            await _ended_within(within / len(self._tiers), processes)
        self.kill()
        for process in self._all():
            await process.wait()
        await asyncio.gather(*self._watching)

    def kill(self) -> None:
        """Kill all at once."""
        for process in self._all():
            process.signal(signal.SIGKILL)

    def _all(self) -> list[Process]:
        return [process for processes in self._tiers.values() for process in processes]

    async def _watch(self, process: Process, essential: bool) -> None:
        try:
            failure = await process.ended()
            if self._is_settled and not essential:
                if not self.is_stopping:
                    self._show_line(process.name, f"{failure}; the others go on without it")
                return
        except OSError as error:  # its lines cannot be shown any more: our own output is gone
            failure = ProcessFailedError(f"the log of {process.name} cannot be shown: {error.strerror}")
        if not self._failure.done():
            self._failure.set_result(failure)


async def _ended_within(seconds: float, processes: Sequence[Process]) -> None:
    await asyncio.wait([asyncio.create_task(process.wait()) for process in processes], timeout=seconds)
