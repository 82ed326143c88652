"""Consoles, tables and lines. No text gets to a terminal but through here."""

import os
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagegate.client.logs import printable

PIPE_WIDTH = 200  # columns where nobody looks: nothing should be cut


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, without guessing colours into what it prints.

    With NO_COLOR nothing is bold or dim either.
    """
    made = Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def table(*columns: str) -> Table:
    """An empty table with these headings."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def row(into: Table, *cells: str | Text) -> None:
    """Add a row. What comes from the wire must not steer the terminal; a `Text` has been through `text`."""
    into.add_row(*(text(cell) if isinstance(cell, str) else cell for cell in cells))


def text(words: str, style: str = "") -> Text:
    """`words`, unable to steer the terminal."""
    return Text(printable(words), style=style)


def line(out: Console, words: str, style: str = "") -> None:
    """One line that is never broken by us: a path must stay one word."""
    out.print(text(words, style), soft_wrap=True)


def moment(at: Timestamp) -> str:
    """A point in time, to the second: `2026-01-31 12:00:00 UTC`."""
    return f"{at.ToDatetime(tzinfo=UTC):%Y-%m-%d %H:%M:%S} UTC"


def until(at: datetime, now: datetime | None = None) -> str:
    """When something ends: `until 12:00:00 UTC`, with the date where that is not today's."""
    today = (now or datetime.now(UTC)).date()
    return f"until {at:%H:%M:%S} UTC" if at.date() == today else f"until {at:%Y-%m-%d %H:%M:%S} UTC"
