"""`status` against a scripted router on a real socket."""

import json
from typing import Any

import pytest

UNTIL = "until 2027-01-15 08:00:00 UTC"


async def test_the_status_shows_what_is_the_matter(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """R8: failure rate, why and until when somebody is held back, quota, slowness, refusals and decisions."""
    assert await imagegate("status", "--router", router.address) == 0
    out = capsys.readouterr().out
    for told in (
        "on, 17 requests left today",
        f"RATE_LIMITED {UNTIL}",
        "12%",
        f"WARMING {UNTIL}",
        "50%",
        "0 made, 0 failed, slow, rejecting",
        f"decided: huggingface is OPEN {UNTIL}: invoices (alice)",
        "huggingface/sdxl stands last, since it rejects every input: “Model requires PRO subscription”",
    ):
        assert told in out
    assert "3 made" not in out  # nothing is the matter with that one
    assert await imagegate("status", "--all", "--router", router.address) == 0
    assert "3 made, 0 failed, usually 4.2 s" in capsys.readouterr().out


async def test_watching_prints_a_line_of_json_for_each_change(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A status that is repeated only to say that the router lives is no change; what ends it is told as ever."""
    router.watch_ends = True
    assert await imagegate("status", "--watch", "--json", "--router", router.address) == 75
    first, second, error = map(json.loads, capsys.readouterr().out.splitlines())
    assert [status["providers"][0]["in_flight"] for status in (first, second)] == [0, 1]
    assert error["error"]["message"] == "the router goes away"


async def test_watching_without_a_terminal_prints_it_again(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a log each change is a table of its own, and nothing steers a cursor."""
    router.watch_ends = True
    assert await imagegate("status", "--watch", "--router", router.address) == 75
    out = capsys.readouterr().out
    assert out.count("candidates, in order") == 2
    assert "\x1b" not in out


@pytest.mark.usefixtures("terminal")
async def test_watching_on_a_terminal_redraws(router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The table stays where it is."""
    router.watch_ends = True
    assert await imagegate("status", "--watch", "--router", router.address) == 75
    out = capsys.readouterr().out
    assert out.count("candidates, in order") >= 2
    assert "\x1b[1A" in out
