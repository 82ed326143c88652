"""Dedicated endpoints that run the handler which we ship, as it answers: one payload for every task.

What is drawn shows what came in: a photo through the new picture, as far as its strength leaves it; a mask, by what was
repainted; a pose and the pictures of a person on top.
"""

import asyncio
import base64
import io
import uuid
from functools import partial
from typing import Annotated, Any, Self

from aiohttp import web
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from imagegate.sandbox.call import CALL, RefusedError
from imagegate.sandbox.pictures import Picture, seed_of

# What the name of an endpoint contains that runs it.
MARK = "handler"
# What an endpoint is for, by a part of its name, and what it does; any other runs a whole pipeline.
TASKS = {
    "annotator": ("pose_extraction",),
    "photomaker": ("identity",),
    "openpose": ("control_openpose", "image_to_image", "inpainting"),
    "": ("text_to_image", "image_to_image", "inpainting"),
}
# Of each task, the pictures that it needs.
NEEDED = {"control_openpose": {"image"}, "image_to_image": {"image"}, "pose_extraction": {"image"}} | {
    "inpainting": {"image", "mask_image"}
}
# The bones of a pose, by shares of width and height.
Bone = tuple[float, float, float, float]
SPINE: tuple[Bone, ...] = ((0.5, 0.1, 0.5, 0.2), (0.5, 0.2, 0.5, 0.5))
LIMBS: tuple[Bone, ...] = ((0.5, 0.25, 0.3, 0.45), (0.5, 0.25, 0.7, 0.45), (0.5, 0.5, 0.4, 0.85), (0.5, 0.5, 0.6, 0.85))
HANDS: tuple[Bone, ...] = ((0.28, 0.45, 0.32, 0.48), (0.68, 0.45, 0.72, 0.48))
FACE = (0.46, 0.06, 0.54, 0.14)


def _opened(given: object) -> Image.Image:
    """A whole picture of a base64 text. Raises ValueError."""
    if not isinstance(given, str):
        raise ValueError("is not base64")  # noqa: TRY004 - pydantic tells ValueErrors
    try:
        with Image.open(io.BytesIO(base64.b64decode(given, validate=True)), formats=("PNG", "JPEG", "WEBP")) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError("is not a whole PNG, JPEG or WEBP in base64") from error


Share = Annotated[float, Field(ge=0, le=1)]
InputPicture = Annotated[Any, BeforeValidator(_opened)]


