"""`batch` against a scripted router on a real socket."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from imagegate.v1 import router_pb2

REQUESTS = """\
- prompt: a cat
  width: 512
  request_id: cat
- {prompt: fail RATE_LIMITED, request_id: bad}
- prompt: a dog
  count: 2
  request_id: dog
  image_to_image: {image: photo.png, strength: 0.5}
  controls: [{type: openpose, image: "template:standing"}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A batch of three, one of which fails."""
    (tmp_path / "photo.png").write_bytes(b"photo")
    file = tmp_path / "batch.yaml"
    file.write_text(REQUESTS)
    return file


def files_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_batch_tells_a_line_for_each_and_writes_its_pictures(
    router: Any, imagegate: Any, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P8: each as it ends, by its place; pictures are called after their requests; one that fails is exit code 1."""
    out = tmp_path / "out"
    assert await imagegate("batch", str(file), "--out", str(out), "--concurrency", "2", "--router", router.address) == 1
    assert files_in(out) == ["imagegate-cat-1.png", "imagegate-dog-1.png", "imagegate-dog-2.png"]
    told = capsys.readouterr()
    assert told.err == ""
    heads = [line for line in told.out.splitlines() if not line.startswith(" ")]
    assert heads[0].startswith(f"2: {out}/imagegate-dog-1.png, {out}/imagegate-dog-2.png · fal/flux-schnell · 64 × 48")
    assert "SANDBOX" in heads[0]
    assert heads[1] == "1: RATE_LIMITED: it did not work; try: later (request bad)"
    assert heads[2].startswith(f"0: {out}/imagegate-cat-1.png")
    assert heads[3] == "2 made, 1 failed"
    assert "   dropped: negative_prompt fog (FLUX takes none)" in told.out
    (sent,) = router.batches
    assert sent.concurrency == 2
    assert (sent.requests[0].width, sent.requests[2].image_to_image.image.data) == (512, b"photo")
    assert sent.requests[2].controls[0].image.template == "standing"


async def test_for_programs_a_batch_is_json_lines(
    router: Any, imagegate: Any, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each request with its place, and paths in place of data, or the error that `generate` prints."""
    arguments = ("batch", str(file), "--json", "--out", f"{tmp_path}/out", "--router", router.address)
    assert await imagegate(*arguments) == 1
    told = capsys.readouterr()
    dog, bad, cat = map(json.loads, told.out.splitlines())
    assert told.err == ""
    assert [each["index"] for each in (dog, bad, cat)] == [2, 1, 0]
    assert [Path(image["path"]).name for image in dog["images"]] == ["imagegate-dog-1.png", "imagegate-dog-2.png"]
    assert "data" not in cat["images"][0]
    assert (bad["request_id"], bad["error"]["reason"], bad["error"]["retry_after"]) == ("bad", "RATE_LIMITED", 7.0)


async def test_a_picture_that_cannot_be_written_ends_no_batch(
    router: Any, imagegate: Any, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P8: what is under way is not cancelled because a picture finds no room; that is told at the end."""
    out, told_by = tmp_path / "out", router.batch_events

    def as_the_folder_goes(request: router_pb2.GenerateBatchRequest) -> list[router_pb2.BatchEvent]:
        out.rmdir()
        return list(told_by(request))

    router.batch_events = as_the_folder_goes
    assert await imagegate("batch", str(file), "--out", str(out), "--router", router.address) == 2
    told = capsys.readouterr()
    assert "2 made, 1 failed" in told.out
    assert "could not be written" in told.err


async def test_a_request_that_asks_for_no_picture_ends_no_batch(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P8: with delivery NONE there is nothing to write; the others of the batch are written all the same."""

    def events(request: router_pb2.GenerateBatchRequest) -> Any:
        told = usual(request)
        for image in told[2].response.images:  # of the last request
            image.ClearField("data")
        return told

    usual, router.batch_events = router.batch_events, events
    file, out = tmp_path / "batch.yaml", tmp_path / "out"
    file.write_text("- {prompt: a cat, request_id: cat}\n- {prompt: a dog, delivery: NONE}\n")
    for options, sign in (((), "1: no file · fal/flux-schnell"), (("--json",), '"size_bytes"')):
        assert await imagegate("batch", str(file), "--out", str(out), "--router", router.address, *options) == 0
        assert sign in capsys.readouterr().out.splitlines()[0]
    assert files_in(out) == ["imagegate-cat-1-2.png", "imagegate-cat-1.png"]


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ('[{"prompt": "a"},\n\t{"prompt": "b"}]', ["a", "b"]),
        ('{"prompt": "a"}\n\n{"prompt": "b"}\n', ["a", "b"]),
        ('{"prompt": "a"}', ["a"]),
        ("- prompt: a\n- prompt: b", ["a", "b"]),
    ],
)
async def test_a_batch_is_a_list_or_lines(
    router: Any, imagegate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, prompts: list[str]
) -> None:
    """JSON, JSON lines or YAML, from a file or standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert await imagegate("batch", "-", "--out", str(tmp_path), "--router", router.address) == 0
    assert [each.prompt for each in router.batches[0].requests] == prompts


@pytest.mark.parametrize(
    ("reasons", "code"),
    [
        (["RATE_LIMITED", "UPSTREAM_ERROR"], 75),
        (["MODEL_NOT_FOUND", "INVALID_REQUEST"], 2),
        (["RATE_LIMITED", "MODEL_NOT_FOUND"], 1),
        (["INTERNAL"], 1),
    ],
)
async def test_where_all_failed_alike_the_exit_code_says_how(
    router: Any, imagegate: Any, tmp_path: Path, reasons: list[str], code: int
) -> None:
    """P8: 75 where time can mend all of them, 2 where the caller can; else 1."""
    file = tmp_path / "batch.json"
    file.write_text(json.dumps([{"prompt": f"fail {reason}"} for reason in reasons]))
    assert await imagegate("batch", str(file), "--out", str(tmp_path), "--router", router.address) == code


async def test_everything_that_is_wrong_with_a_file_is_told_at_once(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P12: every bad item, by its place, in one sentence; exit code 2, and nothing is sent."""
    file = tmp_path / "batch.yaml"
    file.write_text(
        "- {prompt: good}\n"
        "- {prompt: x, widht: 1}\n"
        "- {prompt: x, seed: 99999999999999999999999}\n"
        "- {prompt: x, identity: [{image: nobody.png, strength: much}]}\n"
        "- a cat\n"
        "- {prompt: x, width: 2026-01-31}\n"
    )
    assert await imagegate("batch", str(file), "--router", router.address) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for told in (
        "requests[1]: generate() has no field 'widht'; did you mean 'width'?",
        "requests[2].seed",
        "requests[3].identity[0].image: 'nobody.png' cannot be read (No such file or directory)",
        "identity[0].strength does not take 'much'",
        "requests[4]: is no mapping",
        "requests[5]: width does not take",
    ):
        assert told in err
    assert "requests[0]" not in err
    assert router.batches == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("prompt: a cat: a dog", "no YAML"),
        ("just words", "no list"),
        ("", "no list"),
        ("- {prompt: a, prompt: b}", "more than once"),
        ('{"prompt": "a"}\n{"prompt"\n{', "line 2"),
        ("[" * 100_000, "FILE"),
        (b"\xff\xfe\x00", "UTF-8"),
        (None, "No such file"),
    ],
)
async def test_a_file_that_is_no_batch_says_so(
    imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes | None, word: str
) -> None:
    """P12: whatever is in it, it is one sentence and exit code 2."""
    file = tmp_path / "batch"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    assert await imagegate("batch", str(file), "--router", "127.0.0.1:1") == 2
    err = capsys.readouterr().err
    assert (err.count("\n"), word in err) == (1, True), err


@pytest.mark.usefixtures("terminal")
async def test_on_a_terminal_it_is_told_how_many_there_are(
    router: Any, imagegate: Any, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress is on standard error, on a terminal only, and out of the way of what is printed."""
    await imagegate("batch", str(file), "--out", str(tmp_path), "--router", router.address)
    told = capsys.readouterr()
    assert "made, 1 failed of 3" in told.err
    assert "\x1b[2K" in told.err
    assert "\x1b[2K" not in told.out


async def test_poses_are_listed_and_saved(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P5: name, size, whose and what it shows; `--save` writes the pictures, beside what is there already."""
    assert await imagegate("poses", "--router", router.address) == 0
    out = capsys.readouterr().out
    for told in ("jumping", "64×48", "the operator's", "packaged", "somebody who stands"):
        assert told in out
    saved = ("poses", "--save", str(tmp_path / "poses"), "--json", "--router", router.address)
    assert await imagegate(*saved) == 0
    shown = json.loads(capsys.readouterr().out)["templates"]
    assert [(each["name"], each["own"], Path(each["path"]).name) for each in shown] == [
        ("jumping", True, "jumping.png"),
        ("standing", False, "standing.png"),
    ]
    assert "image" not in shown[0]
    assert await imagegate(*saved) == 0
    assert len(files_in(tmp_path / "poses")) == 4


async def test_a_name_of_a_pose_is_no_path(router: Any, imagegate: Any, tmp_path: Path) -> None:
    """P5: whoever answers, nothing is written outside the folder."""
    evil = router.poses(True)
    evil.templates[0].name = "../../evil"
    evil.templates[1].image = b"no picture"
    router.poses = lambda _: evil
    assert await imagegate("poses", "--save", str(tmp_path / "a" / "b"), "--router", router.address) == 0
    assert files_in(tmp_path) == ["a"]
    assert files_in(tmp_path / "a" / "b") == [".._.._evil.png", "standing.bin"]


async def test_pictures_that_are_too_many_are_told(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P5: where the router leaves the pictures out, the command says so and fails."""
    without = router.poses(False)
    without.message = "the pictures have more than 32 MiB together"
    router.poses = lambda _: without
    assert await imagegate("poses", "--save", str(tmp_path), "--router", router.address) == 1
    assert "more than 32 MiB" in capsys.readouterr().out
