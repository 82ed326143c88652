"""What the command line prints for people."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from imagegate.client import output
from imagegate.client.event import AttemptFinished
from imagegate.client.output.screen import console, until
from imagegate.client.result import Attempt
from imagegate.v1 import catalog_pb2, error_pb2, generation_pb2, router_pb2

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"


def a_console() -> Console:
    return Console(file=io.StringIO(), width=400, highlight=False, markup=False, emoji=False, color_system=None)


def printed(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


MODEL = catalog_pb2.Model(provider=f"p{EVIL}", key=f"k{EVIL}", tier=f"t{EVIL}", upstream_model=f"u{EVIL}")
PROVIDER = catalog_pb2.Provider(name=f"p{EVIL}", disabled_reason=f"d{EVIL}")
ERROR = router_pb2.LastError(message=f"e{EVIL}")
OVERRIDE = router_pb2.BreakerOverride(provider=f"p{EVIL}", model=f"k{EVIL}", reason=f"r{EVIL}", actor=f"a{EVIL}")
STATUS = router_pb2.RouterStatus(
    providers=[
        router_pb2.ProviderStatus(
            name=f"p{EVIL}",
            disabled_reason=f"d{EVIL}",
            last_error=ERROR,
            models=[router_pb2.ModelStatus(key=f"k{EVIL}", last_error=ERROR, rejecting=f"w{EVIL}", override=OVERRIDE)],
        ),
        router_pb2.ProviderStatus(enabled=True, problem=f"p{EVIL}"),
    ],
    routes=[router_pb2.RouteStatus(name=f"r{EVIL}", candidates=[f"c{EVIL}"])],
)
ATTEMPT = error_pb2.Attempt(
    provider=f"p{EVIL}", model=f"k{EVIL}", message=f"m{EVIL}", upstream_message=f"u{EVIL}", remedy=f"r{EVIL}"
)
RECORD = router_pb2.RequestRecord(
    request_id=f"i{EVIL}",
    model=f"m{EVIL}",
    message=f"e{EVIL}",
    provider=f"p{EVIL}",
    delivered_model=f"k{EVIL}",
    prompt=f"x{EVIL}",
    attempts=[ATTEMPT],
)
EXPLANATION = router_pb2.Explanation(
    candidates=[
        router_pb2.Prospect(
            provider=f"p{EVIL}",
            model=f"k{EVIL}",
            message=f"m{EVIL}",
            remedy=f"r{EVIL}",
            adjustments=[generation_pb2.Adjustment(parameter=f"a{EVIL}", why=f"w{EVIL}")],
        )
    ],
    reason=error_pb2.ERROR_REASON_NO_CANDIDATE,
    message=f"e{EVIL}",
)


def show_progress(out: Console) -> None:
    with output.progress_on(out) as show:
        show(AttemptFinished(Attempt.of(ATTEMPT)))


@pytest.mark.parametrize(
    ("show", "shown"),
    [
        (lambda out: output.print_models(out, catalog_pb2.ListModelsResponse(models=[MODEL], providers=[PROVIDER])), 8),
        (lambda out: output.print_status(out, STATUS, with_models=True), 15),
        (lambda out: output.print_attempts(out, [Attempt.of(ATTEMPT)]), 5),
        (lambda out: output.print_records(out, [RECORD]), 4),
        (lambda out: output.print_record(out, RECORD), 11),
        (lambda out: output.print_explanation(out, EXPLANATION), 11),
        (lambda out: output.print_overrides(out, {"a:1": [OVERRIDE]}), 4),
        (lambda out: output.print_decisions(out, "x", {"a:1": OVERRIDE}), 4),
        (show_progress, 3),
    ],
    ids=["models", "status", "attempts", "records", "record", "explanation", "overrides", "decisions", "progress"],
)
def test_nothing_from_the_wire_steers_the_terminal(show, shown) -> None:
    """R14: whatever a router or an upstream calls something, it is shown as words."""
    out = a_console()
    show(out)
    text = printed(out)
    assert text.replace("\n", "").isprintable()
    assert text.count("owned") == shown


@pytest.mark.parametrize(("value", "has_styles"), [("", True), ("1", False)])
def test_no_color_means_no_styles_at_all(monkeypatch: pytest.MonkeyPatch, value: str, has_styles: bool) -> None:
    """https://no-color.org: neither colour nor bold; an empty variable counts as unset."""
    for name, content in {"TERM": "xterm-256color", "TTY_COMPATIBLE": "1", "NO_COLOR": value}.items():
        monkeypatch.setenv(name, content)
    out = console()
    with out.capture() as captured:
        out.print("x", style="bold red")
    assert ("\x1b" in captured.get()) is has_styles


def test_an_end_has_its_date_where_that_is_not_today() -> None:
    """The time of day alone would mislead about what lasts for days."""
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert until(now.replace(hour=13), now) == "until 13:00:00 UTC"
    assert until(now.replace(year=2027), now) == "until 2027-01-31 12:00:00 UTC"
