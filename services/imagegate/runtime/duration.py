"""Lengths of time as people write them: `500ms`, `90s`, `30m`, `1h`, `7d`."""

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LENGTH = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})")


def seconds(text: str) -> float | None:
    """The seconds that `text` says; None where it is no length of time."""
    match = LENGTH.fullmatch(text.strip())
    return float(match[1]) * UNITS[match[2]] if match else None
