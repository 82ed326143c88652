"""What operators have decided about breakers."""

from collections.abc import Mapping, Sequence
from datetime import UTC

from rich.console import Console

from imagegate.client.error import GenerationError
from imagegate.client.output.screen import line, row, table, until
from imagegate.client.plain import bare_name
from imagegate.v1 import router_pb2

Overrides = Sequence[router_pb2.BreakerOverride]


def print_decisions(out: Console, what: str, answers: Mapping[str, router_pb2.BreakerOverride | None]) -> None:
    """One line per replica that has taken a decision (None: taken it back)."""
    for address, decision in answers.items():
        line(out, f"{address}: {what} is left to its breaker" if decision is None else f"{address}: {told(decision)}")


def print_overrides(out: Console, answers: Mapping[str, Overrides]) -> None:
    """One row per decision in force, by replica."""
    if not any(answers.values()):
        line(out, f"nothing is decided: every breaker is left to itself ({', '.join(answers)})")
        return
    rows = table("replica", "breaker", "decided", "until", "by", "because")
    for address, overrides in answers.items():
        for each in overrides:
            row(rows, address, named(each), mode_of(each), _end(each).removeprefix("until "), each.actor, each.reason)
    out.print(rows)


def print_silent(err: Console, failures: Mapping[str, GenerationError]) -> None:
    """One line per replica that could not be told."""
    for address, error in failures.items():
        line(err, f"imagegate: {address}: {error.message}")


def told(override: router_pb2.BreakerOverride) -> str:
    """A decision in one sentence."""
    return f"{named(override)} is {mode_of(override)} {_end(override)}: {override.reason} ({override.actor})"


def named(override: router_pb2.BreakerOverride) -> str:
    """What it is about."""
    return f"{override.provider}/{override.model}" if override.model else override.provider


def mode_of(override: router_pb2.BreakerOverride) -> str:
    """What was decided."""
    return bare_name(router_pb2.OverrideMode.DESCRIPTOR, override.mode)


def _end(override: router_pb2.BreakerOverride) -> str:
    return until(override.until.ToDatetime(tzinfo=UTC))
