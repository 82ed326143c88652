"""How providers and routes are doing."""

from collections.abc import Iterator
from datetime import UTC

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from imagegate.client.output.breaker import told
from imagegate.client.output.screen import row, table, text, until
from imagegate.client.plain import bare_name
from imagegate.v1 import error_pb2, router_pb2

Scope = router_pb2.ProviderStatus | router_pb2.ModelStatus


def print_status(out: Console, status: router_pb2.RouterStatus, *, with_models: bool) -> None:
    """The status, once."""
    out.print(status_view(status, with_models=with_models))


def status_view(status: router_pb2.RouterStatus, *, with_models: bool) -> Group:
    """One row per provider and per model (only those with something the matter, unless `with_models`), what there is
    to say about them, and one row per route.
    """
    scopes = table("provider", "state", "breaker", "held back", "failing", "in flight", "last error")
    for provider in status.providers:
        _add(scopes, provider.name, provider, _state(provider), str(provider.in_flight))
        for model in provider.models:
            if with_models or _has_news(model):
                _add(scopes, f"  {model.key}", model, _counts(model), "")
    routes = table("route", "available", "candidates, in order")
    for route in status.routes:
        available = text("yes", style="green") if route.available else text("no", style="red")
        row(routes, route.name, available, ", ".join(route.candidates))
    return Group(scopes, *(text(note, style="yellow") for note in _notes(status)), routes)


def _add(scopes: Table, name: str, scope: Scope, state: Text, in_flight: str) -> None:
    row(
        scopes,
        name,
        state,
        bare_name(router_pb2.BreakerState.DESCRIPTOR, scope.breaker).lower().replace("_", "-"),
        _held_back(scope),
        f"{scope.failure_rate:.0%}" if scope.HasField("failure_rate") else "",
        in_flight,
        _last_error(scope.last_error) if scope.HasField("last_error") else "",
    )


def _has_news(model: router_pb2.ModelStatus) -> bool:
    troubled = model.breaker in {router_pb2.BREAKER_STATE_OPEN, router_pb2.BREAKER_STATE_HALF_OPEN}
    return bool(troubled or model.held_back or model.slow or model.rejecting or model.HasField("override"))


def _state(provider: router_pb2.ProviderStatus) -> Text:
    if not provider.enabled:
        return text(f"off: {provider.disabled_reason}", style="yellow")
    if not provider.reachable:
        return text(f"not reachable{f': {provider.problem}' if provider.problem else ''}", style="red")
    quota = f", {provider.quota_left} requests left today" if provider.HasField("quota_left") else ""
    return text(f"on{quota}", style="green")


def _counts(model: router_pb2.ModelStatus) -> Text:
    told = [f"{model.succeeded} made, {model.failed} failed"]
    told += [f"usually {model.usual.ToNanoseconds() / 1e9:.1f} s"] if model.HasField("usual") else []
    told += [word for word, is_so in (("slow", model.slow), ("rejecting", bool(model.rejecting))) if is_so]
    return text(", ".join(told))


def _held_back(scope: Scope) -> str:
    """Why and until when it is passed over."""
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, scope.held_back)
    end = until(scope.until.ToDatetime(tzinfo=UTC)) if scope.HasField("until") else ""
    return f"{reason} {end}".strip()


def _last_error(error: router_pb2.LastError) -> str:
    return f"{bare_name(error_pb2.ErrorReason.DESCRIPTOR, error.reason)}: {error.message}"


def _notes(status: router_pb2.RouterStatus) -> Iterator[str]:
    for provider in status.providers:
        if provider.HasField("override"):
            yield f"decided: {told(provider.override)}"
        for model in provider.models:
            if model.HasField("override"):
                yield f"decided: {told(model.override)}"
            if model.rejecting:
                yield f"{provider.name}/{model.key} stands last, since it rejects every input: “{model.rejecting}”"
