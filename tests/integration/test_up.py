"""`imagegate up` as its users run it: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagegate.client import Client

UP = (sys.executable, "-m", "imagegate.client", "up", "--ports", "auto")
SECONDS = 60.0  # for what takes a few on a machine that does nothing else
REAL_KEYS = {
    "HUGGINGFACE_API_KEY": "hf_marked_huggingface",
    "FAL_KEY": "marked:fal",
    "SD_API_AUTH": "marked:automatic1111",
}
SETTINGS = ("IMAGEGATE_", "HUGGINGFACE_", "HF_", "FAL_", "SD_", "FLUX_MODEL")


def environ(**changes: str) -> dict[str, str]:
    """Our environment without what would change what `up` does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | changes


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environ_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name}


@contextmanager
def up(log: Path, *options: str, env: Mapping[str, str]) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """`up --json` and the line that it prints when it is ready; killed at the end if it still runs."""
    command = [*UP, "--json", *options]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text()
            yield process, json.loads(line)
        finally:
            process.kill()


def test_ctrl_c_stops_everything_it_started(tmp_path: Path) -> None:
    """With --sandbox a picture comes without any key and says so; after Ctrl-C nothing of it lives, within 10 s."""
    log = tmp_path / "log"
    with up(log, "--sandbox", env=environ(**REAL_KEYS)) as (process, ready):
        with Client(ready["router"]) as client:
            result = client.generate("a lighthouse")
        assert result.sandbox
        assert set(ready["providers"]) == {"huggingface", "fal", "automatic1111"}
        assert ready["off"] == {}
        pids = children_of(process.pid)
        assert set(ready["pids"].values()) < set(pids)
        for pid in pids:
            assert not set(REAL_KEYS.values()) & set(environ_of(pid).values()), "a real key in front of the sandbox"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 10
        assert not [pid for pid in pids if is_alive(pid)]
    prefixed = {line.partition("│")[0].strip() for line in log.read_text().splitlines() if "│" in line}
    assert prefixed == {"sandbox", "huggingface", "fal", "automatic1111", "router"}
    assert "Traceback" not in log.read_text()


def test_each_key_is_only_where_it_is_needed(tmp_path: Path) -> None:
    """R13: the keys' usual variables switch the providers on; a provider has its own, router and sandbox have none."""
    keys = environ(**REAL_KEYS, SD_API_URL="http://127.0.0.1:1")
    with up(tmp_path / "log", "--sandbox=fal", env=keys) as (process, ready):
        seen = {name: set(environ_of(pid).values()) for name, pid in ready["pids"].items()}
        (sandbox,) = set(children_of(process.pid)) - set(ready["pids"].values())
        seen["sandbox"] = set(environ_of(sandbox).values())
    holders = {key: {name for name, values in seen.items() if key in values} for key in REAL_KEYS.values()}
    assert holders == {
        "hf_marked_huggingface": {"huggingface"},
        "marked:fal": set(),
        "marked:automatic1111": {"automatic1111"},
    }


def test_killing_it_leaves_no_orphans(tmp_path: Path) -> None:
    """Even SIGKILL, which nobody can handle, leaves nothing running."""
    with up(tmp_path / "log", "--sandbox", env=environ()) as (process, _):
        pids = children_of(process.pid)
        assert len(pids) == 5
        process.kill()
        until(lambda: not [pid for pid in pids if is_alive(pid)], "all children dead")


def test_a_provider_that_dies_is_named_and_the_others_serve_on(tmp_path: Path) -> None:
    """F35: SIGKILL of a provider takes nothing else down: pictures still come, and `up` says who is gone and how."""
    log = tmp_path / "log"
    with up(log, "--sandbox", env=environ()) as (process, ready):
        os.kill(ready["pids"]["huggingface"], signal.SIGKILL)
        words = "huggingface was killed by SIGKILL; the others go on without it"
        until(lambda: words in log.read_text(), "up says who is gone")
        with Client(ready["router"], timeout=SECONDS) as client:
            assert client.generate("a cat", model="web").provider == "automatic1111"
        assert process.poll() is None


def test_without_the_router_nothing_is_left(tmp_path: Path) -> None:
    """Nobody is left with half a system without knowing: exit code 1, which one, and how it ended."""
    with up(tmp_path / "log", "--sandbox", env=environ()) as (process, ready):
        pids = children_of(process.pid)
        os.kill(ready["pids"]["router"], signal.SIGKILL)
        assert process.wait(SECONDS) == 1
        assert process.stdout is not None
        assert "router was killed by SIGKILL" in json.loads(process.stdout.readline())["error"]["message"]
        assert not [pid for pid in pids if is_alive(pid)]


def test_with_nothing_switched_on_one_sentence_names_the_variables() -> None:
    """R10: no key is no secret failure: which variables switch what on, and --sandbox; exit code 2, nothing left."""
    done = subprocess.run(UP, env=environ(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for word in ("HUGGINGFACE_API_KEY", "FAL_KEY", "SD_ENABLED", "--sandbox"):
        assert word in done.stderr


@pytest.mark.parametrize(
    ("options", "changes", "words"),
    [
        (["--sandbox=fall"], {}, ["fall", "huggingface"]),
        (["--sandbox"], {"IMAGEGATE_CONFIG": "/nowhere.yaml"}, ["/nowhere.yaml"]),
        (["--sandbox"], {"IMAGEGATE_LOG_LEVEL": "loud"}, ["LOG_LEVEL"]),
        (["--sandbox"], {"IMAGEGATE_MODELS": "/nowhere"}, ["IMAGEGATE_MODELS", "/nowhere"]),
    ],
)
def test_what_cannot_start_says_why_in_one_sentence(
    options: list[str], changes: dict[str, str], words: list[str]
) -> None:
    """Wrong names, configurations and settings: exit code 2, a sentence and no traceback."""
    done = subprocess.run(
        [*UP, *options], env=environ(**changes), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
