"""What would be tried."""

from datetime import UTC

from rich.console import Console
from rich.text import Text

from imagegate.client.output.picture import changed
from imagegate.client.output.screen import line, row, table, text, until
from imagegate.client.plain import bare_name
from imagegate.client.result import Adjustment
from imagegate.v1 import error_pb2, router_pb2, terms_pb2

PAYMENTS = {terms_pb2.PAYMENT_PAY_ONCE: "once", terms_pb2.PAYMENT_AVAILABLE: "available"}


def print_explanation(out: Console, explanation: router_pb2.Explanation) -> None:
    """One row per candidate, then what would be changed for it, and what to do where it would be passed over."""
    rows = table("turn", "provider/model", "what would happen", "cost", "usual", "timeout", "payment")
    for prospect in explanation.candidates:
        row(
            rows,
            str(prospect.turn or "–"),
            _name(prospect),
            _fate(prospect),
            str(prospect.cost) if prospect.HasField("cost") else "?",
            f"{prospect.usual.ToNanoseconds() / 1e9:.1f} s" if prospect.HasField("usual") else "",
            f"{prospect.timeout.ToNanoseconds() / 1e9:.0f} s" if prospect.HasField("timeout") else "",
            PAYMENTS.get(prospect.payment, ""),
        )
    out.print(rows)
    for prospect in explanation.candidates:
        for adjustment in prospect.adjustments:
            line(out, f"{_name(prospect)}: {changed(Adjustment.of(adjustment))}")
        if prospect.remedy:
            line(out, f"{_name(prospect)}: try: {prospect.remedy}", style="dim")
    if explanation.reason:
        reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, explanation.reason)
        line(out, f"it would fail at once: {reason}: {explanation.message}", style="red")


def _name(prospect: router_pb2.Prospect) -> str:
    return f"{prospect.provider}/{prospect.model}"


def _fate(prospect: router_pb2.Prospect) -> Text:
    """Try, or passed over and why."""
    why = f": {prospect.message}" if prospect.message else ""
    if not prospect.HasField("skipped"):
        return text(("try, to find out if it works again" if prospect.probe else "try") + why, style="green")
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, prospect.skipped.reason)
    end = f" {until(prospect.skipped.until.ToDatetime(tzinfo=UTC))}" if prospect.skipped.HasField("until") else ""
    return text(f"passed over: {reason}{end}{why}", style="yellow")
