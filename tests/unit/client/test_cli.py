"""The command line against a scripted router on a real socket."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from imagegate.client.cli import app, run
from imagegate.client.fields import MAX_BYTES
from imagegate.runtime.errors import Failure, Reason
from imagegate.v1 import catalog_pb2, generation_pb2, terms_pb2

NOBODY = "127.0.0.1:1"


async def imagegate(*arguments: str) -> int:
    """Run one command, as `main` does, beside the test's own event loop."""
    return await asyncio.to_thread(run, arguments)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_generate_writes_the_picture_and_tells_how_it_came_about(
    router: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R6: file, provider, seed, attempts, adjustments, warnings, and that a stand-in drew it."""
    assert await imagegate("generate", "a lighthouse", "--out", f"{tmp_path}/", "--router", router.address) == 0
    out = capsys.readouterr().out
    (path,) = files_in(tmp_path)
    assert out.startswith(f"{path}\n")
    assert path.name == f"imagegate-{router.requests[0].request_id}-1.png"
    for told in (
        "fal/flux-schnell · 64 × 48 · seed 7",
        "SANDBOX",
        "dropped: negative_prompt fog (FLUX takes none)",
        "warning: it is one colour",
        "MODEL_ACCESS_DENIED",
        "skipped: BACKING_OFF",
        "“Model requires PRO subscription”",
        "cost not known",
    ):
        assert told in out


async def test_generate_json_has_paths_in_place_of_data(
    router: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """snake_case names, bare enum names, `images[].path`; nothing else on standard output."""
    out = ("--out", str(tmp_path / "cat.png"), "--json")
    assert await imagegate("generate", "x", "--count", "2", *out, "--router", router.address) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [Path(image["path"]).name for image in shown["images"]] == ["cat-1.png", "cat-2.png"]
    assert "data" not in shown["images"][0]
    assert shown["attempts"][0]["reason"] == "MODEL_ACCESS_DENIED"
    assert shown["adjustments"][0]["action"] == "DROPPED"
    assert shown["resolved_by"] == "ROUTE"
    assert "cost" not in shown


async def test_every_option_reaches_its_field(router: Any, tmp_path: Path) -> None:
    """What is given is sent as given, and what is not given is not sent."""
    options = (
        "--model avatar --negative-prompt fog --width 512 --height 640 --steps 4 --guidance-scale 2.5 --seed -1 "
        "--sampler Euler --count 1 --refuse --must-keep width --allow-provider fal --deny-provider sketch "
        "--no-fallback --payment pay_once --idempotency-key mine --quality hd --format webp --max-bytes 100000 "
        "--max-credits 30 --tier pro --option fal.acceleration=high --option fal.sync_mode=true --user me --project us"
    )
    out = ("--out", str(tmp_path), "--router", router.address)
    assert await imagegate("generate", "a cat", *options.split(), *out) == 0
    assert await imagegate("generate", "a cat", *out) == 0
    full, bare = router.requests
    assert bare.idempotency_key
    assert dict(full.provider_options.pop("fal")) == {"acceleration": "high", "sync_mode": True}
    full.request_id = bare.request_id = bare.idempotency_key = ""
    assert full == generation_pb2.GenerateRequest(
        prompt="a cat",
        model="avatar",
        negative_prompt="fog",
        width=512,
        height=640,
        steps=4,
        guidance_scale=2.5,
        seed=-1,
        sampler="Euler",
        count=1,
        on_unsupported=generation_pb2.ON_UNSUPPORTED_REFUSE,
        must_keep=["width"],
        routing=generation_pb2.Routing(
            allow_providers=["fal"],
            deny_providers=["sketch"],
            no_fallback=True,
            payment=terms_pb2.PAYMENT_PAY_ONCE,
            max_credits=30,
            tier="pro",
        ),
        idempotency_key="mine",
        quality=terms_pb2.QUALITY_HD,
        output=generation_pb2.Output(format=generation_pb2.FORMAT_WEBP, max_bytes=100_000),
        user="me",
        project="us",
    )
    bare.ClearField("routing")
    assert bare == generation_pb2.GenerateRequest(prompt="a cat", output=generation_pb2.Output(max_bytes=MAX_BYTES))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small pictures called a.png, b.png…, each with content of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.png").write_bytes(name.encode())
    return folder


async def test_what_a_request_brings_along_reaches_its_field(router: Any, photos: Path, tmp_path: Path) -> None:
    """P3, P5: pictures are read and sent, poses go by name, addresses as they are; together where they may be."""
    options = (
        f"--image {photos}/a.png --strength 0.5 --control pose=template:standing --control canny={photos}/b.png "
        f"--control-scale 0.8 --preprocess --identity {photos}/c.png --identity https://a.example/d.png "
        "--lora style=0.7 --lora owner/repo --lora a=b"
    )
    out = ("--out", str(tmp_path), "--router", router.address)
    assert await imagegate("generate", "a cat", *options.split(), *out) == 0
    Control, Image = generation_pb2.Control, generation_pb2.InputImage
    assert router.requests[0].image_to_image == generation_pb2.ImageToImage(image=Image(data=b"a"), strength=0.5)
    assert list(router.requests[0].controls) == [
        Control(type=kind, image=image, conditioning_scale=0.8, preprocess=True)
        for kind, image in (
            (generation_pb2.CONTROL_TYPE_OPENPOSE, Image(template="standing")),
            (generation_pb2.CONTROL_TYPE_CANNY, Image(data=b"b")),
        )
    ]
    assert [each.image for each in router.requests[0].identity] == [
        Image(data=b"c"),
        Image(uri="https://a.example/d.png"),
    ]
    loras = [(each.name, each.HasField("weight")) for each in router.requests[0].loras]
    assert loras == [("style", True), ("owner/repo", False), ("a=b", False)]
    masked = f"--image {photos}/a.png --mask {photos}/b.png --mask-blur 4 --strength 0"
    assert await imagegate("generate", "a cat", *masked.split(), *out) == 0
    assert router.requests[1].inpainting == generation_pb2.Inpainting(
        image=Image(data=b"a"), mask=Image(data=b"b"), strength=0, mask_blur=4
    )


async def test_a_pose_is_extracted_without_a_prompt(router: Any, photos: Path, tmp_path: Path) -> None:
    """P3: `--extract-pose` needs no words; `explain` takes the same."""
    picture = ("--extract-pose", f"{photos}/a.png", "--router", router.address)
    assert await imagegate("generate", *picture, "--out", str(tmp_path)) == 0
    assert await imagegate("explain", *picture) == 0
    for request in (router.requests[0], router.explained[0]):
        assert (request.prompt, request.pose_extraction.image.data) == ("", b"a")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--mask {photos}/a.png", ["--mask needs --image"]),
        ("--strength 1 --mask-blur 2", ["--strength needs --image", "--mask-blur needs --mask"]),
        ("--control-scale 1 --preprocess", ["--control-scale needs --control", "--preprocess needs --control"]),
        ("--image {photos}/a.png --extract-pose {photos}/a.png", ["--extract-pose", "--image"]),
        ("--image {photos}/nobody.png", ["--image", "nobody.png", "No such file"]),
        ("--identity {photos}", ["--identity", "directory"]),
        ("--image {photos}/empty.png", ["--image", "empty"]),
        ("--control pose={photos}/large.png", ["--control", "24 MiB"]),
        ("--control juggling={photos}/a.png", ["--control", "pose, openpose, canny"]),
        ("--control {photos}/a.png", ["--control", "TYPE=FILE"]),
        ("--lora =1", ["loras"]),
    ],
)
async def test_inputs_that_cannot_be_meant_are_told_before_anything_is_sent(
    router: Any, photos: Path, capsys: pytest.CaptureFixture[str], options: str, words: list[str]
) -> None:
    """P12: what does not go together, and files that are no pictures to send, end with exit code 2 and a sentence."""
    (photos / "empty.png").write_bytes(b"")
    (photos / "large.png").write_bytes(bytes(24 * 1024 * 1024 + 1))
    if options == "--lora =1":
        router.fail(Failure(Reason.INVALID_REQUEST, "loras[0].name: takes 1 to 256 printable characters"))
    asked = options.format(photos=photos).split()
    assert await imagegate("generate", "x", *asked, "--router", router.address) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert [word for word in words if word not in err] == []


async def test_an_option_of_a_provider_has_its_shape(router: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is refused before anything is sent."""
    assert await imagegate("generate", "a cat", "--option", "acceleration=high", "--router", router.address) == 2
    assert "PROVIDER.NAME=VALUE" in capsys.readouterr().err
    assert not router.requests


async def test_a_prompt_may_come_from_standard_input(
    router: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that is too long for a command line is still one."""
    monkeypatch.setattr("sys.stdin", io.StringIO("x" * 1_000_000))
    assert await imagegate("generate", "-", "--out", str(tmp_path), "--router", router.address) == 0
    assert len(router.requests[0].prompt) == 1_000_000


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.INVALID_REQUEST, 2),
        (Reason.MODEL_NOT_FOUND, 2),
        (Reason.DISABLED, 2),
        (Reason.RATE_LIMITED, 75),
        (Reason.UPSTREAM_ERROR, 75),
        (Reason.TIMEOUT, 75),
        (Reason.INTERNAL, 1),
    ],
)
async def test_a_failure_ends_with_its_code_and_one_sentence(
    router: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: Reason, code: int
) -> None:
    """0; 2 what the caller can mend; 75 what time can mend; else 1. Nothing was written."""
    router.fail(Failure(reason, "it did not work", remedy="do something"))
    arguments = ("generate", "x", "--out", f"{tmp_path}/", "--router", router.address)
    assert await imagegate(*arguments) == code
    assert capsys.readouterr() == ("", "imagegate: it did not work; try: do something\n")
    assert await imagegate(*arguments, "--json") == code
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.keys() >= {"code", "reason", "message", "attempts"}
    assert error["reason"] == str(reason)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["generate"], "prompt"),
        (["generate", "x", "--width", "wide"], "--width"),
        (["generate", "x", "--widht", "1"], "--width"),
        (["generate", "x", "--timeout", "0"], "--timeout"),
        (["generate", "x", "--timeout", "nan"], "--timeout"),
        (["generate", "x", "--router", "http://a:1"], "HOST:PORT"),
        (["generate", "x", "--out", "/dev/null/x.png"], "--out"),
        (["generate", "x", "--width", "99999999999"], "width"),
        (["paint"], "paint"),
        (["sandbox", "--port", "99999"], "--port"),
        (["up", "--world", "1999"], "--world"),
    ],
)
async def test_bad_input_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    """No traceback for what a user can type; with --json the same shape as any error."""
    assert await imagegate(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert word in told.err
    assert await imagegate(*arguments, "--json") == 2


async def test_an_unwritable_place_is_found_before_anything_is_asked(router: Any) -> None:
    """Nobody pays for a picture that cannot be kept."""
    assert await imagegate("generate", "x", "--out", "/proc/x.png", "--router", router.address) == 2
    assert router.requests == []


def a_mixed_catalogue() -> catalog_pb2.ListModelsResponse:
    """One model that is there, one that is coming soon; apps outside are switched off, and so is a provider."""
    schnell = catalog_pb2.Model(
        tasks=[catalog_pb2.TASK_TEXT_TO_IMAGE, catalog_pb2.TASK_CONTROL_OPENPOSE],
        provider="fal",
        key="flux-schnell",
        tier="free",
        credits=5,
        priced_by=catalog_pb2.PRICED_BY_MEGAPIXEL,
        width=1024,
        height=768,
        recommended_for="budget",
        enabled=True,
    )
    soon = catalog_pb2.Model(provider="fal", key="flux-9", coming_soon=True, disabled_reason="once it is there")
    shut = catalog_pb2.Model(disabled_reason="set IMAGEGATE_FAL_ANY_MODEL=true")
    return catalog_pb2.ListModelsResponse(
        models=[schnell, soon],
        providers=[
            catalog_pb2.Provider(name="fal", enabled=True, outside_catalogue=shut),
            catalog_pb2.Provider(name="huggingface", disabled_reason="set HUGGINGFACE_API_KEY"),
        ],
    )


async def test_models_and_status_print_tables_and_json(router: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """P1: size, price and recommendation are shown; what is off says why, and which variable switches it on."""
    at = ("--router", router.address)
    router.catalogue = a_mixed_catalogue()
    assert await imagegate("models", *at) == 0
    out = capsys.readouterr().out
    for told in (
        "fal/flux-schnell",
        "5 per megapixel",
        "1024×768",
        "budget",
        "text_to_image, control_openpose",
        "coming soon",
        "fal/flux-9 is off: once it is there",
        "fal:<upstream id> is off: set IMAGEGATE_FAL_ANY_MODEL=true",
        "huggingface is off: set HUGGINGFACE_API_KEY",
    ):
        assert told in out
    assert await imagegate("status", "--all", *at) == 0
    out = capsys.readouterr().out
    assert "half-open" in out
    assert "3 made, 0 failed" in out
    assert await imagegate("models", "--json", *at) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["credits"] == 5
    assert await imagegate("status", "--json", *at) == 0
    assert json.loads(capsys.readouterr().out)["providers"][0]["breaker"] == "HALF_OPEN"


async def test_what_follows_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt may look like an option: `-- --json` asks for a picture of it, and errors are told to people."""
    assert await imagegate("generate", "--router", NOBODY, "--", "--json") == 75
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("imagegate: no router answers")


async def test_no_router_names_the_address_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """The first thing a newcomer meets says what to do."""
    assert await imagegate("status", "--router", NOBODY) == 75
    err = capsys.readouterr().err
    assert NOBODY in err
    assert "imagegate up" in err


def commands(group: Any, path: str = "imagegate") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_explains_itself() -> None:
    """Nothing in `--help` is left to guess, and no summary is cut off in the list of commands."""
    for path, command in commands(typer.main.get_command(app)):
        assert command.help, path
        assert not command.get_short_help_str(limit=60).endswith("..."), path
        assert [param.name for param in command.params if not getattr(param, "help", None)] == [], path


async def test_models_are_chosen_by_what_is_asked_for(router: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """P1: provider, task, tier and use case reach the router; a task that there is not never leaves."""
    options = ("--provider", "fal", "--task", "control_openpose", "--tier", "PRO", "--use-case", "fast drafts")
    assert await imagegate("models", *options, "--router", router.address) == 0
    assert router.listed == [
        catalog_pb2.ListModelsRequest(
            provider="fal", task=catalog_pb2.TASK_CONTROL_OPENPOSE, tier="pro", use_case="fast drafts"
        )
    ]
    assert await imagegate("models", "--task", "juggling", "--router", router.address) == 2
    assert "control_openpose" in capsys.readouterr().err
    assert len(router.listed) == 1


async def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names us; no command at all shows the help and counts as usage."""
    assert await imagegate("--version") == 0
    assert capsys.readouterr().out.startswith("imagegate ")
    assert await imagegate() == 2
    assert "generate" in capsys.readouterr().out
    assert await imagegate("generate", "--help") == 0