class Lora(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$")
    weight: float = Field(default=1, ge=-4, le=4)


class Inputs(BaseModel):
    """The payload's `inputs`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    num_inference_steps: int = Field(default=30, ge=1, le=150)
    guidance_scale: float = Field(default=7.5, ge=0, le=50)
    width: int | None = Field(default=None, ge=64, le=4096, multiple_of=8)
    height: int | None = Field(default=None, ge=64, le=4096, multiple_of=8)
    seed: int | None = Field(default=None, ge=0, le=2**64 - 1)
    image: InputPicture = None
    strength: Share = 0.8
    mask_image: InputPicture = None
    mask_blur: int = Field(default=0, ge=0, le=64)
    control_image: InputPicture = None
    preprocess: bool = False
    controlnet_conditioning_scale: float = Field(default=1, ge=0, le=2)
    control_guidance_start: Share = 0
    control_guidance_end: Share = 1
    input_id_images: list[InputPicture] = Field(default=[], max_length=4)
    loras: list[Lora] = []
    detect_hands: bool = True
    detect_face: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        side = (1024, 1024) if self.image is None else (self.image.width // 8 * 8, self.image.height // 8 * 8)
        return self.width or side[0], self.height or side[1]

    @model_validator(mode="after")
    def _pictures_fit(self) -> Self:
        given = {name for name in ("image", "mask_image", "control_image") if getattr(self, name) is not None}
        wanted: set[str] = NEEDED.get(self.task, set())
        if missing := sorted(wanted - given):
            raise ValueError(f"{self.task} needs {' and '.join(missing)}")
        optional = {"control_image"} if self.task in ("image_to_image", "inpainting") else set()
        if idle := sorted(given - wanted - optional):
            raise ValueError(f"{self.task} has no use for {' and '.join(idle)}")
        if bool(self.input_id_images) is not (self.task == "identity"):
            raise ValueError("identity, and nothing else, needs 1 to 4 pictures in input_id_images")
        if self.task != "pose_extraction" and not self.prompt:
            raise ValueError("prompt is missing")
        return self


def read(name: str, body: object) -> Inputs:
    """The inputs of a request to the endpoint `name`. Raises RefusedError 400 as the container words an exception."""
    tasks = next(tasks for part, tasks in TASKS.items() if part in name)
    inputs = body.get("inputs") if isinstance(body, dict) and set(body) == {"inputs"} else None
    if not isinstance(inputs, dict):
        raise RefusedError(400, {"error": "the body must be an object with `inputs`, an object, and nothing else"})
    task = inputs.get("task", tasks[0])
    if task not in tasks:
        raise RefusedError(400, {"error": f"this endpoint does {', '.join(tasks)}, not {task!r}"})
    try:
        asked = Inputs.model_validate({**inputs, "task": task})
    except ValidationError as error:
        raise RefusedError(400, {"error": "; ".join(_complaint(each) for each in error.errors())}) from error
    if asked.control_image is not None and "control_openpose" not in tasks:
        raise RefusedError(400, {"error": "this endpoint runs no ControlNet"})
    if asked.loras and task == "identity":
        raise RefusedError(400, {"error": "this endpoint takes no LoRAs"})
    return asked


async def make(request: web.Request, asked: Inputs, format: str, seconds: float) -> bytes:
    """The encoded picture, after `seconds`. A client that leaves cancels, and pays nothing."""
    call, id = request[CALL], str(uuid.uuid4())
    words = ", by ".join([asked.prompt, *(f"{each.name} at {each.weight:g}" for each in asked.loras)])
    seed = seed_of(call.target.model, words) if asked.seed is None else asked.seed
    picture = Picture(words, seed, *asked.size, format, call.spoilt)
    try:
        await asyncio.sleep(seconds)
        data = await picture.draw(partial(_retouched, asked))
    except asyncio.CancelledError:
        call.settle(id, asked.prompt, seed, "cancelled")
        raise
    call.settle(id, asked.prompt, seed)
    return data


def _complaint(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"no such input: {where}"
    return f"{where} {problem['msg'].removeprefix('Value error, ')}".strip()


def _over_photo(asked: Inputs, drawn: Image.Image) -> Image.Image:
    photo = asked.image.resize(drawn.size)
    blended = Image.blend(photo, drawn, asked.strength)
    if asked.mask_image is None:
        return blended
    mask = asked.mask_image.convert("L").resize(drawn.size)
    return Image.composite(blended, photo, mask.filter(ImageFilter.GaussianBlur(asked.mask_blur)))


def _retouched(asked: Inputs, drawn: Image.Image) -> Image.Image:
    """The drawing with what came in on it."""
    if asked.task == "pose_extraction":
        return _skeleton(asked)
    pose = asked.control_image
    if asked.task == "control_openpose":
        pose = asked.image
    elif asked.image is not None:
        drawn = _over_photo(asked, drawn)
    if pose is not None:
        scale = min(asked.controlnet_conditioning_scale, 1)
        faint = pose.resize(drawn.size).point([round(value * scale) for value in range(256)] * 3)
        drawn = ImageChops.lighter(drawn, faint)
    for n, person in enumerate(asked.input_id_images):
        side = drawn.width // 4
        drawn.paste(person.resize((side, side)), (n * side, 0))
    return drawn


def _skeleton(asked: Inputs) -> Image.Image:
    """A pose on black, of the size of the photo, coloured by what is on it."""
    photo = asked.image
    colour = photo.resize((1, 1)).getpixel((0, 0))
    drawn = Image.new("RGB", photo.size)
    pen = ImageDraw.Draw(drawn)
    bones = (*SPINE, *LIMBS, *(HANDS if asked.detect_hands else ()))
    for x0, y0, x1, y1 in bones:
        ends = (x0 * photo.width, y0 * photo.height, x1 * photo.width, y1 * photo.height)
        pen.line(ends, fill=tuple(255 - each // 4 for each in colour), width=max(min(photo.size) // 40, 2))
    if asked.detect_face:
        pen.ellipse([share * side for share, side in zip(FACE, photo.size * 2, strict=True)], outline="white")
    return drawn
