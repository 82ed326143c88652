"""Processes that live and end together: real ones, of a few lines each."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagegate.client.fleet import Fleet
from imagegate.client.process import ADMIN_LISTENING, Process, ProcessFailedError

SERVE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], "a").write(sys.argv[2] + "\\n"), sys.exit(0)))
print('{"event": "listening", "grpc": 7}', flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "listening"}', flush=True)
time.sleep(60)
"""
TWO_PORTS = """
print('{"event": "listening", "grpc": 7}', flush=True)
print('{"event": "admin_listening", "grpc": 8}', flush=True)
"""
FAILS = """
import sys
print('{{"event": "starting", "level": "info"}}')
print("port 1 cannot be used")
sys.exit({code})
"""
PARENT = """
import subprocess, sys, time
from imagegate.client.leash import leashed
child = subprocess.Popen(leashed("-c", sys.argv[1]), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def quiet(_name: str, _line: str) -> None:
    pass


async def test_a_fleet_is_stopped_tier_by_tier(tmp_path: Path) -> None:
    """The router goes first, so that nobody is asked by whoever still runs."""
    log = tmp_path / "order"
    fleet = Fleet(quiet)
    for name, tier in (("sandbox", 2), ("fal", 1), ("router", 0)):
        process = await fleet.start(name, ["-c", SERVE, str(log), name], os.environ, tier=tier)
        assert (await process.listening())["grpc"] == 7
    await fleet.stop()
    assert log.read_text().split() == ["router", "fal", "sandbox"]


async def test_whoever_does_not_stop_is_killed() -> None:
    """Nothing outlives the stop, and the stop has a bound."""
    fleet = Fleet(quiet)
    process = await fleet.start("fal", ["-c", STUBBORN], os.environ, tier=0)
    await process.listening()
    began = time.monotonic()
    await fleet.stop(within=0.3)
    assert time.monotonic() - began < 5
    assert not is_alive(process.pid)


async def test_one_that_ends_by_itself_ends_the_work_with_its_last_words() -> None:
    """Which process, how it ended, what it said, and the child's own 2 for wrong settings."""
    lines: list[str] = []
    fleet = Fleet(lambda name, line: lines.append(f"{name}: {line}"))
    await fleet.start("fal", ["-c", FAILS.format(code=2)], os.environ, tier=0)
    with pytest.raises(ProcessFailedError, match="fal ended with exit code 2: port 1 cannot be used") as caught:
        await fleet.run(asyncio.Event().wait())
    await fleet.stop()
    assert caught.value.exit_code == 2
    assert lines == ['fal: {"event": "starting", "level": "info"}', "fal: port 1 cannot be used"]


async def test_other_exit_codes_are_one() -> None:
    """Only wrong settings are the caller's."""
    fleet = Fleet(quiet)
    await fleet.start("fal", ["-c", FAILS.format(code=3)], os.environ, tier=0)
    with pytest.raises(ProcessFailedError, match="exit code 3: port 1") as caught:
        await fleet.run(asyncio.Event().wait())
    await fleet.stop()
    assert caught.value.exit_code == 1


async def test_work_that_is_done_gives_its_result() -> None:
    """A fleet that lives does not disturb what is done meanwhile, nor hide its error."""

    async def fail() -> None:
        raise LookupError("mine")

    fleet = Fleet(quiet)
    await fleet.start("fal", ["-c", STUBBORN], os.environ, tier=0)
    assert await fleet.run(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError, match="mine"):
        await fleet.run(fail())
    await fleet.stop(within=0.1)


async def test_an_output_that_is_gone_ends_the_fleet() -> None:
    """`imagegate up | head` does not go on unseen."""

    def broken(_name: str, _line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    fleet = Fleet(broken)
    await fleet.start("fal", ["-c", STUBBORN], os.environ, tier=0)
    with pytest.raises(ProcessFailedError, match="cannot be shown"):
        await fleet.run(asyncio.Event().wait())
    await fleet.stop(within=0.1)


def test_a_process_on_the_leash_dies_with_its_parent() -> None:
    """Even SIGKILL on `up` leaves nothing running."""
    with subprocess.Popen([sys.executable, "-c", PARENT, STUBBORN], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        deadline = time.monotonic() + 10
        while is_alive(child):
            assert time.monotonic() < deadline
            time.sleep(0.02)


async def test_a_process_says_each_of_its_ports() -> None:
    """A router has two: the one for everybody, and the one for whoever runs it."""
    process = await Process.start("router", ["-c", TWO_PORTS], os.environ, quiet)
    async with asyncio.timeout(20):
        assert (await process.listening())["grpc"] == 7
        assert (await process.listening(ADMIN_LISTENING))["grpc"] == 8
        await process.wait()
