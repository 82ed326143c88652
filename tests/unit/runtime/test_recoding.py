"""Pictures encoded again: what is on them stays, what came along with them does not, and they fit."""

import random
from io import BytesIO
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imagegate.runtime import images
from imagegate.runtime.images import NotAPicture
from imagegate.runtime.recoding import Encoded, fitted, to_png
from imagegate.runtime.validation import MIN_OUTPUT_BYTES
from imagegate.testing import picture

# Every colour mode that an upstream's file can have, by what Pillow calls it, and the formats that have it.
MODES = {
    "1": ["PNG"],
    "L": ["PNG", "JPEG"],
    "LA": ["PNG"],
    "P": ["PNG"],
    "I;16": ["PNG"],
    "RGB": ["PNG", "JPEG", "WEBP"],
    "RGBA": ["PNG", "WEBP"],
    "CMYK": ["JPEG"],
}
FILES = [(mode, kind) for mode, kinds in MODES.items() for kind in kinds]
BITS = {"1": 1, "I;16": 16}


def encoded(drawn: Image.Image, kind: str, **more: object) -> Encoded:
    file = BytesIO()
    drawn.save(file, kind, **more)  # type: ignore[arg-type]
    return Encoded(file.getvalue(), images.inspect(file.getvalue()))


def noise(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    source = random.Random(seed)  # noqa: S311 a picture, not a secret
    row = (width * len(Image.new(mode, (1, 1)).getbands()) * BITS.get(mode, 8) + 7) // 8
    drawn = Image.frombytes(mode, (width, height), source.randbytes(row * height))
    if mode == "P":
        drawn.putpalette(source.randbytes(768))
    return drawn


def flat(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (40, 30), value)  # type: ignore[arg-type]


def middle(made: Encoded) -> tuple[int, int, int]:
    pixel = Image.open(BytesIO(made.data)).convert("RGB").getpixel((20, 15))
    assert isinstance(pixel, tuple)
    return pixel  # type: ignore[return-value]


def is_near(seen: tuple[int, int, int], expected: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 6 for a, b in zip(seen, expected, strict=True))


@pytest.mark.parametrize("asked", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(("mode", "kind"), FILES)
def test_every_mode_in_every_format(mode: str, kind: str, asked: str) -> None:
    """Whatever colours an upstream's file has, it can be had in each format, whole and of the same size."""
    given = encoded(noise(mode, 50, 40), kind)
    made = to_png(given, 10**6) if asked == "PNG" else fitted(given, asked, 10**6)  # type: ignore[arg-type]
    assert made is not None
    seen = images.inspect(made.data)
    assert seen == made.seen
    assert (seen.format, seen.width, seen.height) == (asked, 50, 40)


@pytest.mark.parametrize("asked", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("given", "colour"),
    [
        (encoded(flat("RGB", (200, 40, 90)), "PNG"), (200, 40, 90)),
        (encoded(flat("RGB", (200, 40, 90)), "WEBP", lossless=True), (200, 40, 90)),
        (encoded(flat("L", 77), "JPEG"), (77, 77, 77)),
        (encoded(flat("I;16", 0x8000), "PNG"), (128, 128, 128)),
        (encoded(flat("1", 1), "PNG"), (255, 255, 255)),
        (encoded(flat("RGB", (10, 200, 30)).quantize(4), "PNG"), (10, 200, 30)),
        (encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG"), (254, 0, 0)),
    ],
)
def test_colours_stay(given: Encoded, colour: tuple[int, int, int], asked: str) -> None:
    """16 bits of grey, palettes and printers' colours look as they did."""
    made = to_png(given, 10**6) if asked == "PNG" else fitted(given, asked, 10**6)  # type: ignore[arg-type]
    assert made is not None
    assert is_near(middle(made), colour)


def test_transparency() -> None:
    """A JPEG shows white where the picture was transparent; a WEBP stays transparent."""
    half = flat("RGBA", (255, 0, 0, 128))
    assert is_near(middle(fitted(encoded(half, "PNG"), "JPEG", 10**6)), (255, 127, 127))
    assert is_near(middle(fitted(encoded(flat("LA", (0, 0)), "PNG"), "JPEG", 10**6)), (255, 255, 255))
    kept = Image.open(BytesIO(fitted(encoded(half, "PNG"), "WEBP", 10**6).data))
    assert kept.mode == "RGBA"
    assert kept.getpixel((20, 15))[3] == 128  # type: ignore[index]


def test_a_png_that_has_to_fit_stays_transparent_where_it_is() -> None:
    """A PNG becomes a WEBP where anything is transparent, and a JPEG where it only could be."""
    see_through = encoded(noise("RGBA", 100, 100), "PNG")
    assert fitted(see_through, None, 20_000).seen.format == "WEBP"
    opaque = noise("RGBA", 100, 100)
    opaque.putalpha(255)
    assert fitted(encoded(opaque, "PNG"), None, 20_000).seen.format == "JPEG"


def test_as_large_as_possible_and_said() -> None:
    """What fits at the best quality is not made worse; what does not is, and says how."""
    given = encoded(noise("RGB", 300, 300), "PNG")
    assert str(given) == f"PNG, {len(given.data):,} bytes"
    best = fitted(given, "JPEG", 10**6)
    assert str(best) == f"JPEG quality 95, {len(best.data):,} bytes"
    worse = fitted(given, "JPEG", len(best.data) - 1, best)
    assert str(worse).startswith("JPEG quality 85, ")
    assert worse.seen.width == 300
    assert fitted(given, "JPEG", len(best.data) - 1) == worse, "the same bytes give the same bytes"
    tiny = fitted(given, "JPEG", MIN_OUTPUT_BYTES)
    assert 64 < tiny.seen.width < 300


def test_a_png_that_would_be_too_large_is_given_up() -> None:
    """A PNG has no quality to lower: it fits, or it is not made."""
    given = encoded(noise("RGB", 100, 100), "JPEG")
    assert to_png(given, 10_000) is None
    assert to_png(given, 100_000) is not None


@pytest.mark.parametrize("asked", ["PNG", "JPEG", "WEBP"])
def test_nothing_comes_along(asked: str) -> None:
    """R14: prompts and settings that the upstream wrote into its file stay behind."""
    notes = PngInfo()
    notes.add_text("parameters", "a secret prompt")
    exif = Image.Exif()
    exif[0x010E] = "a secret prompt"
    profile = b"a secret prompt"
    files = [
        encoded(noise("RGB", 80, 80), "PNG", pnginfo=notes, exif=exif, icc_profile=profile),
        encoded(noise("RGB", 80, 80), "JPEG", comment=b"a secret prompt", exif=exif, icc_profile=profile),
        encoded(noise("RGB", 80, 80), "WEBP", exif=exif, icc_profile=profile, xmp=profile),
    ]
    for each in files:
        assert b"secret" in each.data or each.seen.format == "PNG"  # where profiles are compressed
        made = to_png(each, 10**6) if asked == "PNG" else fitted(each, asked, 10**6)  # type: ignore[arg-type]
        assert made is not None
        assert b"secret" not in made.data
        assert not Image.open(BytesIO(made.data)).info.keys() & {"parameters", "exif", "icc_profile", "comment", "xmp"}


@pytest.mark.parametrize(("width", "height"), [(70_000, 2), (1, 70_000), (4_000_000, 1)])
@pytest.mark.parametrize("asked", ["JPEG", "WEBP"])
def test_a_side_that_no_format_has(width: int, height: int, asked: str) -> None:
    """A picture with a side beyond what a format can have is made smaller."""
    given = encoded(noise("L", width, height), "PNG")
    made = fitted(given, asked, 10**6)  # type: ignore[arg-type]
    assert images.inspect(made.data) == made.seen
    assert max(made.seen.width, made.seen.height) < max(width, height)
    small = fitted(given, asked, MIN_OUTPUT_BYTES)  # type: ignore[arg-type]
    assert len(small.data) <= MIN_OUTPUT_BYTES


def test_what_does_not_decode_is_no_picture() -> None:
    """R14: chunks that are whole around data that is none are found out when the picture is needed."""
    whole = picture(64, 64)
    cut = picture(64, 64, "WEBP")
    seen = images.inspect(whole)
    with pytest.raises(NotAPicture, match="does not decode"):
        fitted(Encoded(whole[:-200], seen), "JPEG", 10**6)
    with pytest.raises(NotAPicture):
        to_png(Encoded(cut, seen), 10**6)


def test_colours_that_make_no_sense_are_no_picture() -> None:
    """R5: more transparent entries than a palette can have decode, and cannot be shown: that is no bug of ours."""
    made = encoded(noise("P", 64, 64), "PNG").data
    at = made.index(b"IDAT") - 4
    transparency = b"tRNS" + bytes(300)
    data = made[:at] + (300).to_bytes(4, "big") + transparency + crc32(transparency).to_bytes(4, "big") + made[at:]
    broken = Encoded(data, images.inspect(data))
    for recode in (lambda: to_png(broken, 10**6), lambda: fitted(broken, "JPEG", MIN_OUTPUT_BYTES)):
        with pytest.raises(NotAPicture, match="colours make no sense"):
            recode()


@given(
    st.sampled_from(FILES),
    st.integers(1, 320),
    st.integers(1, 320),
    st.integers(0, 2**32),
    st.sampled_from([None, "PNG", "JPEG", "WEBP"]),
    st.integers(MIN_OUTPUT_BYTES, 120_000),
)
@settings(max_examples=60)
def test_any_picture_fits_into_any_limit(
    file: tuple[str, str], width: int, height: int, seed: int, asked: str | None, limit: int
) -> None:
    """S1: whatever is on a picture, it can be made to fit, and is a whole picture of the format it says."""
    mode, kind = file
    made = fitted(encoded(noise(mode, width, height, seed), kind), asked, limit)  # type: ignore[arg-type]
    assert len(made.data) <= limit
    assert images.inspect(made.data) == made.seen
    assert asked in (None, "PNG", made.seen.format)
