"""The catalogue: what a provider offers, read from its models.yaml and told over the wire.

A `Model` is the same value in a provider (which read it from the file), in the router (which got
it from `ListModels`) and in a client, so that all of them fit a request the same way.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from imagegate.runtime.options import KINDS, MAX_OPTIONS, Option, option_from_proto, option_to_proto
from imagegate.runtime.parameters import (
    DECLARABLE_FIELDS,
    Parameter,
    parameter_from_proto,
    parameter_to_proto,
    shortest,
)
from imagegate.runtime.patterns import matches, problem_of
from imagegate.runtime.samplers import Samplers, samplers_from_proto, samplers_to_proto
from imagegate.v1 import catalog_pb2, terms_pb2

# What a catalogue may say at most, so that nothing reckoned with it leaves its bounds, whoever wrote it.
MAX_SECONDS = 86_400.0
MAX_CREDITS = 1_000_000
MAX_ALIASES = 64
MAX_MODELS = 256
MAX_SIZES = 64
MAX_INPUTS = 16

# What a caller may use: each tier may use those before it, too.
TIERS = ("free", "basic", "pro", "enterprise")
# Longest side of a picture that a catalogue may speak of, in pixels.
MAX_SIDE = 16_384

Tier = Literal["free", "basic", "pro", "enterprise"]
Task = Literal[
    "text_to_image",
    "image_to_image",
    "inpainting",
    "control_openpose",
    "control_canny",
    "control_depth",
    "control_blur",
    "pose_extraction",
    "identity",
]
Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]
# What models, and poses, are called.
KEY_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Key = Annotated[str, Field(pattern=KEY_PATTERN)]

# The tasks that this version knows, by the wire's number.
TASKS = {number: cast(Task, name.removeprefix("TASK_").lower()) for name, number in catalog_pb2.Task.items() if number}

# What a price is for, and what may be recommended, as far as this version knows.
PRICED_BY: Mapping[int, Literal["picture", "megapixel"]] = {
    catalog_pb2.PRICED_BY_UNSPECIFIED: "picture",
    catalog_pb2.PRICED_BY_PICTURE: "picture",
    catalog_pb2.PRICED_BY_MEGAPIXEL: "megapixel",
}
RecommendedFor = Literal["", "primary", "budget", "artistic"]
RECOMMENDED_FOR = get_args(RecommendedFor)

TEXT_TO_IMAGE = catalog_pb2.TASK_TEXT_TO_IMAGE


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Strict):
    """One model of one provider. Times are seconds for one picture, `credits` is the price of one, or of each megapixel
    of it (`priced_by`). `sizes` are the only ones it makes, the first of them its usual one; where it is empty
    `parameters` tell the ranges.
    """

    provider: str = ""
    key: Key
    display_name: str
    upstream_model: str
    base_model: str = ""
    aliases: tuple[str, ...] = Field(default=(), max_length=MAX_ALIASES)
    tier: Tier = "free"
    credits: int | None = Field(default=None, strict=True, ge=0, le=MAX_CREDITS)
    priced_by: Literal["picture", "megapixel"] = "picture"
    quality: Literal["unspecified", "sd", "hd", "ultra", "premium"] = "unspecified"
    typical_seconds: tuple[float, float] = (5.0, 30.0)
    # Whether another candidate may follow an attempt of which nobody knows if it will be charged.
    payment: Literal["pay_once", "available"] = "available"
    tasks: tuple[Task, ...] = ("text_to_image",)
    use_case: str = ""
    recommended_for: RecommendedFor = ""
    licence_note: str = ""
    enabled: bool = True
    coming_soon: bool = False
    disabled_reason: str = Field(default="", validate_default=True)
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    sizes: tuple[tuple[Side, Side], ...] = Field(default=(), max_length=MAX_SIZES)
    # What it lets through of a request's provider_options, by the upstream's own names.
    options: Mapping[str, Option] = Field(default_factory=dict, max_length=MAX_OPTIONS)
    # How many of each it takes at once.
    max_loras: int = Field(default=0, ge=0, le=MAX_INPUTS)
    max_controls: int = Field(default=0, ge=0, le=MAX_INPUTS)
    max_identity: int = Field(default=0, ge=0, le=MAX_INPUTS)
    # All that its upstream has, where that was asked.
    samplers: Samplers = Samplers()
    # What only the provider's own wire module understands; never leaves its process.
    wire: Mapping[str, str] = Field(default_factory=dict)

    # Each field is judged by itself, so that one problem does not hide another.
    @field_validator("parameters")
    @classmethod
    def _declarations(cls, parameters: Mapping[str, Parameter]) -> Mapping[str, Parameter]:
        problems = [
            f"no such request field: {name} (known: {', '.join(DECLARABLE_FIELDS)})"
            for name in parameters
            if name not in DECLARABLE_FIELDS
        ]
        for name in DECLARABLE_FIELDS:
            if name in parameters:
                problems += (f"{name}: {problem}" for problem in parameters[name].problems(name))
        for name in ("width", "height"):
            if name in parameters and not _are_pixels(parameters[name]):
                problems.append(f"{name}: every number of it must lie between 1 and {MAX_SIDE:,} px")
        if problems:
            raise ValueError("; ".join(problems))
        return parameters

    @field_validator("sizes")
    @classmethod
    def _sizes_are_all(cls, sizes: tuple[tuple[int, int], ...], info: ValidationInfo) -> tuple[tuple[int, int], ...]:
        if sizes and {"width", "height"} & set(info.data.get("parameters", ())):
            raise ValueError("a model that makes only these sizes declares neither width nor height")
        return sizes

    @field_validator("options")
    @classmethod
    def _options_are_sound(cls, options: Mapping[str, Option]) -> Mapping[str, Option]:
        problems = [f"{name[:64]}: {problem}" for name, option in options.items() for problem in option.problems(name)]
        if problems:
            raise ValueError("; ".join(problems))
        return options

    @field_validator("typical_seconds")
    @classmethod
    def _rising(cls, seconds: tuple[float, float]) -> tuple[float, float]:
        if not 0 < seconds[0] <= seconds[1] <= MAX_SECONDS:
            raise ValueError(f"must be two rising numbers above 0, up to {MAX_SECONDS:,.0f}")
        return seconds

    @field_validator("disabled_reason")
    @classmethod
    def _says_why(cls, reason: str, info: ValidationInfo) -> str:
        if info.data.get("enabled") is False and not reason:
            raise ValueError("a disabled model needs a disabled_reason")
        if info.data.get("enabled") and info.data.get("coming_soon"):
            raise ValueError("a model that is coming soon is not enabled yet")
        return reason

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that finds this model within its provider."""
        return (self.key, self.upstream_model, *self.aliases)

    def inability(self, task: Task) -> str:
        """Why it cannot be asked for `task`; empty where it can."""
        if task in self.tasks:
            return ""
        return f"it does not do {_spoken(task)}, but {', '.join(map(_spoken, self.tasks)) or 'what is not known here'}"

    @property
    def usual_size(self) -> tuple[int, int] | None:
        """Width and height in pixels unless asked for another; None where it makes no pictures, or nobody knows."""
        if self.sizes:
            return self.sizes[0]
        sides = [self.parameters[name].default for name in ("width", "height") if name in self.parameters]
        if len(sides) < 2 or not all(isinstance(side, float) for side in sides):
            return None
        return round(float(sides[0] or 0)), round(float(sides[1] or 0))

    def to_proto(self) -> catalog_pb2.Model:
        """The model as the wire tells it."""
        width, height = self.usual_size or (0, 0)
        message = catalog_pb2.Model(
            provider=self.provider,
            key=self.key,
            display_name=self.display_name,
            upstream_model=self.upstream_model,
            base_model=self.base_model,
            aliases=self.aliases,
            tier=self.tier,
            quality=terms_pb2.Quality.Value(f"QUALITY_{self.quality.upper()}"),
            typical_seconds_low=self.typical_seconds[0],
            typical_seconds_high=self.typical_seconds[1],
            tasks=[catalog_pb2.Task.Value(f"TASK_{task.upper()}") for task in self.tasks],
            use_case=self.use_case,
            licence_note=self.licence_note,
            enabled=self.enabled,
            disabled_reason=self.disabled_reason,
            parameters=[parameter_to_proto(name, parameter) for name, parameter in self.parameters.items()],
            payment=terms_pb2.Payment.Value(f"PAYMENT_{self.payment.upper()}"),
            priced_by=catalog_pb2.PricedBy.Value(f"PRICED_BY_{self.priced_by.upper()}"),
            width=width,
            height=height,
            coming_soon=self.coming_soon,
            recommended_for=self.recommended_for,
            options=[option_to_proto(name, option) for name, option in self.options.items()],
            sizes=[catalog_pb2.Size(width=each[0], height=each[1]) for each in self.sizes],
            max_loras=self.max_loras,
            max_controls=self.max_controls,
            max_identity=self.max_identity,
            samplers=samplers_to_proto(self.samplers.samplers),
            schedulers=samplers_to_proto(self.samplers.schedulers),
        )
        if self.credits is not None:
            message.credits = self.credits
        return message

    @classmethod
    def from_proto(cls, message: catalog_pb2.Model) -> "Model":
        """The model that a provider told; raises ValueError where it told nonsense.

        Tasks, qualities and fields that this version does not know are left out: they cannot be asked for. A price for
        something that it does not know is not known. Who tells no task makes pictures from words.
        """
        return cls.model_validate(
            {
                "provider": message.provider,
                "key": message.key,
                "display_name": message.display_name,
                "upstream_model": message.upstream_model,
                "base_model": message.base_model,
                "aliases": tuple(message.aliases),
                "tier": message.tier,
                "credits": message.credits if message.HasField("credits") and message.priced_by in PRICED_BY else None,
                "quality": _quality_from_proto(message.quality),
                "typical_seconds": (shortest(message.typical_seconds_low), shortest(message.typical_seconds_high)),
                "payment": "pay_once" if message.payment == terms_pb2.PAYMENT_PAY_ONCE else "available",
                "tasks": tuple(TASKS[task] for task in message.tasks or (TEXT_TO_IMAGE,) if task in TASKS),
                "use_case": message.use_case,
                "licence_note": message.licence_note,
                "enabled": message.enabled,
                "disabled_reason": message.disabled_reason,
                "parameters": {
                    parameter.name: parameter_from_proto(parameter)
                    for parameter in message.parameters
                    if parameter.name in DECLARABLE_FIELDS
                },
                "priced_by": PRICED_BY.get(message.priced_by, "picture"),
                "coming_soon": message.coming_soon,
                "recommended_for": message.recommended_for if message.recommended_for in RECOMMENDED_FOR else "",
                "options": {told.name: option_from_proto(told) for told in message.options if told.kind in KINDS},
                "sizes": tuple((size.width, size.height) for size in message.sizes),
                "samplers": samplers_from_proto(message),
                **{
                    name: min(getattr(message, name), MAX_INPUTS)
                    for name in ("max_loras", "max_controls", "max_identity")
                },
            }
        )


