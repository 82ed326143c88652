"""Previews: small, clean, and never more than a nicety."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imagegate.runtime import images
from imagegate.runtime.preview import MAX_BYTES, shrunk
from imagegate.testing import picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("width", "height", "small"), [(64, 32, (64, 32)), (1024, 512, (256, 128)), (9, 900, (3, 256))]
)
def test_a_preview_is_a_small_jpeg(kind: str, width: int, height: int, small: tuple[int, int]) -> None:
    """R9: whatever the engine gives becomes a JPEG that fits into 256 × 256, and is never blown up."""
    data = shrunk(picture(width, height, kind))
    assert data is not None
    seen = images.inspect(data)
    assert (seen.format, seen.width, seen.height) == ("JPEG", *small)
    assert len(data) < 60_000


def test_nothing_comes_along() -> None:
    """R14: what the engine wrote into the picture, such as the prompt, stays behind."""
    notes = PngInfo()
    notes.add_text("parameters", "a secret prompt")
    buffer = BytesIO()
    Image.new("RGBA", (80, 80), "red").save(buffer, "PNG", pnginfo=notes)
    data = shrunk(buffer.getvalue())
    assert data is not None
    assert b"secret" not in data
    exif = Image.Exif()
    exif[0x010E] = "a secret prompt"
    buffer = BytesIO()
    Image.new("RGB", (80, 80), "red").save(buffer, "JPEG", exif=exif, comment=b"a secret prompt")
    data = shrunk(buffer.getvalue())
    assert data is not None
    assert b"secret" not in data


def a_bomb() -> bytes:
    """A PNG of 4096² pixels in a few kilobytes."""
    buffer = BytesIO()
    Image.new("L", (4096, 4096)).save(buffer, "PNG")
    return buffer.getvalue()


def undecodable() -> bytes:
    """A PNG whose chunks are whole and whose data is none."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"IDAT", b"no data"), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", picture(64, 64)[:-20], picture(64, 64) + b"x", bytes(MAX_BYTES + 1), a_bomb(), undecodable()],
    ids=["nothing", "html", "truncated", "trailing", "large", "bomb", "undecodable"],
)
def test_what_is_no_small_picture_is_none(data: bytes) -> None:
    """R14: what an upstream returned is hostile, unfinished or not; nothing is raised for it."""
    assert shrunk(data) is None
