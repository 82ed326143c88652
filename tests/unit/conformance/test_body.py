"""How recorded answers are read, and what is refused in their files."""

import pytest
from pydantic import ValidationError

from imagegate.conformance.body import Recording, load, upstreams
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.sandbox.faults import read_rules

STEPS = {"submission": {"upstream": "fal", "method": "POST", "dispatch": "REFUSED"}}
BODY = {"name": "no", "seen": "here", "status": 400, "body": {"detail": "no"}, "reason": "UPSTREAM_REJECTED_INPUT"}


def a_recording(*bodies: dict[str, object], **changes: object) -> Recording:
    whole = {"upstream": "fal", "ids": "none", "cancel": "none", "addresses": {}, "steps": STEPS, "bodies": bodies}
    return Recording.model_validate({**whole, **changes})


@pytest.mark.parametrize("name", upstreams())
def test_the_sandbox_can_play_every_recorded_answer(name: str) -> None:
    """R5: every recorded answer is a rule that the sandbox takes."""
    recording = load(name)
    rules = [recording.rule(body) for body in recording.bodies]
    assert len(read_rules(rules)) == len(recording.bodies)
    assert len(read_rules([step.rule("hang") for step in recording.steps.values()])) == len(recording.steps)


@pytest.mark.parametrize(
    ("changes", "dispatch", "billed"),
    [
        ({}, Dispatch.REFUSED, False),
        ({"dispatch": "ACCEPTED"}, Dispatch.ACCEPTED, None),
        ({"dispatch": "ACCEPTED", "billed": True}, Dispatch.ACCEPTED, True),
        ({"dispatch": "UNKNOWN", "billed": "unknown"}, Dispatch.UNKNOWN, "unknown"),
    ],
)
def test_what_an_entry_leaves_out(changes: dict[str, object], dispatch: Dispatch, billed: object) -> None:
    """An entry says what differs from its step; what was refused is never charged."""
    recording = a_recording({**BODY, **changes})
    (body,) = recording.bodies
    assert (recording.dispatch(body), recording.billed(body)) == (dispatch, billed)
    assert body.reason is Reason.UPSTREAM_REJECTED_INPUT


def test_a_header_that_the_answer_lacks() -> None:
    """A header that is null goes to the sandbox as null: it is left out, also where the upstream would add it."""
    recording = a_recording({**BODY, "headers": {"x-fal-request-id": None}})
    assert recording.rule(recording.bodies[0])["headers"] == {"x-fal-request-id": None}


@pytest.mark.parametrize(
    ("bodies", "changes", "problem"),
    [
        ([BODY, BODY], {}, "no stands twice"),
        ([{**BODY, "step": "reslut"}], {}, "no: there is no step reslut"),
        ([{**BODY, "reason": "BAD_LUCK"}], {}, "reason"),
        ([{**BODY, "seen": ""}], {}, "seen"),
        ([{**BODY, "staus": 400}], {}, "staus"),
        ([BODY], {"steps": {}}, "there is no step submission"),
        ([BODY], {"ids": "early"}, "there is no step status"),
        ([BODY], {"cancel": "call"}, "there is no step cancel"),
    ],
)
def test_a_broken_file_says_what_is_wrong(
    bodies: list[dict[str, object]], changes: dict[str, object], problem: str
) -> None:
    """A slip in a file is named, and no answer is lost by it."""
    with pytest.raises(ValidationError, match=problem):
        a_recording(*bodies, **changes)
