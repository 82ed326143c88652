"""The log lines of several processes on one screen, each behind its name."""

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import cycle
from typing import Any

from rich.console import Console
from rich.text import Text

from imagegate.client.process import log_event

NAME_WIDTH = len("automatic1111")  # the longest of ours
NAME_STYLES = ("cyan", "magenta", "green", "yellow", "blue")
LEVEL_STYLES: Mapping[str, str] = {"warning": "yellow", "error": "red", "critical": "red"}
# Told by the line's place and colour, or by the name before it.
NOT_REPEATED = {"timestamp", "level", "service", "event", "logger"}


class LogScreen:
    """Shows log lines on `console`: for people, or `as_json` for machines (then every line names its service)."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._styles = cycle(NAME_STYLES)
        self._prefixes: dict[str, Text] = {}

    def show(self, name: str, line: str) -> None:
        """Show one line of the process `name`. Raises OSError where nobody reads our output any more."""
        event = log_event(line)
        if self._as_json:
            shown = {"service": name, **(event or {"event": line})}
            self._console.file.write(json.dumps(shown, ensure_ascii=False) + "\n")
            self._console.file.flush()
            return
        text = _for_people(event) if event else Text(printable(line))
        self._console.print(self._prefix(name) + text, soft_wrap=True)

    def _prefix(self, name: str) -> Text:
        if name not in self._prefixes:
            self._prefixes[name] = Text(f"{name:{NAME_WIDTH}} │ ", style=next(self._styles))
        return self._prefixes[name]


def printable(text: str) -> str:
    """`text` without what would steer the terminal: log lines and messages may quote an upstream."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _for_people(event: Mapping[str, Any]) -> Text:
    """Time, event and the rest as key=value, on one line; a traceback follows below."""
    style = LEVEL_STYLES.get(str(event.get("level")), "")
    rest = {name: value for name, value in event.items() if name not in NOT_REPEATED}
    traceback = rest.pop("exception", "")
    line = Text(_clock(str(event.get("timestamp", ""))), style="dim")
    line.append(printable(str(event.get("event", ""))), style=style or "bold")
    for name, value in rest.items():
        line.append(f" {name}=", style="dim")
        line.append(_value(value), style=style)
    if traceback:
        line.append("\n" + printable(str(traceback)), style=style)
    return line


def _clock(timestamp: str) -> str:
    """The local time of day; empty where the line has none."""
    try:
        return f"{datetime.fromisoformat(timestamp).astimezone():%H:%M:%S} "
    except ValueError:
        return ""


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(json.dumps(text, ensure_ascii=False) if isinstance(value, str) and _needs_quotes(text) else text)


def _needs_quotes(text: str) -> bool:
    return not text or any(char.isspace() for char in text)
