"""What each fal app takes, with its defaults, checked as fal checks it: its apps are pydantic models too.

A field that an app does not have is refused with 422. No source says whether the real apps refuse or ignore one; a
stand-in that ignored it would hide a parameter lost on the way, so this one is strict. Upper bounds are left out
where no source gives them.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from imagegate.sandbox.call import RefusedError
from imagegate.sandbox.fal_fields import ImageSize, Input, NamedSize, Scale, Steps
from imagegate.sandbox.fal_picture_inputs import (
    ControlNetUnion,
    ControlNetUnionFromImage,
    ControlNetUnionInpainting,
    Dwpose,
    FluxDevFromImage,
    FluxLora,
    FluxLoraFromImage,
    FluxLoraInpainting,
    Photomaker,
)

LARGEST_SIDE = 4096  # px


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


Asked = Input | Dwpose
APPS: dict[str, type[Input] | type[Dwpose]] = {
    "fal-ai/flux/dev": FluxDev,
    "fal-ai/flux-1/dev": FluxDev,
    "fal-ai/flux/schnell": FluxSchnell,
    "fal-ai/flux-1/schnell": FluxSchnell,
    "fal-ai/flux-pro/v1.1": FluxPro11,
    "fal-ai/stable-cascade": StableCascade,
    "fal-ai/aura-flow": AuraFlow,
    "fal-ai/fast-sdxl": FastSdxl,
    "fal-ai/flux/dev/image-to-image": FluxDevFromImage,
    "fal-ai/flux-lora": FluxLora,
    "fal-ai/flux-lora/image-to-image": FluxLoraFromImage,
    "fal-ai/flux-lora/inpainting": FluxLoraInpainting,
    "fal-ai/sdxl-controlnet-union": ControlNetUnion,
    "fal-ai/sdxl-controlnet-union/image-to-image": ControlNetUnionFromImage,
    "fal-ai/sdxl-controlnet-union/inpainting": ControlNetUnionInpainting,
    "fal-ai/photomaker": Photomaker,
    "fal-ai/dwpose": Dwpose,
}
ALIASES = frozenset("/".join(app.split("/")[:2]) for app in APPS)


def read_input(app: str, body: object) -> Asked:
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
    if asked.size is not None and max(asked.size) > LARGEST_SIDE:
        raise RefusedError(500, {"detail": "Internal Server Error"}, {"x-fal-billable-units": "0"})
    return asked
