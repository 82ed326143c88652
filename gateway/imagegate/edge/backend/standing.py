"""How providers and models are doing, as web backends are told. Pure.

Where our own processes are, and what they complain of, is for operators (`imagegate status`), not for callers.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from imagegate.client.plain import bare_name, plain
from imagegate.edge.backend.naming import Shape, shown_provider
from imagegate.v1 import error_pb2, router_pb2

SWITCHED_OFF = "it is switched off"


class ErrorShape(Shape):
    """A failure as it was seen, with the upstream's own words."""

    reason: str = ""
    message: str
    at: datetime | None = None
    upstream_status: int
    upstream_message: str


class StandingShape(Shape):
    """How a provider or a model is doing. `available` is whether it would be tried now, `reason` why not;
    `failureRate` is failed ÷ all, null where nothing counts.
    """

    enabled: bool
    available: bool
    reason: str | None
    breaker: str = ""
    held_back: str | None = None
    until: datetime | None = None
    failure_rate: float | None = None
    last_error: ErrorShape | None = None


class ModelStanding(StandingShape):
    """How a model is doing. `warming`: it is being loaded, ready at `until`. `usual` is in seconds."""

    key: str
    warming: bool
    slow: bool
    rejecting: str
    succeeded: int
    failed: int
    usual: float | None = None


class ProviderStanding(StandingShape):
    """How a provider is doing; `quotaLeft` is null where it has no quota of its own."""

    name: str
    reachable: bool
    in_flight: int
    quota_left: int | None = None
    models: list[ModelStanding]


def why_not(provider: router_pb2.ProviderStatus, model: router_pb2.ModelStatus | None) -> str | None:
    """Why the model (None: any of the provider's) would not be tried now; None where it would."""
    if not provider.enabled:
        return provider.disabled_reason or SWITCHED_OFF
    if not provider.reachable:
        return "its service does not answer"
    if model is not None and not model.enabled:
        return model.disabled_reason or SWITCHED_OFF
    held: Sequence[router_pb2.ProviderStatus | router_pb2.ModelStatus] = (
        [provider] if model is None else [provider, model]
    )
    return next((_held_back(each) for each in held if each.held_back), None)


def _held_back(each: router_pb2.ProviderStatus | router_pb2.ModelStatus) -> str:
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, each.held_back)
    until = f" until {each.until.ToDatetime(UTC):%H:%M:%S} UTC" if each.HasField("until") else ""
    return f"{reason}{until}" + (f": {each.last_error.message}" if each.last_error.message else "")


def is_warming(model: router_pb2.ModelStatus) -> bool:
    """Whether it is being loaded."""
    return model.held_back == error_pb2.ERROR_REASON_WARMING


def provider_standing(provider: router_pb2.ProviderStatus) -> ProviderStanding:
    """How the provider is doing."""
    reason = why_not(provider, None)
    told = {
        **plain(provider),
        "name": shown_provider(provider.name),
        "available": not reason,
        "reason": reason,
        "models": [model_standing(provider, model) for model in provider.models],
    }
    return ProviderStanding.model_validate(told)


def model_standing(provider: router_pb2.ProviderStatus, model: router_pb2.ModelStatus) -> ModelStanding:
    """How a model of the provider is doing."""
    reason = why_not(provider, model)
    told = {
        **plain(model),
        "key": f"{provider.name}/{model.key}",
        "available": not reason,
        "reason": reason,
        "warming": is_warming(model),
    }
    return ModelStanding.model_validate(told)
