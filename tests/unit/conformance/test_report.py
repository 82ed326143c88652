"""The outcome as it is told."""

import io

import pytest
from rich.console import Console

from imagegate.conformance.kit import Outcome
from imagegate.conformance.report import as_json, print_outcome
from imagegate.conformance.row import Finding, Row, Verdict

FINDINGS = {
    Verdict.PASS: Finding("SERVING"),
    Verdict.FAIL: Finding("UNKNOWN", ["no ErrorInfo", "no trailer"]),
    Verdict.NOT_OFFERED: Finding.not_offered(),
    Verdict.NOT_TRIED: Finding.not_tried("no sandbox"),
}


def an_outcome(*verdicts: Verdict, problem: str = "") -> Outcome:
    rows = [Row.of(f"duty-{index}", "this", FINDINGS[verdict]) for index, verdict in enumerate(verdicts)]
    return Outcome("127.0.0.1:1", "p", "http://sandbox", problem, rows)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_finding_has_one_verdict(verdict: Verdict) -> None:
    """Problems fail a duty, unless it was not offered or not tried."""
    assert Row.of("x", "this", FINDINGS[verdict]).verdict is verdict


@pytest.mark.parametrize(
    ("verdicts", "problem", "code"),
    [
        ([Verdict.PASS, Verdict.NOT_OFFERED, Verdict.NOT_TRIED], "", 0),
        ([Verdict.PASS, Verdict.FAIL], "", 1),
        ([Verdict.PASS, Verdict.FAIL], "the sandbox saw nothing", 1),
        ([Verdict.PASS, Verdict.NOT_TRIED], "the sandbox saw nothing", 2),
    ],
)
def test_exit_codes(verdicts: list[Verdict], problem: str, code: int) -> None:
    """0 where nothing failed, 1 where something did, 2 where the sandbox that was named could not be used."""
    assert an_outcome(*verdicts, problem=problem).exit_code == code


def test_the_table_and_the_json_say_the_same() -> None:
    """Every duty with what was expected, what came, the verdict and why; then the sum."""
    outcome = an_outcome(*Verdict)
    out = io.StringIO()
    print_outcome(Console(file=out, width=200), outcome)
    text = out.getvalue()
    for row in as_json(outcome)["rows"]:
        assert all(cell in text for cell in row.values())
    assert "p at 127.0.0.1:1, sandbox http://sandbox: 1 pass, 1 FAIL, 1 not offered, 1 not tried" in text
    told = as_json(outcome)
    assert [told[name] for name in ("passed", "failed", "not_offered", "not_tried")] == [1, 1, 1, 1]


def test_what_a_service_says_does_not_steer_the_terminal() -> None:
    """A provider under test is a stranger: its texts are shown without control characters."""
    outcome = an_outcome()
    outcome.rows.append(Row("x", "this", "\x1b[2Jgone", Verdict.FAIL, "\x07"))
    out = io.StringIO()
    print_outcome(Console(file=out, width=200), outcome)
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()
