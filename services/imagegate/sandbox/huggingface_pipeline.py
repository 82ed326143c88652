"""A diffusers pipeline behind Hugging Face's two kinds of server: what it accepts, how it complains, what it draws."""

import asyncio
import uuid
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagegate.sandbox.call import CALL, Call, RefusedError
from imagegate.sandbox.pictures import SAVE_OPTIONS, Picture, seed_of

LARGEST_SIDE = 4096  # px; beyond it the real one runs out of memory
SMALLEST_SEED, LARGEST_SEED = -(2**63), 2**64 - 1  # what torch takes


class Parameters(BaseModel):
    """The keyword arguments of the pipeline's call that mean something to every text-to-image pipeline."""

    model_config = ConfigDict(extra="forbid", strict=True)

    negative_prompt: str | None = None
    width: int | None = Field(default=None, ge=8)
    height: int | None = Field(default=None, ge=8)
    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    seed: int | None = None
    scheduler: str | None = None  # a class name; one that does not fit is ignored
    num_images_per_prompt: int | None = None  # the server forces 1


def read_parameters(body: object, pipeline: str) -> tuple[str, Parameters]:
    """Prompt and parameters of a request body. Raises RefusedError 400 as the diffusers backend words it."""
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), str):
        raise RefusedError(400, {"error": ["Error in `inputs`: field required, a string"]})
    given = body.get("parameters", {})
    try:
        parameters = Parameters.model_validate(given)
    except ValidationError as error:
        raise RefusedError(400, {"error": _complain(error.errors(), pipeline)}) from error
    return body["inputs"], parameters


def _complain(problems: list[Any], pipeline: str) -> str | list[str]:
    unknown = next((problem["loc"][0] for problem in problems if problem["type"] == "extra_forbidden"), None)
    if unknown is not None:
        return f"{pipeline}.__call__() got an unexpected keyword argument '{unknown}'"
    return [f"Error in `{'.'.join(['parameters', *map(str, each['loc'])])}`: {each['msg']}" for each in problems]


def picture_of(call: Call, prompt: str, parameters: Parameters, side: int, format: str) -> Picture:
    """What the pipeline would draw. Raises RefusedError 400 for a size it cannot do, 500 for what breaks it."""
    width = side if parameters.width is None else parameters.width
    height = side if parameters.height is None else parameters.height
    if width % 8 or height % 8:
        message = f"`height` and `width` have to be divisible by 8 but are {height} and {width}."
        raise RefusedError(400, {"error": message})
    if max(width, height) > LARGEST_SIDE:
        raise _broken("CUDA out of memory. Tried to allocate more than this GPU has.")
    seed = parameters.seed
    if seed is None:
        seed = seed_of(call.target.model, prompt, parameters.model_dump_json())
    if not SMALLEST_SEED <= seed <= LARGEST_SEED:
        raise _broken("Overflow when unpacking long")
    return Picture(prompt, seed, width, height, format, call.spoilt)


def _broken(why: str) -> RefusedError:
    return RefusedError(500, {"error": "unknown error", "warnings": [f"There was an inference error: {why}"]})


async def draw_for(request: web.Request, picture: Picture, seconds: float) -> bytes:
    """Work for `seconds`, draw, settle. A client that leaves cancels, and pays nothing."""
    call, id = request[CALL], str(uuid.uuid4())
    try:
        await asyncio.sleep(seconds)
        data = await picture.draw()
    except asyncio.CancelledError:
        call.settle(id, picture.prompt, picture.seed, "cancelled")
        raise
    call.settle(id, picture.prompt, picture.seed)
    return data


def image_format(accept: str | None) -> str | None:
    """The picture format that an Accept header names first; None where it names no image type we can encode."""
    for part in (accept or "").split(","):
        kind, _, subtype = part.partition(";")[0].strip().lower().partition("/")
        if kind == "image" and (subtype in SAVE_OPTIONS or subtype == "*"):
            return "jpeg" if subtype == "*" else subtype
    return None
