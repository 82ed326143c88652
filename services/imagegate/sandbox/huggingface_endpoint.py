"""Dedicated Inference Endpoints, as their standard container answers, or where the name contains `handler` the handler
that we ship (`huggingface_handler`). Every name is an endpoint that is up, but one that contains `cold` sleeps until it
is asked for the first time.

https://huggingface.co/docs/inference-endpoints
"""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Iterable, MutableMapping

from aiohttp import web

from imagegate.sandbox import huggingface_handler
from imagegate.sandbox.call import CALL, RefusedError, Target, answer_of
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.huggingface_key import account
from imagegate.sandbox.huggingface_pipeline import draw_for, image_format, picture_of, read_parameters

PREFIX = "/huggingface-endpoint"


# Longest that the proxy holds a request, in seconds; the real one's is not documented.
LONGEST_HOLD = 600.0


class HuggingFaceEndpoint:
    """Endpoints by name: `/huggingface-endpoint/<name>`. `seconds` is how long a picture takes, `start_seconds` how
    long the start of one that sleeps.
    """

    name: UpstreamName = "huggingface-endpoint"
    prefixes: tuple[str, ...] = (PREFIX,)

    def __init__(self, seconds: float, start_seconds: float) -> None:
        self._seconds = seconds
        self._start_seconds = start_seconds
        self._up_at: dict[str, float] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        here = PREFIX + "/{name}"
        return [
            *(web.get(here + path, self._health) for path in ("", "/", "/health")),
            *(web.post(here + path, self._predict) for path in ("", "/", "/predict")),
            web.route("*", PREFIX + "{rest:(/.*)?}", self._not_found),
        ]

    def target(self, method: str, path: str, body: object) -> Target:
        name = path.removeprefix(PREFIX).strip("/").split("/")[0]
        return Target(name, has_picture=method == "POST")

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        headers.setdefault("x-request-id", str(uuid.uuid4()))

    @property
    def at_work(self) -> int:
        return 0

    async def close(self) -> None:
        """Nothing runs longer than its request."""

    async def _health(self, request: web.Request) -> web.Response:
        await self._awake(request)
        return web.Response(text="Ok")

    async def _awake(self, request: web.Request) -> None:
        """Wait until the endpoint is up, as long as the caller asked the proxy to hold the request.

        Raises RefusedError 503 where that is too short; the words of the real one are not known.
        """
        name, now = request.match_info["name"], time.monotonic()
        if "cold" not in name:
            return
        up_in = self._up_at.setdefault(name, now + self._start_seconds) - now
        held = request.headers.get("X-Scale-Up-Timeout", "0")
        hold = min(float(held), LONGEST_HOLD) if held.isdecimal() else 0.0
        await asyncio.sleep(max(min(up_in, hold), 0.0))
        if up_in > hold:
            raise RefusedError(503, "503 Service Unavailable")

    async def _predict(self, request: web.Request) -> web.Response:
        account(request)
        await self._awake(request)
        call, accept = request[CALL], request.headers.get("Accept", "*/*")
        wants_json = accept in ("*/*", "application/json")
        format = "png" if wants_json else image_format(accept)
        if format is None:
            raise RefusedError(400, {"error": f"Accept type {accept} not supported."})
        if huggingface_handler.MARK in call.target.model:
            asked = huggingface_handler.read(call.target.model, call.body)
            data = await huggingface_handler.make(request, asked, format, self._seconds)
        else:
            data = await self._standard(request, format)
        if wants_json:  # the trap of a forgotten Accept header: the picture comes as one JSON string
            return web.Response(text=json.dumps(base64.b64encode(data).decode()), content_type="application/json")
        return web.Response(body=data, content_type="image/png" if call.spoilt == "bomb" else f"image/{format}")

    async def _standard(self, request: web.Request, format: str) -> bytes:
        """A picture by the standard container. Raises RefusedError."""
        call = request[CALL]
        prompt, parameters = read_parameters(call.body, "DiffusionPipeline")
        if parameters.width != parameters.height:
            told = f"Provided `height={parameters.height}` and `width={parameters.width}`, "
            told += "but either both must have a value or both must be None (or not provided)."
            raise RefusedError(400, {"error": told})
        picture = picture_of(call, prompt, parameters, 1024, format)
        return await draw_for(request, picture, self._seconds)

    async def _not_found(self, _: web.Request) -> web.Response:
        return answer_of(404, "Not Found")
