"""Replicate behind the router: a prediction that is waited for, and pictures at public URLs, which live here as well.

Only creating a prediction is played: nobody documents that the router lets one be asked for again. Fields that a model
does not have are refused, as recorded; the words for it are inferred.

https://replicate.com/docs/reference/http
"""

import asyncio
import uuid
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagegate.sandbox.call import CALL, RefusedError, answer_of
from imagegate.sandbox.fal_cdn import Cdn
from imagegate.sandbox.huggingface_models import HubModel
from imagegate.sandbox.pictures import Picture, seed_of

DELIVERY_PATH = "/huggingface/replicate-delivery/"
FLAGGED = "NSFW content detected. Try running it again, or try a different prompt."
# Width and height in px at one megapixel; at a quarter of one both are half as long.
RATIOS = {
    "1:1": (1024, 1024), "16:9": (1344, 768), "21:9": (1536, 640), "3:2": (1216, 832), "2:3": (832, 1216),
    "4:5": (896, 1088), "5:4": (1088, 896), "3:4": (896, 1152), "4:3": (1152, 896), "9:16": (768, 1344),
    "9:21": (640, 1536),
}  # fmt: skip


class Input(BaseModel):
    """What every model takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    seed: int | None = None
    num_outputs: int = Field(default=1, ge=1, le=4)

    def size(self, side: int) -> tuple[int, int]:
        """Width and height in px; `side` is the model's own."""
        return side, side

    @property
    def format(self) -> str:
        """The encoding of the pictures."""
        return "png"


class FluxSchnell(Input):
    aspect_ratio: Literal[
        "1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"
    ] = "1:1"  # fmt: skip
    megapixels: Literal["1", "0.25"] = "1"
    num_inference_steps: Annotated[int, Field(ge=1, le=4)] = 4
    output_format: Literal["webp", "jpg", "png"] = "webp"
    output_quality: int = Field(default=80, ge=0, le=100)
    disable_safety_checker: bool = False
    go_fast: bool = True

    def size(self, side: int) -> tuple[int, int]:
        width, height = RATIOS[self.aspect_ratio]
        return (width, height) if self.megapixels == "1" else (width // 2, height // 2)

    @property
    def format(self) -> str:
        return "jpeg" if self.output_format == "jpg" else self.output_format


class FluxDev(FluxSchnell):
    num_inference_steps: Annotated[int, Field(ge=1, le=50)] = 28
    guidance: float = Field(default=3, ge=0, le=10)


class FluxDevLora(FluxDev):
    lora_weights: str = Field(pattern=r"^https://huggingface\.co/[\w.-]+/[\w.-]+$")  # other places are not played
    lora_scale: float = Field(default=1, ge=-1, le=3)


class Plain(Input):
    """A model of the Stable Diffusion kind."""

    negative_prompt: str = ""
    width: int | None = Field(default=None, ge=64, le=4096)
    height: int | None = Field(default=None, ge=64, le=4096)
    num_inference_steps: int = Field(default=25, ge=1, le=500)
    guidance_scale: float = Field(default=7.5, ge=0, le=20)

    def size(self, side: int) -> tuple[int, int]:
        return self.width or side, self.height or side


INPUTS: dict[str, type[Input]] = {
    "black-forest-labs/flux-schnell": FluxSchnell,
    "black-forest-labs/flux-dev": FluxDev,
    "black-forest-labs/flux-dev-lora": FluxDevLora,
}


class Replicate:
    """Predictions take `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.delivery = Cdn(DELIVERY_PATH)

    async def predict(self, request: web.Request, model: HubModel) -> web.Response:
        """A prediction of `model`, whose key has been checked. Raises RefusedError 422."""
        call, id, name = request[CALL], uuid.uuid4().hex[:26], model.elsewhere["replicate"]
        asked = _read_input(name, call.body)
        body: dict[str, object] = {
            "id": id, "model": name.partition(":")[0], "version": name.partition(":")[2] or "hidden",
            "input": asked.model_dump(exclude_unset=True), "logs": "", "data_removed": False, "error": None,
            "output": None, "status": "starting",
        }  # fmt: skip
        if not request.headers.get("Prefer", "").startswith("wait"):  # it goes on, and nobody can ask for it here
            return answer_of(201, body)
        seed = seed_of(name, asked.model_dump_json()) if asked.seed is None else asked.seed
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            call.settle(id, asked.prompt, seed, "cancelled")
            raise
        call.settle(id, asked.prompt, seed, "failed" if call.flagged else "finished")
        if call.flagged:  # what the safety checker finds is left out; where nothing is left the prediction has failed
            return answer_of(201, body | {"status": "failed", "error": FLAGGED})
        width, height = asked.size(model.side)
        pictures = [
            Picture(asked.prompt, seed + index, width, height, asked.format, call.spoilt)
            for index in range(asked.num_outputs)
        ]
        urls = [f"{request.scheme}://{request.host}{self.delivery.store(model.id, each)}" for each in pictures]
        # Recorded: an official model, which has no version, may be called so although its output is there.
        status = "succeeded" if ":" in name else "processing"
        return answer_of(201, body | {"status": status, "output": urls})


def _read_input(name: str, body: object) -> Input:
    given = body.get("input") if isinstance(body, dict) else None
    try:
        return INPUTS.get(name, Plain).model_validate(given if isinstance(given, dict) else {})
    except ValidationError as error:
        fields = [_field(problem) for problem in error.errors()]
        detail = "".join(f"- {field['field']}: {field['description']}\n" for field in fields)
        problem = {"title": "Input validation failed", "detail": detail, "status": 422, "invalid_fields": fields}
        raise RefusedError(422, problem, {"Content-Type": "application/problem+json"}) from error


def _field(problem: Any) -> dict[str, str]:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        told = f"Additional property {name} is not allowed"
        return {"type": "additional_property_not_allowed", "field": "input", "description": told}
    return {"type": str(problem["type"]), "field": f"input.{name}", "description": str(problem["msg"])}
