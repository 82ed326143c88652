"""Everything behind one port: the upstreams' stand-ins, the faults that spoil them and the ledger that remembers."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from imagegate.sandbox import spoiling
from imagegate.sandbox.automatic1111 import Automatic1111
from imagegate.sandbox.call import CALL, Call, RefusedError, Upstream
from imagegate.sandbox.control import Control
from imagegate.sandbox.fal import Fal
from imagegate.sandbox.faults import Faults
from imagegate.sandbox.huggingface import HuggingFace
from imagegate.sandbox.huggingface_endpoint import HuggingFaceEndpoint
from imagegate.sandbox.huggingface_hub import HuggingFaceHub
from imagegate.sandbox.huggingface_models import World
from imagegate.sandbox.ledger import AskedRequest, Ledger, clipped, without_keys

MAX_BODY = 128 * 1024 * 1024  # bytes of a request
SHUTDOWN_SECONDS = 0.2  # a hanging fault must not hold up the end

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FAULTS = web.AppKey("faults", Faults)
LEDGER = web.AppKey("ledger", Ledger)
UPSTREAMS: web.AppKey[list[Upstream]] = web.AppKey("upstreams", list)


@dataclass(frozen=True)
class Pace:
    """How long the upstreams work, in seconds: for a picture, for one step of one, or for the start of an endpoint."""

    huggingface: float = 0.0
    huggingface_start: float = 0.3
    fal_queue: float = 0.05
    fal_run: float = 0.05
    automatic1111_step: float = 0.002


class Front:
    """What every call to an upstream goes through: it is recorded, meets its fault, is answered and stamped."""

    def __init__(self, upstreams: Sequence[Upstream], faults: Faults, ledger: Ledger) -> None:
        self._faults = faults
        self._ledger = ledger
        by_prefix = {prefix: upstream for upstream in upstreams for prefix in upstream.prefixes}
        self._by_prefix = dict(sorted(by_prefix.items(), key=lambda item: -len(item[0])))  # the longest first
        self._by_name = {upstream.name: upstream for upstream in upstreams}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        prefix = next((each for each in self._by_prefix if path == each or path.startswith(each + "/")), None)
        if prefix is None:
            return await handler(request)
        upstream = self._by_prefix[prefix]
        body = _json_body(await request.read())
        target = upstream.target(request.method, path, body)
        paths = (path, path.removeprefix(prefix) or "/")
        rule = self._faults.meet(upstream.name, request.method, paths, target.model, has_picture=target.has_picture)
        request[CALL] = Call(upstream.name, target, body, rule, time.monotonic(), self._ledger)
        asked = AskedRequest(
            request.method,
            path,
            dict(request.query),
            without_keys(request.headers),
            clipped(body),
            upstream.name,
            target.model,
            rule.fault if rule else None,
        )
        self._ledger.record(asked)
        answering = _with_refusals(handler)
        answer = await (spoiling.play(rule, request, answering) if rule else answering(request))
        asked.status = answer.status
        return answer

    async def stamp(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Called before any answer's headers are sent. The mark lets a provider say that no model made the picture."""
        answer.headers["x-imagegate-sandbox"] = "true"
        if (call := request.get(CALL)) is not None and not call.is_by_an_ingress:
            self._by_name[call.upstream].stamp(answer.headers, time.monotonic() - call.started)
            for name, value in call.rule.headers.items() if call.rule is not None else ():
                if value is None:
                    answer.headers.pop(name, None)


def make_app(
    world: World = "today",
    pace: Pace = Pace(),
    webui_auth: str | None = None,
    seed: int = 0,
    *,
    webui_controlnet: bool = True,
) -> web.Application:
    """The whole sandbox. `webui_auth` is user:password of the webui, None for none; `seed` is of the faults' dice.

    `webui_controlnet` says whether the webui has that extension.
    """
    faults, ledger = Faults(seed), Ledger()
    fal = Fal(pace.fal_queue, pace.fal_run)
    upstreams: list[Upstream] = [
        HuggingFace(world, fal, pace.huggingface),
        HuggingFaceHub(world),
        HuggingFaceEndpoint(pace.huggingface, pace.huggingface_start),
        fal,
        Automatic1111(pace.automatic1111_step, webui_auth, has_controlnet=webui_controlnet),
    ]
    front = Front(upstreams, faults, ledger)
    app = web.Application(middlewares=[front.middleware], client_max_size=MAX_BODY)
    app[FAULTS], app[LEDGER], app[UPSTREAMS] = faults, ledger, upstreams
    app.on_response_prepare.append(front.stamp)
    prefixes = [prefix for upstream in upstreams for prefix in upstream.prefixes]
    app.add_routes(Control(faults, ledger, {"world": world, "prefixes": prefixes}).routes())
    for upstream in upstreams:
        app.add_routes(upstream.routes())

    async def close(_: web.Application) -> None:
        for upstream in upstreams:
            await upstream.close()

    app.on_shutdown.append(close)
    return app


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, seen from the test that started it."""

    url: str
    port: int
    app: web.Application

    def faults(self, rules: list[dict[str, object]]) -> None:
        """Put these rules in force, as `PUT /_faults` does. Raises BadRulesError."""
        self.app[FAULTS].replace(rules)

    def requests(self) -> list[dict[str, object]]:
        return self.app[LEDGER].requests()

    def billing(self) -> list[dict[str, object]]:
        return self.app[LEDGER].billing()

    @property
    def at_work(self) -> int:
        """How many generations go on, whether or not anybody still waits for them."""
        return sum(upstream.at_work for upstream in self.app[UPSTREAMS])

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the providers here; keys are the caller's to choose."""
        return {
            "HUGGINGFACE_BASE_URL": f"{self.url}/huggingface",
            "HUGGINGFACE_HUB_URL": f"{self.url}/huggingface-hub",
            "FAL_QUEUE_URL": f"{self.url}/fal/queue",
            "FAL_REST_URL": f"{self.url}/fal/rest",
            "FAL_CDN_URL": f"{self.url}/fal/cdn",
            "SD_API_URL": f"{self.url}/automatic1111",
        }


@asynccontextmanager
async def serving(
    world: World = "today",
    port: int = 0,
    bind: str = "127.0.0.1",
    pace: Pace = Pace(),
    webui_auth: str | None = None,
    seed: int = 0,
    *,
    webui_controlnet: bool = True,
) -> AsyncIterator[Sandbox]:
    """Serve until the block ends; port 0 takes a free one. Raises OSError when the port is in use."""
    app = make_app(world, pace, webui_auth, seed, webui_controlnet=webui_controlnet)
    # Without cancellation a handler would draw on for a client that has gone, and `hang` would never end.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind, port).start()
        listening = int(runner.addresses[0][1])
        yield Sandbox(f"http://{bind}:{listening}", listening, app)
    finally:
        await runner.cleanup()


def _json_body(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except ValueError:  # no body, or one that is not JSON: each upstream says so in its own way
        return None


def _with_refusals(handler: Handler) -> Handler:
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refusal:
            return refusal.answer()

    return answering
