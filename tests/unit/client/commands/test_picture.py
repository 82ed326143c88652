"""`generate --stream` and `explain` against a scripted router on a real socket."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from imagegate.client.commands.input_options import InputOptions
from imagegate.client.commands.picture import explain, generate
from imagegate.client.commands.picture_options import PictureOptions
from imagegate.runtime.errors import Reason
from imagegate.v1 import error_pb2, router_pb2

UNTIL = "until 2027-01-15 08:00:00 UTC"
TOLD = [
    "huggingface/flux-dev: attempt 1 begins, up to 40 s",
    "huggingface/flux-dev: queued, 3 before it",
    "huggingface/flux-dev: MODEL_ACCESS_DENIED after 0.3 s: the key may not use it",
    f"huggingface/flux-schnell: passed over: BACKING_OFF {UNTIL}",
    "fal/flux-schnell: attempt 2 begins",
    "fal/flux-schnell: warming, ready in about 12 s",
    "fal/flux-schnell: running, step 1 of 4",
    "fal/flux-schnell: downloading",
]


def words(row: str) -> str:
    return " ".join(row.split())


def is_written(path: str) -> bool:
    return Path(path).exists()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_stream_is_told_a_line_for_each_change(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R6: attempts with their reason, queue, warming, steps: on standard error; what was made is printed as ever."""
    arguments = ("generate", "x", "--out", f"{tmp_path}/", "--router", router.address)
    assert await imagegate(*arguments, "--stream") == 0
    streamed = capsys.readouterr()
    assert streamed.err.splitlines() == TOLD
    assert "fal/flux-schnell · 64 × 48 · seed 7" in streamed.out
    assert await imagegate(*arguments) == 0
    assert capsys.readouterr().err == ""


