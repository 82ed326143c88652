"""The processes of a benchmark: started, told what they used, and ended by their own ids. Linux only."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagegate.client.process import LISTENING, log_event
from imagegate.testing.system import plain_environment

START_SECONDS = 60.0
STOP_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")
LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children have used so far, and the memory that is theirs now."""

    cpu_seconds: float
    minor_faults: int
    resident_bytes: int


def usage(pid: int) -> Usage:
    """Of the process and all of its descendants. Raises OSError where it has ended."""
    found = [_own(pid)]
    for each in _descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # one that has ended meanwhile
            found.append(_own(each))
    return Usage(
        sum(each.cpu_seconds for each in found),
        sum(each.minor_faults for each in found),
        sum(each.resident_bytes for each in found),
    )


def machine_seconds() -> float:
    """The seconds that all cores were busy, since the machine began."""
    user, nice, system, _idle, _waiting, *rest = map(int, _read("/proc/stat").split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS


def open_files(pid: int) -> int:
    """How many file descriptors are open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _own(pid: int) -> Usage:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    faults, user, system = int(fields[7]), int(fields[11]), int(fields[12])
    pages = int(_read(f"/proc/{pid}/statm").split()[1])
    return Usage((user + system) / TICKS, faults, pages * os.sysconf("SC_PAGE_SIZE"))


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            children += map(int, _read(f"{task}/children").split())
    found = list(children)
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += _descendants(child)
    return found


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Running:
    """A process, and the events that it had logged when it served, by their names."""

    name: str
    pid: int
    events: "Events"

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.address_of(LISTENING)

    @property
    def metrics_url(self) -> str:
        """Where one of ours shows its metrics."""
        return f"http://127.0.0.1:{self.events[LISTENING]['http']}/metrics"

    def address_of(self, event: str) -> str:
        """The same of the port that this event told."""
        told = self.events[event]
        return f"127.0.0.1:{told.get('grpc') or told['http']}"


Events = Mapping[str, Mapping[str, Any]]
# Asked, with what a process has written so far, until there is an answer.
Ready = Callable[[str], Awaitable[Events | None]]


async def listening(written: str) -> Events | None:
    """The events that it has logged, once `listening` is one of them."""
    events = {str(event.get("event")): event for event in map(log_event, written.splitlines())}
    return events if LISTENING in events else None


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    ready: Ready = listening,
    within: float = START_SECONDS,
) -> AsyncIterator[Running]:
    """Run `command` until the block is left; it has so many seconds to get ready.

    What it writes goes to `<folder>/<name>.log`, which costs it what it costs in production and us nothing. Raises
    RuntimeError with the last of it where it does not start.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield Running(name, process.pid, await _events(process, log, ready, within))
    finally:
        await ended(process)


@asynccontextmanager
async def conversing(*command: str, environ: Mapping[str, str]) -> AsyncIterator["Conversation"]:
    """Run a process that answers lines with lines, until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LINE_BYTES,
    )
    try:
        yield Conversation(process)
    finally:
        await ended(process)


class Conversation:
    """With a process that takes a JSON object per line and writes one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def ask(self, **told: Any) -> dict[str, Any]:
        """Its answer. Raises RuntimeError where it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(told)}\n".encode())
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"process {self.pid} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


async def ended(process: asyncio.subprocess.Process) -> None:
    """End its group: it is asked to, and then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
                return


def environment() -> dict[str, str]:
    """Nothing that would configure a contestant; `bench` can be imported."""
    return {**plain_environment(), "PYTHONPATH": str(Path(__file__).parents[1])}


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


async def _events(process: asyncio.subprocess.Process, log: Path, ready: Ready, within: float) -> Events:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while process.returncode is None:
                if (events := await ready(_written(log))) is not None:
                    return events
                await asyncio.sleep(0.02)
    raise RuntimeError(f"{log.stem} does not start: {_written(log)[-2000:]}")


def _written(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
