"""What pictures are made of, whole and by hand."""

import io
import random
import struct
import zlib
from functools import cache

from PIL import Image

SIZE = (96, 64)
MASK = Image.new("L", SIZE, 0)
MASK.paste(255, (20, 20, 60, 50))


@cache
def noise(seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture that hardly compresses, the same in every run."""
    pixels = random.Random(seed).randbytes(size[0] * size[1] * 3)  # noqa: S311 a picture, not a secret
    return Image.frombytes("RGB", size, pixels)


def soft(size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of which a JPEG is much alike."""
    return Image.linear_gradient("L").resize(size).convert("RGB")


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    """The picture in a file."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def exif_of(orientation: int) -> Image.Exif:
    """EXIF that says which way up a picture is."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "SECRET"
    return exif


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int, depth: int = 8, colour: int = 2, rest: bytes = b"\0\0\0") -> bytes:
    """The first chunk of a PNG."""
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + rest)


def png(*chunks: bytes) -> bytes:
    """A PNG of these chunks and an end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND")


def pixels(width: int = 8, height: int = 8) -> bytes:
    """The data of a black picture in RGB."""
    return chunk(b"IDAT", zlib.compress(bytes(height * (1 + 3 * width))))


def png_with(*chunks: bytes) -> bytes:
    """A whole PNG with these chunks after its header."""
    whole = encoded(noise())
    return whole[:33] + b"".join(chunks) + whole[33:]


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A whole JPEG that begins with these segments."""
    made = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments]
    whole = encoded(noise(), "JPEG")
    return whole[:2] + b"".join(made) + whole[2:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WEBP of these chunks."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
