"""Logs and the HTTP endpoint for machines: /metrics, /livez, /readyz.

Every log line of the process, the libraries' included, passes the redactor at the handler: no call
site can forget it.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from functools import lru_cache
from typing import Any, TextIO

import structlog
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from imagegate.runtime.current import told_of_task
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.settings import ProcessSettings, SettingsError

Event = MutableMapping[str, Any]

# One for all lines: `json.dumps` makes another one for each.
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)


def configure_logging(settings: ProcessSettings, redactor: Redactor, service: str) -> None:
    """Send every log line to standard output, as JSON or for a console, scrubbed, naming `service`."""

    def scrub(_logger: object, _method: str, event: Event) -> Event:
        # Whole, since what is hidden depends on a field's name as well.
        scrubbed = redactor.scrub_object(event)
        return scrubbed if isinstance(scrubbed, dict) else {}

    def name_service(_logger: object, _method: str, event: Event) -> Event:
        return {"service": service, **told_of_task(), **event}

    shared: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        name_service,
        scrub,
        # Ours, and never a secret.
        structlog.processors.add_log_level,
        _stamp,
    ]
    renderer: structlog.typing.Processor = (
        _as_json if settings.log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = _Handler(sys.stdout)
    lines = _Lines(handler, renderer)
    structlog.configure(
        processors=[*shared, _whole],
        logger_factory=lambda *_name: lines,
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=False,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Of the libraries only what needs somebody's attention; they all say too much at info.
    root.setLevel(max(logging.getLevelNamesMapping()[settings.log_level.upper()], logging.WARNING))
    logging.getLogger("imagegate").setLevel(settings.log_level.upper())


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that does not print the arguments of a line that cannot be formatted: they may hold a key."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say where the line comes from, and nothing of what is in it."""
        print(f"a log line of {record.pathname}:{record.lineno} could not be written", file=sys.stderr)  # noqa: T201


def _stamp(_logger: object, _method: str, event: Event) -> Event:
    event["timestamp"] = in_iso(time.time_ns())
    return event


@lru_cache(maxsize=1)
def _whole_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def in_iso(nanoseconds: int) -> str:
    """A point in time, in nanoseconds since 1970, as log lines tell it: to the microsecond, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_whole_second(seconds)}.{rest // 1000:06d}Z"


def _as_json(_logger: object, _method: str, event: Event) -> str:
    return _JSON.encode(event)


def _whole(_logger: object, _method: str, event: Event) -> tuple[tuple[Event], dict[str, object]]:
    """The event as the one argument of a method of `_Lines`."""
    return (event,), {}


class _Lines:
    """Where our own lines go: to the same place as the libraries', in their turn, but without a LogRecord of each."""

    def __init__(self, handler: _Handler, renderer: structlog.typing.Processor) -> None:
        self._handler = handler
        self._renderer = renderer

    def info(self, event: Event) -> None:
        """Write one line. Never raises: no work fails because it cannot be logged."""
        try:
            line = str(self._renderer(None, "", event))
            with self._handler.lock or nullcontext():
                self._handler.stream.write(line + "\n")
                self._handler.flush()
        except Exception:  # noqa: BLE001 -- as of the libraries' lines
            print("a log line of imagegate could not be written", file=sys.stderr)  # noqa: T201

    debug = warning = error = critical = info


@asynccontextmanager
async def http_endpoint(bind: str, port: int, registry: Registry, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve /metrics, /livez and /readyz, and give the port (`port` 0 takes a free one).

    Alive is whoever answers; ready is what `is_ready` says, which never depends on an upstream.
    Raises SettingsError where the port is in use.
    """

    async def metrics(_request: web.Request) -> web.Response:
        # Rendering takes milliseconds with many series: not on the loop that passes pictures.
        body = await asyncio.to_thread(generate_latest, registry.snapshot())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_ready() else web.Response(text="not ready\n", status=503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, bind, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"HTTP port {port} on {bind} cannot be used ({error.strerror}); "
                "set IMAGEGATE_HTTP_PORT to a free one, or to 0 for any"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
