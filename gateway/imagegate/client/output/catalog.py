"""The models."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from imagegate.client.output.screen import line, row, table, text
from imagegate.client.plain import bare_name
from imagegate.v1 import catalog_pb2, terms_pb2

COLUMNS = (
    "model",
    "tier",
    "credits",
    "quality",
    "size",
    "seconds",
    "payment",
    "first for",
    "tasks",
    "upstream",
    "state",
)


def print_models(out: Console, catalogue: catalog_pb2.ListModelsResponse) -> None:
    """One row per model, and below a line for everything that is off."""
    rows = table(*COLUMNS)
    for model in catalogue.models:
        row(
            rows,
            f"{model.provider}/{model.key}",
            model.tier,
            price(model),
            bare_name(terms_pb2.Quality.DESCRIPTOR, model.quality),
            f"{model.width}×{model.height}" if model.width and model.height else "",
            f"{model.typical_seconds_low:g}–{model.typical_seconds_high:g}",
            "once" if model.payment == terms_pb2.PAYMENT_PAY_ONCE else "",
            model.recommended_for,
            ", ".join(bare_name(catalog_pb2.Task.DESCRIPTOR, task).lower() for task in model.tasks),
            model.upstream_model,
            _state(model),
        )
    out.print(rows)
    for what, reason in _off(catalogue):
        line(out, f"{what} is off: {reason}", style="yellow")


def price(model: catalog_pb2.Model) -> str:
    """What a picture costs in credits: `3`, `25 per megapixel`, `?` where nobody knows."""
    if not model.HasField("credits"):
        return "?"
    unit = " per megapixel" if model.priced_by == catalog_pb2.PRICED_BY_MEGAPIXEL else ""
    return f"{model.credits}{unit}"


def _state(model: catalog_pb2.Model) -> Text:
    if model.enabled:
        return text("on", style="green")
    return text("coming soon" if model.coming_soon else "off", style="yellow")


def _off(catalogue: catalog_pb2.ListModelsResponse) -> Iterator[tuple[str, str]]:
    """Everything that is off, and why."""
    yield from ((p.name, p.disabled_reason) for p in catalogue.providers if not p.enabled)
    yield from ((f"{m.provider}/{m.key}", m.disabled_reason) for m in catalogue.models if not m.enabled)
    for provider in catalogue.providers:
        if provider.HasField("outside_catalogue") and not provider.outside_catalogue.enabled:
            yield f"{provider.name}:<upstream id>", provider.outside_catalogue.disabled_reason
