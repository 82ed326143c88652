"""The command line as its users run it: real processes against everything that `up --sandbox` starts."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "imagegate.client")
SECONDS = 60.0


def imagegate(*arguments: str, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def put_faults(sandbox: str, *rules: dict[str, object]) -> None:
    request = urllib.request.Request(f"{sandbox}/_faults", json.dumps(rules).encode(), method="PUT")  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own sandbox


def asked(sandbox: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{sandbox}/_requests", timeout=10) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def everything() -> Iterator[dict[str, Any]]:
    """What a running `up --sandbox` says when it is ready."""
    command = [*COMMAND, "up", "--sandbox", "--ports", "auto", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture
def sandbox(everything: dict[str, Any]) -> Iterator[str]:
    """The sandbox's address; its faults are taken back afterwards."""
    yield everything["sandbox"]
    put_faults(everything["sandbox"])


def test_one_command_makes_a_picture(everything: dict[str, Any], tmp_path: Path) -> None:
    """The file is a picture, its name is printed first, and the word SANDBOX says who drew it."""
    done = imagegate("generate", "a lighthouse", "--out", f"{tmp_path}/", IMAGEGATE_ROUTER=everything["router"])
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[0])
    assert path.parent == tmp_path
    assert path.read_bytes()[:4] in {b"\x89PNG", b"\xff\xd8\xff\xe0", b"RIFF"}
    assert "SANDBOX" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["x", "--model", "flux-shnell"], "", ["flux-shnell", "flux-schnell"]),
        (["x", "--width", "0"], "", ["width", "64 to 4096"]),
        (["x", "--height", "9999"], "", ["height", "64 to 4096"]),
        (["x", "--steps", "-1"], "", ["steps", "1 to 150"]),
        (["x", "--guidance-scale", "nan"], "", ["guidance_scale", "0 to 50"]),
        ([""], "", ["prompt"]),
        (["-"], "x" * 1_000_000, ["prompt", "32,000"]),
    ],
)
def test_bad_input_gets_the_routers_one_sentence(
    everything: dict[str, Any], tmp_path: Path, arguments: list[str], stdin: str, words: list[str]
) -> None:
    """S3: one clear sentence with what is allowed, exit code 2, no traceback, and no file."""
    done = imagegate("generate", *arguments, "--out", str(tmp_path), "--router", everything["router"], stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("imagegate: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_cancels_the_call_and_ends_with_130(everything: dict[str, Any], sandbox: str, tmp_path: Path) -> None:
    """Whoever gives up gets the prompt back at once, without a traceback; nothing is written."""
    put_faults(sandbox, {"upstream": "fal", "fault": "hang"})
    before = len(asked(sandbox))
    command = [*COMMAND, "generate", "x", "--model", "fal/flux-pro", "--out", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--router", everything["router"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + SECONDS
        while len(asked(sandbox)) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")
    assert not list(tmp_path.iterdir())


def test_running_out_of_time_says_so(everything: dict[str, Any], sandbox: str, tmp_path: Path) -> None:
    """--timeout is kept, and the exit code tells a script to try later."""
    put_faults(sandbox, {"upstream": "huggingface", "fault": "hang"})
    arguments = ("--model", "huggingface/sdxl", "--timeout", "2", "--out", str(tmp_path), "--json")
    done = imagegate("generate", "x", *arguments, "--router", everything["router"])
    assert done.returncode == 75, done.stdout
    error = json.loads(done.stdout)["error"]
    assert error["reason"] in {"TIMEOUT", "DEADLINE_TOO_SHORT"}
    assert error["code"] == "DEADLINE_EXCEEDED"


def test_config_check_and_show_are_the_routers_own(tmp_path: Path) -> None:
    """The same words and exit codes as the router's: unknown keys are refused with the nearest known one."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("provider: {}\nroutes: {}\n")
    done = imagegate("config", "check", str(wrong))
    assert done.returncode == 2
    assert "providers" in done.stdout
    assert "Traceback" not in done.stderr
    shown = imagegate("config", "show", "--json")
    assert shown.returncode == 0
    assert list(json.loads(shown.stdout)["providers"])[:2] == ["huggingface", "fal"]


def test_config_check_looks_at_overlays_too(tmp_path: Path) -> None:
    """P1: an overlay of models is judged as its provider would, beside configurations of the router, in their order."""
    good, bad, router = (tmp_path / name for name in ("fal.yaml", "huggingface.yaml", "router.yaml"))
    good.write_text("models: {flux-dev: {credits: 30}}\n")
    bad.write_text("models: {sdxl: {tier: gold}}\n")
    router.write_text("providers: {}\nroutes: {}\n")
    done = imagegate("config", "check", str(router), str(good), str(bad))
    assert done.returncode == 2
    first, *_, before_last, last = done.stdout.splitlines()
    assert first.startswith(f"{router}: providers")
    assert before_last == f"{good}: good, as an overlay of models"
    assert last.startswith(f"{bad}: models.sdxl.tier: ")
    done = imagegate("config", "check", "--json", str(good))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"files": [{"file": str(good), "problems": []}]})


def test_the_sandbox_runs_alone() -> None:
    """`imagegate sandbox` becomes the sandbox: the same process, stopped by its own signals. It says where it is."""
    command = [*COMMAND, "sandbox", "--port", "0", "--world", "2025", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert asked(json.loads(process.stdout.readline())["address"]) == []
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_a_reader_who_has_gone_is_no_bug_of_ours() -> None:
    """`imagegate … | head`: no traceback, wherever the command was."""
    for arguments in (["--help"], ["status", "--router", "127.0.0.1:1", "--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (1, ""), arguments
