"""The catalogue: what a provider offers, read from its models.yaml and told over the wire.

A `Model` is the same value in a provider (which read it from the file), in the router (which got
it from `ListModels`) and in a client, so that all of them fit a request the same way.
"""

import difflib
import hashlib
import math
import re
import struct
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from imagegate.v1 import catalog_pb2

# The request fields that a model may declare, in the order in which they are fitted.
FITTED_FIELDS = ("negative_prompt", "width", "height", "steps", "guidance_scale", "seed", "sampler")
TEXT_FIELDS = ("negative_prompt", "sampler")
INTEGER_FIELDS = ("width", "height", "steps", "seed")
# Longer names are not compared: it takes time that grows with the square of the length.
COMPARED_CHARACTERS = 256

# Strict: neither a text nor YAML's true is a number.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class CatalogueError(ValueError):
    """A models.yaml that cannot be used; the message lists every problem."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(_Strict):
    """A request field that a model takes: for numbers a range and a grid, for texts a length and choices."""

    minimum: Number | None = None
    maximum: Number | None = None
    multiple_of: Annotated[Number, Field(gt=0)] | None = None
    default: Number | str | None = None
    choices: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    def allows(self, value: float) -> bool:
        """Whether the range, not regarding the grid, has room for `value`."""
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

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
        elif self.default is not None and nearest_on_grid(self.default, self) != self.default:
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


class Model(_Strict):
    """One model of one provider. Times are seconds for one picture, `credits` is the price of one."""

    provider: str = ""
    key: Key
    display_name: str
    upstream_model: str
    base_model: str = ""
    aliases: tuple[str, ...] = ()
    tier: Literal["free", "basic", "pro", "enterprise"] = "free"
    credits: int | None = Field(default=None, ge=0)
    quality: Literal["unspecified", "sd", "hd", "ultra", "premium"] = "unspecified"
    typical_seconds: tuple[float, float] = (5.0, 30.0)
    tasks: tuple[Literal["text_to_image"], ...] = ("text_to_image",)
    use_case: str = ""
    licence_note: str = ""
    enabled: bool = True
    disabled_reason: str = Field(default="", validate_default=True)
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    # What only the provider's own wire module understands; never leaves its process.
    wire: Mapping[str, str] = Field(default_factory=dict)

    # Each field is judged by itself, so that one problem does not hide another.
    @field_validator("parameters")
    @classmethod
    def _declarations(cls, parameters: Mapping[str, Parameter]) -> Mapping[str, Parameter]:
        problems = [
            f"no such request field: {name} (known: {', '.join(FITTED_FIELDS)})"
            for name in parameters
            if name not in FITTED_FIELDS
        ]
        for name in FITTED_FIELDS:
            if name in parameters:
                problems += (f"{name}: {problem}" for problem in parameters[name].problems(name))
        if problems:
            raise ValueError("; ".join(problems))
        return parameters

    @field_validator("typical_seconds")
    @classmethod
    def _rising(cls, seconds: tuple[float, float]) -> tuple[float, float]:
        if not 0 < seconds[0] <= seconds[1] < math.inf:
            raise ValueError("must be two rising numbers above 0")
        return seconds

    @field_validator("disabled_reason")
    @classmethod
    def _says_why(cls, reason: str, info: ValidationInfo) -> str:
        if info.data.get("enabled") is False and not reason:
            raise ValueError("a disabled model needs a disabled_reason")
        return reason

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that finds this model within its provider."""
        return (self.key, self.upstream_model, *self.aliases)

    def to_proto(self) -> catalog_pb2.Model:
        """The model as the wire tells it."""
        message = catalog_pb2.Model(
            provider=self.provider,
            key=self.key,
            display_name=self.display_name,
            upstream_model=self.upstream_model,
            base_model=self.base_model,
            aliases=self.aliases,
            tier=self.tier,
            quality=catalog_pb2.Quality.Value(f"QUALITY_{self.quality.upper()}"),
            typical_seconds_low=self.typical_seconds[0],
            typical_seconds_high=self.typical_seconds[1],
            tasks=[catalog_pb2.Task.Value(f"TASK_{task.upper()}") for task in self.tasks],
            use_case=self.use_case,
            licence_note=self.licence_note,
            enabled=self.enabled,
            disabled_reason=self.disabled_reason,
            parameters=[_parameter_to_proto(name, parameter) for name, parameter in self.parameters.items()],
        )
        if self.credits is not None:
            message.credits = self.credits
        return message

    @classmethod
    def from_proto(cls, message: catalog_pb2.Model) -> "Model":
        """The model that a provider told; raises ValueError where it told nonsense.

        Tasks, qualities and fields that this version does not know are left out: they cannot be asked for.
        """
        known_tasks = {catalog_pb2.TASK_TEXT_TO_IMAGE: "text_to_image"}
        return cls.model_validate(
            {
                "provider": message.provider,
                "key": message.key,
                "display_name": message.display_name,
                "upstream_model": message.upstream_model,
                "base_model": message.base_model,
                "aliases": tuple(message.aliases),
                "tier": message.tier,
                "credits": message.credits if message.HasField("credits") else None,
                "quality": _quality_from_proto(message.quality),
                "typical_seconds": (shortest(message.typical_seconds_low), shortest(message.typical_seconds_high)),
                "tasks": tuple(known_tasks[task] for task in message.tasks if task in known_tasks),
                "use_case": message.use_case,
                "licence_note": message.licence_note,
                "enabled": message.enabled,
                "disabled_reason": message.disabled_reason,
                "parameters": {
                    parameter.name: _parameter_from_proto(parameter)
                    for parameter in message.parameters
                    if parameter.name in FITTED_FIELDS
                },
            }
        )


