"""The Hub, as far as inference asks it: who serves a model, and whose key this is.

https://huggingface.co/docs/inference-providers/hub-api
"""

import uuid
from collections.abc import Iterable, MutableMapping

from aiohttp import web

from imagegate.sandbox.call import RefusedError, Target, answer_of
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.huggingface_key import account, user_name
from imagegate.sandbox.huggingface_models import HubModel, World, find_model

MODELS_PATH = "/huggingface-hub/api/models/"


class HuggingFaceHub:
    """The Hub's API. Models may be asked for without a key, as on the real one."""

    name: UpstreamName = "huggingface-hub"
    prefixes: tuple[str, ...] = ("/huggingface-hub",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(MODELS_PATH + "{model:.+}", self._model),
            web.get("/huggingface-hub/api/whoami-v2", self._whoami),
            web.get("/huggingface-hub/api/agent-harnesses", self._agent_harnesses),
            web.route("*", "/huggingface-hub{rest:(/.*)?}", self._not_found),
        ]

    def target(self, method: str, path: str, body: object) -> Target:
        return Target(path.removeprefix(MODELS_PATH)) if path.startswith(MODELS_PATH) else Target()

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        headers.setdefault("x-request-id", str(uuid.uuid4()))

    @property
    def at_work(self) -> int:
        return 0

    async def close(self) -> None:
        """Nothing runs longer than its request."""

    async def _model(self, request: web.Request) -> web.Response:
        is_known_caller = "Authorization" in request.headers
        if is_known_caller:
            account(request)
        model = find_model(request.match_info["model"])
        if model is None:  # a stranger is not told whether it exists
            error = "Repository not found" if is_known_caller else "Invalid username or password."
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": error}
            raise RefusedError(404 if is_known_caller else 401, {"error": error}, headers)
        expand = request.query.getall("expand", []) + request.query.getall("expand[]", [])
        return web.json_response(self._describe(model, expand))

    def _describe(self, model: HubModel, expand: list[str]) -> dict[str, object]:
        """All the usual fields, or of the expandable ones only those asked for; `inference` is absent when not warm."""
        about: dict[str, object] = {"_id": uuid.uuid5(uuid.NAMESPACE_URL, model.id).hex[:24], "id": model.id}
        mapping = model.mapping(self._world)
        usual = {"pipeline_tag": "text-to-image", "tags": ["diffusers", "text-to-image"], "private": False}
        fields: dict[str, object] = usual | {"gated": "auto" if model.needs_pro else False, "library_name": "diffusers"}
        card = {"base_model": list(model.lora_of), "tags": ["lora"]} if model.lora_of else {}
        if not expand:
            return about | {"modelId": model.id} | fields
        fields |= {"inferenceProviderMapping": mapping, "cardData": card} | ({"inference": "warm"} if mapping else {})
        unknown = sorted(set(expand) - fields.keys() - {"inference"})
        if unknown:
            raise RefusedError(400, {"error": f"Invalid value for expand: {', '.join(unknown)}"})
        return about | {name: fields[name] for name in expand if name in fields}

    async def _whoami(self, request: web.Request) -> web.Response:
        kind = account(request)
        token = {"displayName": "sandbox", "role": "read", "createdAt": "2026-01-01T00:00:00.000Z"}
        who = {"type": "user", "id": "0" * 24, "name": user_name(kind), "fullname": user_name(kind), "orgs": []}
        return web.json_response(
            who | {"isPro": kind == "pro", "auth": {"type": "access_token", "accessToken": token}},
        )

    async def _agent_harnesses(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _not_found(self, _: web.Request) -> web.Response:
        return answer_of(404, {"error": "Sorry, we can't find the page you are looking for."})
