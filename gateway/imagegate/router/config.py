"""The router's configuration: one YAML file, overridden by variables, checked as a whole.

A wrong file is refused with every problem at once, and with the nearest known name where a key is
unknown, so that it can be mended in one go.
"""

import difflib
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from imagegate.runtime import duration, strict_yaml
from imagegate.runtime.access import Role
from imagegate.runtime.bearer import HASH_PATTERN
from imagegate.runtime.callers import MAX_WEIGHT, NAME_PATTERN, Caller, Callers

PACKAGED = Path(__file__).with_name("imagegate.yaml")
PREFIX = "IMAGEGATE_"
DEFAULT_ROUTE = "default"
# The name that stands for the model of HF_IMAGE_MODEL, and the one that FLUX_MODEL replaces.
HUGGINGFACE = "huggingface"
DEFAULT_MODEL = "default"
FLUX_DEV = "flux-dev"
DEFAULT_HUB_MODEL = "black-forest-labs/FLUX.1-schnell"


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` lists every one, each with its place."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(f"{source}: " + "; ".join(problems))


def _seconds(value: object) -> object:
    """`90s`, `2m`, `500ms` or a number of seconds."""
    length = duration.seconds(value) if isinstance(value, str) else None
    return value if length is None else length


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=3600)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
CandidateName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$")]


Candidates = Annotated[list[CandidateName], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Strict):
    """How long one attempt may take, and what is not slow yet."""

    attempt_timeout: Seconds | None = None
    latency_objective: Seconds | None = None


class ProviderConfig(ModelConfig):
    """Where a provider's service is, whether it takes part, and what holds for its models, or for one by its key.

    `tls` says whether it is called over TLS, where that is not as the environment has it; `server_name` is the name in
    its certificate, where that is not the target's host.
    """

    target: Annotated[str, Field(min_length=1, max_length=512)]
    tls: bool | None = None
    server_name: Annotated[str, Field(max_length=253)] = ""
    enabled: bool = True
    models: dict[Name, ModelConfig] = Field(default_factory=dict)

    @property
    def place(self) -> tuple[str, bool | None, str]:
        """What makes it another service when it changes."""
        return self.target, self.tls, self.server_name


class QualityRoute(_Strict):
    """A route by quality: the candidates for pictures of each, and for those of any other quality, or of none."""

    default: Candidates
    sd: Candidates | None = None
    hd: Candidates | None = None
    ultra: Candidates | None = None
    premium: Candidates | None = None

    def candidates(self, quality: str) -> Sequence[str]:
        """Those for `quality`, a name such as `hd`."""
        own: list[str] | None = getattr(self, quality, None)
        return own or self.default


PLAIN, BY_QUALITY = "plain", "by quality"
Route = Annotated[
    Annotated[Candidates, Tag(PLAIN)] | Annotated[QualityRoute, Tag(BY_QUALITY)],
    Discriminator(lambda route: BY_QUALITY if isinstance(route, Mapping | QualityRoute) else PLAIN),
]


class RouteOptions(_Strict):
    """What one route does differently.

    `fall_back_on_refused_content`: what one upstream's safety check refused is shown to the next one. `reject_blank`: a
    picture of one colour throughout is no picture, instead of one with a warning.
    """

    attempt_timeout: Seconds | None = None
    fall_back_on_refused_content: bool = False
    reject_blank: bool = False


class CallerConfig(_Strict):
    """Somebody who may ask, and how they are known: by the names in their certificate (SAN URI, SAN DNS or CN), or by
    keys, of which only the SHA-256 is here. Without either it is a certificate with the caller's own name.

    `weight` is their share where there is not enough for all, `max_inflight` how many of their requests may be under
    way at a time, `tier` the dearest tier of models that they may use.
    """

    identities: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(default_factory=list, max_length=100)
    keys: list[Annotated[str, Field(pattern=HASH_PATTERN)]] = Field(default_factory=list, max_length=100)
    role: Role = Role.CALLER
    tier: Literal["", "free", "basic", "pro", "enterprise"] = ""
    weight: Annotated[float, Field(gt=0, le=MAX_WEIGHT)] = 1.0
    max_inflight: Annotated[int, Field(ge=1, le=100_000)] | None = None


class RouterConfig(_Strict):
    """The providers in fallback order, and the routes: a name and its candidates in order, or these by quality; and who
    may ask (where nobody is named: anybody).
    """

    providers: dict[Name, ProviderConfig] = Field(min_length=1)
    routes: dict[Name, Route]
    route_options: dict[Name, RouteOptions] = Field(default_factory=dict)
    callers: dict[Name, CallerConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "RouterConfig":
        routes = self.model_dump(include={"routes"}, exclude_none=True)["routes"]
        problems = _inconsistencies(self.providers, routes, self.route_options) + _shared_credentials(self.callers)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def attempt_timeout(self, provider: str, model: str, route: str) -> float | None:
        """The seconds that one attempt may take at most: the route's word, else the model's, else the provider's."""
        settings = self.providers[provider]
        return (
            self.route_options.get(route, RouteOptions()).attempt_timeout
            or settings.models.get(model, settings).attempt_timeout
            or settings.attempt_timeout
        )

    def latency_objective(self, provider: str, model: str) -> float | None:
        """The seconds within which a picture is not slow, whatever was usual before."""
        settings = self.providers[provider]
        return settings.models.get(model, settings).latency_objective or settings.latency_objective

    def known_callers(self) -> Callers:
        """Those who may ask, by what they show."""
        by_identity: dict[str, Caller] = {}
        by_hash: dict[str, Caller] = {}
        for name, settings in self.callers.items():
            caller = Caller(name, settings.role, settings.tier, settings.weight, settings.max_inflight)
            by_identity |= dict.fromkeys(_identities(name, settings), caller)
            by_hash |= dict.fromkeys(settings.keys, caller)
        return Callers(by_identity, by_hash)

    @property
    def hash(self) -> str:
        """Changes whenever the configuration does."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class ModelOverrides(_Strict):
    """The models that two well-known variables put in place of the configured ones (Hub ids)."""

    default_model: str = DEFAULT_HUB_MODEL
    flux_model: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ModelOverrides":
        """HF_IMAGE_MODEL and FLUX_MODEL, where they are set."""
        return cls(
            default_model=environ.get("HF_IMAGE_MODEL") or DEFAULT_HUB_MODEL, flux_model=environ.get("FLUX_MODEL", "")
        )

    def apply(self, provider: str, model: str, *, in_route: bool) -> str:
        """The model that is meant by `provider`/`model`; FLUX_MODEL takes its place in routes only."""
        if provider != HUGGINGFACE:
            return model
        if model == DEFAULT_MODEL:
            return self.default_model
        return self.flux_model if in_route and model == FLUX_DEV and self.flux_model else model


def config_path(environ: Mapping[str, str]) -> Path:
    """The file that IMAGEGATE_CONFIG names, or the packaged one."""
    return Path(environ["IMAGEGATE_CONFIG"]) if environ.get("IMAGEGATE_CONFIG") else PACKAGED


def load(path: Path, environ: Mapping[str, str] | None = None) -> RouterConfig:
    """Read `path` and apply the overrides in `environ` (none by default).

    Raises ConfigError with every problem at once.
    """
    try:
        content = strict_yaml.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read ({error.strerror}); set IMAGEGATE_CONFIG to a file"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(content, dict):
        raise ConfigError(str(path), ["must be a mapping with `providers` and `routes`"])
    problems = _override(content, environ or {})
    try:
        config = RouterConfig.model_validate(content)
    except ValidationError as error:
        told = _problems(error)
        # Judged on what was written: a mistake elsewhere must not hide these.
        told += [each for each in _inconsistencies(*_written(content)) if each not in told]
        raise ConfigError(str(path), problems + told) from error
    if problems:
        raise ConfigError(str(path), problems)
    return config


def dump(config: RouterConfig) -> str:
    """The configuration as YAML, complete."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False, width=100)


def redacted(config: RouterConfig) -> RouterConfig:
    """The configuration without the hashes of keys, but for as much as tells one from another."""
    callers = {
        name: caller.model_copy(update={"keys": [f"{each[:8]}…" for each in caller.keys]})
        for name, caller in config.callers.items()
    }
    return config.model_copy(update={"callers": callers})


def _written(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The providers, routes and their options of a file that may be wrong in any way, as far as they can be read."""
    parts = (content.get(name) for name in ("providers", "routes", "route_options"))
    return [{str(name): value for name, value in part.items()} if isinstance(part, dict) else {} for part in parts]


def _lists(routes: Mapping[str, object]) -> Mapping[str, Sequence[str]]:
    """Every list of candidates by its place: the route, or the route and its quality."""
    places: dict[str, object] = {}
    for name, route in routes.items():
        places |= {f"{name}.{key}": own for key, own in route.items()} if isinstance(route, Mapping) else {name: route}
    return {
        place: [candidate for candidate in listed if isinstance(candidate, str)]
        for place, listed in places.items()
        if isinstance(listed, list)
    }


def _inconsistencies(
    providers: Mapping[str, object], routes: Mapping[str, object], options: Mapping[str, object]
) -> list[str]:
    """Where providers, routes and their options do not fit together; `routes` are lists, or lists by quality."""
    lists = _lists(routes)
    problems = [
        f"routes.{route}: {candidate!r} names no configured provider{_did_you_mean(provider, providers)}"
        for route, candidates in lists.items()
        for candidate in candidates
        if (provider := candidate.partition("/")[0]) not in providers
    ]
    problems += [f"routes.{name}: a provider has this name too" for name in routes if name in providers]
    problems += [
        f"routes.{route}: lists a candidate twice"
        for route, candidates in lists.items()
        if len(set(candidates)) < len(candidates)
    ]
    problems += [
        f"route_options.{name}: no such route{_did_you_mean(name, routes)}" for name in options if name not in routes
    ]
    if DEFAULT_ROUTE not in routes:
        problems.append(f"routes: the route {DEFAULT_ROUTE!r} is missing; a request without a model takes it")
    return problems


def _identities(name: str, caller: CallerConfig) -> Sequence[str]:
    return caller.identities or ([] if caller.keys else [name])


def _shared_credentials(callers: Mapping[str, CallerConfig]) -> list[str]:
    """Who is known by the same as somebody else; a key's hash is not repeated."""
    owners: dict[tuple[str, str], str] = {}
    problems = []
    for name, caller in callers.items():
        shown = [("identity", each) for each in _identities(name, caller)] + [("key", each) for each in caller.keys]
        for credential in shown:
            other = owners.setdefault(credential, name)
            if other != name:
                kind, value = credential
                what = f"the identity {value!r}" if kind == "identity" else "a key"
                problems.append(f"callers.{name}: shares {what} with callers.{other}")
    return problems


def _override(content: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Apply IMAGEGATE_A__B__C=value; hyphens in a name are underscores in the variable."""
    problems = []
    for variable in sorted(environ):
        path = variable.removeprefix(PREFIX).lower().split("__")
        if not variable.startswith(PREFIX) or len(path) < 2:
            continue
        if path[0] not in RouterConfig.model_fields:
            problems.append(f"{variable}: no such setting{_did_you_mean(path[0], RouterConfig.model_fields)}")
            continue
        try:
            value = strict_yaml.parse(environ[variable])
        except yaml.YAMLError:
            value = environ[variable]
        if not _set(content, path, value):
            problems.append(f"{variable}: does not lead to a value")
    return problems


def _set(content: dict[str, Any], path: list[str], value: object) -> bool:
    place: Any = content
    for index, segment in enumerate(path):
        if not isinstance(place, dict):
            return False
        key = next((key for key in place if str(key).replace("-", "_").lower() == segment), segment)
        if index == len(path) - 1:
            place[key] = value
        else:
            place = place.setdefault(key, {})
    return True


def _problems(error: ValidationError) -> list[str]:
    found = []
    for detail in error.errors():
        parts = _place(detail["loc"])
        place = ".".join(parts)
        if detail["type"] == "extra_forbidden":
            known = _known_keys(parts)
            found.append(f"{place}: unknown key{_did_you_mean(str(detail['loc'][-1]), known)}")
        elif detail["type"] == "value_error" and not detail["loc"]:
            found += str(detail["ctx"]["error"]).split("\n")
        else:
            found.append(f"{place}: {detail['msg']}")
    return found


def _place(loc: Sequence[int | str]) -> list[str]:
    """Where in the file; pydantic also tells that it was a key, or which of its two shapes a route has."""
    parts = [str(part) for part in loc if part != "[key]"]
    return parts[:2] + parts[3:] if parts[:1] == ["routes"] and parts[2:3] in ([PLAIN], [BY_QUALITY]) else parts


def _known_keys(place: Sequence[str]) -> Mapping[str, object]:
    """What could have stood where an unknown key was found."""
    match place:
        case [_]:
            return RouterConfig.model_fields
        case ["routes", *_]:
            return QualityRoute.model_fields
        case ["route_options", *_]:
            return RouteOptions.model_fields
        case ["callers", *_]:
            return CallerConfig.model_fields
        case ["providers", _, "models", *_]:
            return ModelConfig.model_fields
        case _:
            return ProviderConfig.model_fields


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def read(environ: Mapping[str, str] = os.environ) -> RouterConfig:
    """The configuration that `environ` asks for. Raises ConfigError."""
    return load(config_path(environ), environ)
