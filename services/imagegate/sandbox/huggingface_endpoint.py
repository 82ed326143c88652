"""Dedicated Inference Endpoints, as their standard container answers. Every name is an endpoint that is up.

https://huggingface.co/docs/inference-endpoints
"""

import base64
import json
import uuid
from collections.abc import Iterable, MutableMapping

from aiohttp import web

from imagegate.sandbox.call import CALL, RefusedError, Target, answer_of
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.huggingface_key import account
from imagegate.sandbox.huggingface_pipeline import draw_for, image_format, picture_of, read_parameters

PREFIX = "/huggingface-endpoint"


class HuggingFaceEndpoint:
    """Endpoints by name: `/huggingface-endpoint/<name>`. `seconds` is how long a picture takes."""

    name: UpstreamName = "huggingface-endpoint"
    prefixes: tuple[str, ...] = (PREFIX,)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

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

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok")

    async def _predict(self, request: web.Request) -> web.Response:
        account(request)
        call, accept = request[CALL], request.headers.get("Accept", "*/*")
        wants_json = accept in ("*/*", "application/json")
        format = "png" if wants_json else image_format(accept)
        if format is None:
            raise RefusedError(400, {"error": f"Accept type {accept} not supported."})
        prompt, parameters = read_parameters(call.body, "DiffusionPipeline")
        if parameters.width != parameters.height:
            raise RefusedError(400, {"error": "Width and height must be equal, or both absent."})
        picture = picture_of(call, prompt, parameters, 1024, format)
        data = await draw_for(request, picture, self._seconds)
        if wants_json:  # the trap of a forgotten Accept header: the picture comes as one JSON string
            return web.Response(text=json.dumps(base64.b64encode(data).decode()), content_type="application/json")
        return web.Response(body=data, content_type=picture.content_type)

    async def _not_found(self, _: web.Request) -> web.Response:
        return answer_of(404, "Not Found")