class Catalogue(_Strict):
    """The models of one provider, and what an upstream id outside them takes."""

    provider: str
    models: tuple[Model, ...] = ()
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
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return pattern

    @property
    def revision(self) -> str:
        """Changes whenever anything a caller can see does."""
        told = catalog_pb2.ListModelsResponse(models=[model.to_proto() for model in self.models])
        if self.outside is not None:
            outside, pattern = self.outside.to_proto(), self.outside_pattern
            told.providers.add(outside_catalogue=outside, outside_pattern=pattern)
        return hashlib.sha256(told.SerializeToString(deterministic=True)).hexdigest()[:12]

    def find(self, name: str) -> Model | None:
        """The model called `name` (key, upstream id or alias); the first that is enabled for an empty name."""
        if not name:
            return next((model for model in self.models if model.enabled), None)
        return next((model for model in self.models if name in model.names), None)

    def find_outside(self, upstream_model: str) -> Model | None:
        """A stand-in entry for an upstream id that the catalogue does not have; None where that is not allowed."""
        if self.outside is None or not re.fullmatch(self.outside_pattern, upstream_model):
            return None
        return self.outside.model_copy(update={"upstream_model": upstream_model, "display_name": upstream_model})


def nearest(name: str, known: list[str]) -> list[str]:
    """The three names of `known` that look most like `name`, best first."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name[:COMPARED_CHARACTERS].casefold(), list(by_folded), n=3, cutoff=0.0)
    return [by_folded[match] for match in matches]


def load_catalogue(provider: str, path: Path) -> Catalogue:
    """Read a provider's models.yaml.

    Raises CatalogueError with every problem at once.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueError(f"{path.name} of {provider} cannot be read: {error}") from error
    problems = list(_misshapen(content))
    if not problems:
        try:
            return Catalogue.model_validate(_named(provider, content))
        except ValidationError as error:
            problems = [_told(problem, list(content["models"])) for problem in error.errors()]
    raise CatalogueError(f"{path.name} of {provider}: {'; '.join(problems)}")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice: plain YAML would forget the first entry without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"written more than once: {', '.join(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _misshapen(content: object) -> Iterator[str]:
    """What keeps the file from being a mapping of models at all."""
    if not isinstance(content, dict) or not isinstance(content.get("models"), dict):
        yield "it needs a mapping `models` of key to entry"
        return
    entries = {f"models.{key}": entry for key, entry in content["models"].items()}
    if content.get("outside") is not None:
        entries["outside"] = content["outside"]
    if "provider" in content:
        yield "provider: is known from the file's place, not written in it"
    for place, entry in entries.items():
        if not isinstance(entry, dict):
            yield f"{place}: is no mapping"
            continue
        yield from (f"{place}.{name}: is known from the entry's place" for name in ("key", "provider") if name in entry)


def _named(provider: str, content: dict[str, Any]) -> dict[str, Any]:
    """The file's mapping of key → entry as a list of entries that know their key and provider."""
    models = [{"key": key, "provider": provider, **entry} for key, entry in content["models"].items()]
    outside = content.get("outside")
    if outside is not None:
        outside = {"key": "outside", "provider": provider, "display_name": "", "upstream_model": "", **outside}
    return {**content, "provider": provider, "models": models, "outside": outside}


def _told(problem: ErrorDetails, keys: list[Any]) -> str:
    """One problem with its place in the file, a model by its key."""
    place = list(problem["loc"])
    if len(place) > 1 and place[0] == "models" and isinstance(place[1], int):
        place[1] = keys[place[1]]
    where = ".".join(map(str, place))
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _quality_from_proto(value: "catalog_pb2.Quality.ValueType") -> str:
    known = value in catalog_pb2.Quality.values()
    return catalog_pb2.Quality.Name(value).removeprefix("QUALITY_").lower() if known else "unspecified"


def _parameter_to_proto(name: str, parameter: Parameter) -> catalog_pb2.Parameter:
    message = catalog_pb2.Parameter(name=name, choices=parameter.choices)
    for bound in ("minimum", "maximum", "multiple_of"):
        value = getattr(parameter, bound)
        if value is not None:
            setattr(message, bound, value)
    if parameter.default is not None:
        text = parameter.default if isinstance(parameter.default, str) else repr(parameter.default)
        message.default = text.removesuffix(".0") if name not in TEXT_FIELDS else text
    return message


def _parameter_from_proto(message: catalog_pb2.Parameter) -> dict[str, Any]:
    bounds = {
        bound: getattr(message, bound) for bound in ("minimum", "maximum", "multiple_of") if message.HasField(bound)
    }
    default: float | str | None = message.default if message.HasField("default") else None
    if default is not None and message.name not in TEXT_FIELDS:
        default = float(default)
    return {**bounds, "default": default, "choices": tuple(message.choices)}
