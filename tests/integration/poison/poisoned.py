"""Three hundred and more files that are no pictures to make another one from, each with what must be said of it."""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from .made import MASK, SIZE, chunk, encoded, exif_of, header, jpeg_with, noise, pixels, png, png_with, webp

ENDLESS = bytes(1024 * 1024 + 1)
PNG = encoded(noise())
WHOLE = {
    "PNG": PNG,
    "JPEG": encoded(noise(), "JPEG"),
    "progressive JPEG": encoded(noise(), "JPEG", progressive=True),
    "WEBP": encoded(noise(), "WEBP"),
    "lossless WEBP": encoded(noise(), "WEBP", lossless=True),
}
PAGE = b"<!doctype html><html><body><script>alert(1)</script></body></html>"


@dataclass(frozen=True, slots=True)
class Poison:
    """A file, and words that its refusal must have; a mask is sent with a picture of SIZE."""

    name: str
    data: bytes
    words: str
    is_mask: bool = False


def poisoned() -> list[Poison]:
    """All of them, the same in every run."""
    kinds = (truncated, flipped, trailing, in_disguise, giants, moving, overloaded, crooked, random_bytes, wrong_masks)
    return [poison for kind in kinds for poison in kind()]


def truncated() -> Iterator[Poison]:
    """Files that end too early, wherever that is."""
    for kind, whole in WHOLE.items():
        for share in range(20):
            at = max(12, len(whole) * share // 20)
            yield Poison(f"{kind} cut at {at}", whole[:at], "half a")


def flipped() -> Iterator[Poison]:
    """PNGs of which one bit is another one; each chunk has a checksum."""
    dice = random.Random(5)  # noqa: S311 it must repeat
    for _ in range(40):
        at, bit = dice.randrange(41, len(PNG)), dice.randrange(8)
        yield Poison(f"PNG flipped at {at}", PNG[:at] + bytes([PNG[at] ^ 1 << bit]) + PNG[at + 1 :], "PNG")


def trailing() -> Iterator[Poison]:
    """Pictures to one program, and something else to another."""
    tails = {
        "page": PAGE,
        "zip": b"PK\3\4" + bytes(40),
        "php": b"<?php system($_GET[0]); ?>",
        "byte": b"\0",
        "twin": PNG,
    }
    for kind, whole in WHOLE.items():
        for name, tail in tails.items():
            yield Poison(f"{kind} and a {name}", whole + tail, "bytes after its end")


def in_disguise() -> Iterator[Poison]:
    """What is no picture of ours at all."""
    gif = encoded(noise().convert("P"), "GIF")
    files = {
        "a GIF": [gif, b"GIF89a=1;alert(1)//"],
        "an HTML page": [PAGE, b"\n\n  <html>" + PNG, b"<!-- " + PNG[:40] + b"--><html>"],
        "an SVG drawing": [b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'],
        "an XML document": [b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
        "a JSON document": [b'{"error": "not found"}', b"[]"],
        "a data URI": [b"data:image/png;base64,iVBORw0KGgo="],
        "a text": [b"no such file", b"#!/bin/sh\nrm -rf /\n", b"%!PS-Adobe-3.0\n"],
        "a PDF": [b"%PDF-1.7\n" + PNG],
        "a ZIP archive": [b"PK\3\4" + PNG],
        "gzip data": [b"\x1f\x8b\x08" + zlib.compress(PNG)],
        "a TIFF": [encoded(noise(), "TIFF"), b"MM\0*" + bytes(99)],
        "an icon": [encoded(noise(), "ICO")],
        "an AVIF, HEIC or MP4 file": [b"\0\0\0\x20ftypheic" + bytes(99), b"\0\0\0\x20ftypavif" + bytes(99)],
        "a RIFF file that is not a WEBP": [b"RIFF\x24\0\0\0WAVEfmt " + bytes(99)],
        "a format that is not known": [
            encoded(noise(), "BMP"),
            bytes(1),
            bytes(5000),
            b"\0" + PNG,
            b"\x7fELF" + bytes(9),
        ],
        "a damaged signature": [b"\x89PNG\n\x1a\n" + PNG[7:]],
    }
    for what, datas in files.items():
        for number, data in enumerate(datas):
            yield Poison(f"{what} {number}", data, what)


def giants() -> Iterator[Poison]:
    """Files of a few bytes that declare more than anybody could hold, or nothing."""
    for width, height in (
        (50_000, 50_000),
        (4097, 4096),
        (2**31 - 1, 1),
        (2**31 - 1, 2**31 - 1),
        (1, 2**25),
        (65_535, 300),
    ):
        yield Poison(
            f"PNG of {width}x{height}", png(header(width, height), pixels()), f"declares {width} × {height} pixels"
        )
    jpeg = WHOLE["JPEG"]
    at = jpeg.index(b"\xff\xc0") + 5
    for width, height in ((65_535, 65_535), (4097, 4096), (0, 64), (64, 0)):
        data = jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
        yield Poison(f"JPEG of {width}x{height}", data, f"declares {width} × {height} pixels")
    for width, height in ((16_383, 16_383), (4097, 4096)):
        lossless = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(9)
        yield Poison(f"WEBP of {width}x{height}", webp((b"VP8L", lossless)), f"declares {width} × {height} pixels")
    canvas = bytes(4) + (2**24 - 1).to_bytes(3, "little") * 2
    yield Poison("WEBP with a vast canvas", webp((b"VP8X", canvas)), "declares 16777216 × 16777216 pixels")
    for width, height in ((0, 0), (0, 64), (64, 0)):
        yield Poison(
            f"PNG of {width}x{height}", png(header(width, height), pixels()), f"declares {width} × {height} pixels"
        )


def moving() -> Iterator[Poison]:
    """More than one frame."""
    frames = [noise(seed) for seed in range(4)]
    for count in (2, 3, 4):
        options = {"save_all": True, "append_images": frames[1:count], "duration": 40}
        yield Poison(f"PNG of {count} frames", encoded(frames[0], **options), "an animated PNG")
        yield Poison(f"WEBP of {count} frames", encoded(frames[0], "WEBP", **options), "an animated WEBP")
        yield Poison(f"GIF of {count} frames", encoded(frames[0].convert("P"), "GIF", **options), "a GIF")
    yield Poison("WEBP of one frame that says it moves", webp((b"VP8X", b"\2" + bytes(9))), "an animated WEBP")


def overloaded() -> Iterator[Poison]:
    """Pictures with which comes what unpacks to megabytes, or by the hundred."""
    packed = zlib.compress(ENDLESS)
    bomb = zlib.compress(bytes(100 * 1024 * 1024))
    for name, body in (("zTXt", b"k\0\0"), ("iTXt", b"k\0\1\0\0\0"), ("iCCP", b"k\0\0")):
        what = "colour profile" if name == "iCCP" else "text"
        for size, data in (("1 MiB", packed), ("100 MiB", bomb)):
            yield Poison(f"{name} of {size}", png_with(chunk(name.encode(), body + data)), f"a {what} of over 1 MiB")
    small = zlib.compress(b"a")
    for count in (100, 1000, 5000):
        words = f"a PNG with {count:,} compressed texts"
        yield Poison(f"{count} zTXt", png_with(*[chunk(b"zTXt", b"k\0\0" + small)] * count), words)
        yield Poison(f"{count} iTXt", png_with(*[chunk(b"iTXt", b"k\0\1\0\0\0" + small)] * count), words)
    yield Poison("100 zTXt of 1 MiB", png_with(*[chunk(b"zTXt", b"k\0\0" + packed)] * 100), "100 compressed texts")
    yield Poison("100 tEXt", png_with(*[chunk(b"tEXt", b"k\0a")] * 100), "a PNG with 100 texts")
    yield Poison("a tEXt of 1 MiB", png_with(chunk(b"tEXt", b"k\0" + ENDLESS)), "a text of over 1 MiB")
    yield Poison("500 profiles", png_with(*[chunk(b"iCCP", b"k\0\0" + packed)] * 500), "more than one colour profile")
    icc = b"ICC_PROFILE\0\1\1" + bytes(60_000)
    yield Poison("JPEG with a giant profile", jpeg_with(*[(0xE2, icc)] * 18), "a colour profile of over 1 MiB")
    yield Poison("JPEG with 255 profiles", jpeg_with(*[(0xE2, icc)] * 255), "a colour profile of over 1 MiB")
    yield Poison("JPEG with 100 comments", jpeg_with(*[(0xFE, b"a")] * 100), "a JPEG with 100 comments")
    yield Poison("WEBP with a giant profile", encoded(noise(), "WEBP", icc_profile=ENDLESS), "profile of over 1 MiB")
    yield Poison("25,000 chunks", png_with(*[chunk(b"prVt")] * 25_000), "more than 20,000 chunks")
    yield Poison("25,000 segments", jpeg_with(*[(0xE5, b"")] * 25_000), "more than 20,000 segments")
    hidden = chunk(b"IDAT", zlib.compress(bytes(8 * 25)) + b"PK\3\4")
    yield Poison("hidden in picture data", png(header(8, 8), hidden), "hidden behind its picture data")
    yield Poison("8x8 of 100 MiB", png(header(8, 8), chunk(b"IDAT", bomb)), "unpacks to more than it declares")
    yield Poison("22 MiB without an end", PNG[:33] + chunk(b"prVt", bytes(22 * 1024**2)) + PNG[33:-12], "half a PNG")


def crooked() -> Iterator[Poison]:
    """Files whose parts are each whole, and do not belong together."""
    black, end = pixels(), PNG[-12:]
    made = {
        "does not begin with its header": [png(black, header(8, 8)), png(black)],
        "without picture data": [
            png(header(8, 8)),
            WHOLE["JPEG"][:20] + b"\xff\xd9",
            webp(),
            webp((b"VP8X", bytes(10))),
        ],
        "scattered": [png(header(8, 8), black, chunk(b"tEXt", b"k\0a"), black)],
        "must not be there": [
            png(header(8, 8), header(9999, 9), black),
            png(header(8, 8), chunk(b"EVIL"), black),
            webp((b"EVIL", b"")),
            webp((b"VP8L", b"\x2f" + bytes(9)), (b"VP8L", b"\x2f" + bytes(9))),
        ],
        "without its palette": [
            png(header(8, 8, colour=3), black),
            png(header(8, 8, colour=3), black, chunk(b"PLTE", bytes(3))),
        ],
        "values that do not exist": [
            *(
                png(header(8, 8, depth, colour), black)
                for depth, colour in ((3, 2), (16, 3), (8, 1), (8, 7), (0, 0), (1, 6))
            ),
            *(png(header(8, 8, rest=rest), black) for rest in (b"\1\0\0", b"\0\1\0", b"\0\0\2")),
        ],
        "bytes after its end": [png(header(8, 8), black) + end],
        "does not decode": [
            png(header(8, 8), chunk(b"IDAT", b"no zlib at all")),
            png(header(8, 8), chunk(b"IDAT", zlib.compress(b"too little"))),
            png(header(8, 8), chunk(b"IDAT", zlib.compress(b"\x09" * 200))),
            png(header(8, 8), chunk(b"IDAT", b"")),
            webp((b"VP8L", b"\x2f" + struct.pack("<I", 63 | 63 << 14) + b"\xff" * 9)),
        ],
        "two different sizes": [
            webp((b"VP8X", bytes(10)), (b"VP8L", b"\x2f" + struct.pack("<I", 63 | 63 << 14) + bytes(9)))
        ],
        "browsers do not show": [jpeg_with((0xC9, bytes(8))), jpeg_with((0xC3, bytes(8)))],
        "two headers": [jpeg_with((0xC0, b"\x08" + struct.pack(">HHB", 8, 8, 1) + bytes(3)))],
    }
    for what, datas in made.items():
        for number, data in enumerate(datas):
            yield Poison(f"{what} {number}", data, what)


def random_bytes() -> Iterator[Poison]:
    """Noise, by itself and behind the beginning of a picture."""
    dice = random.Random(7)  # noqa: S311 it must repeat
    beginnings = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\xff\xff\0\0WEBPVP8 ")
    for number in range(24):
        data = beginnings[number % 4] + dice.randbytes(100 * number + 50)
        yield Poison(f"noise {number}", data, "; expected one whole PNG, JPEG or WEBP")


def wrong_masks() -> Iterator[Poison]:
    """Pictures, but no masks of a picture of SIZE."""
    width, height = SIZE
    for size in (
        (width - 1, height),
        (width, height + 1),
        (height, width),
        (1, 1),
        (2 * width, 2 * height),
        (512, 512),
    ):
        for kind in ("PNG", "JPEG", "WEBP"):
            words = f"has {size[0]} × {size[1]} pixels and the picture {width} × {height}"
            yield Poison(f"a {kind} mask of {size}", encoded(Image.new("L", size, 255), kind), words, is_mask=True)
    turned = encoded(MASK, "JPEG", exif=exif_of(6))
    yield Poison("a mask on its side", turned, f"has {height} × {width} pixels", is_mask=True)
    black = {"L": 0, "1": 0, "RGB": (0, 0, 0), "RGBA": (255, 255, 255, 0), "LA": (255, 0)}
    for mode, colour in black.items():
        yield Poison(
            f"a black {mode} mask", encoded(Image.new(mode, SIZE, colour)), "is black throughout", is_mask=True
        )
