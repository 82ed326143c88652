"""A day of an operator, by the commands alone, against everything that `imagegate up --sandbox` starts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECONDS = 60


class Shell:
    """Commands against the running system; each answers its exit code and the JSON lines that it printed."""

    def __init__(self, ready: dict[str, Any], folder: Path) -> None:
        self.ready = ready
        self.folder = folder

    def run(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [sys.executable, "-m", "imagegate.client", *arguments, "--json"],
            env={
                "PATH": "/usr/bin:/bin",
                "IMAGEGATE_ROUTER": self.ready["router"],
                "IMAGEGATE_ADMIN": self.ready["admin"],
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """`imagegate up --sandbox`, ready, and a shell beside it."""
    folder = tmp_path_factory.mktemp("operating")
    command = [sys.executable, "-m", "imagegate.client", "up", "--sandbox", "--ports", "auto", "--json"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command,
            env={"PATH": "/usr/bin:/bin", "IMAGEGATE_DATA": str(folder / "data")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as up,
    ):
        try:
            assert up.stdout is not None
            line = up.stdout.readline()
            assert line, (folder / "log").read_text()
            yield Shell(json.loads(line), folder)
        finally:
            up.terminate()
            up.wait(SECONDS)


def test_explain_then_stream_then_why(shell: Shell) -> None:
    """What `explain` says is what `generate --stream` does, and `why` tells it afterwards."""
    code, (explained,) = shell.run("explain", "a lighthouse", "--model", "avatar")
    assert code == 0
    first, second = explained["candidates"][:2]
    assert (first["turn"], first["model"], second["model"]) == (1, "flux-dev", "flux-schnell")
    code, events = shell.run("generate", "a lighthouse", "--model", "avatar", "--stream", "--out", "picture.png")
    assert code == 0
    result = events[-1]
    assert result["model"] == "flux-schnell"  # a free key may not use flux-dev
    assert (shell.folder / "picture.png").read_bytes()[:4] == b"\x89PNG"
    code, (story,) = shell.run("why", result["request_id"])
    assert [attempt.get("reason") for attempt in story["attempts"]] == ["MODEL_ACCESS_DENIED", None]
    code, (listed,) = shell.run("requests")
    assert result["request_id"] in [record["request_id"] for record in listed["requests"]]


def test_a_breaker_is_opened_seen_and_cleared(shell: Shell) -> None:
    """An operator's decision reaches the router by its admin port, shows in the status, and ends when it is cleared."""
    code, _ = shell.run("breaker", "open", "huggingface", "--for", "10m", "--reason", "drill")
    assert code == 0
    code, (explained,) = shell.run("explain", "a lighthouse")
    assert explained["candidates"][0]["provider"] == "fal"
    code, (status,) = shell.run("status")
    shown = next(provider for provider in status["providers"] if provider["name"] == "huggingface")
    assert (shown["held_back"], shown["override"]["reason"]) == ("CIRCUIT_OPEN", "drill")
    code, _ = shell.run("breaker", "clear", "huggingface")
    assert code == 0
    code, (explained,) = shell.run("explain", "a lighthouse")
    assert explained["candidates"][0]["provider"] == "huggingface"


@pytest.mark.parametrize("provider", ["huggingface", "fal", "automatic1111"])
def test_a_running_provider_passes_the_conformance_kit(shell: Shell, provider: str) -> None:
    """`imagegate conformance` against a provider of `up --sandbox` passes every row that it tries."""
    code, lines = shell.run("conformance", shell.ready["providers"][provider], "--sandbox", shell.ready["sandbox"])
    assert code == 0, lines
