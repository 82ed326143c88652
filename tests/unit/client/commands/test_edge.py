"""`imagegate open` and `imagegate key`."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imagegate.client.commands.edge import shows_windows
from imagegate.client.edge_file import EdgeAddress, noted
from imagegate.edge.caller import Caller
from imagegate.edge.keys import Keyring

Imagegate = Callable[..., Awaitable[int]]


async def test_open_prints_the_address_with_the_key(
    imagegate: Imagegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R10: one command leads to the page of the `up` that runs here, for people and for programs."""
    monkeypatch.setenv("IMAGEGATE_DATA", str(tmp_path))
    with noted(EdgeAddress("http://127.0.0.1:8080", "ig_EXAMPLE", os.getpid()), os.environ):
        assert await imagegate("open", "--no-browser") == 0
        assert capsys.readouterr().out == "http://127.0.0.1:8080/#key=ig_EXAMPLE\n"
        assert await imagegate("open", "--json") == 0
        assert json.loads(capsys.readouterr().out) == {
            "address": "http://127.0.0.1:8080/#key=ig_EXAMPLE",
            "url": "http://127.0.0.1:8080",
            "key": "ig_EXAMPLE",
        }


async def test_where_no_edge_runs_open_says_what_to_do(
    imagegate: Imagegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R10: exit code 75 and one sentence, as for any service that is not there."""
    monkeypatch.setenv("IMAGEGATE_DATA", str(tmp_path))
    assert await imagegate("open") == 75
    assert capsys.readouterr().err == (
        "imagegate: no edge runs here; start one with `imagegate up`, or name another with --edge or IMAGEGATE_EDGE\n"
    )


async def test_of_another_edge_no_key_is_known(
    imagegate: Imagegate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its page asks for one; what is no web address is refused."""
    assert await imagegate("open", "--edge", "https://pictures.example/") == 0
    assert capsys.readouterr().out == "https://pictures.example/\n"
    monkeypatch.setenv("IMAGEGATE_EDGE", "http://10.0.0.7:8080")
    assert await imagegate("open") == 0
    assert capsys.readouterr().out == "http://10.0.0.7:8080/\n"
    for wrong in ("10.0.0.7:8080", "http://a:key@b", "http://a/#key=b", "ftp://a"):
        assert await imagegate("open", "--edge", wrong) == 2
        assert "--edge" in capsys.readouterr().err


def test_a_window_is_opened_only_where_somebody_sees_it() -> None:
    """Where there is no desktop, or a program reads, nothing is started."""
    assert shows_windows({"DISPLAY": ":0"}, "linux", is_terminal=True)
    assert shows_windows({"WAYLAND_DISPLAY": "wayland-0"}, "linux", is_terminal=True)
    assert shows_windows({}, "darwin", is_terminal=True)
    assert not shows_windows({}, "linux", is_terminal=True)
    assert not shows_windows({"DISPLAY": ":0"}, "linux", is_terminal=False)


async def test_a_key_is_printed_once_with_its_entry(imagegate: Imagegate, capsys: pytest.CaptureFixture[str]) -> None:
    """P12: the entry goes into the keys file as it is, and has the key's hash only."""
    assert await imagegate("key", "--user", "alice", "--role", "operator", "--tier", "pro", "--note", "laptop") == 0
    key, _, entry = capsys.readouterr().out.splitlines()
    assert key not in entry
    assert Keyring(lambda: f"keys:\n{entry}\n").caller(key) == Caller("alice", "operator", "pro")
    assert await imagegate("key", "--user", "bob", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["entry"].keys() == {"user", "role", "sha256"}
    assert Keyring(lambda: json.dumps({"keys": [shown["entry"]]})).caller(shown["key"]) == Caller("bob")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--user", "Alice"), ("--user", "../etc"), ("--user", "a" * 65), ("--user", "a", "--role", "king"),
        ("--user", "a", "--tier", "gold"), ("--user", "a", "--note", "x" * 201), ("--user", "a", "--note", "x\ny"), (),
    ],
)  # fmt: skip
async def test_what_cannot_stand_in_a_keys_file_is_refused(
    imagegate: Imagegate, capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    """One sentence and exit code 2, and no key."""
    assert await imagegate("key", *wrong) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
