"""Which models to use for a purpose."""

from rich.console import Console

from imagegate.client.output.screen import line, row, table, text
from imagegate.v1 import catalog_pb2


def print_recommendations(out: Console, answer: catalog_pb2.RecommendModelsResponse) -> None:
    """One row per model, best first; where none fits, what is in the way."""
    if not answer.recommendations:
        line(out, f"no model fits: {answer.message}", style="yellow")
        return
    rows = table("model", "tier", "credits", "now", "why")
    for each in answer.recommendations:
        row(
            rows,
            f"{each.model.provider}/{each.model.key}",
            each.model.tier,
            str(each.cost) if each.HasField("cost") else "?",
            text("yes", style="green") if each.available else text("no", style="yellow"),
            each.why,
        )
    out.print(rows)
