"""What a picture is after it was made clean."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps

from imagegate.runtime import images, luggage
from imagegate.runtime.cleaning import clean, clean_mask
from imagegate.runtime.images import NotAPicture

SIZE = (37, 23)
NOISE = Image.frombytes("RGB", SIZE, random.Random(0).randbytes(37 * 23 * 3))  # noqa: S311 a picture, not a secret
ORIENTATION = 0x0112


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def difference(one: Image.Image, other: Image.Image) -> float:
    """How far the mean pixel of one is from that of the other, of 255."""
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L").histogram()
    return sum(value * count for value, count in enumerate(apart)) / sum(apart)


# Smooth, so that a JPEG of it is much like it.
GRADIENT = Image.linear_gradient("L").resize((64, 40)).convert("RGB")
UNTOUCHED = [
    encoded(NOISE, "PNG"),
    encoded(NOISE.convert("RGBA"), "PNG"),
    encoded(NOISE.convert("L"), "PNG"),
    encoded(NOISE, "JPEG"),
    encoded(NOISE.convert("L"), "JPEG"),
    encoded(NOISE, "JPEG", progressive=True),
    encoded(NOISE, "WEBP"),
    encoded(NOISE.convert("RGBA"), "WEBP", lossless=True),
]


@pytest.mark.parametrize("data", UNTOUCHED, ids=lambda data: f"{len(data)} bytes")
def test_what_is_clean_stays_as_it_is(data: bytes) -> None:
    """Nothing is encoded again without need: the very bytes go on."""
    seen = clean(data)
    assert (seen.data is data, seen.is_changed) == (True, False)
    assert (seen.width, seen.height) == SIZE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_lossless_picture_is_upright_in_every_pixel(kind: str, orientation: int) -> None:
    """P3: EXIF orientation is applied, and nothing of it is left."""
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(NOISE, kind, exif=exif_of(orientation), **options)
    seen = clean(data)
    expected = ImageOps.exif_transpose(opened(data)).convert("RGB")
    assert opened(seen.data).convert("RGB").tobytes() == expected.tobytes()
    assert (seen.width, seen.height) == expected.size
    assert not opened(seen.data).getexif()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_upright_and_still_a_jpeg(orientation: int) -> None:
    """A photo from a camera is turned with hardly a loss; one that is upright loses nothing."""
    data = encoded(GRADIENT, "JPEG", exif=exif_of(orientation), quality=95)
    seen, expected = clean(data), ImageOps.exif_transpose(opened(data))
    assert images.inspect(seen.data).format == "JPEG"
    assert opened(seen.data).size == expected.size
    assert difference(opened(seen.data), expected) <= (1.5 if orientation > 1 else 0)


@pytest.mark.parametrize(
    ("picture", "mode"),
    [
        (NOISE.convert("1"), "L"),
        (NOISE.convert("LA"), "RGB"),
        (NOISE.quantize(16), "RGB"),
        (NOISE.convert("CMYK"), "RGB"),
        (NOISE.convert("L").convert("I;16").point(lambda value: value * 257), "L"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_every_kind_of_pixel_becomes_one_of_three(picture: Image.Image, mode: str) -> None:
    """Palettes, ink and 16 bits are told in 8 bits of grey or of red, green and blue."""
    kind = "JPEG" if picture.mode == "CMYK" else "PNG"
    data = encoded(picture, kind)
    seen = opened(clean(data).data)
    assert (seen.format, seen.mode) == (kind, mode)
    if kind == "PNG" and picture.mode != "I;16":
        assert seen.convert("RGB").tobytes() == picture.convert("RGB").tobytes()


def test_sixteen_bits_of_grey_are_divided_not_cut_off() -> None:
    """What is bright with 16 bits is as bright with 8."""
    grey = Image.new("I;16", (8, 8), 0x8040)
    assert opened(clean(encoded(grey, "PNG")).data).getpixel((0, 0)) == 0x80


def test_what_is_transparent_stays_transparent() -> None:
    """A colour that a PNG declares to be transparent, and a palette with alpha, become an alpha channel."""
    for data in (
        encoded(Image.new("RGB", SIZE, "red"), "PNG", transparency=(255, 0, 0)),
        encoded(Image.new("RGBA", SIZE, (9, 9, 9, 0)).quantize(4), "PNG"),
    ):
        seen = opened(clean(data).data)
        assert seen.mode == "RGBA"
        assert seen.getchannel("A").getextrema() == (0, 0)


def test_a_large_webp_that_is_turned_becomes_a_jpeg() -> None:
    """As a PNG it would have ten times the bytes; what is transparent has no other way."""
    for colour, kind in (("navy", "JPEG"), ((0, 0, 99, 9), "PNG")):
        picture = Image.new("RGB" if kind == "JPEG" else "RGBA", (2049, 2048), colour)
        seen = clean(encoded(picture, "WEBP", lossless=True, method=0, exif=exif_of(6)))
        assert (images.inspect(seen.data).format, seen.width) == (kind, 2048)


MASK = Image.new("L", SIZE, 0)
MASK.paste(255, (5, 5, 20, 15))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_mask_is_grey(mode: str) -> None:
    """P3: a mask is L, whatever it was, and white stays white."""
    data = encoded(MASK.convert("RGB").convert(mode), "PNG")
    seen = clean_mask(data)
    assert (opened(seen.data).mode, seen.is_black, seen.is_changed) == ("L", False, mode != "L")
    assert opened(seen.data).tobytes() == MASK.tobytes()


def test_a_transparent_mask_lies_on_black() -> None:
    """What of a mask is transparent is not made anew, whatever colour it hides."""
    picture = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    assert clean_mask(encoded(picture, "PNG")).is_black
    picture.putpixel((3, 4), (255, 255, 255, 255))
    seen = clean_mask(encoded(picture, "PNG"))
    assert not seen.is_black
    assert opened(seen.data).getextrema() == (0, 255)
    assert opened(seen.data).getpixel((3, 4)) == 255


def test_a_mask_is_black_where_nothing_on_it_can_be_meant_as_white() -> None:
    """The noise that a JPEG leaves on black is no mask."""
    assert clean_mask(encoded(Image.new("L", SIZE, 8), "PNG")).is_black
    assert not clean_mask(encoded(Image.new("L", SIZE, 9), "PNG")).is_black
    assert clean_mask(encoded(Image.new("RGB", SIZE, 0), "JPEG")).is_black


GOOD = [*UNTOUCHED, encoded(NOISE.quantize(9), "PNG", exif=exif_of(5)), encoded(NOISE, "JPEG", exif=exif_of(8))]
spoilt = st.one_of(
    st.binary(max_size=400),
    st.builds(lambda data, at: data[: at % len(data)], st.sampled_from(GOOD), st.integers(0)),
    st.builds(
        lambda data, at, piece, over: data[: at % len(data)] + piece + data[at % len(data) + over :],
        st.sampled_from(GOOD),
        st.integers(0),
        st.binary(max_size=30),
        st.integers(0, 30),
    ),
    st.builds(
        lambda one, other, at: one[:at] + other[at:], st.sampled_from(GOOD), st.sampled_from(GOOD), st.integers(0, 999)
    ),
)


@given(spoilt)
def test_whatever_the_bytes_they_are_refused_or_become_a_clean_picture(data: bytes) -> None:
    """P3: nothing but NotAPicture is raised, and what comes out is whole, plain, bare and stays so."""
    for way, modes in ((clean, ("L", "RGB", "RGBA")), (clean_mask, ("L",))):
        try:
            seen = way(data)
        except NotAPicture:
            continue
        info = images.inspect(seen.data)
        assert (info.width, info.height) == (seen.width, seen.height)
        assert images.decode(seen.data, info).mode in modes
        assert luggage.left_behind(seen.data, info) is seen.data
        assert not way(seen.data).is_changed
