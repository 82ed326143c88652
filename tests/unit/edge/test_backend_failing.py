"""How web backends are told what went wrong."""

from dataclasses import replace
from typing import Any

import pytest

from imagegate.client.result import Attempt
from imagegate.edge.backend.failing import failed_item, told
from imagegate.edge.problem import Problem, invalid, not_found
from imagegate.runtime.errors import Violation
from imagegate.v1 import error_pb2

NOTHING = Attempt.of(error_pb2.Attempt(provider="huggingface", model="flux-schnell"))
LIMITED = replace(
    NOTHING,
    reason="RATE_LIMITED",
    message="too many requests of this key",
    remedy="use another key",
    upstream_status=429,
    upstream_message="slow down",
)
AWAY = replace(
    NOTHING, provider="automatic1111", model="local", reason="UNREACHABLE", message="no webui", remedy="start it"
)
OFF = replace(NOTHING, skipped=True, reason="DISABLED", message="huggingface is off", remedy="set HUGGINGFACE_API_KEY")
ABOVE = replace(NOTHING, skipped=True, reason="NOT_ALLOWED", message="its tier is pro", remedy="ask with routing.tier")


def failed(status: int, *attempts: Attempt, retry_after: int | None = None) -> tuple[int, dict[str, Any], int | None]:
    """How a router's error is told."""
    said = told(Problem(status, "ANY", "in the router's words", attempts=attempts, retry_after=retry_after), "id-1")
    return said.status, said.answer.shown(), said.retry_after


@pytest.mark.parametrize("status", [404, 429, 503, 504])
def test_that_nobody_delivered_is_503_in_the_guide_s_words(status: int) -> None:
    """R10, P9: whatever the router makes of it; the last attempt's words, the upstream's, and every remedy once."""
    told_status, body, retry_after = failed(status, LIMITED, replace(LIMITED, model="sdxl"), AWAY, OFF, retry_after=7)
    assert (told_status, retry_after, body["retryAfter"]) == (503, 7, 7)
    assert body["error"] == "Image generation failed"
    assert body["message"] == (
        "Image generation failed with all providers. Last error: stable-diffusion/local UNREACHABLE: no webui. "
        "Try: use another key; start it; set HUGGINGFACE_API_KEY"
    )
    assert [each["provider"] for each in body["attempts"]] == ["huggingface"] * 2 + ["stable-diffusion", "huggingface"]


def test_the_last_error_has_the_upstream_s_words() -> None:
    """R5: status and text."""
    assert "RATE_LIMITED: too many requests of this key (429 'slow down')" in failed(503, LIMITED)[1]["message"]


def test_503_always_says_when_to_come_back() -> None:
    """P9: after a second where nobody knows; and there is always something to try."""
    _, body, retry_after = failed(504, replace(AWAY, remedy=""))
    assert retry_after == 1
    assert body["message"].endswith("Try: again later")


def test_nobody_switched_on_is_503_and_one_above_the_tier_403() -> None:
    """R10, P12: the first is the operator's to mend, the second the caller's to know."""
    assert failed(400, OFF)[0] == 503
    status, body, _ = failed(400, ABOVE, OFF)
    assert (status, body["error"]) == (403, "Not allowed")
    assert "routing.tier" not in str(body)


def test_what_the_request_is_to_blame_for_stays_so() -> None:
    """P9: an input that was refused by all, and a bug of ours, keep their status and the router's words."""
    assert failed(400, replace(LIMITED, reason="CONTENT_REJECTED"))[:2][0] == 400
    status, body, retry_after = failed(500, LIMITED)
    assert (status, retry_after, body["message"]) == (500, None, "in the router's words")


def test_fields_are_told_by_their_names_here() -> None:
    """P12: what the router has refused as well."""
    problem = invalid(Violation("guidance_scale", "is 99"), Violation("negative_prompt", "is too long"))
    body = told(problem, "id-1").answer.shown()
    assert body == {
        "error": "Invalid request",
        "message": "The request is not valid: cfgScale: is 99; negativePrompt: is too long",
        "reason": "INVALID_REQUEST",
        "requestId": "id-1",
        "fields": [
            {"field": "cfgScale", "message": "is 99"},
            {"field": "negativePrompt", "message": "is too long"},
        ],
    }


@pytest.mark.parametrize(
    ("status", "title"),
    [(401, "Not authenticated"), (413, "Request Entity Too Large"), (429, "Too Many Requests"), (499, "Cancelled")],
)
def test_every_status_has_a_title(status: int, title: str) -> None:
    """P9: `error` says what kind it is; a caller who asks too often is told 429, with the time."""
    said = told(Problem(status, "ANY", "why", retry_after=3), "id-1")
    assert (said.status, said.answer.error, said.answer.message, said.retry_after) == (status, title, "why", 3)


def test_an_item_of_a_batch_is_told_as_if_it_were_alone() -> None:
    """P8: with its place and the status."""
    shown = failed_item(3, not_found("no model"), "id-1-3").shown()
    assert (shown["success"], shown["index"], shown["status"], shown["message"]) == (False, 3, 404, "no model")
