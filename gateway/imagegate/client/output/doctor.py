"""What works, and what to do where it does not."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from imagegate.client.doctor import Diagnosis, Made, Plan, ProviderRow, Row, Works
from imagegate.client.output.screen import line, row, table, text

STYLES = {
    Works.OK: "green",
    Works.WARNING: "yellow",
    Works.FAILED: "red",
    Works.OFF: "dim",
    Works.NOT_ASKED: "dim",
}
# Columns that a table with files and remedies needs.
WIDE = 160
FREE = "only free questions were asked: credit, and what a plan allows, shows with --generate or --all-models"


def print_plan(err: Console, plan: Plan) -> None:
    """What is going to be made, and what that costs."""
    line(err, plan.told())


def print_diagnosis(out: Console, diagnosis: Diagnosis, *, with_pictures: bool) -> None:
    """One row per provider, per model and per route, and what it comes to."""
    providers = table("provider", "key", "state")
    for each in diagnosis.providers:
        row(providers, each.name, each.key, _state(each))
    out.print(providers)
    _print_models(out, diagnosis.models, with_pictures=with_pictures)
    routes = table("route", "works", "who does, in order")
    for route in diagnosis.routes:
        works = text("yes", "green") if route.works else text("off", "yellow") if route.off else text("no", "red")
        row(routes, route.name, works, ", ".join(route.working) or f"none of {', '.join(route.candidates)}")
    out.print(routes)
    if not with_pictures:
        line(out, FREE, style="dim")


def _state(provider: ProviderRow) -> Text:
    if provider.off:
        return text(f"off: {provider.off}", style="yellow")
    return text(f"not reachable: {provider.problem}", style="red") if provider.problem else text("on", style="green")


def _print_models(out: Console, models: Sequence[Row], *, with_pictures: bool) -> None:
    """One row per model; where there is no room for files and remedies beside it, they stand below the table."""
    is_wide = out.width >= WIDE
    pictures = ("content type", "bytes", "cost") if with_pictures else ()
    rows = table("model", "works", "status", *pictures, *(("file", "remedy") if is_wide else ()))
    for model in models:
        works = text(model.works, STYLES[model.works])
        cells = _picture(model.made) if with_pictures else ()
        row(rows, model.model, works, model.status, *cells, *(_texts(model) if is_wide else ()))
    out.print(rows)
    for model in () if is_wide else models:
        for words in filter(None, _texts(model)):
            line(out, f"{model.model}: {words}")


def _texts(model: Row) -> tuple[str, str]:
    """The picture's file, and what there is to say of the model."""
    return model.made.file if model.made is not None else "", "; ".join(_remedy(model))


def _picture(made: Made | None) -> tuple[str, str, str]:
    if made is None:
        return "", "", ""
    return made.content_type, f"{made.bytes:,}", "?" if made.cost is None else str(made.cost)


def _remedy(model: Row) -> Iterator[str]:
    """What is the matter, in ours and the upstream's words, and what to do about it; nothing where all is well."""
    if model.works not in (Works.OK, Works.NOT_ASKED) and model.message:
        yield model.message
    if model.trouble is not None and model.trouble.upstream_message:
        yield f"“{model.trouble.upstream_message}”"
    if model.remedy:
        yield f"try: {model.remedy}"
    yield from model.made.differences if model.made is not None else ()
    yield from model.notes
