"""`imagegate up`: everything as processes on this machine, until a signal or the end of the router."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from imagegate.client.edge_file import EdgeAddress, noted
from imagegate.client.fleet import Fleet
from imagegate.client.logs import LogScreen
from imagegate.client.running import Options, Running
from imagegate.client.startup import Startup

INTERRUPTED_EXIT_CODE = 130


async def up(options: Options, environ: Mapping[str, str], logs: Console, announce: Callable[[Running], None]) -> int:
    """Start everything, `announce` it, and run until SIGINT, SIGTERM or SIGHUP. The exit code.

    The processes' log lines go to `logs`, as they are where IMAGEGATE_LOG_FORMAT is json. Raises
    CannotStartError and ProcessFailedError. However it ends, no process is left.
    """
    screen = LogScreen(logs, as_json=environ.get("IMAGEGATE_LOG_FORMAT") == "json")
    fleet = Fleet(screen.show)
    ready = False
    with _stopped_by_signals(fleet) as told:
        try:
            running = await fleet.run(Startup(fleet, options, environ).run())
            with noted(EdgeAddress(running.edge.address, running.key, os.getpid()), environ):
                announce(running)
                ready = True
                fleet.settle()
                await fleet.run(asyncio.Event().wait())
        except asyncio.CancelledError:
            if not told.is_set():
                raise
        finally:
            await fleet.stop()
    return 0 if ready else INTERRUPTED_EXIT_CODE


@contextmanager
def _stopped_by_signals(fleet: Fleet) -> Iterator[asyncio.Event]:
    """The first signal cancels the current task; another one, while it is stopping, kills the fleet at once."""
    told = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if fleet.is_stopping or told.is_set() or task is None:
            fleet.kill()
        else:
            told.set()
            task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield told
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
