"""The body of a generation: what it may say, told all at once where it says it wrong. Pure.

The bounds are the router's own; it looks again at what arrives.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from imagegate.edge.api.picture_source import InputImage
from imagegate.edge.api.strict import Strict, Text
from imagegate.runtime.options import MAX_OPTIONS
from imagegate.runtime.validation import (
    INPUT_RANGES,
    KEEPABLE,
    MAX_LABEL_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_OPTION_PROVIDERS,
    MAX_OPTIONS_BYTES,
    MAX_PROMPT_CHARACTERS,
    MOST,
    RANGES,
)

MAX_OPTION_LEVELS = 16
MAX_PROVIDERS = 64
MAX_CREDITS = 2**31 - 1
# A struct of the protocol holds numbers as floats.
MAX_NUMBER = 1e308


def _keepable(value: str) -> str:
    if value not in KEEPABLE:
        raise ValueError(f"takes {', '.join(KEEPABLE)}")
    return value


def _options(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Bounded before anything else looks at it."""
    if any(len(options) > MAX_OPTIONS for options in value.values()):
        raise ValueError(f"has more than {MAX_OPTIONS} options for one provider")
    size = 0
    for each in _bytes_of(value, MAX_OPTION_LEVELS):
        size += each
        if size > MAX_OPTIONS_BYTES:
            raise ValueError(f"has more than {MAX_OPTIONS_BYTES // 1024} KiB")
    return value


def _bytes_of(value: Any, levels: int) -> Iterator[int]:
    """About how many bytes each part of it takes."""
    if levels < 0:
        raise ValueError(f"has more than {MAX_OPTION_LEVELS} levels")
    yield 1 + (len(value) if isinstance(value, str) else 0)
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise ValueError("has a number that is too large")
    if isinstance(value, dict):
        for name, each in value.items():
            yield len(name)
            yield from _bytes_of(each, levels - 1)
    elif isinstance(value, list):
        for each in value:
            yield from _bytes_of(each, levels - 1)


def _whole(name: str, told: str) -> Any:
    low, high, _ = RANGES[name]
    return Field(None, ge=low, le=high, description=told)


def _share(name: str, told: str) -> Any:
    low, high = INPUT_RANGES[name]
    return Field(None, ge=low, le=high, description=told)


