"""What counts as a picture, and what is said of everything else."""

import io
import struct
import tracemalloc
import zlib
from hashlib import shake_256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagegate.runtime.images import (
    MAX_BYTES,
    MAX_PARTS,
    MAX_SCANS,
    Appearance,
    Inspected,
    NotAPicture,
    inspect,
    look,
    needs_decoding,
)

Options = dict[str, object]


def noise(mode: str, width: int = 37, height: int = 23) -> Image.Image:
    """A picture on which every value differs from its neighbours, the same in every run."""
    pixels = shake_256(b"noise").digest(width * height * 3)
    return Image.frombytes("RGB", (width, height), pixels).convert(mode)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int, depth: int = 8, colour_type: int = 2, rest: bytes = b"\0\0\0") -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour_type) + rest)


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def refusal(data: bytes) -> str:
    with pytest.raises(NotAPicture) as caught:
        inspect(data)
    assert caught.value.what in str(caught.value)
    return caught.value.what


def label(value: object) -> str:
    """A short name for a parameter of many bytes."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


PIXELS = chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
END = chunk(b"IEND")
PNG = encoded(noise("RGB"), "PNG")
JPEG = encoded(noise("RGB"), "JPEG")
PROGRESSIVE = encoded(noise("RGB"), "JPEG", progressive=True)
WEBP = encoded(noise("RGB"), "WEBP")
GOOD = [PNG, JPEG, PROGRESSIVE, WEBP, encoded(noise("RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0some")]


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        *((mode, "PNG", {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        ("RGB", "PNG", {"optimize": True}),
        *((mode, "JPEG", {}) for mode in ("RGB", "L", "CMYK")),
        ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "JPEG", {"restart_marker_blocks": 1, "comment": b"made by a test"}),
        *((mode, "WEBP", {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (True, False)),
        ("RGB", "WEBP", {"icc_profile": b"a profile"}),
    ],
)
def test_good(mode: str, kind: str, options: Options) -> None:
    """A good picture of any mode passes with its format and size, and decodes."""
    data = encoded(noise(mode) if mode != "I;16" else sixteen_bits(range(37 * 23)), kind, **options)
    info = inspect(data)
    assert (info.format, info.mime_type, info.width, info.height) == (kind, f"image/{kind.lower()}", 37, 23)
    assert inspect(memoryview(data)) == info
    assert look(data, info) is Appearance.NORMAL


def sixteen_bits(values: range) -> Image.Image:
    return Image.frombytes("I;16", (37, 23), struct.pack(f"<{len(values)}H", *(value * 70 for value in values)))


@pytest.mark.parametrize("data", GOOD, ids=label)
def test_truncated(data: bytes) -> None:
    """Every beginning of a good picture is refused."""
    for length in range(len(data)):
        refusal(data[:length])


@pytest.mark.parametrize("data", GOOD, ids=label)
@settings(deadline=None)
@given(tail=st.binary(min_size=1, max_size=30))
def test_trailing(data: bytes, tail: bytes) -> None:
    """A good picture followed by anything is refused."""
    refusal(data + tail)


def test_polyglot() -> None:
    """A PNG that is a web page as well is refused, and so are its siblings."""
    assert refusal(PNG + b"<script>alert(1)</script>") == "a PNG with bytes after its end"
    assert refusal(JPEG + b"PK\x03\x04") == "a JPEG with bytes after its end"
    assert refusal(WEBP + b"<html>") == "a WEBP with bytes after its end"


@settings(deadline=None)
@given(place=st.integers(8, len(PNG) - 1), change=st.integers(1, 255))
def test_flipped(place: int, change: int) -> None:
    """A PNG with one changed byte in any chunk is refused."""
    refusal(PNG[:place] + bytes([PNG[place] ^ change]) + PNG[place + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", PNG[:8], PNG[:33], b"\xff\xd8\xff", WEBP[:16], WEBP[:30]]))
def test_any_bytes(data: bytes, start: bytes) -> None:
    """Any bytes at all are a picture or NotAPicture, and nothing else is raised."""
    inspect_or_refuse(start + data)


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from(GOOD),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), max_size=4),
)
def test_edited(data: bytes, edits: list[tuple[float, bytes]]) -> None:
    """A good picture that was written over anywhere is accepted or NotAPicture, by the walk and by the decoder."""
    edited = bytearray(data)
    for share, piece in edits:
        place = int(share * len(data))
        edited[place : place + len(piece)] = piece
    info = inspect_or_refuse(bytes(edited))
    if info is not None and info.pixels < 1_000_000:
        look_or_refuse(bytes(edited), info)


def inspect_or_refuse(data: bytes) -> Inspected | None:
    try:
        return inspect(data)
    except NotAPicture:
        return None


def look_or_refuse(data: bytes, info: Inspected) -> Appearance | None:
    try:
        return look(data, info)
    except NotAPicture:
        return None


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "nothing: the data is empty"),
        (b"\n<!DOCTYPE html><html><svg>", "an HTML page"),
        (b"<html><body>502 Bad Gateway", "an HTML page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><Error/>", "an XML document"),
        (b'{"detail": "loading"}', "a JSON document"),
        (b' [{"error": 1}]', "a JSON document"),
        (b"data:image/png;base64,iVBO", "a data URI"),
        (b"Not Found\r\n", "a text"),
        (b"GIF89a\1\0\1\0", "a GIF"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\0\0\0\x20ftypavif", "an AVIF, HEIC or MP4 file"),
        (b"RIFF\4\0\0\0WAVE", "a RIFF file that is not a WEBP"),
        (b"\x89PNG\n\x1a\n", "a PNG with a damaged signature"),
        (b"\0\1\2\3", "bytes of a format that is not known here"),
    ],
    ids=label,
)
def test_named(data: bytes, what: str) -> None:
    """What is not a picture is named, so that a log says what an upstream sent."""
    assert refusal(data) == what


@settings(deadline=None)
@given(st.text(min_size=30, max_size=60, alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)))
def test_no_echo(text: str) -> None:
    """R14: no byte of what an upstream sent is repeated in the error."""
    assert not set(text) & set(refusal(text.encode()))


def test_too_many_bytes() -> None:
    """More than 32 MiB are refused unread."""
    assert "over the limit" in refusal(bytes(MAX_BYTES + 1))


def test_bomb() -> None:
    """A PNG that declares 50,000 × 50,000 pixels is refused by its header, without memory."""
    data = png(header(50_000, 50_000), PIXELS, END)
    tracemalloc.start()
    what = refusal(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert what == "a PNG that declares 50000 × 50000 pixels, over the limit of 16,777,216"
    assert peak < 1_000_000


def test_bomb_in_other_formats() -> None:
    """The limit of pixels holds for a JPEG and both headers of a WEBP as well."""
    at = JPEG.index(b"\xff\xc0") + 5
    assert "65535 × 65535" in refusal(JPEG[:at] + b"\xff\xff\xff\xff" + JPEG[at + 4 :])
    assert "16777216 × 16777216" in refusal(webp((b"VP8X", bytes(4) + b"\xff" * 6)))
    assert "16384 × 16384" in refusal(webp((b"VP8L", b"\x2f\xff\xff\xff\x0f")))


def test_largest() -> None:
    """4096 × 4096 pixels are within the limit, one more row is not, and none is none."""
    assert inspect(png(header(4096, 4096), PIXELS, END)).pixels == 4096 * 4096
    refusal(png(header(4096, 4097), PIXELS, END))
    assert refusal(png(header(0, 5), PIXELS, END)) == "a PNG that declares 0 × 5 pixels"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png(END), "half a PNG: it ends inside its header"),
        (png(chunk(b"tEXt", bytes(30)), header(1, 1), PIXELS, END), "a PNG that does not begin with its header"),
        (png(header(1, 1, depth=3), PIXELS, END), "a PNG whose header holds values that do not exist"),
        (png(header(1, 1, colour_type=5), PIXELS, END), "a PNG whose header holds values that do not exist"),
        (png(header(1, 1, rest=b"\0\0\2"), PIXELS, END), "a PNG whose header holds values that do not exist"),
        (png(header(1, 1), END), "a PNG without picture data"),
        (png(header(1, 1), PIXELS, chunk(b"tEXt"), PIXELS, END), "a PNG whose picture data is scattered"),
        (png(header(1, 1), header(9, 9), PIXELS, END), "a PNG with a chunk that must not be there"),
        (png(header(1, 1), chunk(b"EViL"), PIXELS, END), "a PNG with a chunk that must not be there"),
        (png(header(1, 1, colour_type=3), PIXELS, END), "a PNG without its palette"),
        (png(header(1, 1), PIXELS), "half a PNG: it ends before its IEND chunk"),
        (png(header(1, 1), PIXELS, chunk(b"tEXt") * MAX_PARTS, END), f"a PNG of more than {MAX_PARTS:,} chunks"),
    ],
    ids=label,
)
def test_png_structure(data: bytes, what: str) -> None:
    """A PNG whose chunks are not those of one picture is refused, whatever their checksums say."""
    assert refusal(data) == what


SCAN = JPEG[JPEG.index(b"\xff\xda") : -2]
BEFORE_SCAN = JPEG[: JPEG.index(b"\xff\xda")]
FRAME = JPEG[JPEG.index(b"\xff\xc0") : JPEG.index(b"\xff\xc0") + 19]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xd8\xff\xd9", "a JPEG without picture data"),
        (b"\xff\xd8" + SCAN + b"\xff\xd9", "a JPEG without a header"),
        (b"\xff\xd8" + FRAME + FRAME + SCAN + b"\xff\xd9", "a JPEG with two headers"),
        (BEFORE_SCAN + SCAN * (MAX_SCANS + 1) + b"\xff\xd9", f"a JPEG of over {MAX_SCANS} scans"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc9", 1), "a JPEG coded in a way that browsers do not show"),
        (b"\xff\xd8\xff\xd8" + JPEG[2:], "a JPEG with a marker that must not be there"),
        (b"\xff\xd8" + FRAME + b"junk", "a damaged JPEG"),
        (b"\xff\xd8\xff\xe0\0\1\xff\xd9", "a damaged JPEG: a segment without a length"),
        (JPEG.replace(FRAME, FRAME[:4] + b"\x0c" + FRAME[5:]), "a JPEG whose header holds values that do not exist"),
        (BEFORE_SCAN + b"\xff\xfe\0\2" * MAX_PARTS + SCAN, f"a JPEG of more than {MAX_PARTS:,} segments"),
    ],
    ids=label,
)
def test_jpeg_structure(data: bytes, what: str) -> None:
    """A JPEG whose segments are not those of one picture is refused."""
    assert refusal(data) == what


def test_jpeg_thumbnail_and_fill() -> None:
    """An end marker inside application data, and fill bytes before a marker, are no end."""
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(JPEG)) + JPEG
    assert inspect(JPEG[:2] + thumbnail + b"\xff\xff\xff" + JPEG[2:]).width == 37


LOSSY = WEBP[20:]
LOSSLESS = encoded(noise("RGB"), "WEBP", lossless=True)[20:]
CANVAS = bytes(4) + b"\x24\0\0\x16\0\0"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (webp(), "a WEBP without picture data"),
        (webp((b"VP8X", CANVAS)), "a WEBP without picture data"),
        (webp((b"EXIF", b"1234")), "a WEBP with a chunk that must not be there"),
        (webp((b"VP8 ", LOSSY), (b"VP8X", CANVAS)), "a WEBP with a chunk that must not be there"),
        (webp((b"VP8 ", LOSSY), (b"VP8 ", LOSSY)), "a WEBP with a chunk that must not be there"),
        (webp((b"VP8X", b"\2" + CANVAS[1:])), "an animated WEBP"),
        (webp((b"VP8X", CANVAS), (b"ANIM", bytes(6))), "an animated WEBP"),
        (webp((b"VP8X", bytes(10)), (b"VP8 ", LOSSY)), "a WEBP that declares two different sizes"),
        (webp((b"VP8X", b"12")), "a WEBP with a damaged header"),
        (webp((b"VP8 ", LOSSY[:12])), "a WEBP with a damaged header"),
        (webp((b"VP8L", b"\x2e" + LOSSLESS[1:])), "a WEBP with a damaged header"),
        (webp((b"VP8 ", LOSSY), *[(b"none", b"")] * MAX_PARTS), f"a WEBP of more than {MAX_PARTS:,} chunks"),
    ],
    ids=label,
)
def test_webp_structure(data: bytes, what: str) -> None:
    """A WEBP whose chunks are not those of one picture is refused."""
    assert refusal(data) == what


def test_webp_odd_length() -> None:
    """A chunk of odd length is padded by one byte, and chunks that are not known are walked over."""
    assert inspect(webp((b"VP8X", CANVAS), (b"junk", b"123"), (b"VP8 ", LOSSY))).height == 23


@pytest.mark.parametrize(("kind", "name"), [("PNG", "an animated PNG"), ("WEBP", "an animated WEBP")])
def test_animated(kind: str, name: str) -> None:
    """Several frames in one file are no picture."""
    frames = [noise("RGB"), Image.new("RGB", (37, 23))]
    assert refusal(encoded(frames[0], kind, save_all=True, append_images=frames[1:])) == name


def test_needs_decoding() -> None:
    """Below 0.05 byte per pixel a picture is worth decoding."""
    info = Inspected("PNG", "image/png", 100, 100)
    assert needs_decoding(info, 499)
    assert not needs_decoding(info, 500)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (0, 0, 0), Appearance.BLACK),
        ("RGB", (8, 0, 3), Appearance.BLACK),
        ("RGB", (9, 0, 3), Appearance.UNIFORM),
        ("RGB", (127, 127, 127), Appearance.UNIFORM),
        ("RGBA", (0, 0, 0, 255), Appearance.BLACK),
        ("RGBA", (0, 0, 0, 0), Appearance.UNIFORM),
        ("LA", (0, 255), Appearance.BLACK),
        ("LA", (90, 255), Appearance.UNIFORM),
        ("L", 0, Appearance.BLACK),
        ("1", 0, Appearance.BLACK),
        ("P", 0, Appearance.BLACK),
        ("I;16", 2000, Appearance.BLACK),
        ("I;16", 30000, Appearance.UNIFORM),
    ],
)
def test_blank(mode: str, colour: int | tuple[int, ...], expected: Appearance) -> None:
    """A picture of one colour is UNIFORM, and BLACK where its brightest value is at most 8 of 255."""
    data = encoded(Image.new(mode, (64, 64), colour), "PNG")
    assert look(data, inspect(data)) is expected


@pytest.mark.parametrize(
    ("ink", "expected"), [((0, 0, 0, 255), "BLACK"), ((255, 255, 255, 0), "BLACK"), ((9, 0, 0, 0), "UNIFORM")]
)
def test_blank_cmyk(ink: tuple[int, ...], expected: str) -> None:
    """In a picture of inks black is all of the key or all of the other three."""
    data = encoded(Image.new("CMYK", (64, 64), ink), "JPEG", quality=100)
    assert look(data, inspect(data)) == expected


def test_black_palette() -> None:
    """A palette whose entries are all black makes a black picture, however many entries are used."""
    picture = noise("P")
    picture.putpalette([0, 0, 0] * 256)
    data = encoded(picture, "PNG")
    assert look(data, inspect(data)) is Appearance.BLACK


def test_black_shape() -> None:
    """Black on a transparent ground is a picture."""
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    picture.putalpha(Image.linear_gradient("L").resize((64, 64)))
    data = encoded(picture, "PNG")
    assert look(data, inspect(data)) is Appearance.NORMAL


@pytest.mark.parametrize("body", [b"", b"no zlib", zlib.compress(b"\0\1")])
def test_does_not_decode(body: bytes) -> None:
    """Correct checksums over rubbish pass the walk and are refused by decoding."""
    data = png(header(50, 50), chunk(b"IDAT", body), END)
    info = inspect(data)
    assert needs_decoding(info, len(data))
    with pytest.raises(NotAPicture, match="a PNG that does not decode"):
        look(data, info)


def test_another_size() -> None:
    """A picture that Pillow sees in another size or format than was inspected is refused, a bomb included."""
    with pytest.raises(NotAPicture, match="another size"):
        look(PNG, Inspected("PNG", "image/png", 1, 1))
    with pytest.raises(NotAPicture, match="does not decode"):
        look(JPEG, inspect(PNG))
    with pytest.raises(NotAPicture, match="does not decode"):
        look(png(header(10_000, 10_000), PIXELS, END), Inspected("PNG", "image/png", 10_000, 10_000))
