"""The log lines of several processes on one screen."""

import io
import json

import pytest
from rich.console import Console

from imagegate.client.logs import LogScreen, printable


def shown(line: str, *, as_json: bool = False, name: str = "fal") -> str:
    file = io.StringIO()
    LogScreen(Console(file=file, width=40, highlight=False), as_json=as_json).show(name, line)
    return file.getvalue()


def test_a_line_for_people_is_one_line_behind_an_aligned_name() -> None:
    """Time, event, then key=value; it is not broken where the screen ends."""
    line = json.dumps({"event": "attempt", "level": "info", "service": "x", "model": "flux", "prompt": "a b", "n": 1})
    assert shown(line) == 'fal           │ attempt model=flux prompt="a b" n=1\n'


def test_a_line_that_is_no_event_is_shown_as_it_is() -> None:
    """A crash's traceback is not lost, and square brackets are no markup."""
    assert shown("ValueError: [red]no[/red]") == "fal           │ ValueError: [red]no[/red]\n"


@pytest.mark.parametrize("line", ['{"event": "listening", "http": 1}', "Traceback (most recent call last):"])
def test_for_machines_every_line_is_an_object_that_names_its_service(line: str) -> None:
    """Whatever a process prints, what reads the log can parse it."""
    event = json.loads(shown(line, as_json=True, name="sandbox"))
    assert event["service"] == "sandbox"
    assert event["event"] in {"listening", line}


def test_nothing_steers_the_terminal() -> None:
    """A log line may quote an upstream, whose words are not trusted with escape codes."""
    assert printable("a\x1b[31mb\rc\u202e") == "a [31mb c "
    assert "\x1b" not in shown(json.dumps({"event": "attempt", "upstream_message": "\x1b]0;title\x07"}))
