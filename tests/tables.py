"""Tables, for a terminal and for a README. Pure."""

from collections.abc import Sequence

# The head first; all of one length.
Rows = Sequence[Sequence[str]]


def plain(rows: Rows) -> str:
    """Columns, one under the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(rows: Rows) -> str:
    """The same for a README."""
    head, *others = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *others))
