"""Server-Sent Events: what happens, told to a caller while it does."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiohttp import hdrs, web

from imagegate.client import GenerationError
from imagegate.edge.endpoint import Call
from imagegate.edge.problem import Problem, bug, of_error

log = structlog.get_logger(__name__)

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 10.0
# Who takes nothing of what is sent for so long is dropped.
STALLED_SECONDS = 30.0
HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back otherwise
    "X-Content-Type-Options": "nosniff",
}
# What ends a line of a stream; a JSON text may hold every other sign that Python takes for an end.
LINE_END = re.compile(r"\r\n|\r|\n")

Item = TypeVar("Item")
# What a family says of a problem where it is too late for a status.
TellInStream = Callable[[Problem, str], Mapping[str, Any]]


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


def encoded(event: Event) -> bytes:
    """The event as it goes over the wire."""
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return (f"event: {event.name}\n" * bool(event.name) + lines + "\n").encode()


HEARTBEAT = Heartbeat(encoded(Event("heartbeat", {})))


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream is kept alive, and after how many seconds a reader who takes nothing is dropped."""

    heartbeat: Heartbeat = HEARTBEAT
    stalled: float = STALLED_SECONDS


PACE = Pace()


def is_wanted(request: web.Request) -> bool:
    """Whether the caller asks to be told while it happens."""
    accepted = ",".join(request.headers.getall("Accept", ()))
    return any(each.partition(";")[0].strip().lower() == MEDIA_TYPE for each in accepted.split(","))


async def respond(
    call: Call,
    events: AsyncGenerator[Event, None],
    heartbeat: Heartbeat = HEARTBEAT,
    *,
    stalled: float = STALLED_SECONDS,
    tell: TellInStream = Problem.to_dict,
) -> web.StreamResponse:
    """Send `events` as they come, and heartbeats in between.

    `events` is closed however this ends; who leaves, or does not read, ends it. What goes wrong before the first event
    is raised: it is told like every other problem. Afterwards the problem is the last event, `error`, told by `tell`.
    Whose key is taken back hears no more than that.
    """
    response = web.StreamResponse(headers={**HEADERS, "X-Request-Id": call.request_id})
    # Until it ends the edge may be about to stop, and nothing could tell the client not to ask it once more.
    response.force_close()
    if call.request.method == hdrs.METH_HEAD:  # which asks how a stream would begin
        await response.prepare(call.request)
        return response
    async with aclosing(events), aclosing(with_heartbeats(events, heartbeat.seconds)) as told:
        try:
            async for event in told:
                if not call.is_current():
                    raise Problem(401, "UNAUTHENTICATED", "this key was taken back, or has other rights now")
                await _write(call.request, response, heartbeat.sent if event is None else encoded(event), stalled)
        except Exception as error:
            if not response.prepared or isinstance(error, ConnectionError):
                raise
            last = Event("error", tell(_problem(error), call.request_id))
            await _write(call.request, response, encoded(last), stalled)
    await response.prepare(call.request)
    await response.write_eof()
    return response


async def with_heartbeats(items: AsyncIterator[Item], seconds: float) -> AsyncGenerator[Item | None, None]:
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


async def _write(request: web.Request, response: web.StreamResponse, data: bytes, stalled: float) -> None:
    """Send one piece, whose reader may be slow. Raises ConnectionError for one that takes nothing any more."""
    await response.prepare(request)
    writing = asyncio.ensure_future(response.write(data))
    try:
        await asyncio.sleep(0)  # now it is in the buffer, or sent
        left = _unsent(request)
        while not (await asyncio.wait({writing}, timeout=stalled))[0]:
            before, left = left, _unsent(request)
            if left >= before:
                raise ConnectionResetError(f"the reader has taken nothing for {stalled:g} s")
        writing.result()
    except ConnectionResetError:
        if request.transport is not None:
            request.transport.abort()  # what waits to be sent would keep the connection
        raise
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


def _unsent(request: web.Request) -> int:
    """How many bytes wait in this process until the reader takes them."""
    return request.transport.get_write_buffer_size() if isinstance(request.transport, asyncio.WriteTransport) else 0


def _problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case GenerationError():
            return of_error(error)
        case _:
            log.error("a stream failed by a bug", exc_info=error)
            return bug()
