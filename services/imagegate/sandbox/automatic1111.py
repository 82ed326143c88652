"""AUTOMATIC1111's stable-diffusion-webui, started with --api, and its extension ControlNet.

https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API
"""

import asyncio
import base64
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping

from aiohttp import web

from imagegate.sandbox import webui, webui_extensions
from imagegate.sandbox.call import CALL, Target, answer_of
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.webui_controls import detect, read_detection
from imagegate.sandbox.webui_engine import Engine
from imagegate.sandbox.webui_extensions import CONTROLNET_SCRIPTS
from imagegate.sandbox.webui_request import Scripts, http_exception, read_img2img, read_txt2img

ROOT = "/automatic1111"
API = f"{ROOT}/sdapi/v1"
CONTROLNET = f"{ROOT}/controlnet"
# What makes pictures, and whether a checkpoint does it.
MAKING = {f"{API}/txt2img": True, f"{API}/img2img": True, f"{CONTROLNET}/detect": False}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Automatic1111:
    """One webui. A step takes `step_seconds`; `auth` is the user:password of --api-auth, None for none."""

    name: UpstreamName = "automatic1111"
    prefixes: tuple[str, ...] = (ROOT,)

    def __init__(self, step_seconds: float, auth: str | None, *, has_controlnet: bool = True) -> None:
        self._engine = Engine(step_seconds)
        self._auth = auth
        always_on, by_name = CONTROLNET_SCRIPTS
        self._scripts: Scripts = (webui.ALWAYS_ON_SCRIPTS, ())
        if has_controlnet:
            self._scripts = ((*webui.ALWAYS_ON_SCRIPTS, always_on), (by_name,))
        own: dict[tuple[str, str], Handler] = {
            ("POST", "/txt2img"): self._txt2img,
            ("POST", "/img2img"): self._img2img,
            ("GET", "/progress"): self._progress,
            ("POST", "/interrupt"): self._interrupt,
            ("POST", "/skip"): self._skip,
            ("GET", "/options"): self._get_options,
            ("POST", "/options"): self._set_options,
            ("GET", "/cmd-flags"): self._cmd_flags,
            ("GET", "/scripts"): self._list_scripts,
            ("GET", "/memory"): self._memory,
            ("GET", "/samplers"): _listing(webui.samplers),
            ("GET", "/schedulers"): _listing(webui.schedulers),
            ("GET", "/sd-models"): _listing(webui.sd_models),
            ("GET", "/upscalers"): _listing(webui.upscalers),
            ("GET", "/loras"): _listing(webui_extensions.loras),
            ("POST", "/refresh-loras"): _listing(lambda: None),
        }
        # The extension's own routes, which --api-auth does not guard.
        controlnet: dict[tuple[str, str], Handler] = {
            ("GET", "/version"): _listing(lambda: {"version": webui_extensions.CONTROLNET_VERSION}),
            ("GET", "/model_list"): _listing(lambda: {"model_list": list(webui_extensions.CONTROL_MODELS)}),
            ("GET", "/module_list"): _listing(webui_extensions.modules),
            ("GET", "/settings"): _listing(lambda: {"control_net_unit_count": webui_extensions.UNITS}),
            ("POST", "/detect"): self._detect,
        }
        self._handlers = {(method, API + path): self._guarded(do) for (method, path), do in own.items()}
        if has_controlnet:
            self._handlers |= {(method, CONTROLNET + path): do for (method, path), do in controlnet.items()}

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            *(web.route(method, path, do) for (method, path), do in self._handlers.items()),
            web.route("*", ROOT + "{rest:(/.*)?}", self._not_found),
        ]

    def target(self, method: str, path: str, body: object) -> Target:
        if method != "POST" or path not in MAKING:
            return Target()
        return Target(self._engine.checkpoint_for(body).title if MAKING[path] else "", has_picture=True)

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        headers.setdefault("X-Process-Time", f"{seconds:.4f}")

    @property
    def at_work(self) -> int:
        return self._engine.at_work

    async def close(self) -> None:
        await self._engine.close()

    def _guarded(self, handler: Handler) -> Handler:
        async def answering(request: web.Request) -> web.StreamResponse:
            self._check_password(request)
            return await handler(request)

        return answering

    def _check_password(self, request: web.Request) -> None:
        if self._auth is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise http_exception(401, "Not authenticated")
        if given != base64.b64encode(self._auth.encode()).decode():
            raise http_exception(401, "Incorrect username or password")

    async def _txt2img(self, request: web.Request) -> web.Response:
        call = request[CALL]
        return web.json_response(await self._engine.generate(call, read_txt2img(call.body, self._scripts)))

    async def _img2img(self, request: web.Request) -> web.Response:
        call = request[CALL]
        return web.json_response(await self._engine.generate(call, read_img2img(call.body, self._scripts)))

    async def _detect(self, request: web.Request) -> web.Response:
        call = request[CALL]
        asked = read_detection(call.body)
        answer = await asyncio.to_thread(detect, asked, call.spoilt)
        call.settle(str(uuid.uuid4()), "", 0, model=asked.controlnet_module)
        return web.json_response(answer)

    async def _progress(self, request: web.Request) -> web.Response:
        wants_preview = request.query.get("skip_current_image", "false").lower() not in ("true", "1")
        return web.json_response(await self._engine.report(wants_preview))

    async def _interrupt(self, _: web.Request) -> web.Response:
        self._engine.progress.interrupted = True
        return web.json_response({})

    async def _skip(self, _: web.Request) -> web.Response:
        self._engine.progress.skipped = True
        return web.json_response(None)

    async def _get_options(self, _: web.Request) -> web.Response:
        return web.json_response(self._engine.options)

    async def _set_options(self, request: web.Request) -> web.Response:
        wanted = request[CALL].body
        if not isinstance(wanted, dict):
            item = {"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}
            return answer_of(422, {"detail": [item]})
        self._engine.set_options(wanted)
        return web.json_response(None)

    async def _cmd_flags(self, _: web.Request) -> web.Response:
        return web.json_response({"api": True, "api_log": False, "nowebui": False, "listen": False, "medvram": False})

    async def _list_scripts(self, _: web.Request) -> web.Response:
        always_on, by_name = self._scripts
        return web.json_response({tab: sorted((*always_on, *by_name)) for tab in ("txt2img", "img2img")})

    async def _memory(self, _: web.Request) -> web.Response:
        return web.json_response({"ram": {"free": 8e9, "used": 8e9, "total": 16e9}, "cuda": {"error": "unavailable"}})

    async def _not_found(self, request: web.Request) -> web.Response:
        if any(request.path == known for _, known in self._handlers):
            return answer_of(405, {"detail": "Method Not Allowed"})
        return answer_of(404, {"detail": "Not Found"})


def _listing(installed: Callable[[], object]) -> Handler:
    async def answering(_: web.Request) -> web.StreamResponse:
        return web.json_response(installed())

    return answering
