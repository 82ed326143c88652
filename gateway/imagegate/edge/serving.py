"""The edge's HTTP port."""

import asyncio
import resource
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import structlog
from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, http_parser, web

from imagegate.edge.budget import Budget
from imagegate.edge.connection import Bounds, Connection, Crowd, Refusal
from imagegate.edge.http_rules import ends_connection
from imagegate.runtime.settings import SettingsError

log = structlog.get_logger(__name__)

BUDGET: web.AppKey[Budget] = web.AppKey("budget")
REFUSAL: web.AppKey[Refusal] = web.AppKey("refusal")
# Files that are open besides connections: the database, pictures, channels to the router.
OTHER_FILES = 200
BACKLOG = 1024
# Seconds: how often it is looked at who is still there, and how long after the grace handlers may take to end.
LOOK, CANCEL = 0.1, 1.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving_http(
    app: web.Application,
    bind: str,
    port: int,
    grace_seconds: float,
    bounds: Bounds | None = None,
    *,
    quiet_seconds: float = 0.0,
) -> AsyncIterator[int]:
    """Serve `app` until the block is left, then let calls under way end; the port (`port` 0 takes a free one).

    Then nobody can connect any more, and a connection is ended once nothing has happened on it for `quiet_seconds`:
    on one that a client has kept a call may just be on its way.

    Raises SettingsError where it is in use, or where aiohttp has only the parser that was tricked again and again.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError("aiohttp's parser in C is missing here; install aiohttp as a wheel for this platform")
    # Of a hostile form; Python would remember every one of them.
    for category in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.simplefilter("ignore", category)
    # Without handler_cancellation a handler would go on, and pay, for a client that has left.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=min(CANCEL, grace_seconds))
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - that is what setup is for
    runner.server.request_handler = _told(runner.server.request_handler)
    budget, refusal = app.get(BUDGET) or Budget(), app.get(REFUSAL, _plainly)
    bounds = _affordable(bounds or Bounds())
    crowd = Crowd(bounds)
    try:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Connection(runner.server, crowd, bounds, budget, refusal), bind, port, backlog=BACKLOG
            )
        except OSError as error:
            raise SettingsError(
                f"HTTP port {port} on {bind} cannot be used ({error.strerror}); "
                "set IMAGEGATE_EDGE_PORT to a free one, or to 0 for any"
            ) from error
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await _until_left(runner, quiet_seconds, grace_seconds)
    finally:
        await runner.cleanup()


def _told(handler: Handler) -> Handler:
    """`handler`, whose connection is told when a request begins and ends.

    An answer that did not wait for the whole body is the connection's last.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast(Connection, request.protocol)
        connection.request_begins()
        is_complete = False
        try:
            response = await handler(request)
            is_complete = request.content.is_eof() and not connection.is_full
            if not response.prepared and (not is_complete or ends_connection(request.headers)):
                response.force_close()
            return response
        except asyncio.CancelledError as error:
            # What the handler held goes now, and not when aiohttp has done with the exception.
            error.__context__ = None
            raise error.with_traceback(None) from None
        finally:
            connection.request_ends(is_complete=is_complete)

    return handle


def _plainly(status: int, _error: BaseException | None) -> web.Response:
    return web.Response(status=status)


async def _until_left(runner: web.AppRunner, quiet_seconds: float, grace_seconds: float) -> None:
    """Wait until all have left, for the grace at most."""
    try:
        async with asyncio.timeout(grace_seconds):
            while connections := _connections(runner):
                # A loop looks at its timers before its sockets: what has arrived is read before anybody is told to go.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for connection in connections:
                    connection.leave_if_quiet(quiet_seconds)
                await asyncio.sleep(LOOK)
    except TimeoutError:
        log.warning("calls are cut off at the end of the grace", connections=len(_connections(runner)))


def _connections(runner: web.AppRunner) -> list[Connection]:
    connections = runner.server.connections if runner.server is not None else []
    return [each for each in connections if isinstance(each, Connection)]


def _affordable(bounds: Bounds) -> Bounds:
    """The bounds with no more connections than this process may have files; it asks for as many first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bounds.connections + OTHER_FILES
    if resource.RLIM_INFINITY != soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return replace(bounds, connections=min(bounds.connections, max(soft - OTHER_FILES, 1)))
    return bounds
