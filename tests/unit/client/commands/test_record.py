"""`requests` and `why` against a scripted router on a real socket."""

import json
from typing import Any

import pytest


def words(row: str) -> str:
    return " ".join(row.split())


async def test_requests_are_listed_with_what_became_of_them(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """When, what was asked for, the outcome, who made it, and how many were tried."""
    assert await imagegate("requests", "--router", router.address) == 0
    _, failed, made = capsys.readouterr().out.splitlines()
    assert words(failed) == "2027-01-15 08:00:00 UTC bad-1 avatar TIMEOUT 2 4.0 s"
    assert words(made) == "2027-01-15 08:00:00 UTC good-1 avatar delivered fal/flux-schnell 2 4.0 s"
    assert await imagegate("requests", "--failed", "--json", "--router", router.address) == 0
    (only,) = json.loads(capsys.readouterr().out)["requests"]
    assert (only["request_id"], only["reason"], only["duration"]) == ("bad-1", "TIMEOUT", 4.0)
    assert await imagegate("requests", "--limit", "1", "--router", router.address) == 0
    assert "good-1" not in capsys.readouterr().out


async def test_why_tells_the_story_of_a_request(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """R6: when and for what, each attempt in whose words, what it may have cost, and the remedies at the end."""
    assert await imagegate("why", "bad-1", "--router", router.address) == 0
    assert capsys.readouterr().out.splitlines() == [
        "request bad-1",
        "  at 2027-01-15 08:00:00 UTC, for avatar (resolved by ROUTE)",
        "  prompt: a lighthouse",
        "  TIMEOUT after 4.0 s: 2 candidates tried",
        "1. huggingface/flux-dev: MODEL_ACCESS_DENIED after 0.31 s",
        "   the key may not use it",
        "   the upstream said: 400 “Model requires PRO subscription”",
        "   refused by the upstream before any work; not billed",
        "2. huggingface/flux-schnell: passed over: BACKING_OFF until 2027-01-15 08:00:00 UTC",
        "3. fal/flux-schnell: TIMEOUT after 3.20 s",
        "   its time ran out",
        "   it failed at: run; accepted by the upstream; nobody knows if it is billed; upstream's id fal-77",
        "what to do:",
        "  - use a PRO key",
        "  - allow more time",
    ]
    assert await imagegate("why", "good-1", "--router", router.address) == 0
    assert "  delivered by fal/flux-schnell after 4.0 s" in capsys.readouterr().out.splitlines()
    assert await imagegate("why", "good-1", "--json", "--router", router.address) == 0
    assert json.loads(capsys.readouterr().out)["attempts"][1]["skipped"]["reason"] == "BACKING_OFF"


async def test_a_request_that_is_not_known_may_have_been_forgotten(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks too late learns why nothing is known; exit code 2."""
    assert await imagegate("why", "gone", "--router", router.address) == 2
    err = capsys.readouterr().err
    assert "'gone'" in err
    assert "last 1,000" in err
    assert "restart" in err
    assert await imagegate("why", "gone", "--json", "--router", router.address) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "NOT_FOUND"
