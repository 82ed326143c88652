"""What each fal app takes, with its defaults, checked as fal checks it: its apps are pydantic models too.

A field that an app does not have is refused with 422. No source says whether the real apps refuse or ignore one; a
stand-in that ignored it would hide a parameter lost on the way, so this one is strict. Upper bounds are left out
where no source gives them.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagegate.sandbox.call import RefusedError

SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
LARGEST_SIDE = 4096  # px
NamedSize = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
Steps = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(ge=0)]


class ImageSize(BaseModel):
    """Width and height in px."""

    width: int = Field(default=512, gt=0, le=14142)
    height: int = Field(default=512, gt=0, le=14142)


class Input(BaseModel):
    """What every app takes."""

    model_config = ConfigDict(extra="forbid")
    has_flags: ClassVar[bool] = True  # whether the output has has_nsfw_concepts and timings

    prompt: str
    seed: int | None = None
    num_images: int = Field(default=1, ge=1)
    sync_mode: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        asked: NamedSize | ImageSize = getattr(self, "image_size", "square_hd")
        return (asked.width, asked.height) if isinstance(asked, ImageSize) else SIZES[asked]

    @property
    def format(self) -> str:
        """The encoding of the pictures."""
        chosen: str = getattr(self, "output_format", "jpeg")
        return chosen


class FluxDev(Input):
    image_size: NamedSize | ImageSize = "landscape_4_3"
    num_inference_steps: Steps = 28
    guidance_scale: Scale = 3.5
    enable_safety_checker: bool = True
    output_format: Literal["jpeg", "png"] = "jpeg"
    acceleration: Literal["none", "regular", "high"] = "none"


class FluxSchnell(FluxDev):
    num_inference_steps: Steps = 4


class FluxPro11(Input):
    image_size: NamedSize | ImageSize = "landscape_4_3"
    output_format: Literal["jpeg", "png"] = "jpeg"
    safety_tolerance: Literal["1", "2", "3", "4", "5", "6"] = "2"
    enhance_prompt: bool = False


class StableCascade(Input):
    negative_prompt: str = ""
    first_stage_steps: Steps = 25
    second_stage_steps: Steps = 10
    guidance_scale: Scale = 8
    second_stage_guidance_scale: Scale = 2
    image_size: NamedSize | ImageSize = "square_hd"
    enable_safety_checker: bool = True


class AuraFlow(Input):
    has_flags: ClassVar[bool] = False

    guidance_scale: Scale = 3.5
    num_inference_steps: Steps = 50
    expand_prompt: bool = True


class FastSdxl(Input):
    negative_prompt: str = ""
    image_size: NamedSize | ImageSize = "square_hd"
    num_inference_steps: Steps = 25
    guidance_scale: Scale = 7.5
    loras: list[Any] = Field(default=[], max_length=0)  # not played yet
    embeddings: list[Any] = Field(default=[], max_length=0)  # not played yet
    expand_prompt: bool = False
    format_: Literal["jpeg", "png"] = Field(default="jpeg", alias="format")
    safety_checker_version: Literal["v1", "v2"] = "v1"
    enable_safety_checker: bool = True

    @property
    def format(self) -> str:
        """This app alone calls it `format`."""
        return self.format_


APPS: dict[str, type[Input]] = {
    "fal-ai/flux/dev": FluxDev,
    "fal-ai/flux-1/dev": FluxDev,
    "fal-ai/flux/schnell": FluxSchnell,
    "fal-ai/flux-1/schnell": FluxSchnell,
    "fal-ai/flux-pro/v1.1": FluxPro11,
    "fal-ai/stable-cascade": StableCascade,
    "fal-ai/aura-flow": AuraFlow,
    "fal-ai/fast-sdxl": FastSdxl,
}
ALIASES = frozenset("/".join(app.split("/")[:2]) for app in APPS)


def read_input(app: str, body: object) -> Input:
    """The checked input of an app. Raises RefusedError as fal does: 404 for an unknown path of a known app, 422 for
    bad fields, all of them at once, 500 for a size that the schema allows and no machine can do.
    """
    if app not in APPS:
        path = "/" + "/".join(app.split("/")[2:])
        raise RefusedError(404, {"detail": f"Path {path} not found"}, {"x-fal-billable-units": "0"})
    try:
        asked = APPS[app].model_validate(body)
    except ValidationError as error:
        detail = [{**problem, "loc": ["body", *problem["loc"]]} for problem in error.errors(include_context=True)]
        raise RefusedError(422, {"detail": detail}, {"x-fal-billable-units": "0"}) from error
    if max(asked.size) > LARGEST_SIDE:
        raise RefusedError(500, {"detail": "Internal Server Error"}, {"x-fal-billable-units": "0"})
    return asked
