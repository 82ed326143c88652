"""Hugging Face's inference router: hf-inference itself, and through it fal-ai, together, replicate and nscale. Nothing
else is played.

https://huggingface.co/docs/inference-providers
"""

import uuid
from collections.abc import Iterable, MutableMapping

from aiohttp import web

from imagegate.sandbox.call import CALL, RefusedError, Target, answer_of
from imagegate.sandbox.fal import Fal
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.huggingface_inline import generate
from imagegate.sandbox.huggingface_key import account_for_inference
from imagegate.sandbox.huggingface_lora import with_lora
from imagegate.sandbox.huggingface_models import HubModel, World, find_by_fal_app, find_elsewhere, find_model
from imagegate.sandbox.huggingface_pipeline import draw_for, image_format, picture_of, read_parameters
from imagegate.sandbox.huggingface_replicate import DELIVERY_PATH, Replicate

MODELS_PATH = "/huggingface/hf-inference/models/"
FAL_PATH = "/huggingface/fal-ai/"
REPLICATE_PATH = "/huggingface/replicate/v1/"
INLINE_PATHS = {f"/huggingface/{name}/v1/images/generations": name for name in ("together", "nscale")}
OTHER_PROVIDERS = frozenset(
    {"baseten", "cerebras", "cohere", "deepinfra", "featherless-ai", "fireworks-ai", "groq", "novita", "nscale"}
    | {"openai", "ovhcloud", "publicai", "replicate", "scaleway", "together", "wavespeed", "zai-org"}
)


class HuggingFace:
    """The router host. `seconds` is how long a picture takes but for fal's."""

    name: UpstreamName = "huggingface"
    prefixes: tuple[str, ...] = ("/huggingface",)

    def __init__(self, world: World, fal: Fal, seconds: float) -> None:
        self._world = world
        self._fal = fal
        self._seconds = seconds
        self._replicate = Replicate(seconds)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post(MODELS_PATH + "{model:.+}", self._hf_inference),
            web.post(FAL_PATH + "{app:.+}", self._fal_ai),
            web.post(REPLICATE_PATH + "models/{model:.+}/predictions", self._predict),
            web.post(REPLICATE_PATH + "predictions", self._predict),
            web.get(DELIVERY_PATH + "{name:.+}", self._replicate.delivery.serve),
            *(web.post(path, self._inline) for path in INLINE_PATHS),
            web.route("*", "/huggingface/{provider}{rest:(/.*)?}", self._not_played),
        ]

    def target(self, method: str, path: str, body: object) -> Target:
        if method == "POST" and path.startswith(MODELS_PATH):
            asked = path.removeprefix(MODELS_PATH)
            model = find_model(asked)
            return Target(model.id if model else asked, has_picture=True)
        if method == "POST" and path.startswith(FAL_PATH):
            app = path.removeprefix(FAL_PATH)
            model = find_by_fal_app(app)
            return Target(model.id if model else app, has_picture=True)
        if method == "POST" and (provider := _elsewhere(path)):
            called = _called(path, body)
            model = find_elsewhere(provider, called)
            return Target(model.id if model else called, has_picture=True)
        if stored := self._replicate.delivery.find(path):
            return Target(stored.model, has_picture=stored.picture.spoilt is None)
        return Target()

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        headers.setdefault("x-request-id", str(uuid.uuid4()))

    @property
    def at_work(self) -> int:
        return 0

    async def close(self) -> None:
        """Nothing runs longer than its request."""

    async def _hf_inference(self, request: web.Request) -> web.Response:
        kind, call = account_for_inference(request), request[CALL]
        model = self._served(request.match_info["model"])
        accept = request.headers.get("Accept")
        format = image_format(accept)
        if format is None and self._world == "2025":
            raise RefusedError(400, {"error": f'Accept type "{accept or "*/*"}" not supported'})
        _refuse_free(model, kind)
        prompt, parameters = read_parameters(call.body, model.pipeline)
        prompt = with_lora(prompt, model, request.headers.get("lora"))
        picture = picture_of(call, prompt, parameters, model.side, format or "jpeg")
        data = await draw_for(request, picture, self._seconds)
        computed = {"x-compute-type": "gpu", "x-compute-time": f"{self._seconds:.3f}"}
        return web.Response(body=data, headers={"Content-Type": picture.content_type} | computed)

    def _served(self, hub_id: str) -> HubModel:
        model = find_model(hub_id)
        if model is None:
            raise RefusedError(404, {"error": f"Model {hub_id} does not exist"})
        match model.on_hf_inference(self._world):
            case "deprecated":
                gone = "The requested model is deprecated and no longer supported by provider hf-inference"
                raise RefusedError(410, {"error": gone})
            case "absent":
                raise RefusedError(404, "Not Found")
            case "served":
                return model

    async def _fal_ai(self, request: web.Request) -> web.Response:
        """The answer is fal's own, errors included; the key is Hugging Face's."""
        kind, app = account_for_inference(request), request.match_info["app"]
        model = find_by_fal_app(app)
        if model is None or "_subdomain" in request.query:  # the queue is for image-to-image, which is not played yet
            unsupported = f"The requested model '{app}' is not supported by any provider you have enabled."
            raise RefusedError(400, {"error": unsupported})
        _refuse_free(model, kind)
        return await self._fal.answer_now(request, app)

    async def _predict(self, request: web.Request) -> web.Response:
        return await self._replicate.predict(request, _served_elsewhere(request))

    async def _inline(self, request: web.Request) -> web.Response:
        model = _served_elsewhere(request)
        return await generate(request, INLINE_PATHS[request.path], model, self._seconds)

    async def _not_played(self, request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        if provider in OTHER_PROVIDERS:
            unsupported = f"The requested model is not supported by provider {provider}"
            return answer_of(400, {"error": unsupported})
        return answer_of(404, "Not Found")


def _elsewhere(path: str) -> str:
    """Which of the others has this path; none for any other path."""
    return "replicate" if path.startswith(REPLICATE_PATH) else INLINE_PATHS.get(path, "")


def _called(path: str, body: object) -> str:
    """What the caller calls the model: in the path, or in the body."""
    if path.startswith(REPLICATE_PATH + "models/"):
        return path.removeprefix(REPLICATE_PATH + "models/").removesuffix("/predictions")
    named = body.get("version" if path.startswith(REPLICATE_PATH) else "model") if isinstance(body, dict) else None
    return named if isinstance(named, str) else ""


def _served_elsewhere(request: web.Request) -> HubModel:
    """The model that is asked for, by a key that may. Raises RefusedError."""
    kind, called = account_for_inference(request), _called(request.path, request[CALL].body)
    model = find_elsewhere(_elsewhere(request.path), called)
    if model is None:
        unsupported = f"The requested model '{called}' is not supported by any provider you have enabled."
        raise RefusedError(400, {"error": unsupported})
    _refuse_free(model, kind)
    return model


def _refuse_free(model: HubModel, account: str) -> None:
    """Whoever would serve it: the refusal is the router's."""
    if model.needs_pro and account == "free":
        raise RefusedError(400, {"error": "Model requires PRO subscription"})