class Catalogue(_Strict):
    """The models of one provider, and what an upstream id outside them takes."""

    provider: str
    models: tuple[Model, ...] = Field(default=(), max_length=MAX_MODELS)
    outside: Model | None = None
    # What an upstream id looks like, so that a mistyped key is not taken for one.
    outside_pattern: str = "^$"

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Catalogue":
        owners: dict[str, list[str]] = {}
        for model in self.models:
            for name in dict.fromkeys(model.names):
                owners.setdefault(name, []).append(model.key)
        problems = [f"{' and '.join(keys)} are both called {name!r}" for name, keys in owners.items() if len(keys) > 1]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @field_validator("outside_pattern")
    @classmethod
    def _is_cheap(cls, pattern: str) -> str:
        if problem := problem_of(pattern):
            raise ValueError(problem)
        return pattern

    @property
    def revision(self) -> str:
        """Changes whenever anything a caller can see does."""
        told = catalog_pb2.ListModelsResponse(models=[model.to_proto() for model in self.models])
        if self.outside is not None:
            outside, pattern = self.outside.to_proto(), self.outside_pattern
            told.providers.add(outside_catalogue=outside, outside_pattern=pattern)
        return hashlib.sha256(told.SerializeToString(deterministic=True)).hexdigest()[:12]

    @cached_property
    def keys(self) -> frozenset[str]:
        """Those of its models."""
        return frozenset(model.key for model in self.models)

    def find(self, name: str) -> Model | None:
        """The model called `name` (key, upstream id or alias); the first that is enabled for an empty name."""
        if not name:
            return next((model for model in self.models if model.enabled), None)
        return next((model for model in self.models if name in model.names), None)

    def find_outside(self, upstream_model: str) -> Model | None:
        """A stand-in entry for an upstream id that the catalogue does not have; None where that is not allowed."""
        if self.outside is None or not matches(self.outside_pattern, upstream_model):
            return None
        return self.outside.model_copy(update={"upstream_model": upstream_model, "display_name": upstream_model})


def _are_pixels(side: Parameter) -> bool:
    numbers = (side.minimum, side.maximum, side.multiple_of, side.default)
    return all(1 <= number <= MAX_SIDE for number in numbers if isinstance(number, float))


def _spoken(task: str) -> str:
    return task.replace("_", " ")


def _quality_from_proto(value: "terms_pb2.Quality.ValueType") -> str:
    known = value in terms_pb2.Quality.values()
    return terms_pb2.Quality.Name(value).removeprefix("QUALITY_").lower() if known else "unspecified"
