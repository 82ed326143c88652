"""How a command asks a router."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imagegate.client.client import AsyncClient
from imagegate.client.commands.reach import reach

Answer = TypeVar("Answer")


def ask(router: str, question: Callable[[AsyncClient], Awaitable[Answer]]) -> Answer:
    """The answer to `question`, which gets a client of `router`. Raises GenerationError."""

    async def answer() -> Answer:
        async with AsyncClient(router, **reach()) as client:
            return await question(client)

    return asyncio.run(answer())
