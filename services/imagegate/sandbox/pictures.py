"""Drawings from prompt and seed: the same recipe gives the same bytes. Pure, and slow enough to belong in a thread."""

import asyncio
import hashlib
import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, ImageDraw, ImageFont

CELL = 8  # px; a mosaic compresses five times faster than noise of single pixels and is still no uniform picture
BOMB_SIDE = 50_000  # px
PICTURE_FAULTS = frozenset({"truncate", "wrong_size", "black", "blank", "bomb"})

# Quality and compression as fal documents its own (PNG level 1, JPEG 95); the others are Pillow's fast settings.
SAVE_OPTIONS: dict[str, dict[str, int]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 95},
    "webp": {"quality": 95, "method": 0},
    "tiff": {},
    "bmp": {},
}


@dataclass(frozen=True)
class Picture:
    """A picture that can be drawn at any time: `width` and `height` in px, `format` a key of SAVE_OPTIONS.

    `spoilt` names the fault of PICTURE_FAULTS that it suffers, if any.
    """

    prompt: str
    seed: int
    width: int
    height: int
    format: str = "png"
    spoilt: str | None = None

    @property
    def content_type(self) -> str:
        return "image/png" if self.spoilt == "bomb" else f"image/{self.format}"

    async def draw(self, retouch: Callable[[Image.Image], Image.Image] | None = None) -> bytes:
        """The encoded picture, drawn in a thread: 1024² takes 15 to 20 ms."""
        return await asyncio.to_thread(encode, self, retouch)


def seed_of(*parts: object) -> int:
    """The seed of a request that names none, 0 to 2³²−1: taken from the request, so that it gives the same bytes."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])


def encode(picture: Picture, retouch: Callable[[Image.Image], Image.Image] | None = None) -> bytes:
    """Draw and encode, spoilt as the picture says; `retouch` makes something else of the drawing."""
    match picture.spoilt:
        case "bomb":
            return bomb()
        case "black":
            canvas = Image.new("RGB", (picture.width, picture.height))
        case "blank":
            canvas = Image.new("RGB", (picture.width, picture.height), (128, 128, 128))
        case "wrong_size":
            canvas = _paint(replace(picture, width=picture.width // 2 + 8, height=picture.height // 2 + 16))
        case _:
            canvas = retouch(_paint(picture)) if retouch else _paint(picture)
    encoded = io.BytesIO()
    canvas.save(encoded, picture.format, **SAVE_OPTIONS[picture.format])
    data = encoded.getvalue()
    return data[: len(data) // 2] if picture.spoilt == "truncate" else data


def _paint(picture: Picture) -> Image.Image:
    dice = random.Random(f"{picture.prompt}\0{picture.seed}")  # noqa: S311 - a drawing, no secret
    across, down = -(-picture.width // CELL), -(-picture.height // CELL)
    colours = Image.frombytes("RGB", (6, 6), dice.randbytes(108)).resize((across, down), Image.Resampling.BICUBIC)
    grain = Image.frombytes("L", (across, down), dice.randbytes(across * down)).point([v // 8 for v in range(256)])
    mosaic = ImageChops.add(colours, Image.merge("RGB", (grain, grain, grain)))
    mosaic = mosaic.resize((across * CELL, down * CELL), Image.Resampling.NEAREST)
    canvas = mosaic.crop((0, 0, picture.width, picture.height))
    _sign(canvas, picture.prompt, dice)
    return canvas


def _sign(canvas: Image.Image, prompt: str, dice: random.Random) -> None:
    """Shapes, and words that nobody can mistake for a model's work."""
    pen = ImageDraw.Draw(canvas)
    side = min(canvas.size)
    for _ in range(3):
        x, y, r = dice.randrange(canvas.width), dice.randrange(canvas.height), side // dice.randint(5, 9)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(dice.randrange(256), dice.randrange(256), dice.randrange(256)))
    words = " ".join(prompt.split()[:6])[:60]
    for text, share, line in (("SANDBOX", 10, 0.40), (words, 22, 0.56)):
        font = ImageFont.load_default(size=max(side // share, 8))
        at = (canvas.width / 2, canvas.height * line)
        pen.text(at, text, font=font, anchor="mm", fill="white", stroke_width=2, stroke_fill="black")


def bomb() -> bytes:
    """A valid black-and-white PNG of 50,000 × 50,000: 300 kB that decode to 2.5 thousand million pixels."""
    raw = BOMB_SIDE * (1 + -(-BOMB_SIDE // 8))  # each row: a filter byte and one bit a pixel, all zero
    block = 1 << 20
    whole, rest = divmod(raw, block)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = deflate.compress(bytes(block)) + deflate.flush(zlib.Z_FULL_FLUSH)
    again = deflate.compress(bytes(block)) + deflate.flush(zlib.Z_FULL_FLUSH)  # full flush: it may be repeated as it is
    end = deflate.compress(bytes(rest)) + deflate.flush()
    checksum = struct.pack(">I", (raw % 65521) << 16 | 1)  # Adler-32 of that many zero bytes
    stream = b"\x78\xda" + start + again * (whole - 1) + end + checksum
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
