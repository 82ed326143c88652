"""The models."""

from rich.console import Console

from imagegate.client.output.screen import line, row, table, text
from imagegate.client.plain import bare_name
from imagegate.v1 import catalog_pb2, terms_pb2


def print_models(out: Console, catalogue: catalog_pb2.ListModelsResponse) -> None:
    """One row per model, and below a line for each provider that is off."""
    rows = table("model", "tier", "credits", "quality", "seconds", "payment", "upstream", "state")
    for model in catalogue.models:
        row(
            rows,
            f"{model.provider}/{model.key}",
            model.tier,
            str(model.credits) if model.HasField("credits") else "?",
            bare_name(terms_pb2.Quality.DESCRIPTOR, model.quality),
            f"{model.typical_seconds_low:g}–{model.typical_seconds_high:g}",
            "once" if model.payment == terms_pb2.PAYMENT_PAY_ONCE else "",
            model.upstream_model,
            text("on", style="green") if model.enabled else text("off", style="yellow"),
        )
    out.print(rows)
    for provider in catalogue.providers:
        if not provider.enabled:
            line(out, f"{provider.name} is off: {provider.disabled_reason}", style="yellow")