async def test_a_stream_for_programs_is_json_lines(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each event is a line with bare names and without a picture's bytes; the last is that of `generate --json`."""
    arguments = ("generate", "x", "--json", "--out", f"{tmp_path}/", "--router", router.address)
    assert await imagegate(*arguments, "--stream") == 0
    told = capsys.readouterr()
    assert told.err == ""
    *events, answer = map(json.loads, told.out.splitlines())
    assert [next(iter(event)) for event in events] == [
        *("attempt_started", "progress", "attempt_finished", "attempt_finished", "attempt_started"),
        *("progress", "progress", "progress", "progress"),
    ]
    assert events[0]["attempt_started"]["timeout"] == 40.0
    assert events[1]["progress"] == {"phase": "QUEUED", "queue_position": 3, "upstream_id": ""}
    assert events[2]["attempt_finished"]["reason"] == "MODEL_ACCESS_DENIED"
    assert events[6]["progress"] == {"phase": "RUNNING", "step": 1, "steps": 4, "upstream_id": ""}
    assert await imagegate(*arguments) == 0
    unary = json.loads(capsys.readouterr().out)
    assert answer.keys() == unary.keys()
    assert is_written(answer["images"][0].pop("path"))
    del unary["images"][0]["path"], unary["request_id"], answer["request_id"]
    assert answer == unary


async def test_a_stream_that_fails_ends_with_the_error(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line is the error object, the exit code that of `generate`, and nothing is written."""
    router.events = router.tell_and_fail
    arguments = ("generate", "x", "--stream", "--out", f"{tmp_path}/", "--router", router.address)
    assert await imagegate(*arguments, "--json") == 75
    event, error = map(json.loads, capsys.readouterr().out.splitlines())
    assert event["attempt_started"]["provider"] == "huggingface"
    assert error["error"]["reason"] == "RATE_LIMITED"
    assert [attempt["model"] for attempt in error["error"]["attempts"]] == ["flux-dev", "flux-schnell"]
    assert await imagegate(*arguments) == 75
    told = capsys.readouterr()
    assert (told.out, told.err.splitlines()) == ("", [TOLD[0], "imagegate: all held back; try: wait"])
    assert files_in(tmp_path) == []


@pytest.mark.usefixtures("terminal")
async def test_on_a_terminal_the_line_changes_and_what_has_ended_stays(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is under way is drawn over; each attempt that has ended keeps its line."""
    arguments = ("generate", "x", "--stream", "--out", f"{tmp_path}/", "--router", router.address)
    assert await imagegate(*arguments) == 0
    err = capsys.readouterr().err
    assert "\x1b[2K" in err
    for ended in (TOLD[2], TOLD[3]):
        assert f"{ended}\n" in err.replace("\r", "")


async def test_explain_tells_who_would_be_tried_and_who_not(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Turn, fate with reason and end, cost, times, payment, changes and remedies; nothing is made."""
    assert await imagegate("explain", "a cat", "--model", "avatar", "--router", router.address) == 0
    head, first, second, *notes = capsys.readouterr().out.splitlines()
    assert words(head) == "turn provider/model what would happen cost usual timeout payment"
    assert words(first) == "1 fal/flux-schnell try, to find out if it works again 5 4.2 s 40 s once"
    assert words(second) == f"– huggingface/flux-dev passed over: BACKING_OFF {UNTIL}: asked to wait ?"
    assert notes == [
        "costs 5 credits, or what nobody knows: not every candidate has a price",
        "fal/flux-schnell: dropped: negative_prompt fog (FLUX takes none)",
        "huggingface/flux-dev: try: wait",
    ]
    (explained,) = router.explained
    assert (explained.prompt, explained.model, explained.idempotency_key) == ("a cat", "avatar", "")
    assert router.requests == []
    assert await imagegate("explain", "a cat", "--json", "--router", router.address) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [prospect["turn"] for prospect in shown["candidates"]] == [1, 0]
    assert shown["candidates"][0]["payment"] == "PAY_ONCE"
    assert shown["candidates"][1]["skipped"]["reason"] == "BACKING_OFF"


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        ([3, 25], "costs 3 to 25 credits, whoever delivers"),
        ([5, 5], "costs 5 credits, whoever delivers"),
        ([1], "costs 1 credit, whoever delivers"),
        ([0, 0], "costs nothing, whoever delivers"),
        ([3, None, 25], "costs 3 to 25 credits, or what nobody knows: not every candidate has a price"),
        ([None], "nobody knows what it costs"),
        ([], None),
    ],
)
async def test_explain_tells_the_span_of_the_costs(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str], costs: list[int | None], told: str | None
) -> None:
    """P8: whoever delivers, those who are held back included; who is ruled out for good does not count."""

    def explanation(_request: Any) -> router_pb2.Explanation:
        prospects = [router_pb2.Prospect(provider="p", model="m", turn=1, cost=cost) for cost in costs]
        if len(prospects) > 1:
            prospects[-1].skipped.reason = Reason.BACKING_OFF.to_proto()
        ruled_out = router_pb2.Prospect(provider="p", model="dear", cost=999)
        ruled_out.skipped.reason = Reason.TOO_EXPENSIVE.to_proto()
        return router_pb2.Explanation(candidates=[*prospects, ruled_out])

    router.explanation = explanation
    await imagegate("explain", "a cat", "--router", router.address)
    notes = [note for note in capsys.readouterr().out.splitlines() if note.startswith(("costs", "nobody"))]
    assert notes == ([told] if told else [])


@pytest.mark.parametrize(
    ("skips", "code"),
    [
        ([Reason.UNSUPPORTED, Reason.UNSUPPORTED], 2),
        ([Reason.DISABLED, Reason.NOT_ALLOWED], 2),
        ([Reason.BACKING_OFF], 75),
        ([Reason.DEADLINE_TOO_SHORT], 75),
        ([Reason.CIRCUIT_OPEN, Reason.UNSUPPORTED], 75),
        ([], 75),
    ],
)
async def test_explain_ends_as_generate_would(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str], skips: list[Reason], code: int
) -> None:
    """0 where something would be tried; else what time can mend is told from what the caller can."""
    prospects = [router_pb2.Prospect(skipped=error_pb2.Skip(reason=reason.to_proto())) for reason in skips]
    reason = error_pb2.ERROR_REASON_NO_CANDIDATE
    told = router_pb2.Explanation(candidates=prospects, reason=reason, message="no candidate could be tried")
    router.explanation = lambda _: told
    assert await imagegate("explain", "x", "--router", router.address) == code
    assert "it would fail at once: NO_CANDIDATE: no candidate could be tried" in capsys.readouterr().out


def test_generate_and_explain_take_the_same_request() -> None:
    """What can be asked for can be asked about: one definition, and `generate` adds where and how it is told."""
    asked, made = (set(inspect.signature(command).parameters) for command in (explain, generate))
    assert made - asked == {"out", "stream"}
    shared = {**inspect.signature(PictureOptions).parameters, **inspect.signature(InputOptions).parameters}
    assert asked == shared.keys() - {"inputs"}
