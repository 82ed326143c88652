"""Where the edge of the running `up` is: kept while it runs, and no longer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagegate.client.edge_file import EdgeAddress, noted, running
from imagegate.client.startup import CannotStartError

HERE = EdgeAddress("http://127.0.0.1:8080", "ig_EXAMPLE", os.getpid())


def test_it_is_there_while_it_runs_and_for_its_owner_only(tmp_path: Path) -> None:
    """The key is in a file of mode 0600, which goes when `up` does; nothing else is left."""
    environ = {"IMAGEGATE_DATA": str(tmp_path / "data")}
    assert running(environ) is None
    with noted(HERE, environ):
        assert running(environ) == HERE
        [file] = (tmp_path / "data").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert running(environ) is None
    assert list((tmp_path / "data").iterdir()) == []


def test_anothers_is_left_alone(tmp_path: Path) -> None:
    """The last one to start is the one that is found, also after an earlier one has ended."""
    environ = {"IMAGEGATE_DATA": str(tmp_path)}
    later = EdgeAddress("http://127.0.0.1:9", "ig_LATER", os.getpid())
    with noted(later, environ):
        with noted(HERE, environ):
            (tmp_path / "edge.json").write_text(json.dumps({"url": later.url, "key": later.key, "pid": later.pid}))
        assert running(environ) == later


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "a", "key": "b", "pid": "c"}', "\udc80"])
def test_what_is_no_file_of_ours_is_none(tmp_path: Path, text: str) -> None:
    """A file that was damaged is no reason to fail."""
    (tmp_path / "edge.json").write_bytes(text.encode(errors="surrogateescape"))
    assert running({"IMAGEGATE_DATA": str(tmp_path)}) is None


def test_what_one_that_was_killed_has_left_is_none(tmp_path: Path) -> None:
    """SIGKILL leaves the file; whoever has ended runs no edge."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / "edge.json").write_text(json.dumps({"url": HERE.url, "key": HERE.key, "pid": ended.pid}))
    assert running({"IMAGEGATE_DATA": str(tmp_path)}) is None


def test_a_folder_that_cannot_be_written_is_told_with_the_remedy() -> None:
    """One sentence names the folder and the variable."""
    with (
        pytest.raises(CannotStartError, match=r"/proc/nowhere/edge\.json.*IMAGEGATE_DATA"),
        noted(HERE, {"IMAGEGATE_DATA": "/proc/nowhere"}),
    ):
        pass


def test_the_key_is_in_the_fragment_only() -> None:
    """No browser sends a fragment to anybody, and no log or `repr` has the key."""
    assert HERE.link == "http://127.0.0.1:8080/#key=ig_EXAMPLE"
    assert EdgeAddress("http://a").link == "http://a/"
    assert "ig_EXAMPLE" not in repr(HERE)
