"""What commands print for programs, and other plain text: standard output, a line at a time."""

import json
import sys


def say(text: str) -> None:
    """Print one line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(value: object) -> None:
    """Print `value` as one line of JSON."""
    say(json.dumps(value, ensure_ascii=False))
