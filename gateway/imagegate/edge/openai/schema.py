"""What OpenAI's images API takes, by its own names, and what it takes here besides. Pure.

What it does not know is refused, as OpenAI does: a parameter of theirs that is only for GIF or SVG counts as that.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from imagegate.edge.problem import Problem
from imagegate.runtime.errors import Reason, Violation
from imagegate.runtime.nearest import nearest
from imagegate.runtime.redaction import clip
from imagegate.runtime.validation import INPUT_RANGES, MAX_LABEL_CHARACTERS, MAX_NAME_CHARACTERS, RANGES
from imagegate.runtime.validation import MAX_PROMPT_CHARACTERS as MOST_WORDS

SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
AUTO = "auto"
# So many wrong parameters are told; a body may hold thousands.
MOST_TOLD = 32
# Fields of GenerateRequest that have another name here. Where they stand does not matter: there is one of each.
RENAMED = {"count": "n", "width": "size", "height": "size", "format": "output_format"}
UNKNOWN, MISSING, WRONG_TYPE = "UNKNOWN_PARAMETER", "MISSING_REQUIRED_PARAMETER", "INVALID_TYPE"

# What is wrong, in one word, and where.
Wrong = tuple[str, Violation]


def _of_request(name: str) -> Any:
    low, high, _ = RANGES[name]
    return Field(ge=low, le=high)


def _of_input(name: str) -> Any:
    low, high = INPUT_RANGES[name]
    return Field(ge=low, le=high)


def _not_blank(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("is empty; say what to draw")
    return prompt


def _size(size: str) -> str:
    if size != AUTO:
        sides(size)
    return size


Words = Annotated[str, Field(max_length=MOST_WORDS)]
Label = Annotated[str, Field(max_length=MAX_LABEL_CHARACTERS)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class Asked(BaseModel):
    """What generations and edits both take; None was not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    prompt: Annotated[Words, AfterValidator(_not_blank)]
    model: Name | None = Field(default=None, description="A route or a model; empty or auto: the default route.")
    n: Annotated[int, _of_request("count")] | None = None
    size: Annotated[str, AfterValidator(_size)] | None = Field(default=None, description="WIDTHxHEIGHT or auto.")
    quality: Literal["auto", "low", "standard", "medium", "high", "hd", "xhigh", "max"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = Field(
        default=None, description="By default as the upstream gives it."
    )
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    response_format: Literal["b64_json", "url"] | None = Field(default=None, description="By default b64_json.")
    # Told as adjustments where they say anything, as nothing here can keep them: see `order`.
    background: Literal["auto", "opaque"] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    moderation: Literal["auto", "low"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    safety_identifier: Name | None = None
    user: Name | None = None
    # Ours, by the names of GenerateRequest.
    negative_prompt: Words | None = None
    seed: Annotated[int, _of_request("seed")] | None = None
    steps: Annotated[int, _of_request("steps")] | None = None
    guidance_scale: Annotated[float, _of_request("guidance_scale")] | None = None
    sampler: Name | None = None
    project: Label | None = None
    on_unsupported: Literal["ADJUST", "REFUSE"] | None = None
    max_credits: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    no_fallback: bool | None = None

    @field_validator("response_format")
    @classmethod
    def _fits_a_stream(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "url" and info.data.get("stream"):
            raise ValueError("a stream carries b64_json; for a url ask without stream")
        return value


class Generation(Asked):
    """The body of `POST /v1/images/generations`."""

    style: Literal["vivid", "natural"] | None = None


class Edit(Asked):
    """The texts of the form of `POST /v1/images/edits`; the pictures are files beside them."""

    input_fidelity: Literal["high", "low"] | None = None
    # Ours, as above.
    strength: Annotated[float, _of_input("strength")] | None = None
    mask_blur: Annotated[int, _of_input("mask_blur")] | None = None


Model = TypeVar("Model", bound=Asked)


def sides(size: str) -> tuple[int, int]:
    """Width and height in pixels. Raises ValueError for what is no size, or none that anybody may ask for."""
    found = SIZE.fullmatch(size)
    low, high, _ = RANGES["width"]
    if found is None or not all(low <= int(side) <= high for side in found.groups()):
        raise ValueError(f"takes auto or WIDTHxHEIGHT, each side {low} to {high} px")
    return int(found[1]), int(found[2])


def read(model: type[Model], value: object, *, as_texts: bool = False, also: Sequence[Wrong] = ()) -> Model:
    """`value` as a `model`; `as_texts` says that all of it is text, as in a form.

    Raises Problem with everything that is wrong with it, and what is `also` wrong.
    """
    if not isinstance(value, Mapping):
        raise Problem(400, str(Reason.INVALID_REQUEST), "the body has to be one JSON object")
    try:
        found = model.model_validate_strings(value) if as_texts else model.model_validate(value, strict=True)
    except ValidationError as error:
        wrong = [_wrong(each, list(model.model_fields)) for each in error.errors(include_url=False)[:MOST_TOLD]]
        raise refused([*wrong, *also]) from None
    if also:
        raise refused(also)
    return found


def refused(wrong: Sequence[Wrong]) -> Problem:
    """The problem that tells of all of them; the first gives it its reason."""
    violations = [violation for _, violation in wrong]
    listed = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return Problem(400, wrong[0][0], f"the request is not valid: {listed}", violations=violations)


def unknown(name: str, known: list[str]) -> Wrong:
    """That there is no such parameter, and which ones are nearest to it; or what it is called here."""
    if name in RENAMED:
        return UNKNOWN, Violation(RENAMED[name], f"is what {name} is called here")
    told = f"is not a parameter here; the nearest are {', '.join(nearest(name, known))}"
    return UNKNOWN, Violation(clip(name, 64), told)


def invalid(name: str, told: str) -> Wrong:
    """That a parameter has a value which it does not take."""
    return str(Reason.INVALID_REQUEST), Violation(name, told)


def _wrong(error: Any, known: list[str]) -> Wrong:
    name = str(error["loc"][0]) if error["loc"] else ""
    match str(error["type"]):
        case "extra_forbidden":
            return unknown(name, known)
        case "missing":
            return MISSING, Violation(name, "is required")
        case kind if kind.endswith(("_type", "_parsing")):
            return WRONG_TYPE, Violation(name, _told(error))
        case _:
            return invalid(name, _told(error))


def _told(error: Any) -> str:
    told = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return told[:1].lower() + told[1:]
