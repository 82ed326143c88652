"""Whether pictures can be had, and whether one model can be used now: what was seen, and what upstreams say. Pure."""

from collections.abc import Mapping

from pydantic import Field

from imagegate.client.plain import bare_name
from imagegate.edge.backend.naming import LOCAL_ENGINE, ROUTE, Shape, shown_provider
from imagegate.edge.backend.standing import (
    ModelStanding,
    ProviderStanding,
    is_warming,
    model_standing,
    provider_standing,
    why_not,
)
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

HUGGINGFACE = "huggingface"


class HuggingFaceShape(Shape):
    """Hugging Face, for a request that names no model."""

    enabled: bool
    available: bool
    model: str | None
    reason: str | None


class StableDiffusionShape(Shape):
    """The local engine, for a request that names no model. `url` is null where this server was not told it."""

    enabled: bool
    available: bool
    url: str | None
    reason: str | None


class ImageStatusAnswer(Shape):
    """How image generation is doing."""

    huggingface: HuggingFaceShape
    stable_diffusion: StableDiffusionShape
    providers: list[ProviderStanding]


class ModelStatusAnswer(Shape):
    """How one model is doing: what its upstream says now, and what was seen of it (`standing`; null for one outside the
    catalogue). What the upstream does not tell is null. `readyIn` is in seconds.
    """

    key: str
    provider: str
    upstream_model: str
    available: bool
    reason: str | None
    message: str
    remedy: str
    exists: bool | None
    loaded: bool | None
    warming: bool = Field(description="Whether it is being loaded.")
    ready_in: float | None
    key_accepted: bool | None
    upstream_status: int | None
    upstream_message: str
    standing: ModelStanding | None


def image_status(
    status: router_pb2.RouterStatus, checks: Mapping[str, catalog_pb2.ModelCheck], url: str | None
) -> ImageStatusAnswer:
    """The answer; `checks` are what upstreams said just now, by candidate, `url` where the local engine is."""
    enabled, model, reason = _first(HUGGINGFACE, status, checks)
    local_enabled, _, local_reason = _first(LOCAL_ENGINE, status, checks)
    return ImageStatusAnswer(
        huggingface=HuggingFaceShape(enabled=enabled, available=not reason, model=model, reason=reason),
        stable_diffusion=StableDiffusionShape(
            enabled=local_enabled, available=not local_reason, url=url, reason=local_reason
        ),
        providers=[provider_standing(provider) for provider in status.providers],
    )


def candidates_to_check(status: router_pb2.RouterStatus) -> list[str]:
    """Which candidates of a request without a model the two parts of the answer are about."""
    mine = (_candidate(name, status) for name in (HUGGINGFACE, LOCAL_ENGINE))
    return [candidate for candidate in mine if candidate is not None]


def model_status(check: catalog_pb2.ModelCheck, status: router_pb2.RouterStatus) -> ModelStatusAnswer:
    """The answer for the model that was checked."""
    provider = next((each for each in status.providers if each.name == check.provider), None)
    model = next((each for each in provider.models if each.key == check.model), None) if provider else None
    reason = _said(check) or (why_not(provider, model) if provider else None)
    return ModelStatusAnswer(
        key=f"{check.provider}/{check.model}",
        provider=shown_provider(check.provider),
        upstream_model=check.upstream_model,
        available=not reason,
        reason=reason,
        message=check.message,
        remedy=check.remedy,
        exists=check.exists if check.HasField("exists") else None,
        loaded=check.loaded if check.HasField("loaded") else None,
        warming=check.HasField("ready_in") or (model is not None and is_warming(model)),
        ready_in=check.ready_in.ToNanoseconds() / 1e9 if check.HasField("ready_in") else None,
        key_accepted=check.key_accepted if check.HasField("key_accepted") else None,
        upstream_status=check.upstream_status or None,
        upstream_message=check.upstream_message,
        standing=model_standing(provider, model) if provider and model else None,
    )


def _candidate(provider: str, status: router_pb2.RouterStatus) -> str | None:
    """The provider's first candidate for a request without a model."""
    routes = (route.candidates for route in status.routes if route.name == ROUTE)
    return next((each for route in routes for each in route if each.partition("/")[0] == provider), None)


def _first(
    name: str, status: router_pb2.RouterStatus, checks: Mapping[str, catalog_pb2.ModelCheck]
) -> tuple[bool, str | None, str | None]:
    """Whether the provider is enabled, the model it would be asked for, and why it would not be."""
    provider = next((each for each in status.providers if each.name == name), None)
    if provider is None:
        return False, None, f"the configuration has no provider called {name}"
    candidate = _candidate(name, status)
    if candidate is None:
        return provider.enabled, None, f"the route {ROUTE} has no model of {name}"
    key = candidate.partition("/")[2]
    check = checks.get(candidate)
    model = next((each for each in provider.models if each.key == key), None)
    upstream_model = check.upstream_model if check is not None else ""
    return provider.enabled, upstream_model or key, why_not(provider, model) or _said(check)


def _said(check: catalog_pb2.ModelCheck | None) -> str | None:
    """What speaks against a model by its upstream's own word."""
    if check is None or not check.reason:
        return None
    ready = f"; ready in about {check.ready_in.ToNanoseconds() / 1e9:.0f} s" if check.HasField("ready_in") else ""
    said = f"{bare_name(error_pb2.ErrorReason.DESCRIPTOR, check.reason)}: {check.message}{ready}"
    return f"{said}; try: {check.remedy}" if check.remedy else said
