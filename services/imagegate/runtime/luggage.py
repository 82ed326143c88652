"""What comes along with a picture that somebody sends: profiles, texts, EXIF. Pure.

It is looked at before any decoder sees it, which would unpack all of it, and then left behind. Of all of it only the
EXIF's orientation counts: which way up the picture is.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from imagegate.runtime.images import Format, Inspected, NotAPicture, Part, parts

# Bytes of one profile or text, unpacked. A large one of a camera has 0.6 MB, that of a printer 3 MB.
MAX_LUGGAGE_BYTES = 1024 * 1024
# Profiles and texts of one PNG, comments of one JPEG. Editors write about ten.
MAX_TEXTS = 50

UPRIGHT = 1
_ORIENTATION = 0x0112
_SHORT = 3
_MAX_ENTRIES = 1000
_EXIF = b"Exif\0\0"
# How much is unpacked at a time, so that nothing is ever held.
_BLOCK = 64 * 1024

_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_NAMES = {b"iCCP": "colour profile", b"tEXt": "text", b"zTXt": "text", b"iTXt": "text"}
# Samples of a pixel, by colour type; and where each pass over an interlaced picture begins, and its steps.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_JFIF, _ADOBE, _APPLICATION, _COMMENT = 0xE0, 0xEE, range(0xE0, 0xF0), 0xFE
_JPEG_PROFILE = b"ICC_PROFILE\0"
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"ALPH"}
_WEBP_ALPHA = 0x10  # a flag of VP8X


def check(data: bytes, info: Inspected) -> None:
    """Refuse a picture (that `inspect` has found whole) with which comes more than belongs to one. Raises NotAPicture.

    Unpacks a PNG's texts and its picture data, which takes about 3 ms per megapixel: call it in a thread.
    """
    found = list(parts(data, info))
    if info.format == "PNG":
        _check_png_texts(found)
        _check_png_data(found)
    elif info.format == "JPEG":
        _check_count("JPEG", "comments", sum(part.name[0] == _COMMENT for part in found))
        profile = sum(len(part.body) for part in found if bytes(part.body[: len(_JPEG_PROFILE)]) == _JPEG_PROFILE)
        _check_size("JPEG", "colour profile", profile)
    else:
        for part in found:
            if part.name == b"ICCP":
                _check_size("WEBP", "colour profile", len(part.body))


def orientation(data: bytes, info: Inspected) -> int:
    """Which way up the picture is to be shown, 1 (as it is) to 8, as its EXIF says; 1 where that says nothing."""
    for part in parts(data, info):
        if exif := _exif(part, info.format):
            return _orientation(exif)
    return UPRIGHT


def left_behind(data: bytes, info: Inspected) -> bytes:
    """The picture without anything that came along with it, not decoded: the same object where nothing did."""
    found = parts(data, info)
    if info.format == "PNG":
        plain = b"".join([data[:8], *(part.whole for part in found if part.name in _PNG_KEPT)])
    elif info.format == "JPEG":
        plain = b"".join([data[:2], *map(_jpeg_part, found)])
    else:
        plain = _webp(list(found))
    return data if plain == data else plain


def _check_count(kind: Format, what: str, count: int) -> None:
    if count > MAX_TEXTS:
        raise NotAPicture(f"a {kind} with {count:,} {what}, over the limit of {MAX_TEXTS}")


def _check_size(kind: Format, what: str, size: int) -> None:
    if size > MAX_LUGGAGE_BYTES:
        raise NotAPicture(f"a {kind} with a {what} of over {MAX_LUGGAGE_BYTES // 1024**2} MiB")


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────


def _check_png_texts(found: Sequence[Part]) -> None:
    looked_at = [(part, _packed(part)) for part in found if part.name in _PNG_NAMES]
    texts = [packed for part, packed in looked_at if part.name != b"iCCP"]
    _check_count("PNG", "texts" if None in texts else "compressed texts", len(texts))
    if len(looked_at) - len(texts) > 1:
        raise NotAPicture("a PNG with more than one colour profile")
    for part, packed in looked_at:
        size = len(part.body) if packed is None else _unpacked_size([packed], MAX_LUGGAGE_BYTES)[0]
        _check_size("PNG", _PNG_NAMES[part.name], size)


def _packed(part: Part) -> memoryview | None:
    """What is compressed of a text or a profile; None where nothing is."""
    body = bytes(part.body[:256])
    at = body.find(b"\0") + 1
    if part.name == b"tEXt" or not at:
        return None
    if part.name != b"iTXt":
        return part.body[at + 1 :]
    if body[at : at + 1] != b"\1":
        return None
    at = bytes(part.body).find(b"\0", at + 2) + 1
    at = bytes(part.body).find(b"\0", at) + 1
    return part.body[at:]


def _check_png_data(found: Sequence[Part]) -> None:
    """Refuse picture data that unpacks to more than the header declares, or after which something follows."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", found[0].body)
    bits = depth * _PNG_SAMPLES[colour]
    passes = _PNG_PASSES if interlaced else ((0, 0, 1, 1),)
    declared = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            declared += rows * (1 + (columns * bits + 7) // 8)
    size, rest = _unpacked_size((part.body for part in found if part.name == b"IDAT"), declared)
    if size > declared:
        raise NotAPicture("a PNG that unpacks to more than it declares")
    if rest:
        raise NotAPicture("a PNG with something hidden behind its picture data")


def _unpacked_size(bodies: Iterable[memoryview], limit: int) -> tuple[int, bool]:
    """How many bytes these unpack to, something above `limit` where it is more, or as far as they can be unpacked; and
    whether anything follows.
    """
    unpacker = zlib.decompressobj()
    size = 0
    blocks = chain.from_iterable(map(_blocks, bodies))
    for block in blocks:
        rest = bytes(block)
        while rest and not unpacker.eof:
            try:
                size += len(unpacker.decompress(rest, _BLOCK))
            except zlib.error:
                return size, False
            if size > limit:
                return size, False
            rest = unpacker.unconsumed_tail
        if unpacker.eof:
            return size, bool(unpacker.unused_data) or any(blocks)
    return size, False


def _blocks(body: memoryview) -> Iterator[memoryview]:
    return (body[at : at + _BLOCK] for at in range(0, len(body), _BLOCK))


# ── JPEG and WEBP ────────────────────────────────────────────────────────────────────────────────


def _jpeg_part(part: Part) -> bytes | memoryview:
    """What stays of a segment: of the two that say what the colours mean no more than that."""
    marker = part.name[0]
    if marker not in _APPLICATION and marker != _COMMENT:
        return part.whole
    body = bytes(part.body[:14])
    if marker == _JFIF and body[:5] == b"JFIF\0" and len(body) == 14:
        return part.whole if len(part.body) == 14 else _segment(marker, body[:12] + b"\0\0")  # without a thumbnail
    if marker == _ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
        return part.whole if len(part.body) == 12 else _segment(marker, body[:12])
    return b""


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _webp(found: Sequence[Part]) -> bytes:
    kept = [bytes(part.whole) for part in found if part.name in _WEBP_KEPT]
    if found[0].name == b"VP8X":
        canvas = bytearray(found[0].body[:10])
        canvas[0] &= _WEBP_ALPHA
        kept.insert(0, b"VP8X" + struct.pack("<I", len(canvas)) + canvas)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# ── EXIF ─────────────────────────────────────────────────────────────────────────────────────────


def _exif(part: Part, kind: Format) -> memoryview | None:
    """The EXIF that is in a part."""
    begins = bytes(part.body[: len(_EXIF)]) == _EXIF
    if kind == "JPEG":
        return part.body[len(_EXIF) :] if part.name == b"\xe1" and begins else None
    if part.name not in (b"eXIf", b"EXIF"):
        return None
    return part.body[len(_EXIF) :] if begins else part.body


def _orientation(exif: memoryview) -> int:
    """The orientation in the first directory of a TIFF; 1 where there is none, or nonsense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(exif[:4]))
    if order is None or len(exif) < 8:
        return UPRIGHT
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    if at + 2 > len(exif):
        return UPRIGHT
    (entries,) = struct.unpack_from(f"{order}H", exif, at)
    for entry in range(min(entries, _MAX_ENTRIES)):
        place = at + 2 + 12 * entry
        if place + 12 > len(exif):
            break
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and UPRIGHT <= value <= 8 else UPRIGHT
    return UPRIGHT
