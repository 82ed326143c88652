"""One process of ours: started, read and told to stop."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from imagegate.client.leash import leashed

LINE_LIMIT = 1024 * 1024  # bytes of one log line
# Log lines that say on which ports calls are accepted.
LISTENING = "listening"
ADMIN_LISTENING = "admin_listening"
EDGE_LISTENING = "edge_listening"
USAGE_EXIT_CODE = 2

ShowLine = Callable[[str, str], None]


class ProcessFailedError(Exception):
    """A process that could not start, or that ended although nobody asked it to; the message has its last words."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Process:
    """One process of ours. It logs JSON lines; `listening`, `admin_listening` and `edge_listening` have its ports."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, show_line: ShowLine) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._show_line = show_line
        self._last_words = ""
        self._announced: dict[str, asyncio.Future[dict[str, Any]]] = {
            name: asyncio.get_running_loop().create_future() for name in (LISTENING, ADMIN_LISTENING, EDGE_LISTENING)
        }
        self._reading = asyncio.create_task(self._read())

    def __repr__(self) -> str:
        return f"<Process {self.name} {self.pid} {'running' if self.is_running else 'ended'}>"

    @classmethod
    async def start(
        cls, name: str, arguments: Sequence[str], environ: Mapping[str, str], show_line: ShowLine
    ) -> "Process":
        """Start this Python with `arguments`, in a session of its own: Ctrl-C in the terminal is ours to handle."""
        process = await asyncio.create_subprocess_exec(
            *leashed(*arguments),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        return cls(name, process, show_line)

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process.returncode is None

    async def listening(self, name: str = LISTENING) -> dict[str, Any]:
        """The log line that says on which ports it accepts calls. Waits for ever: the fleet hears if it ends."""
        return await asyncio.shield(self._announced[name])

    async def ended(self) -> ProcessFailedError:
        """Wait for its end, and tell it as a failure. Raises OSError where its lines cannot be shown."""
        await self._reading
        code = await self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        words = f": {self._last_words}" if self._last_words else ""
        return ProcessFailedError(f"{self.name} {how}{words}", USAGE_EXIT_CODE if code == USAGE_EXIT_CODE else 1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group, if it still lives."""
        if self.is_running:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, number)

    async def wait(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for in `start`
        while True:
            try:
                line = (await self._process.stdout.readline()).decode(errors="replace")
            except ValueError:
                continue  # longer than LINE_LIMIT: left out
            if not line:
                return
            self._hear(line.rstrip())

    def _hear(self, line: str) -> None:
        if not line:
            return
        event = log_event(line)
        announced = self._announced.get(str(event.get("event")))
        if announced is not None and not announced.done():
            announced.set_result(event)
        elif event.get("level", "error") in {"error", "critical"}:  # its routine is not what it dies of
            self._last_words = str(event.get("event", line))
        self._show_line(self.name, line)


def log_event(line: str) -> dict[str, Any]:
    """A log line as the event that it holds; empty where it is not one."""
    if not line.startswith("{"):
        return {}
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
