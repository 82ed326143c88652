"""Looks for keys that somebody could use in the repository's files; with --history in all that ever was there.

What it knows is `imagegate.runtime.key_shapes`. Made-up keys say that they are: MADE_UP in them is enough.
`python -m secret_scanner [--history]` prints where keys are, never the keys; the exit code is 1 where there is one.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

from imagegate.runtime.key_shapes import SHAPES, KeyShape

# What a made-up key holds, and what the sandbox takes for one.
# The last is `user:password` in base64.
MADE_UP = re.compile(
    r"example|marked|sandbox|made-?_?up|0123456789|fixture|test_?key|xxxx|\*\*\*|\.\.\.|…|dXNlcjpwYXNzd29yZA", re.I
)
# Whole files that hold a key on purpose, and why.
ON_PURPOSE = {"tests/integration/faults/self_signed.pem": "a certificate that must not be believed, for 127.0.0.1"}
# Shapes that begin as nothing else does. All others are keys only where they look drawn by lot.
UNMISTAKABLE = {
    "Hugging Face token", "Replicate token", "RunPod key", "OpenAI key", "webhook secret", "imagegate key",
    "AWS key id", "private key", "fal key",
}  # fmt: skip
# Bits per character. 20 random characters of base64 have about 4; words of code and prose 3 and less.
LEAST_ENTROPY = 3.6
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Find:
    """A key: what kind, and where."""

    name: str
    place: str
    line: int

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.name}"


def finds(place: str, lines: Iterable[tuple[int, str]]) -> Iterator[Find]:
    """What is found in numbered lines."""
    if place in ON_PURPOSE:
        return
    for number, line in lines:
        lower = line.lower()
        for shape in SHAPES:
            if shape.least and shape.may_be_in(lower):
                keys = (found[1] for found in shape.pattern.finditer(line))
                if any(is_usable(shape, key) for key in keys):
                    yield Find(shape.name, place, number)


def is_usable(shape: KeyShape, key: str) -> bool:
    """Whether `key`, which has that shape, may be one that somebody can use."""
    if len(key) < shape.least or MADE_UP.search(key):
        return False
    return shape.name in UNMISTAKABLE or _looks_drawn(key)


def _looks_drawn(key: str) -> bool:
    shares = [count / len(key) for count in Counter(key).values()]
    has_both = any(map(str.isdigit, key)) and any(map(str.isalpha, key))
    return (
        has_both and not set(key) & set("(){}[]$<>,") and -sum(share * log2(share) for share in shares) >= LEAST_ENTROPY
    )


def of_files(root: Path) -> Iterator[Find]:
    """What is in the files that git tracks, as they lie there now."""
    for name in filter(None, _git(root, "ls-files", "-z").split("\0")):
        path = root / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from finds(name, enumerate(text.splitlines(), start=1))


def of_history(root: Path) -> Iterator[Find]:
    """What any commit ever added, under the name of the commit."""
    commit = place = ""
    number = 0
    for line in _git(
        root,
        "log",
        "--all",
        "-p",
        "-U0",
        "--diff-merges=first-parent",
        "--no-color",
        "--no-ext-diff",
        "--format=commit %h",
    ).splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("+++ "):
            place = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("@@ "):
            number = int(line.split("+")[1].split(",")[0].split(" ")[0]) - 1
        elif line.startswith("+"):
            number += 1
            yield from (Find(f.name, f"{commit}:{place}", f.line) for f in finds(place, [(number, line[1:])]))


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)  # noqa: S607
    return done.stdout.decode(errors="replace")


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Print every find; 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m secret_scanner", description=__doc__)
    parser.add_argument("--history", action="store_true", help="look through every commit as well")
    parsed = parser.parse_args(arguments)
    root = root or Path(__file__).parents[1]
    found = [*of_files(root), *(of_history(root) if parsed.history else ())]
    for each in found:
        print(each, file=sys.stderr)  # noqa: T201
    if found:
        told = "a key of your own: take it back where it was given out; a made-up one: put EXAMPLE in it"
        print(told, file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
