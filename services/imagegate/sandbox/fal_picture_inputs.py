"""What fal's apps take that work with pictures of the caller's, or with LoRAs. Bounds are those of its client's types.

https://github.com/fal-ai/fal-js/blob/main/libs/client/src/types/endpoints.ts
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from imagegate.sandbox.fal_fields import App, ImageSize, Input, Lora, NamedSize, Share


class FluxDevFromImage(Input):
    """It takes no size."""

    image_size: ClassVar[None] = None

    image_url: str
    strength: Share = 0.95
    num_inference_steps: Annotated[int, Field(ge=10, le=50)] = 40
    guidance_scale: Annotated[float, Field(ge=1, le=20)] = 3.5
    enable_safety_checker: bool = True
    output_format: Literal["jpeg", "png"] = "jpeg"
    acceleration: Literal["none", "regular", "high"] = "none"


class FluxLora(Input):
    image_size: NamedSize | ImageSize | None = "landscape_4_3"
    num_inference_steps: Annotated[int, Field(ge=1, le=50)] = 28
    guidance_scale: Annotated[float, Field(ge=0, le=35)] = 3.5
    loras: list[Lora] = Field(default=[])
    enable_safety_checker: bool = True
    output_format: Literal["jpeg", "png"] = "jpeg"


class FluxLoraFromImage(FluxLora):
    image_size: NamedSize | ImageSize | None = None
    image_url: str
    strength: Share = 0.85


class FluxLoraInpainting(FluxLoraFromImage):
    mask_url: str


class WeakLora(Lora):
    scale: float = Field(default=1, ge=0, le=1)


class ControlNetUnion(Input):
    """Each kind of control has its picture, and whether that is a photo to find the control in."""

    negative_prompt: str = ""
    image_size: NamedSize | ImageSize | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=70)] = 35
    guidance_scale: Annotated[float, Field(ge=0, le=20)] = 7.5
    loras: list[WeakLora] = Field(default=[])
    embeddings: list[Any] = Field(default=[], max_length=0)  # not played
    expand_prompt: bool = False
    format_: Literal["jpeg", "png"] = Field(default="jpeg", alias="format")
    safety_checker_version: Literal["v1", "v2"] = "v1"
    enable_safety_checker: bool = True
    controlnet_conditioning_scale: Annotated[float, Field(ge=0, le=1)] = 0.5
    openpose_image_url: str | None = None
    openpose_preprocess: bool = True
    canny_image_url: str | None = None
    canny_preprocess: bool = True
    depth_image_url: str | None = None
    depth_preprocess: bool = True
    normal_image_url: str | None = None
    normal_preprocess: bool = True
    segmentation_image_url: str | None = None
    segmentation_preprocess: bool = True
    teed_image_url: str | None = None
    teed_preprocess: bool = True

    @property
    def format(self) -> str:
        """As SDXL's other apps call it."""
        return self.format_


class ControlNetUnionFromImage(ControlNetUnion):
    image_url: str
    strength: Annotated[float, Field(ge=0.05, le=1)] = 0.95
    preserve_aspect_ratio: bool = False
    crop_output: bool = False


class ControlNetUnionInpainting(ControlNetUnion):
    image_url: str
    mask_url: str
    strength: Share = 0.95


class Photomaker(Input):
    has_flags: ClassVar[bool] = False

    image_archive_url: str
    base_pipeline: Literal["photomaker", "photomaker-style"] = "photomaker"
    style: Literal[
        "(No style)", "Cinematic", "Disney Character", "Digital Art", "Photographic", "Fantasy art", "Neonpunk",
        "Enhance", "Comic book", "Lowpoly", "Line art",
    ] = "Photographic"  # fmt: skip
    style_strength: Annotated[int, Field(ge=15, le=50)] = 20
    initial_image_url: str | None = None
    initial_image_strength: Annotated[float, Field(ge=0, le=1)] = 0.5
    negative_prompt: str = ""
    num_images: Annotated[int, Field(ge=1, le=4)] = 1
    num_inference_steps: Annotated[int, Field(ge=20, le=100)] = 50
    guidance_scale: Annotated[float, Field(ge=0.1, le=10)] = 5


class Dwpose(App):
    """It takes neither words nor a seed, and makes one picture."""

    has_flags: ClassVar[bool] = False
    image_size: ClassVar[None] = None
    prompt: ClassVar[str] = ""
    seed: ClassVar[None] = None
    num_images: ClassVar[int] = 1
    sync_mode: ClassVar[bool] = False

    image_url: str
    draw_mode: Literal[
        "full-pose", "body-pose", "face-pose", "hand-pose", "face-hand-mask", "face-mask", "hand-mask"
    ] = "body-pose"  # fmt: skip
