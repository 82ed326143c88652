"""What the inputs of fal's apps have in common."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
NamedSize = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
Steps = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0.01, le=1)]


class ImageSize(BaseModel):
    """Width and height in px."""

    width: int = Field(default=512, gt=0, le=14142)
    height: int = Field(default=512, gt=0, le=14142)


class Lora(BaseModel):
    """Weights by their address, or by their name on the Hub."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1)
    scale: float = Field(default=1, ge=0, le=4)
    force: bool = False


class App(BaseModel):
    """What every app has in common."""

    model_config = ConfigDict(extra="forbid")
    has_flags: ClassVar[bool] = True  # whether the output has has_nsfw_concepts and timings

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in px; None where they are those of the picture that it begins with."""
        asked: NamedSize | ImageSize | None = getattr(self, "image_size", "square_hd")
        if asked is None:
            return None
        return (asked.width, asked.height) if isinstance(asked, ImageSize) else SIZES[asked]

    @property
    def files(self) -> dict[str, str]:
        """The addresses of the pictures to work with, by field."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields if name.endswith("_url"))
        return {name: url for name, url in named if url is not None}

    @property
    def weights(self) -> Mapping[str, float]:
        """The LoRAs, and how much of each."""
        loras: list[Lora] = getattr(self, "loras", [])
        return {lora.path: lora.scale for lora in loras}

    @property
    def format(self) -> str:
        """The encoding of the pictures."""
        chosen: str = getattr(self, "output_format", "jpeg")
        return chosen


class Input(App):
    """What every app takes that draws from words."""

    prompt: str
    seed: int | None = None
    num_images: int = Field(default=1, ge=1)
    sync_mode: bool = False
