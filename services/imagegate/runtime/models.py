"""The catalogue: what a provider offers, read from its models.yaml and told over the wire.

A `Model` is the same value in a provider (which read it from the file), in the router (which got
it from `ListModels`) and in a client, so that all of them fit a request the same way.
"""

import difflib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imagegate.v1 import catalog_pb2

# The request fields that a model may declare, in the order in which they are fitted.
FITTED_FIELDS = ("negative_prompt", "width", "height", "steps", "guidance_scale", "seed", "sampler")
TEXT_FIELDS = ("negative_prompt", "sampler")

Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class CatalogueError(ValueError):
    """A models.yaml that cannot be used; the message lists every problem."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(_Strict):
    """A request field that a model takes: for numbers a range and a grid, for texts a length and choices."""

    minimum: float | None = None
    maximum: float | None = None
    multiple_of: float | None = Field(default=None, gt=0)
    default: float | str | None = None
    choices: tuple[str, ...] = ()


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
    disabled_reason: str = ""
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    # What only the provider's own wire module understands; never leaves its process.
    wire: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        unknown = [name for name in self.parameters if name not in FITTED_FIELDS]
        if unknown:
            raise ValueError(f"no such request field: {', '.join(unknown)} (known: {', '.join(FITTED_FIELDS)})")
        low, high = self.typical_seconds
        if not 0 < low <= high:
            raise ValueError("typical_seconds must be two rising numbers above 0")
        if not self.enabled and not self.disabled_reason:
            raise ValueError("a disabled model needs a disabled_reason")
        return self

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

        Tasks and fields that this version does not know are left out: they cannot be asked for.
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
                "quality": catalog_pb2.Quality.Name(message.quality).removeprefix("QUALITY_").lower(),
                "typical_seconds": (message.typical_seconds_low, message.typical_seconds_high),
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
        owner: dict[str, str] = {}
        for model in self.models:
            for name in dict.fromkeys(model.names):
                if name in owner:
                    raise ValueError(f"{model.key} and {owner[name]} are both called {name!r}")
                owner[name] = model.key
        try:
            re.compile(self.outside_pattern)
        except re.error as error:
            raise ValueError(f"outside_pattern is not a regular expression: {error}") from error
        return self

    @property
    def revision(self) -> str:
        """Changes whenever anything a caller can see does."""
        told = b"".join(model.to_proto().SerializeToString(deterministic=True) for model in self.models)
        return hashlib.sha256(told).hexdigest()[:12]

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
    matches = difflib.get_close_matches(name.casefold(), list(by_folded), n=3, cutoff=0.0)
    return [by_folded[match] for match in matches]


def load_catalogue(provider: str, path: Path) -> Catalogue:
    """Read a provider's models.yaml.

    Raises CatalogueError with every problem at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Catalogue.model_validate(_named(provider, content))
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise CatalogueError(f"{path.name} of {provider} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CatalogueError(f"{path.name} of {provider}: {problems}") from error


def _named(provider: str, content: dict[str, Any]) -> dict[str, Any]:
    """The file's mapping of key → entry as a list of entries that know their key and provider."""
    models = [{"key": key, "provider": provider, **entry} for key, entry in content.pop("models").items()]
    outside = content.pop("outside", None)
    if outside is not None:
        outside = {"key": "outside", "provider": provider, "display_name": "", "upstream_model": "", **outside}
    return {"provider": provider, "models": models, "outside": outside, **content}


def _parameter_to_proto(name: str, parameter: Parameter) -> catalog_pb2.Parameter:
    message = catalog_pb2.Parameter(name=name, choices=parameter.choices)
    for bound in ("minimum", "maximum", "multiple_of"):
        value = getattr(parameter, bound)
        if value is not None:
            setattr(message, bound, value)
    if parameter.default is not None:
        message.default = parameter.default if isinstance(parameter.default, str) else f"{parameter.default:.10g}"
    return message


def _parameter_from_proto(message: catalog_pb2.Parameter) -> dict[str, Any]:
    bounds = {
        bound: getattr(message, bound) for bound in ("minimum", "maximum", "multiple_of") if message.HasField(bound)
    }
    default: float | str | None = message.default if message.HasField("default") else None
    if default is not None and message.name not in TEXT_FIELDS:
        default = float(default)
    return {**bounds, "default": default, "choices": tuple(message.choices)}
