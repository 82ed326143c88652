"""together and nscale behind the router: one address each, in OpenAI's manner, answered with base64.

together's fields are its documented ones; of nscale only those that Hugging Face's own client forms are known. That
both refuse any other, and in which words, is inferred: a stand-in that ignored one would hide a parameter lost.

https://docs.together.ai/reference/post-images-generations
"""

import base64
import uuid
from typing import Annotated, ClassVar, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagegate.sandbox.call import CALL, RefusedError
from imagegate.sandbox.huggingface_models import HubModel
from imagegate.sandbox.huggingface_pipeline import draw_for
from imagegate.sandbox.pictures import Picture, seed_of

LARGEST_SIDE = 4096  # px
Side = Annotated[int, Field(ge=64, le=LARGEST_SIDE)]


class Input(BaseModel):
    """What both take."""

    model_config = ConfigDict(extra="forbid", strict=True)
    format: ClassVar[str]

    prompt: str
    model: str
    n: Literal[1] = 1  # more are not played
    seed: int | None = None

    def sides(self, side: int) -> tuple[int, int]:
        """Width and height in px; `side` is the model's own."""
        return side, side


class Together(Input):
    format: ClassVar[str] = "jpeg"

    response_format: Literal["base64"]  # a URL, its default, is not played
    width: Side | None = None
    height: Side | None = None
    steps: int | None = Field(default=None, ge=1, le=100)
    negative_prompt: str | None = None
    guidance_scale: float | None = Field(default=None, gt=0)

    def sides(self, side: int) -> tuple[int, int]:
        return self.width or side, self.height or side


class Nscale(Input):
    format: ClassVar[str] = "png"

    response_format: Literal["b64_json"]
    size: str | None = Field(default=None, pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")
    seed: None = None

    def sides(self, side: int) -> tuple[int, int]:
        if self.size is None:
            return side, side
        width, height = self.size.split("x")
        return int(width), int(height)


INPUTS: dict[str, type[Input]] = {"together": Together, "nscale": Nscale}


async def generate(request: web.Request, provider: str, model: HubModel, seconds: float) -> web.Response:
    """A picture by `model`, whose key has been checked, in `seconds`. Raises RefusedError 400."""
    call = request[CALL]
    try:
        asked = INPUTS[provider].model_validate(call.body)
    except ValidationError as error:
        problem = error.errors()[0]
        where, what = ".".join(map(str, problem["loc"])), problem["msg"]
        told = {"message": f"{where}: {what}", "type": "invalid_request_error", "param": where, "code": None}
        raise RefusedError(400, {"error": told}) from error
    width, height = asked.sides(model.side)
    seed = seed_of(provider, asked.model_dump_json()) if asked.seed is None else asked.seed
    picture = Picture(asked.prompt, seed, width, height, asked.format, call.spoilt)
    encoded = base64.b64encode(await draw_for(request, picture, seconds)).decode()
    data = [{"index": 0, "b64_json": encoded}]
    return web.json_response({"id": str(uuid.uuid4()), "model": asked.model, "object": "list", "data": data})
