"""A request field that a model takes: its range, its grid, its default. Pure."""

import math
import struct
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from imagegate.v1 import catalog_pb2

# The request fields that a model may declare, in the order in which they are fitted.
FITTED_FIELDS = (
    "negative_prompt",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "seed",
    "sampler",
    "strength",
    "mask_blur",
)
# What belongs to one of several inputs: it is fitted for each of them by itself (`tasks`).
INPUT_FIELDS = ("conditioning_scale", "control_start", "control_end", "identity_strength", "lora_weight")
DECLARABLE_FIELDS = (*FITTED_FIELDS, *INPUT_FIELDS)
TEXT_FIELDS = ("negative_prompt", "sampler")
INTEGER_FIELDS = ("width", "height", "steps", "seed", "mask_blur")

# Far beyond every range of a request and every seed, and near enough that reckoning with them cannot overflow.
MAX_NUMBER = 1e20
MIN_GRID = 1e-6
MAX_CHOICES = 512

# Strict: neither a text nor YAML's true is a number.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_NUMBER, le=MAX_NUMBER)]


class Parameter(BaseModel):
    """A request field that a model takes: for numbers a range and a grid, for texts a length and choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Number | None = None
    maximum: Number | None = None
    multiple_of: Annotated[Number, Field(ge=MIN_GRID)] | None = None
    default: Number | str | None = None
    choices: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=MAX_CHOICES)] = ()

    def allows(self, value: float) -> bool:
        """Whether the range, not regarding the grid, has room for `value`."""
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def takes(self, value: float) -> bool:
        """Whether `value` lies in the range and on the grid."""
        return nearest_on_grid(value, self) == value

    @property
    def range(self) -> str:
        """The range in words; a number has at least one bound wherever somebody is told of it."""
        if self.minimum is None:
            return f"at most {self.maximum:.10g}"
        if self.maximum is None:
            return f"at least {self.minimum:.10g}"
        return f"{self.minimum:.10g} to {self.maximum:.10g}"

    def problems(self, name: str) -> Iterator[str]:
        """What is wrong with this as the declaration of the request field `name`."""
        if None not in (low := self.minimum, high := self.maximum) and low > high:  # type: ignore[operator]
            yield "minimum is above maximum"
        elif name in TEXT_FIELDS:
            yield from self._text_problems(name)
        else:
            yield from self._number_problems(name)

    def _text_problems(self, name: str) -> Iterator[str]:
        if self.minimum is not None or self.multiple_of is not None:
            yield "a text takes neither minimum nor multiple_of"
        if self.maximum is not None and (self.maximum < 1 or self.maximum % 1):
            yield "maximum, the number of characters, must be a whole number above 0"
        if self.choices and (name == "negative_prompt" or self.maximum is not None):
            yield "choices are for a sampler, without a maximum"
        if len({choice.casefold() for choice in self.choices}) < len(self.choices):
            yield "two choices are the same"
        if self.default is None:
            return
        if not isinstance(self.default, str) or not self.default:
            yield "default must be a text that is not empty"
        elif self.choices and self.default not in self.choices:
            yield "default is not one of the choices"
        elif self.maximum is not None and len(self.default) > self.maximum:
            yield "default is longer than maximum"

    def _number_problems(self, name: str) -> Iterator[str]:
        if self.choices:
            yield "a number takes no choices"
        bounds = (self.minimum, self.maximum, self.multiple_of)
        if name in INTEGER_FIELDS and any(bound is not None and bound % 1 for bound in bounds):
            yield "minimum, maximum and multiple_of must be whole numbers"
        elif name == "seed":
            if self.minimum or self.multiple_of is not None or self.default is not None:
                yield "a seed begins at 0 and has neither multiple_of nor default: it is drawn, and wraps at maximum"
            if self.maximum is not None and self.maximum < 0:
                yield "maximum must not be below 0"
        elif self.minimum is not None and not self.allows(nearest_on_grid(self.minimum, self)):
            yield "no multiple of multiple_of lies between minimum and maximum"
        elif isinstance(self.default, str):
            yield "default must be a number"
        elif self.default is not None and not self.takes(self.default):
            yield "default lies outside the range, or off the grid"
        elif name in INTEGER_FIELDS and self.default is not None and self.default % 1:
            yield "default must be a whole number"


def nearest_on_grid(value: float, parameter: Parameter) -> float:
    """The number nearest to `value` that `parameter` takes."""
    low = -math.inf if parameter.minimum is None else parameter.minimum
    high = math.inf if parameter.maximum is None else parameter.maximum
    value = min(max(value, low), high)
    grid = parameter.multiple_of
    if grid is None:
        return value
    steps = round(value / grid)
    # Written in ten digits, 71 · 0.1 is 7.1 and not 7.1000000000000005.
    candidates = [float(f"{count * grid:.10g}") for count in (steps - 1, steps, steps + 1)]
    allowed = [candidate for candidate in candidates if low <= candidate <= high]
    return min(allowed or candidates, key=lambda candidate: abs(candidate - value))


def shortest(value: float) -> float:
    """The shortest decimal number that is the single-precision `value`: 7.1 for 7.099999904632568."""
    single = struct.pack("f", value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((float(text) for text in texts if struct.pack("f", float(text)) == single), value)


def parameter_to_proto(name: str, parameter: Parameter) -> catalog_pb2.Parameter:
    """The parameter of the request field `name` as the wire tells it."""
    message = catalog_pb2.Parameter(name=name, choices=parameter.choices)
    for bound in ("minimum", "maximum", "multiple_of"):
        value = getattr(parameter, bound)
        if value is not None:
            setattr(message, bound, value)
    if parameter.default is not None:
        text = parameter.default if isinstance(parameter.default, str) else repr(parameter.default)
        message.default = text.removesuffix(".0") if name not in TEXT_FIELDS else text
    return message


def parameter_from_proto(message: catalog_pb2.Parameter) -> dict[str, Any]:
    """The fields of the `Parameter` that the wire tells. Raises ValueError where its default is no number."""
    bounds = {
        bound: getattr(message, bound) for bound in ("minimum", "maximum", "multiple_of") if message.HasField(bound)
    }
    default: float | str | None = message.default if message.HasField("default") else None
    if default is not None and message.name not in TEXT_FIELDS:
        default = float(default)
    return {**bounds, "default": default, "choices": tuple(message.choices)}
