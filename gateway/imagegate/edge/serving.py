"""The edge's HTTP port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from imagegate.runtime.settings import SettingsError


@asynccontextmanager
async def serving_http(app: web.Application, bind: str, port: int, grace_seconds: float) -> AsyncIterator[int]:
    """Serve `app` until the block is left, then let calls under way end; the port (`port` 0 takes a free one).

    Raises SettingsError where it is in use.
    """
    # Without handler_cancellation a handler would go on, and pay, for a client that has left.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=grace_seconds)
    await runner.setup()
    try:
        site = web.TCPSite(runner, bind, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"HTTP port {port} on {bind} cannot be used ({error.strerror}); "
                "set IMAGEGATE_EDGE_PORT to a free one, or to 0 for any"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
