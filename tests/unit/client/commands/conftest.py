"""Commands run as `main` runs them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from imagegate.client.cli import run


@pytest.fixture
def imagegate() -> Callable[..., Awaitable[int]]:
    """Runs one command, beside the test's own event loop; its exit code."""

    async def command(*arguments: str) -> int:
        return await asyncio.to_thread(run, arguments)

    return command


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output and error count as a terminal with colours."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
