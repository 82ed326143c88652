"""What became of requests."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from imagegate.client.output.screen import line, moment, row, table, text, until
from imagegate.client.plain import bare_name
from imagegate.client.result import Attempt
from imagegate.v1 import error_pb2, generation_pb2, router_pb2

BILLED = {True: "billed", False: "not billed", None: "nobody knows if it is billed"}
DISPATCHES = {
    "NOT_SENT": "nothing reached the upstream",
    "REFUSED": "refused by the upstream before any work",
    "ACCEPTED": "accepted by the upstream",
    "UNKNOWN": "nobody knows if the upstream took it",
}


def print_records(out: Console, records: Sequence[router_pb2.RequestRecord]) -> None:
    """One row per request."""
    if not records:
        line(out, "no such request since this replica started")
        return
    rows = table("when", "request", "asked for", "outcome", "by", "tried", "time")
    for record in records:
        row(
            rows,
            moment(record.started),
            record.request_id,
            record.model or "(default)",
            _outcome(record),
            _maker(record),
            str(sum(not attempt.HasField("skipped") for attempt in record.attempts)),
            _seconds(record),
        )
    out.print(rows)


def print_record(out: Console, record: router_pb2.RequestRecord) -> None:
    """The story of one request."""
    line(out, f"request {record.request_id}", style="bold")
    line(out, f"  at {moment(record.started)}, for {_asked(record)}")
    if record.prompt:
        line(out, f"  prompt: {record.prompt}", style="dim")
    out.print(Text.assemble("  ", _outcome(record), text(_ending(record))), soft_wrap=True)
    for number, each in enumerate(record.attempts, start=1):
        for told in _attempt(number, Attempt.of(each)):
            line(out, told)
    remedies = list(dict.fromkeys(attempt.remedy for attempt in record.attempts if attempt.remedy))
    if remedies:
        line(out, "what to do:", style="bold")
    for remedy in remedies:
        line(out, f"  - {remedy}")


def _asked(record: router_pb2.RequestRecord) -> str:
    rule = bare_name(generation_pb2.ResolvedBy.DESCRIPTOR, record.resolved_by)
    return (record.model or "the default route") + (f" (resolved by {rule})" if rule else "")


def _outcome(record: router_pb2.RequestRecord) -> Text:
    if record.under_way:
        return text("under way", style="yellow")
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, record.reason)
    return text(reason, style="red") if reason else text("delivered", style="green")


def _ending(record: router_pb2.RequestRecord) -> str:
    maker = f" by {_maker(record)}" if _maker(record) else ""
    return f"{maker} after {_seconds(record)}" + (f": {record.message}" if record.message else "")


def _maker(record: router_pb2.RequestRecord) -> str:
    return f"{record.provider}/{record.delivered_model}" if record.provider else ""


def _seconds(record: router_pb2.RequestRecord) -> str:
    return f"{record.duration.ToNanoseconds() / 1e9:.1f} s"


def _attempt(number: int, attempt: Attempt) -> Iterator[str]:
    """The lines about one attempt: what came of it, in whose words, and what it may have cost."""
    who = f"{number}. {attempt.provider}/{attempt.model}"
    if attempt.skipped:
        end = f" {until(attempt.skipped_until)}" if attempt.skipped_until else ""
        yield f"{who}: passed over: {attempt.reason}{end}"
    else:
        yield f"{who}: {attempt.reason or 'delivered'} after {attempt.seconds:.2f} s"
    if attempt.message:
        yield f"   {attempt.message}"
    if attempt.upstream_status or attempt.upstream_message:
        words = f" “{attempt.upstream_message}”" if attempt.upstream_message else ""
        yield f"   the upstream said: {attempt.upstream_status or ''}{words}"
    if not attempt.skipped:
        yield f"   {_reach(attempt)}"


def _reach(attempt: Attempt) -> str:
    """How far it got, and what it may have cost."""
    facts = [f"it failed at: {attempt.phase}" if attempt.phase and attempt.reason else ""]
    facts += [DISPATCHES.get(attempt.dispatch, "how far it got is not told"), BILLED[attempt.billed]]
    facts += [f"upstream's id {attempt.upstream_id}" if attempt.upstream_id else ""]
    return "; ".join(fact for fact in facts if fact)