Name = Annotated[Text, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class ImageToImage(Strict):
    """Another picture from this one and words."""

    image: InputImage
    strength: float | None = _share("strength", "How much of it may change; absent takes the model's default.")


class Inpainting(Strict):
    """A part of this picture made anew."""

    image: InputImage
    mask: InputImage = Field(description="White is made anew, black stays; as large as the picture.")
    strength: float | None = _share("strength", "How much of that part may change.")
    mask_blur: int | None = _share("mask_blur", "Pixels over which the mask's edge fades.")


class PoseExtraction(Strict):
    """The pose of whoever is in this picture, drawn."""

    image: InputImage
    detect_hands: bool | None = Field(None, description="Absent is true.")
    detect_face: bool | None = Field(None, description="Absent is true.")


class Control(Strict):
    """A picture that the new one keeps to."""

    type: Literal["OPENPOSE", "CANNY", "DEPTH", "BLUR"]
    image: InputImage
    conditioning_scale: float | None = _share("conditioning_scale", "How closely; 1 if absent.")
    start: float | None = _share("start", "The share of the steps after which it begins to count; 0 if absent.")
    end: float | None = _share("end", "The share of the steps after which it counts no more; 1 if absent.")
    preprocess: bool | None = Field(
        None, description="The picture is a photo: what it is kept to is still to be found."
    )

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "Control":
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("start is above end")
        return self


class Identity(Strict):
    """A picture of the person who shall be in the new one."""

    image: InputImage
    strength: float | None = _share("strength", "How much of the likeness is kept.")


class Lora(Strict):
    """What the model is fine-tuned with."""

    name: Name = Field(description="The upstream's own name.")
    weight: float | None = _share("weight", "How much of it; 1 if absent.")

    @field_validator("name")
    @classmethod
    def _is_printable(cls, value: str) -> str:
        if not value.strip() or not value.isprintable():
            raise ValueError("takes printable characters")
        return value


class Generation(Strict):
    """What is to be made. What is absent takes the model's own default; zero is a value."""

    # The tasks come first: what is wrong with the others depends on them.
    image_to_image: ImageToImage | None = None
    inpainting: Inpainting | None = None
    pose_extraction: PoseExtraction | None = None
    prompt: Text = Field(
        "",
        max_length=MAX_PROMPT_CHARACTERS,
        validate_default=True,
        description="What to draw; only the extraction of a pose needs no words.",
    )
    model: Text = Field(
        "",
        max_length=MAX_NAME_CHARACTERS,
        description="A route, provider/key, a key or an upstream's id; empty: default.",
    )
    negative_prompt: Text | None = Field(None, max_length=MAX_PROMPT_CHARACTERS, description="What to keep out.")
    width: int | None = _whole("width", "Pixels.")
    height: int | None = _whole("height", "Pixels.")
    steps: int | None = _whole("steps", "Denoising steps.")
    guidance_scale: float | None = _whole("guidance_scale", "How closely to follow the prompt.")
    seed: int | None = _whole("seed", "Absent or -1 draws one, which the answer tells.")
    sampler: Text | None = Field(None, max_length=MAX_NAME_CHARACTERS, description="Such as Euler a.")
    count: int | None = _whole("count", "How many pictures; picture i uses seed + i.")
    quality: Literal["SD", "HD", "ULTRA", "PREMIUM"] | None = Field(
        None, description="Chooses among a route's candidates, and fills size and steps that are absent."
    )
    on_unsupported: Literal["ADJUST", "REFUSE"] | None = Field(
        None, description="What to do where a model cannot take a parameter as asked; ADJUST if absent."
    )
    must_keep: list[Annotated[str, AfterValidator(_keepable), Field(json_schema_extra={"enum": list(KEEPABLE)})]] = (
        Field([], max_length=len(KEEPABLE), description="What has to reach the model as asked.")
    )
    project: Text = Field("", max_length=MAX_LABEL_CHARACTERS, description="What it belongs to, in your own words.")
    max_credits: int | None = Field(None, ge=0, le=MAX_CREDITS, description="The most that it may cost.")
    no_fallback: bool | None = Field(None, description="Try only the first candidate that is allowed.")
    allow_providers: list[Name] = Field([], max_length=MAX_PROVIDERS, description="Only these; empty allows all.")
    deny_providers: list[Name] = Field([], max_length=MAX_PROVIDERS, description="Not these.")
    format: Literal["PNG", "JPEG", "WEBP"] | None = Field(None, description="Absent: as the upstream gives it.")
    controls: list[Control] = Field([], max_length=MOST["controls"])
    identity: list[Identity] = Field([], max_length=MOST["identity"])
    loras: list[Lora] = Field([], max_length=MOST["loras"])
    provider_options: Annotated[dict[str, dict[str, Any]], AfterValidator(_options)] = Field(
        {}, max_length=MAX_OPTION_PROVIDERS, description="What only one provider understands, by its name."
    )

    @field_validator("inpainting", "pose_extraction")
    @classmethod
    def _is_the_only_task(cls, value: Any, info: ValidationInfo) -> Any:
        others = [name for name in ("image_to_image", "inpainting") if info.data.get(name) is not None]
        if value is not None and others:
            raise ValueError(f"cannot go together with {others[0]}")
        return value

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, value: str, info: ValidationInfo) -> str:
        # A task that is not in the data is wrong itself, which is told already.
        needs_words = info.data.get("pose_extraction", ...) is None
        if needs_words and not value.strip():
            raise ValueError("is empty; say what to draw")
        return value

    def pictures(self) -> Sequence[tuple[str, InputImage]]:
        """Every picture that comes along, and where it stands."""
        found: list[tuple[str, InputImage]] = []
        for task in ("image_to_image", "inpainting", "pose_extraction"):
            part = getattr(self, task)
            found += [(f"{task}.{name}", image) for name in ("image", "mask") if (image := getattr(part, name, None))]
        for name in ("controls", "identity"):
            found += [(f"{name}[{number}].image", each.image) for number, each in enumerate(getattr(self, name))]
        return found
