"""Server-Sent Events: what happens, told to a caller while it does."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from imagegate.edge.endpoint import Call

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 10.0
HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back otherwise
    "X-Content-Type-Options": "nosniff",
}

LINE_END = re.compile(r"\r\n|\r|\n")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is sent as JSON, a text as it is. Without a name it is a plain message."""

    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What is sent, as it goes over the wire, whenever nothing else was for `seconds`."""

    sent: bytes
    seconds: float = HEARTBEAT_SECONDS


async def respond(
    call: Call, events: AsyncGenerator[Event, None], heartbeat: Heartbeat | None = None
) -> web.StreamResponse:
    """Send `events` as they come, and heartbeats in between: by default events of that name.

    `events` is closed however this ends; who leaves ends it.
    """
    heartbeat = heartbeat or HEARTBEAT
    response = web.StreamResponse(headers={**HEADERS, "X-Request-Id": call.request_id})
    await response.prepare(call.request)
    async with aclosing(events):
        async for event in with_heartbeats(events, heartbeat.seconds):
            await response.write(heartbeat.sent if event is None else encoded(event))
    await response.write_eof()
    return response


def encoded(event: Event) -> bytes:
    """The event as it goes over the wire."""
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False)
    # Only what SSE itself takes for the end of a line: `splitlines` would cut JSON at a U+2028 within a text.
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return (f"event: {event.name}\n" * bool(event.name) + lines + "\n").encode()


HEARTBEAT = Heartbeat(encoded(Event("heartbeat", {})))


async def with_heartbeats(items: AsyncIterator[Item], seconds: float) -> AsyncIterator[Item | None]:
    """`items`, and None whenever the next one has not come for `seconds`."""
    waiting: asyncio.Task[Item] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(items))
            done, _ = await asyncio.wait({waiting}, timeout=seconds)
            if not done:
                yield None
                continue
            task, waiting = waiting, None
            try:
                item = task.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
