"""What comes along with a picture: what is too much of it, which way up it says the picture is, and that it stays."""

import io
import struct
import zlib

import pytest
from PIL import Image

from imagegate.runtime.images import NotAPicture, inspect, parts
from imagegate.runtime.luggage import MAX_LUGGAGE_BYTES, MAX_TEXTS, check, left_behind, orientation

SIZE = (37, 23)
PICTURE = Image.effect_noise(SIZE, 90).convert("RGB")
ENDLESS = b"\0" * (MAX_LUGGAGE_BYTES + 1)


def encoded(kind: str, picture: Image.Image = PICTURE, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    """A PNG with these chunks after its header."""
    whole = encoded("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def png_of(body: bytes, size: tuple[int, int] = (8, 8), rest: bytes = b"\0\0\0") -> bytes:
    """A PNG of RGB whose picture data is `body`."""
    header = chunk(b"IHDR", struct.pack(">IIBB", *size, 8, 2) + rest)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG that begins with these segments."""
    made = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments]
    whole = encoded("JPEG")
    return whole[:2] + b"".join(made) + whole[2:]


def exif_of(value: int, order: str = "<", kind: int = 3, begins: bytes = b"") -> bytes:
    sign = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, value, 0)
    return begins + sign + struct.pack(f"{order}IH", 8, 1) + entry


def refusal(data: bytes) -> str:
    with pytest.raises(NotAPicture) as caught:
        check(data, inspect(data))
    return caught.value.what


PACKED = zlib.compress(ENDLESS)
ICC = b"ICC_PROFILE\0\1\1"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png_with(chunk(b"iCCP", b"icc\0\0" + PACKED)), "a PNG with a colour profile of over 1 MiB"),
        (png_with(*[chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"a"))] * 2), "a PNG with more than one colour profile"),
        (jpeg_with(*[(0xE2, ICC + bytes(60_000))] * 18), "a JPEG with a colour profile of over 1 MiB"),
        (encoded("WEBP", icc_profile=ENDLESS), "a WEBP with a colour profile of over 1 MiB"),
        (png_with(chunk(b"zTXt", b"k\0\0" + PACKED)), "a PNG with a text of over 1 MiB"),
        (png_with(chunk(b"iTXt", b"k\0\1\0en\0k\0" + PACKED)), "a PNG with a text of over 1 MiB"),
        (png_with(chunk(b"iTXt", b"k\0\0\0en\0k\0" + ENDLESS)), "a PNG with a text of over 1 MiB"),
        (png_with(chunk(b"tEXt", b"k\0" + ENDLESS)), "a PNG with a text of over 1 MiB"),
        (
            png_with(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a"))] * 100),
            "a PNG with 100 compressed texts, over the limit of 50",
        ),
        (png_with(*[chunk(b"tEXt", b"k\0a")] * (MAX_TEXTS + 1)), "a PNG with 51 texts, over the limit of 50"),
        (jpeg_with(*[(0xFE, b"a")] * 100), "a JPEG with 100 comments, over the limit of 50"),
        (png_of(zlib.compress(bytes(30_000_000))), "a PNG that unpacks to more than it declares"),
        (png_of(zlib.compress(bytes(8 * 25)) + b"PK\3\4"), "a PNG with something hidden behind its picture data"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else value,
)
def test_what_is_too_much_is_refused_by_name(data: bytes, what: str) -> None:
    """P3: giant profiles, a hundred compressed texts and data that unpacks to too much are refused by name."""
    assert refusal(data) == what


@pytest.mark.parametrize(
    "data",
    [
        *(
            encoded(kind, icc_profile=b"p" * 600_000, exif=exif_of(6, begins=b"Exif\0\0"))
            for kind in ("PNG", "JPEG", "WEBP")
        ),
        png_with(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 1000))] * MAX_TEXTS),
        png_with(chunk(b"zTXt", b"no end"), chunk(b"iTXt", b"k\0\1"), chunk(b"zTXt", b"k\0\0no zlib")),
        jpeg_with(*[(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 40),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_what_cameras_and_editors_write_may_come_along(data: bytes) -> None:
    """Profiles, EXIF and texts of usual size are no reason to refuse a picture, and neither are damaged ones."""
    check(data, inspect(data))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 17), (37, 23)])
def test_a_png_declares_what_it_unpacks_to(mode: str, size: tuple[int, int]) -> None:
    """The size of a PNG's picture data follows from its header, whatever a pixel has."""
    picture = PICTURE.resize(size)
    data = encoded("PNG", picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode))
    check(data, inspect(data))
    at = data.rindex(b"IDAT")
    body = zlib.compress(zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")]) + b"more")
    more = data[: at - 4] + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert refusal(more) == "a PNG that unpacks to more than it declares"


def test_an_interlaced_png_declares_the_sum_of_its_passes() -> None:
    """Seven passes over 8 × 8 pixels have 15 rows, each with a byte before it."""
    exact = 8 * 8 * 3 + 15
    check(data := png_of(zlib.compress(bytes(exact)), rest=b"\0\0\1"), inspect(data))
    assert "more than it declares" in refusal(png_of(zlib.compress(bytes(exact + 1)), rest=b"\0\0\1"))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_read_from_exif_of_every_format(value: int, order: str) -> None:
    """PNG, JPEG and WEBP say in their EXIF which way up they are, in either order of bytes."""
    bare, exif = exif_of(value, order), exif_of(value, order, begins=b"Exif\0\0")
    for data in (png_with(chunk(b"eXIf", bare)), jpeg_with((0xE1, exif)), encoded("WEBP", exif=exif)):
        assert orientation(data, inspect(data)) == value


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff\1\0",
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 50,
        b"no TIFF at all",
        exif_of(0),
        exif_of(9),
        exif_of(6, kind=4),
        exif_of(6)[:-5],
    ],
)
def test_nonsense_in_exif_turns_nothing(exif: bytes) -> None:
    """What cannot be read says nothing about the picture."""
    data = png_with(chunk(b"eXIf", exif))
    assert orientation(data, inspect(data)) == 1


