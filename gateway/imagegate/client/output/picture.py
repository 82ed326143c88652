"""Pictures that were made, and the attempts behind them."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from imagegate.client.files import is_misnamed
from imagegate.client.output.screen import line, row, table, text, until
from imagegate.client.result import Adjustment, Attempt, Result


def print_result(out: Console, result: Result, paths: Sequence[Path]) -> None:
    """The files, who made them and how."""
    for path, image in zip(paths, result.images, strict=True):
        facts = [f"{result.provider}/{result.model}", f"{image.width} × {image.height}"]
        facts += [f"seed {image.seed}"] if image.seed is not None else []
        line(out, str(path), style="bold")
        line(out, "  " + " · ".join(facts))
        if is_misnamed(path, image):
            line(out, f"  note: the picture is {image.mime_type}, whatever the file's name says", style="yellow")
    price = "cost not known" if result.cost is None else f"{result.cost} credits"
    line(out, f"  {result.seconds:.1f} s · {price} · request {result.request_id}", style="dim")
    if result.sandbox:
        line(out, "  SANDBOX: a stand-in drew this, no model did", style="bold yellow")
    for adjustment in result.adjustments:
        line(out, f"  {changed(adjustment)}")
    for warning in result.warnings:
        line(out, f"  warning: {warning}", style="yellow")
    if len(result.attempts) > 1:
        print_attempts(out, result.attempts)


def print_attempts(out: Console, attempts: Sequence[Attempt]) -> None:
    """One row per candidate, in the order in which they were tried."""
    rows = table("#", "provider/model", "outcome", "time", "what happened")
    for number, attempt in enumerate(attempts, start=1):
        row(
            rows,
            str(number),
            f"{attempt.provider}/{attempt.model}",
            _outcome(attempt),
            "" if attempt.skipped else f"{attempt.seconds:.2f} s",
            _what_happened(attempt),
        )
    out.print(rows)


def changed(adjustment: Adjustment) -> str:
    """What was, or would be, sent differently from what was asked."""
    sent = f" → {adjustment.applied}" if adjustment.applied else ""
    asked = f" {adjustment.requested}" if adjustment.requested else ""
    return f"{adjustment.action.lower()}: {adjustment.parameter}{asked}{sent} ({adjustment.why})"


def _outcome(attempt: Attempt) -> Text:
    if attempt.skipped:
        return text(f"skipped: {attempt.reason}", style="dim")
    return text(attempt.reason, style="red") if attempt.reason else text("delivered", style="green")


def _what_happened(attempt: Attempt) -> str:
    end = until(attempt.skipped_until) if attempt.skipped_until else ""
    words = f"“{attempt.upstream_message}”" if attempt.upstream_message else ""
    remedy = f"; try: {attempt.remedy}" if attempt.remedy else ""
    return " ".join(part for part in (attempt.message, words, end) if part) + remedy
