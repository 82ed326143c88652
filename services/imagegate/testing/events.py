"""Server-Sent Events as a reader hears them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


async def events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Each event's name and data, as a browser would take the stream apart."""
    name, data = "message", list[str]()
    async for raw in answer.content:
        line = raw.decode().rstrip("\r\n")
        if not line and data:
            yield name, json.loads("\n".join(data))
            name, data = "message", []
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
