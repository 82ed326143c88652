"""What the command line prints for people. Everything here takes the console to print on."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagegate.client.address import DEFAULT_ROUTER
from imagegate.client.files import is_misnamed
from imagegate.client.logs import printable
from imagegate.client.plain import bare_name
from imagegate.client.result import Attempt, Result
from imagegate.client.running import Running
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

PIPE_WIDTH = 200  # columns where nobody looks: nothing should be cut


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, without guessing colours into what it prints."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def print_result(out: Console, result: Result, paths: Sequence[Path]) -> None:
    """The files, who made them and how."""
    for path, image in zip(paths, result.images, strict=True):
        facts = [f"{result.provider}/{result.model}", f"{image.width} × {image.height}"]
        facts += [f"seed {image.seed}"] if image.seed is not None else []
        _line(out, str(path), style="bold")
        _line(out, "  " + " · ".join(facts))
        if is_misnamed(path, image):
            _line(out, f"  note: the picture is {image.mime_type}, whatever the file's name says", style="yellow")
    price = "cost not known" if result.cost is None else f"{result.cost} credits"
    _line(out, f"  {result.seconds:.1f} s · {price} · request {result.request_id}", style="dim")
    if result.sandbox:
        _line(out, "  SANDBOX: a stand-in drew this, no model did", style="bold yellow")
    for adjustment in result.adjustments:
        sent = f" → {adjustment.applied}" if adjustment.applied else ""
        asked = f" {adjustment.requested}" if adjustment.requested else ""
        _line(out, f"  {adjustment.action.lower()}: {adjustment.parameter}{asked}{sent} ({adjustment.why})")
    for warning in result.warnings:
        _line(out, f"  warning: {warning}", style="yellow")
    if len(result.attempts) > 1:
        print_attempts(out, result.attempts)


def print_attempts(out: Console, attempts: Sequence[Attempt]) -> None:
    """One row per candidate, in the order in which they were tried."""
    table = _table("#", "provider/model", "outcome", "time", "what happened")
    for number, attempt in enumerate(attempts, start=1):
        _row(
            table,
            str(number),
            f"{attempt.provider}/{attempt.model}",
            _outcome(attempt),
            "" if attempt.skipped else f"{attempt.seconds:.2f} s",
            _what_happened(attempt),
        )
    out.print(table)


def print_models(out: Console, catalogue: catalog_pb2.ListModelsResponse) -> None:
    """One row per model, and below a line for each provider that is off."""
    table = _table("model", "tier", "credits", "quality", "seconds", "upstream", "state")
    for model in catalogue.models:
        quality = bare_name(catalog_pb2.Quality.DESCRIPTOR, model.quality)
        _row(
            table,
            f"{model.provider}/{model.key}",
            model.tier,
            str(model.credits) if model.HasField("credits") else "?",
            quality,
            f"{model.typical_seconds_low:g}–{model.typical_seconds_high:g}",
            model.upstream_model,
            Text("on", style="green") if model.enabled else Text("off", style="yellow"),
        )
    out.print(table)
    for provider in catalogue.providers:
        if not provider.enabled:
            _line(out, f"{provider.name} is off: {provider.disabled_reason}", style="yellow")


def print_status(out: Console, status: router_pb2.RouterStatus, *, with_models: bool) -> None:
    """One row per provider (and per model, if asked), then one per route."""
    table = _table("provider", "state", "breaker", "until", "in flight", "last error")
    for provider in status.providers:
        until = provider.until.ToJsonString() if provider.HasField("until") else ""
        error = _last_error(provider.last_error) if provider.HasField("last_error") else ""
        _row(table, provider.name, _state(provider), _breaker(provider.breaker), until, str(provider.in_flight), error)
        for model in provider.models if with_models else ():
            until = model.until.ToJsonString() if model.HasField("until") else ""
            error = _last_error(model.last_error) if model.HasField("last_error") else ""
            counts = f"{model.succeeded} made, {model.failed} failed"
            _row(table, f"  {model.key}", counts, _breaker(model.breaker), until, "", error)
    out.print(table)
    routes = _table("route", "available", "candidates, in order")
    for route in status.routes:
        available = Text("yes", style="green") if route.available else Text("no", style="red")
        _row(routes, route.name, available, ", ".join(route.candidates))
    out.print(routes)


def print_running(out: Console, running: Running) -> None:
    """What `up` started, and how to use it."""
    _line(
        out, f"imagegate is ready on {running.router.address} (metrics: {running.router.metrics})", style="bold green"
    )
    for name, service in running.providers.items():
        on = "on, SANDBOX" if name in running.sandboxed else "on"
        _line(out, f"  {name:13}  {service.address:21}  {f'off: {service.off}' if service.off else on}")
    for name, why in running.not_started.items():
        _line(out, f"  {name:13}  {'not started':21}  off: {why}")
    if running.sandbox:
        _line(out, f"  sandbox        {running.sandbox} (world {running.world}): its pictures are no model's work")
    router = "" if running.router.address == DEFAULT_ROUTER else f" --router {running.router.address}"
    _line(out, f'try: imagegate generate "a lighthouse at dusk"{router}   (Ctrl-C here stops everything)')


def _outcome(attempt: Attempt) -> Text:
    if attempt.skipped:
        return Text(printable(f"skipped: {attempt.reason}"), style="dim")
    return Text(printable(attempt.reason), style="red") if attempt.reason else Text("delivered", style="green")


def _what_happened(attempt: Attempt) -> str:
    until = f"until {attempt.skipped_until:%H:%M:%S} UTC" if attempt.skipped_until else ""
    words = f"“{attempt.upstream_message}”" if attempt.upstream_message else ""
    remedy = f"; try: {attempt.remedy}" if attempt.remedy else ""
    return " ".join(part for part in (attempt.message, words, until) if part) + remedy


def _state(provider: router_pb2.ProviderStatus) -> Text:
    if not provider.enabled:
        return Text(printable(f"off: {provider.disabled_reason}"), style="yellow")
    return Text("on", style="green") if provider.reachable else Text("not reachable", style="red")


def _breaker(state: "router_pb2.BreakerState.ValueType") -> str:
    return bare_name(router_pb2.BreakerState.DESCRIPTOR, state).lower().replace("_", "-")


def _last_error(error: router_pb2.LastError) -> str:
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, error.reason)
    return f"{reason}: {error.message}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str | Text) -> None:
    """A row; what comes from the wire must not steer the terminal, so no text gets into a table but through here."""
    table.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells))


def _line(out: Console, text: str, style: str = "") -> None:
    """One line that is never broken by us: a path must stay one word."""
    out.print(Text(printable(text), style=style), soft_wrap=True)
