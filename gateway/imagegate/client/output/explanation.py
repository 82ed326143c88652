"""What would be tried."""

from datetime import UTC

from rich.console import Console
from rich.text import Text

from imagegate.client.output.picture import changed
from imagegate.client.output.screen import line, row, table, text, until
from imagegate.client.plain import bare_name
from imagegate.client.result import Adjustment
from imagegate.v1 import error_pb2, router_pb2, terms_pb2

# Whoever is passed over for one of these is no candidate for this request, whatever happens.
RULED_OUT = frozenset({
    error_pb2.ERROR_REASON_UNSUPPORTED, error_pb2.ERROR_REASON_TOO_EXPENSIVE, error_pb2.ERROR_REASON_NOT_ALLOWED,
    error_pb2.ERROR_REASON_DISABLED,
})  # fmt: skip
PAYMENTS = {terms_pb2.PAYMENT_PAY_ONCE: "once", terms_pb2.PAYMENT_AVAILABLE: "available"}


def print_explanation(out: Console, explanation: router_pb2.Explanation) -> None:
    """One row per candidate, then what it costs, what would be changed for whom, and what to do where somebody would
    be passed over.
    """
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
    if price := _price(explanation):
        line(out, price)
    for prospect in explanation.candidates:
        for adjustment in prospect.adjustments:
            line(out, f"{_name(prospect)}: {changed(Adjustment.of(adjustment))}")
        if prospect.remedy:
            line(out, f"{_name(prospect)}: try: {prospect.remedy}", style="dim")
    if explanation.reason:
        reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, explanation.reason)
        line(out, f"it would fail at once: {reason}: {explanation.message}", style="red")


def _price(explanation: router_pb2.Explanation) -> str:
    """What the request costs, whoever delivers; empty where nobody can. Who is only held back may yet deliver."""
    within = [prospect for prospect in explanation.candidates if prospect.skipped.reason not in RULED_OUT]
    known = [prospect.cost for prospect in within if prospect.HasField("cost")]
    if not within:
        return ""
    if not known:
        return "nobody knows what it costs"
    low, high = min(known), max(known)
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    span += " credit" if high == 1 else " credits"
    if len(known) == len(within):
        return f"costs {span if high else 'nothing'}, whoever delivers"
    return f"costs {span}, or what nobody knows: not every candidate has a price"


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