def test_everything_that_came_along_is_left_behind() -> None:
    """P3: metadata is stripped; the picture itself is the same, byte by byte of its data."""
    exif = exif_of(1, begins=b"Exif\0\0") + b"SECRET"
    given = [
        png_with(
            chunk(b"tEXt", b"k\0SECRET"), chunk(b"eXIf", exif), chunk(b"prVt", b"SECRET"), chunk(b"gAMA", bytes(4))
        ),
        jpeg_with((0xE1, exif), (0xFE, b"SECRET"), (0xED, b"SECRET"), (0xE0, b"JFIF\0\1\2\0\0\1\0\1\1\1SECRET")),
        encoded("WEBP", exif=exif, icc_profile=b"SECRET", xmp=b"SECRET"),
    ]
    for data in given:
        info = inspect(data)
        bare = left_behind(data, info)
        assert b"SECRET" in data
        assert b"SECRET" not in bare
        assert inspect(bare) == info
        assert Image.open(io.BytesIO(bare)).tobytes() == Image.open(io.BytesIO(data)).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encoded("PNG"),
        encoded("JPEG"),
        encoded("JPEG", progressive=True),
        encoded("JPEG", PICTURE.convert("CMYK")),
        encoded("WEBP"),
        encoded("WEBP", PICTURE.convert("RGBA"), lossless=True),
        encoded("PNG", PICTURE.convert("P")),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_with_what_nothing_came_along_that_stays_as_it_is(data: bytes) -> None:
    """What is bare already is the very same object."""
    assert left_behind(data, inspect(data)) is data


def test_what_says_how_colours_are_meant_stays() -> None:
    """Adobe's word on a CMYK JPEG is kept without what is appended to it: without it the colours would be inverted."""
    data = encoded("JPEG", PICTURE.convert("CMYK"))
    at = data.index(b"\xff\xee")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    longer = (
        data[: at + 2]
        + struct.pack(">H", length + 6)
        + data[at + 4 : at + 2 + length]
        + b"SECRET"
        + data[at + 2 + length :]
    )
    assert left_behind(longer, inspect(longer)) == data


def test_the_parts_of_a_picture_are_all_of_it() -> None:
    """What `parts` yields, one after another, is the file without its beginning."""
    for kind, begins in (("PNG", 8), ("JPEG", 2), ("WEBP", 12)):
        data = encoded(kind, exif=exif_of(1, begins=b"Exif\0\0"))
        assert b"".join(part.whole for part in parts(data, inspect(data))) == data[begins:]
