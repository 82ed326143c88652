"""A sandbox on a real socket for each test."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from imagegate.sandbox.app import Sandbox, serving


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with serving() as running:
        yield running


@pytest.fixture
def run_script(tmp_path) -> Callable[..., Awaitable[str]]:
    """Runs a Python script in a process of its own, for clients that read their settings when they are imported."""

    async def run(script: str, *arguments: str, **environment: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(tmp_path), "HF_HOME": str(tmp_path), **environment},
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, errors.decode()
        return output.decode()

    return run
