"""A hundred pictures that are odd, and good."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps

from .made import chunk, encoded, exif_of, noise, opened, png_with, soft

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
SIZES = ((1, 1), (33, 77), (301, 200), (640, 17))


@dataclass(frozen=True, slots=True)
class Good:
    """A file, the picture that a provider must get, and how far a mean pixel may be from it, of 255."""

    name: str
    data: bytes
    expected: Image.Image
    apart: float = 0.0


def good() -> list[Good]:
    """All of them, the same in every run."""
    return [each for kind in (modes, cameras, editors, large) for each in kind()]


def modes() -> Iterator[Good]:
    """Every kind of pixel, in every format and of several sizes."""
    for number, size in enumerate(SIZES):
        picture = noise(number, size)
        for mode in MODES:
            kept = _in(mode, picture)
            expected = picture.convert("L") if mode == "I;16" else kept.convert("RGBA" if "A" in mode else "RGB")
            yield Good(f"PNG {mode} {size}", encoded(kept), expected)
        for mode in ("L", "RGB"):
            for options in ({}, {"progressive": True}, {"quality": 20}):
                data = encoded(picture.convert(mode), "JPEG", **options)
                yield Good(f"JPEG {mode} {size} {options}", data, opened(data))
        ink = encoded(soft(size).convert("CMYK"), "JPEG")
        yield Good(f"JPEG CMYK {size}", ink, opened(ink).convert("RGB"), 1.5)
        for mode in ("RGB", "RGBA"):
            for options in ({}, {"lossless": True}):
                data = encoded(picture.convert(mode), "WEBP", **options)
                yield Good(f"WEBP {mode} {size} {options}", data, opened(data))


def cameras() -> Iterator[Good]:
    """Every way up, in every format."""
    for way_up in range(1, 9):
        for kind, apart in (("PNG", 0.0), ("JPEG", 1.5), ("WEBP", 0.0)):
            data = encoded(soft((120, 80)), kind, exif=exif_of(way_up), icc_profile=b"p" * 3000)
            yield Good(f"{kind} {way_up}", data, ImageOps.exif_transpose(opened(data)), apart)


def editors() -> Iterator[Good]:
    """With all that programs write beside a picture."""
    dice = random.Random(3)  # noqa: S311 it must repeat
    plain = opened(png_with())
    for number in range(12):
        texts = [chunk(b"tEXt", b"parameters\0" + dice.randbytes(1000)) for _ in range(number)]
        yield Good(f"{number} texts", png_with(*texts, chunk(b"prVt", b"SECRET"), chunk(b"gAMA", bytes(4))), plain)
    clear = Image.new("RGB", (40, 40), "red")
    yield Good(
        "a colour is transparent", encoded(clear, transparency=(255, 0, 0)), Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    )
    yield Good("interlaced by hand", encoded(noise(9).quantize(200)), noise(9).quantize(200).convert("RGB"))


def large() -> Iterator[Good]:
    """As many pixels as there may be."""
    flat = noise(4, (64, 64)).resize((4096, 4096), Image.Resampling.NEAREST)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "method": 0})):
        data = encoded(flat, kind, **options)
        yield Good(f"16.8 megapixels of {kind}", data, opened(data))
    turned = encoded(flat, "JPEG", progressive=True, exif=exif_of(8))
    yield Good("16.8 megapixels turned", turned, ImageOps.exif_transpose(opened(turned)), 1.5)


def _in(mode: str, picture: Image.Image) -> Image.Image:
    if mode == "I;16":
        return picture.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    return picture.convert(mode)
