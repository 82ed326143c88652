"""The outcome for people, as a table, and for programs."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagegate.client.logs import printable
from imagegate.conformance.kit import Outcome
from imagegate.conformance.row import Verdict

STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_OFFERED: "dim", Verdict.NOT_TRIED: "yellow"}


def as_json(outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "address": outcome.address,
        "provider": outcome.provider,
        "sandbox": outcome.sandbox,
        "passed": outcome.number(Verdict.PASS),
        "failed": outcome.number(Verdict.FAIL),
        "not_offered": outcome.number(Verdict.NOT_OFFERED),
        "not_tried": outcome.number(Verdict.NOT_TRIED),
        "rows": [
            {"id": row.id, "expected": row.expected, "came": row.came, "verdict": str(row.verdict), "why": row.why}
            for row in outcome.rows
        ],
    }


def print_outcome(out: Console, outcome: Outcome) -> None:
    """One row per duty, then the sum. What a service told must not steer the terminal."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("duty", "verdict", "expected", "came", "why"):
        table.add_column(column, overflow="fold")
    for row in outcome.rows:
        cells = (row.expected, row.came, row.why)
        verdict = Text(row.verdict, style=STYLES[row.verdict])
        table.add_row(Text(row.id), verdict, *(Text(printable(cell)) for cell in cells))
    out.print(table)
    counts = (f"{outcome.number(verdict)} {verdict}" for verdict in Verdict if outcome.number(verdict))
    sandbox = f", sandbox {outcome.sandbox}" if outcome.sandbox else ""
    line = f"{outcome.provider or 'the provider'} at {outcome.address}{sandbox}: {', '.join(counts)}"
    out.print(Text(printable(line), style="bold"), soft_wrap=True)
