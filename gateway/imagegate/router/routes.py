"""Which candidates a requested name means. Pure.

The first rule that matches decides: empty, a route, `provider/key`, a key, an alias or upstream id,
`provider:<upstream id>`. A route may have the name of a key and then comes first; names of routes
can never look like the other forms. Where a quality is asked for, candidates of exactly that come first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imagegate.router.config import DEFAULT_ROUTE, ModelOverrides, QualityRoute, RouterConfig
from imagegate.runtime.errors import Failure, Reason, Violation
from imagegate.runtime.fitting import PRESETS
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.nearest import nearest
from imagegate.runtime.options import OPTIONS_FIELD
from imagegate.runtime.redaction import clip
from imagegate.v1 import generation_pb2, terms_pb2

ResolvedBy = generation_pb2.ResolvedBy
Quality = terms_pb2.Quality

# Of the providers that nobody has configured so many are named.
NAMED_PROVIDERS = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider and what it is asked for; `model` is its entry, None where no catalogue has it (yet).

    `listed` is whether that entry is the model's own: all upstream ids outside a catalogue share one.
    """

    provider: str
    asked: str
    model: Model | None = None
    listed: bool = True

    @property
    def key(self) -> str:
        """The model's key, or what is asked for where the catalogue does not have it."""
        return self.model.key if self.model and self.listed else self.asked

    @property
    def is_shut_out(self) -> bool:
        """Whether its provider lets in no ids outside its catalogue, of which this is one."""
        return self.model is not None and not self.listed and not self.model.enabled

    def __str__(self) -> str:
        return f"{self.provider}/{self.key}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The candidates in order, and the rule that found them; `route` is the route's name where it is one."""

    rule: "ResolvedBy.ValueType"
    candidates: tuple[Candidate, ...]
    route: str = ""


def resolve(
    name: str,
    config: RouterConfig,
    overrides: ModelOverrides,
    catalogues: Mapping[str, Catalogue],
    quality: "Quality.ValueType" = terms_pb2.QUALITY_UNSPECIFIED,
) -> Resolution:
    """The candidates that `name` means for pictures of this quality. `catalogues` holds those that were read, by
    provider.

    Raises Failure(MODEL_NOT_FOUND) with the three nearest names.
    """

    def candidate(provider: str, asked: str, *, in_route: bool = False) -> Candidate:
        meant = overrides.apply(provider, asked, in_route=in_route)
        catalogue = catalogues.get(provider)
        if catalogue is None:
            return Candidate(provider, meant)
        listed = catalogue.find(meant)
        return Candidate(provider, meant, listed or catalogue.find_outside(meant), listed=listed is not None)

    wanted = _name_of(quality)

    def from_route(name: str) -> tuple[Candidate, ...]:
        route = config.routes[name]
        by_quality = isinstance(route, QualityRoute)
        entries = route.candidates(wanted) if isinstance(route, QualityRoute) else route
        found = [candidate(*entry.split("/", 1), in_route=True) for entry in entries]
        return tuple(found) if by_quality else _of_quality_first(wanted, found)  # or else the operator has chosen

    if not name:
        return Resolution(generation_pb2.RESOLVED_BY_DEFAULT, from_route(DEFAULT_ROUTE), DEFAULT_ROUTE)
    if name in config.routes:
        return Resolution(generation_pb2.RESOLVED_BY_ROUTE, from_route(name), name)
    provider, slash, key = name.partition("/")
    if slash and provider in config.providers:
        exact = candidate(provider, key)
        if (exact.model is None or exact.is_shut_out) and provider in catalogues:
            raise _unknown(name, config, catalogues, exact.model)
        return Resolution(generation_pb2.RESOLVED_BY_EXACT, (exact,))
    by_name = [(p, m) for p, m in _offered(config, catalogues) if name in m.names]
    if by_name:
        by_key = any(m.key == name for _, m in by_name)
        rule = generation_pb2.RESOLVED_BY_KEY if by_key else generation_pb2.RESOLVED_BY_ALIAS
        meant = [Candidate(p, m.key, m) for p, m in by_name if not by_key or m.key == name]
        return Resolution(rule, _of_quality_first(wanted, meant))
    provider, colon, upstream_model = name.partition(":")
    if colon and provider in config.providers and upstream_model:
        outside = candidate(provider, upstream_model)
        if outside.is_shut_out:
            raise _unknown(name, config, catalogues, outside.model)
        if outside.model is not None or provider not in catalogues:
            return Resolution(generation_pb2.RESOLVED_BY_UPSTREAM_ID, (outside,))
    raise _unknown(name, config, catalogues)


def unknown_providers(request: generation_pb2.GenerateRequest, config: RouterConfig) -> list[Violation]:
    """What is wrong with a request's provider options: those for providers that are not configured."""
    unknown = sorted(name for name in request.provider_options if name not in config.providers)
    if not unknown:
        return []
    told = ", ".join(repr(clip(name, 64)) for name in unknown[:NAMED_PROVIDERS])
    more = f" and {len(unknown) - NAMED_PROVIDERS} others" if len(unknown) > NAMED_PROVIDERS else ""
    known = ", ".join(nearest(unknown[0], list(config.providers)))
    return [Violation(OPTIONS_FIELD, f"names {told}{more}; known here: {known}")]


def _name_of(quality: "Quality.ValueType") -> str:
    """Its name as catalogues and routes write it; empty where any will do."""
    return Quality.Name(quality).removeprefix("QUALITY_").lower() if quality in PRESETS else ""


def _of_quality_first(wanted: str, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those of the quality that is wanted before the others, which stay as fallbacks; all in their order."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.model is None or candidate.model.quality != wanted))


def _offered(config: RouterConfig, catalogues: Mapping[str, Catalogue]) -> Sequence[tuple[str, Model]]:
    """Every model of every provider that is switched on, in the providers' order."""
    return [
        (provider, model)
        for provider, settings in config.providers.items()
        if settings.enabled and provider in catalogues
        for model in catalogues[provider].models
    ]


def _unknown(
    name: str, config: RouterConfig, catalogues: Mapping[str, Catalogue], outside: Model | None = None
) -> Failure:
    """`outside` is what stands for it among the ids outside a catalogue; it says what would let those in."""
    offered = _offered(config, catalogues)
    full = [f"{provider}/{model.key}" for provider, model in offered]
    known = (
        [*config.routes, *(model.key for _, model in offered), *full] if "/" not in name else full or [*config.routes]
    )
    let_in = f"; or {outside.disabled_reason}" if outside is not None else ""
    return Failure(
        Reason.MODEL_NOT_FOUND,
        f"no model or route is called {clip(name, 128)!r}",
        remedy=f"one of {', '.join(nearest(name, list(dict.fromkeys(known))))}; `imagegate models` lists all{let_in}",
    )
