"""`imagegate up` as its users run it: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagegate.client import Client
from imagegate.client.key import as_document, entry
from imagegate.runtime.bearer import new_key

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


def asked(url: str, key: str) -> dict[str, Any]:
    """What the edge answers to whoever has this key."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - our own edge
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


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
    assert prefixed == {"sandbox", "huggingface", "fal", "automatic1111", "router", "edge"}
    assert "Traceback" not in log.read_text()


def test_each_key_is_only_where_it_is_needed(tmp_path: Path) -> None:
    """R13: the usual variables switch the providers on; a provider has its own key, router, edge, sandbox have none."""
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
        assert len(pids) == 6
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


def test_the_edge_shows_its_page_to_whoever_has_the_key(tmp_path: Path) -> None:
    """R10: `up` makes a key and hands the edge its hash only; `open` finds both; nothing of it is left afterwards."""
    env = environ(IMAGEGATE_DATA=str(tmp_path / "data"))
    with up(tmp_path / "log", "--sandbox", env=env) as (process, ready):
        assert asked(f"{ready['edge']}/api/me", ready["key"])["role"] == "operator"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            asked(f"{ready['edge']}/api/me", "ig_wrong")
        assert ready["key"] not in " ".join(environ_of(ready["pids"]["edge"]).values())
        command = [sys.executable, "-m", "imagegate.client", "open"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.stdout == f"{ready['edge']}/#key={ready['key']}\n"
        assert (tmp_path / "data" / "edge.json").stat().st_mode & 0o777 == 0o600
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert not (tmp_path / "data" / "edge.json").exists()
        assert subprocess.run(command, env=env, capture_output=True, timeout=SECONDS, check=False).returncode == 75
    assert ready["key"] not in (tmp_path / "log").read_text()


def test_with_keys_of_ones_own_no_other_is_made(tmp_path: Path) -> None:
    """P12: whoever has a key in the operator's file gets in, and nobody else; `open` knows none."""
    mine = new_key()
    (tmp_path / "keys.yaml").write_text(as_document(entry(mine, "alice")))
    env = environ(IMAGEGATE_DATA=str(tmp_path), IMAGEGATE_EDGE_KEYS_FILE=str(tmp_path / "keys.yaml"))
    with up(tmp_path / "log", "--sandbox", env=env) as (_, ready):
        assert ready["key"] == ""
        assert asked(f"{ready['edge']}/api/me", mine)["user"] == "alice"
        seen = {name for name, pid in ready["pids"].items() if "IMAGEGATE_EDGE_KEYS_FILE" in environ_of(pid)}
        assert seen == {"edge"}


def test_an_edge_that_dies_takes_nobody_along(tmp_path: Path) -> None:
    """Whoever calls the router does not need it: pictures still come, and `up` says who is gone."""
    log = tmp_path / "log"
    with up(log, "--sandbox", env=environ()) as (process, ready):
        os.kill(ready["pids"]["edge"], signal.SIGKILL)
        until(lambda: "edge was killed by SIGKILL; the others go on" in log.read_text(), "up says who is gone")
        with Client(ready["router"], timeout=SECONDS) as client:
            assert client.generate("a cat").sandbox
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
        (["--sandbox"], {"IMAGEGATE_BIND": "0.0.0.0"}, ["IMAGEGATE_EDGE_KEYS_FILE", "imagegate key"]),
        (["--sandbox"], {"IMAGEGATE_EDGE_KEYS": "keys: []"}, ["IMAGEGATE_EDGE_KEYS"]),
        (["--sandbox"], {"IMAGEGATE_DATA": "/proc/nowhere"}, ["IMAGEGATE_DATA", "/proc/nowhere"]),
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
