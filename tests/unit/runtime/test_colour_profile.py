"""What of a colour profile is passed on with a picture: its colours, and nothing that anybody has written."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from imagegate.runtime.colour_profile import MAX_BYTES, colours_of, with_colours
from imagegate.runtime.images import inspect
from imagegate.runtime.luggage import left_behind

MARKER = b"a marker in a profile"
KINDS = ["PNG", "JPEG", "WEBP"]
PICTURE = Image.effect_noise((64, 48), 90).convert("RGB")
# Display P3, adapted to D50 as profiles are.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(number, values))


def profile(text: bytes = MARKER, space: bytes = b"RGB ") -> bytes:
    """A profile of Display P3's colours, in which somebody has written something wherever there is room for it."""
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {b"desc": b"text\0\0\0\0" + text, b"cprt": b"text\0\0\0\0" + text, b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {name + b"XYZ": xyz(value) for name, value in zip((b"r", b"g", b"b"), P3, strict=True)}
    tags |= {name + b"TRC": gamma for name in (b"r", b"g", b"b", b"k")}
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    header = b"mark" + b"\2\x10\0\0mntr" + space + b"XYZ " + bytes(12) + b"acsp" + b"mark" * 6 + bytes(4)
    header += b"".join(map(number, (0.9642, 1.0, 0.8249))) + b"mark" * 12
    whole = header + table + body
    return struct.pack(">I", len(whole) + 4) + whole


def encoded(kind: str, icc: bytes) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, kind, icc_profile=icc)
    return file.getvalue()


def seen_as(icc: bytes) -> bytes:
    """What the picture looks like on an sRGB screen."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    shown = ImageCms.profileToProfile(PICTURE, source, ImageCms.createProfile("sRGB"))
    assert shown is not None
    return shown.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_colours_stay_and_the_words_do_not(kind: str) -> None:
    """S10: a wide-gamut picture looks as it did, pixel by pixel, and what was written into its profile is gone."""
    given_data = encoded(kind, profile())
    info = inspect(given_data)
    washed = colours_of(given_data, info)
    kept = with_colours(left_behind(given_data, info), info, washed)
    assert b"mark" not in washed
    assert seen_as(washed) == seen_as(profile()) != PICTURE.tobytes()
    assert inspect(kept) == info
    found = Image.open(io.BytesIO(kept))
    assert found.info["icc_profile"] == washed
    assert found.tobytes() == Image.open(io.BytesIO(given_data)).tobytes()
    assert colours_of(kept, info) == washed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "icc",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile(b"sRGB IEC61966-2.1"),
        profile(MARKER * 3000),
        profile(space=b"CMYK"),
        profile()[:131],
        profile().replace(b"gTRC", b"eTRC"),
        b"x" * 200,
    ],
    ids=["sRGB", "sRGB by name", "too large", "ink", "cut off", "no curve", "noise"],
)
def test_what_says_nothing_more_than_srgb_stays_behind(kind: str, icc: bytes) -> None:
    """Where there is no profile every browser takes sRGB: nothing else needs one, and nothing strange has one."""
    data = encoded(kind, icc)
    assert colours_of(data, inspect(data)) == b""


def test_a_picture_without_a_profile_has_none() -> None:
    """What most upstreams deliver is left alone."""
    for kind in KINDS:
        data = encoded(kind, b"")
        assert colours_of(data, inspect(data)) == b""


def test_what_shares_its_bytes_does_not_multiply() -> None:
    """S8: nine tags that point to the same 20 KB are no profile of 180 KB."""
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"chad")
    table = struct.pack(">I", len(names)) + b"".join(name + struct.pack(">II", 240, 20_000) for name in names)
    data = encoded("PNG", profile()[:128] + table + b"XYZ " + bytes(20_000))
    assert colours_of(data, inspect(data)) == b""


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=20))
def test_whatever_a_profile_says_of_itself_it_is_bounded(changes: list[tuple[int, int]]) -> None:
    """S8: no length, offset or count that somebody made up raises anything or makes a profile grow."""
    broken = bytearray(profile())
    for at, value in changes:
        broken[at] = value
    data = encoded("PNG", bytes(broken))
    assert len(colours_of(data, inspect(data))) <= MAX_BYTES
