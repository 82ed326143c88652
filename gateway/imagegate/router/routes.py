"""Which candidates a requested name means. Pure.

The first rule that matches decides: empty, a route, `provider/key`, a key, an alias or upstream id,
`provider:<upstream id>`. A route may have the name of a key and then comes first; names of routes
can never look like the other forms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imagegate.router.config import DEFAULT_ROUTE, ModelOverrides, RouterConfig
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Catalogue, Model, nearest
from imagegate.runtime.redaction import clip
from imagegate.v1 import generation_pb2

ResolvedBy = generation_pb2.ResolvedBy


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
    name: str, config: RouterConfig, overrides: ModelOverrides, catalogues: Mapping[str, Catalogue]
) -> Resolution:
    """The candidates that `name` means. `catalogues` holds those that were read, by provider.

    Raises Failure(MODEL_NOT_FOUND) with the three nearest names.
    """

    def candidate(provider: str, asked: str, *, in_route: bool = False) -> Candidate:
        meant = overrides.apply(provider, asked, in_route=in_route)
        catalogue = catalogues.get(provider)
        if catalogue is None:
            return Candidate(provider, meant)
        listed = catalogue.find(meant)
        return Candidate(provider, meant, listed or catalogue.find_outside(meant), listed=listed is not None)

    def from_route(route: str) -> tuple[Candidate, ...]:
        return tuple(candidate(*entry.split("/", 1), in_route=True) for entry in config.routes[route])

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
        return Resolution(rule, tuple(Candidate(p, m.key, m) for p, m in by_name if not by_key or m.key == name))
    provider, colon, upstream_model = name.partition(":")
    if colon and provider in config.providers and upstream_model:
        outside = candidate(provider, upstream_model)
        if outside.is_shut_out:
            raise _unknown(name, config, catalogues, outside.model)
        if outside.model is not None or provider not in catalogues:
            return Resolution(generation_pb2.RESOLVED_BY_UPSTREAM_ID, (outside,))
    raise _unknown(name, config, catalogues)


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
