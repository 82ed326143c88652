"""`python -m imagegate.sandbox` as a process."""

import asyncio
import json
import os
import signal
import sys

import pytest

from imagegate.sandbox.app import serving


async def start(*arguments):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imagegate.sandbox", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_starts_and_stops(number):
    """It prints one line with its port, and stops without a word on a signal."""
    process = await start("--port", "0", "--world", "2025")
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert line["event"] == "listening"
    assert line["address"] == f"http://127.0.0.1:{line['http']}"
    process.send_signal(number)
    output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, output, errors) == (0, b"", b"")


async def test_people_get_a_sentence():
    """Where somebody looks the address stands in a sentence."""
    process = await start("--port", "0", "--people")
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    assert line.startswith("the sandbox listens on http://127.0.0.1:")
    process.terminate()
    await asyncio.wait_for(process.communicate(), 30)


async def test_port_in_use():
    """A port that is in use is one clear sentence and exit code 1."""
    async with serving() as sandbox:
        process = await start("--port", str(sandbox.port))
        output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode().count("\n") == 1
    assert "--port" in errors.decode()
    assert "address already in use" in errors.decode()
