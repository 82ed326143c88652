"""The caller's own key for a piece of work: whatever comes with the same one again is the same order. Pure."""

import re
from collections.abc import Mapping

from imagegate.edge.problem import invalid
from imagegate.runtime.errors import Violation

HEADER = "Idempotency-Key"
_LEGAL = re.compile(r"[\x20-\x7e]{0,255}")


def key_in(headers: Mapping[str, str]) -> str:
    """The key, empty where there is none. Raises Problem for one that is no key."""
    key = headers.get(HEADER, "")
    if not _LEGAL.fullmatch(key):
        raise invalid(Violation(HEADER, "takes up to 255 characters of ASCII"))
    return key


def part_of(key: str, number: int) -> str:
    """The key of one part of a piece of work that has this key; empty where it has none."""
    return f"{key}\n{number}" if key else ""  # no key of a caller's has a line's end in it
