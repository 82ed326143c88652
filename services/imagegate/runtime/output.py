"""How pictures are handed over: how many bytes each may have, and what is tried until it has no more. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.runtime.images import Format
from imagegate.runtime.validation import MIN_OUTPUT_BYTES
from imagegate.v1 import generation_pb2

# Of all pictures together, where the request says nothing: gRPC's own limit is 4,194,304 bytes for the whole answer.
DEFAULT_OUTPUT_BYTES = 4_000_000
# What an answer says beside its pictures may have so many bytes; beyond that the pictures give way. As much again, and
# more, is left to what a router tells of its attempts.
REST_BYTES = 65_536

FORMATS: dict[int, Format] = {
    generation_pb2.FORMAT_PNG: "PNG",
    generation_pb2.FORMAT_JPEG: "JPEG",
    generation_pb2.FORMAT_WEBP: "WEBP",
}
# The longest side that these can have, in pixels.
LONGEST_SIDE: dict[Format, int] = {"JPEG": 65_500, "WEBP": 16_383}

# The qualities that are tried, and what a picture has at each of its bytes at the first: few enough to be no loss, so
# that what is expected to fit mostly does.
SHARES = {95: 1.0, 85: 0.6, 70: 0.4, 50: 0.3}
QUALITIES = tuple(SHARES)
# Encodings of one picture. The last one fits whatever is on it: 64 × 64 pixels of noise have 8 KB at the most.
MAX_TRIES = 6
SMALLEST_SIDE = 64
# A smaller picture has more bytes per pixel, so it is made smaller than the pixels alone would ask for.
MARGIN = 0.85


@dataclass(frozen=True, slots=True)
class Step:
    """One way to encode a picture: at `quality` (1 to 100; a PNG has none), its sides times `scale` (above 0, to 1)."""

    quality: int = QUALITIES[0]
    scale: float = 1.0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The sides of a picture that is encoded so, at least 1 pixel each."""
        return max(int(width * self.scale), 1), max(int(height * self.scale), 1)


@dataclass(frozen=True, slots=True)
class Try:
    """What became of a step: the bytes of the picture, None where the encoder could not do it."""

    step: Step
    size: int | None


def budget(output: generation_pb2.Output, pictures: int, rest_bytes: int) -> int:
    """The bytes that all `pictures` of an answer may have, at least MIN_OUTPUT_BYTES each.

    `rest_bytes` is what the answer has besides: very much of it is taken from the pictures, so that whoever can take
    the pictures can take the answer.
    """
    asked = output.max_bytes if output.HasField("max_bytes") else DEFAULT_OUTPUT_BYTES
    return max(asked - max(rest_bytes - REST_BYTES, 0), MIN_OUTPUT_BYTES * pictures)


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """The bytes that each picture may have: its own where they fit, else what the smaller ones leave to each of the
    larger. Together at most `total`.
    """
    shares = list(sizes)
    left = total
    for place, index in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[index] = min(sizes[index], left // (len(sizes) - place))
        left -= shares[index]
    return shares


def lossy_format(asked: Format | None, given: Format, transparent: bool) -> Format:
    """The format in which a picture is made to fit: the one that was asked for, else the one that it has, where either
    can be made smaller at all.
    """
    for kind in (asked, given):
        if kind is not None and kind != "PNG":
            return kind
    return "WEBP" if transparent else "JPEG"


def next_step(kind: Format, longest_side: int, limit: int, tries: Sequence[Try]) -> Step:
    """What to try next so that a JPEG or WEBP has at most `limit` bytes (at least MIN_OUTPUT_BYTES): first lower
    qualities, then smaller pictures, and with try MAX_TRIES one that fits for sure.
    """
    if not tries:  # smaller only where the format has no room for such a side
        return Step(scale=min(1.0, LONGEST_SIDE[kind] / longest_side))
    if len(tries) >= MAX_TRIES - 1:
        return Step(QUALITIES[-1], min(1.0, SMALLEST_SIDE / longest_side))
    last = tries[-1]
    lower = [quality for quality in QUALITIES if quality < last.step.quality]
    if last.size is None:  # nothing to go by
        return Step(lower[0], last.step.scale) if lower else Step(QUALITIES[-1], last.step.scale / 2)
    at_best = last.size / SHARES[last.step.quality]
    for quality in lower:
        if at_best * SHARES[quality] <= limit:
            return Step(quality, last.step.scale)
    smaller = math.sqrt(limit / (at_best * SHARES[QUALITIES[-1]]))
    return Step(QUALITIES[-1], last.step.scale * smaller * MARGIN)
