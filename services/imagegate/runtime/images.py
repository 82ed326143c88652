"""What an upstream returned is hostile until it has been walked from its first byte to its last.

`inspect` reads headers, lengths and checksums and never decodes, so it costs a fraction of a
millisecond and no memory. `look` decodes, which costs tens of milliseconds and several bytes of
memory per pixel; callers ask `needs_decoding` first and run `look` in a thread. No byte of the
input is ever repeated in a message.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Literal, cast

from PIL import Image

Format = Literal["PNG", "JPEG", "WEBP"]

# Bytes. The largest picture that is carried in one message.
MAX_BYTES = 32 * 1024 * 1024
# Pixels. Pillow itself only warns below 179 million, by which time 666 MB have been allocated.
MAX_PIXELS = 4096 * 4096
# Chunks or segments in one file. Real files have tens, a PNG of 32 MiB in 8 KiB chunks has 4,096;
# 2.8 million empty chunks fit into 32 MiB and would take seconds to walk.
MAX_PARTS = 20_000
# Scans in one progressive JPEG. Encoders write about ten; every one costs a decoder a whole pass.
MAX_SCANS = 100
# Bytes per pixel. A picture of one colour is below 0.02 in every format, a photograph above 0.1.
DECODE_BELOW = 0.05
# The brightest channel of a near-black picture, as a share of the brightest value there is.
NEAR_BLACK = 8 / 255

# A process-wide filter, because `warnings.catch_warnings` is not safe in threads before 3.14 and
# decoding runs in threads. `inspect` and `_open` check the size as well.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class NotAPicture(ValueError):
    """The bytes are not one whole PNG, JPEG or WEBP. Whoever produced them is at fault.

    `what` says in a few words of ours what they are instead ("an HTML page"); `str` is a sentence.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"expected one whole PNG, JPEG or WEBP, got {what}")
        self.what = what


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the walk found: the format, its media type, and the size in pixels."""

    format: Format
    mime_type: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height, 1 to MAX_PIXELS."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk of a PNG or WEBP, or a segment of a JPEG: its name, what is in it, and all of it as the file has it.

    The name of a segment is its marker, one byte; the picture data that follows a scan belongs to it.
    """

    name: bytes
    body: memoryview
    whole: memoryview


class Appearance(StrEnum):
    """How a decoded picture looks to somebody who suspects that there is nothing on it."""

    NORMAL = "NORMAL"
    BLACK = "BLACK"
    UNIFORM = "UNIFORM"


def inspect(data: bytes | memoryview) -> Inspected:
    """The format and size of one whole picture, found by walking and never by decoding.

    Accepts up to MAX_BYTES bytes and MAX_PIXELS pixels, one frame, and nothing after its end.
    Raises NotAPicture for everything else, and nothing else for any bytes.
    """
    view = memoryview(data).cast("B")
    if not view:
        raise NotAPicture("nothing: the data is empty")
    if len(view) > MAX_BYTES:
        raise NotAPicture(f"{len(view):,} bytes, over the limit of {MAX_BYTES:,}")
    head = bytes(view[:1024])
    if head.startswith(_PNG_SIGNATURE):
        return _inspect_png(view)
    if head.startswith(b"\xff\xd8\xff"):
        return _inspect_jpeg(view)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _inspect_webp(view)
    raise NotAPicture(_name(head))


def parts(data: bytes | memoryview, info: Inspected) -> Iterator[Part]:
    """Everything that a picture consists of, in order, after what every file of its format begins with.

    Raises NotAPicture where it is not the one that `inspect` has found whole.
    """
    walks = {"PNG": _png_parts, "JPEG": _jpeg_parts, "WEBP": _webp_parts}
    return walks[info.format](memoryview(data).cast("B"))


def needs_decoding(info: Inspected, size_in_bytes: int) -> bool:
    """Whether so few bytes (below DECODE_BELOW per pixel) hold so many pixels that one should `look`."""
    return size_in_bytes < DECODE_BELOW * info.pixels


def decode(data: bytes | memoryview, info: Inspected) -> Image.Image:
    """The pixels of the picture that `inspect` found, in whichever mode Pillow gives them.

    As slow as `look`, and as large: call it in a thread. Raises NotAPicture as `look` does.
    """
    try:
        with _open(data, info) as picture:
            picture.load()
            return picture
    except NotAPicture:
        raise
    except Exception as error:  # Pillow's decoders raise whatever hostile bytes make them raise
        raise _undecodable(info) from error


def look(data: bytes | memoryview, info: Inspected) -> Appearance:
    """Decode the picture that `inspect` found and say whether anything can be seen on it.

    Slow (12 to 80 ms for 1024 × 1024): call it in a thread. At MAX_PIXELS it takes 85 to 100 MB for a
    PNG or a baseline JPEG, up to 165 MB for a progressive JPEG and 275 MB for a WEBP, of which Pillow
    makes several copies. BLACK goes before UNIFORM; a picture that is transparent everywhere is
    UNIFORM, and black shapes on a transparent ground are NORMAL.
    Raises NotAPicture where the picture does not decode or is another than `info` says.
    """
    try:
        # verify() alone misses a truncated body, load() alone a missing end; verify() spoils the object.
        with _open(data, info) as picture:
            picture.verify()
        return _appearance(decode(data, info))
    except NotAPicture:
        raise
    except Exception as error:  # as in `decode`
        raise _undecodable(info) from error


def _inspected(kind: Format, width: int, height: int) -> Inspected:
    if width < 1 or height < 1:
        raise NotAPicture(f"a {kind} that declares {width} × {height} pixels")
    if width * height > MAX_PIXELS:
        raise NotAPicture(f"a {kind} that declares {width} × {height} pixels, over the limit of {MAX_PIXELS:,}")
    return Inspected(kind, f"image/{kind.lower()}", width, height)


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_HEADER = struct.Struct(">IIBBBBB")
# Colour type to the bit depths it may have (PNG specification, table 11.1).
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_PALETTE = 3
# The chunks a decoder must understand; their names begin with a capital letter.
_PNG_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def _inspect_png(data: memoryview) -> Inspected:
    # The size is judged before anything else is read.
    info, colour_type = _png_header(data)
    _check_png_chunks([part.name for part in _png_parts(data)], colour_type)
    return info


def _png_header(data: memoryview) -> tuple[Inspected, int]:
    """The size and the colour type, from a first chunk whose every field is legal."""
    start = len(_PNG_SIGNATURE)
    if len(data) < start + _PNG_CHUNK.size + _PNG_HEADER.size:
        raise NotAPicture("half a PNG: it ends inside its header")
    if _PNG_CHUNK.unpack_from(data, start) != (_PNG_HEADER.size, b"IHDR"):
        raise NotAPicture("a PNG that does not begin with its header")
    width, height, depth, colour_type, *methods = _PNG_HEADER.unpack_from(data, start + _PNG_CHUNK.size)
    if depth not in _PNG_DEPTHS.get(colour_type, ()) or methods not in ([0, 0, 0], [0, 0, 1]):
        raise NotAPicture("a PNG whose header holds values that do not exist")
    return _inspected("PNG", width, height), colour_type


def _png_parts(data: memoryview) -> Iterator[Part]:
    """Every chunk, its checksum proved, to an IEND that is the end."""
    at = len(_PNG_SIGNATURE)
    for _ in range(MAX_PARTS + 1):
        if at >= len(data):
            raise NotAPicture("half a PNG: it ends before its IEND chunk")
        part = _png_part(data, at)
        at += len(part.whole)
        if part.name == b"IEND":
            _check_end("PNG", data, at)
            yield part
            return
        yield part
    raise NotAPicture(f"a PNG of more than {MAX_PARTS:,} chunks")


def _png_part(data: memoryview, at: int) -> Part:
    """The chunk at `at`."""
    if at + 12 > len(data):
        raise NotAPicture("half a PNG: it ends inside a chunk")
    length, name = _PNG_CHUNK.unpack_from(data, at)
    end = at + 12 + length
    if end > len(data):
        raise NotAPicture("half a PNG: it ends inside a chunk")
    if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
        raise NotAPicture("a damaged PNG: a chunk does not match its checksum")
    return Part(name, data[at + 8 : end - 4], data[at:end])


def _check_png_chunks(names: Sequence[bytes], colour_type: int) -> None:
    if b"acTL" in names:
        raise NotAPicture("an animated PNG")
    if b"IDAT" not in names:
        raise NotAPicture("a PNG without picture data")
    first, count = names.index(b"IDAT"), names.count(b"IDAT")
    if any(name != b"IDAT" for name in names[first : first + count]):
        raise NotAPicture("a PNG whose picture data is scattered")
    # A second header would give a decoder another size than the one that was judged.
    if names.count(b"IHDR") != 1 or any(name[:1].isupper() and name not in _PNG_CRITICAL for name in names):
        raise NotAPicture("a PNG with a chunk that must not be there")
    if colour_type == _PNG_PALETTE and b"PLTE" not in names[:first]:
        raise NotAPicture("a PNG without its palette")


# ── JPEG ─────────────────────────────────────────────────────────────────────────────────────────

_SOS, _EOI = 0xDA, 0xD9
# Baseline, extended and progressive Huffman coding: what browsers show. Not lossless, not arithmetic.
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}
_JPEG_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
# DHT, DQT, DNL, DRI, comments and application data: walked over by their length.
_JPEG_SKIPPED = {0xC4, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
# In picture data FF 00 is a literal FF, FF D0 to FF D7 are restarts and FF FF is fill.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def _inspect_jpeg(data: memoryview) -> Inspected:
    info: Inspected | None = None
    scans = 0
    for part in _jpeg_parts(data):
        marker = part.name[0]
        if marker in _JPEG_FRAMES:
            if info is not None:
                raise NotAPicture("a JPEG with two headers")
            info = _jpeg_frame(part.body)
        elif marker == _SOS:
            scans += 1
            if info is None or scans > MAX_SCANS:
                raise NotAPicture("a JPEG without a header" if info is None else f"a JPEG of over {MAX_SCANS} scans")
    if info is None or not scans:
        raise NotAPicture("a JPEG without picture data")
    return info


def _jpeg_parts(data: memoryview) -> Iterator[Part]:
    """Every segment (picture data is walked over), to an EOI that is the end."""
    at = 2
    for _ in range(MAX_PARTS):
        found = _JPEG_MARKER.match(data, at)
        if found is None:
            raise NotAPicture("half a JPEG: it ends before its end marker" if at >= len(data) else "a damaged JPEG")
        marker = found[1][0]
        if marker == _EOI:
            _check_end("JPEG", data, found.end())
            yield Part(found[1], data[:0], data[at:])
            return
        _check_jpeg_marker(marker)
        end = _jpeg_segment_end(data, found.end())
        following = _jpeg_scan_end(data, end) if marker == _SOS else end
        yield Part(found[1], data[found.end() + 2 : end], data[at:following])
        at = following
    raise NotAPicture(f"a JPEG of more than {MAX_PARTS:,} segments")


def _jpeg_segment_end(data: memoryview, at: int) -> int:
    length = int.from_bytes(data[at : at + 2], "big")
    if at + max(length, 2) > len(data):
        raise NotAPicture("half a JPEG: it ends inside a segment")
    if length < 2:
        raise NotAPicture("a damaged JPEG: a segment without a length")
    return at + length


def _jpeg_scan_end(data: memoryview, at: int) -> int:
    found = _JPEG_SCAN_END.search(data, at)
    if found is None:
        raise NotAPicture("half a JPEG: it ends inside its picture data")
    return found.start()


def _jpeg_frame(segment: memoryview) -> Inspected:
    """The size out of a frame header of 8 bits per sample and 1, 3 or 4 components."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3, 4) or len(segment) != 6 + 3 * segment[5]:
        raise NotAPicture("a JPEG whose header holds values that do not exist")
    height, width = struct.unpack_from(">HH", segment, 1)
    return _inspected("JPEG", width, height)


def _check_jpeg_marker(marker: int) -> None:
    if marker in _JPEG_OTHER_FRAMES:
        raise NotAPicture("a JPEG coded in a way that browsers do not show")
    if marker != _SOS and marker not in _JPEG_FRAMES | _JPEG_SKIPPED:
        raise NotAPicture("a JPEG with a marker that must not be there")


# ── WEBP ─────────────────────────────────────────────────────────────────────────────────────────

_WEBP_ANIMATED = 0x02  # a flag of VP8X


def _inspect_webp(data: memoryview) -> Inspected:
    canvas: Inspected | None = None
    picture: Inspected | None = None
    for number, part in enumerate(_webp_parts(data)):
        name, body = part.name, part.body
        if name in (b"ANIM", b"ANMF"):
            raise NotAPicture("an animated WEBP")
        if name == b"VP8X" and number == 0:
            canvas = _webp_canvas(body)
        elif name in (b"VP8 ", b"VP8L") and picture is None:
            picture = _webp_lossy(body) if name == b"VP8 " else _webp_lossless(body)
        elif name in (b"VP8 ", b"VP8L", b"VP8X") or number == 0:
            raise NotAPicture("a WEBP with a chunk that must not be there")
    if picture is None:
        raise NotAPicture("a WEBP without picture data")
    if canvas not in (None, picture):
        raise NotAPicture("a WEBP that declares two different sizes")
    return picture


def _webp_parts(data: memoryview) -> Iterator[Part]:
    """Every chunk. An odd length is followed by one byte of padding."""
    size = int.from_bytes(data[4:8], "little")
    end = 8 + size
    if end + size % 2 > len(data):
        raise NotAPicture("half a WEBP: it is shorter than it says")
    _check_end("WEBP", data, end + size % 2)
    at = 12
    for _ in range(MAX_PARTS):
        if at >= end:
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise NotAPicture("half a WEBP: it ends inside a chunk")
        following = at + 8 + length + length % 2
        yield Part(bytes(data[at : at + 4]), data[at + 8 : at + 8 + length], data[at:following])
        at = following
    raise NotAPicture(f"a WEBP of more than {MAX_PARTS:,} chunks")


def _webp_canvas(body: memoryview) -> Inspected:
    if len(body) < 10:
        raise NotAPicture("a WEBP with a damaged header")
    if body[0] & _WEBP_ANIMATED:
        raise NotAPicture("an animated WEBP")
    return _inspected("WEBP", int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)


def _webp_lossy(body: memoryview) -> Inspected:
    """The size out of a VP8 key frame (RFC 6386, 9.1) whose first partition is all there."""
    tag = int.from_bytes(body[:3], "little")
    if len(body) < 10 or tag & 1 or bytes(body[3:6]) != b"\x9d\x01\x2a" or tag >> 5 > len(body) - 10:
        raise NotAPicture("a WEBP with a damaged header")
    width, height = struct.unpack_from("<HH", body, 6)
    return _inspected("WEBP", width & 0x3FFF, height & 0x3FFF)  # the two upper bits ask for scaling


def _webp_lossless(body: memoryview) -> Inspected:
    """The size out of a VP8L header (RFC 9649, 3.4): 14 bits each, less one, then alpha and version 0."""
    bits = int.from_bytes(body[1:5], "little")
    if len(body) < 5 or body[0] != 0x2F or bits >> 29:
        raise NotAPicture("a WEBP with a damaged header")
    return _inspected("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)


# ── What it is instead ───────────────────────────────────────────────────────────────────────────

_BINARY_NAMES: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"RIFF", "a RIFF file that is not a WEBP"),
    (b"\x89PNG", "a PNG with a damaged signature"),
    (b"\xff\xd8", "half a JPEG: it ends after its first marker"),
)
# Matched from the first character that is not a space, in lower case.
_TEXT_NAMES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"<(?:.*<)?(?:!doctype html|html|head|body)\b", re.DOTALL), "an HTML page"),
    (re.compile(rb"<(?:.*<)?svg\b", re.DOTALL), "an SVG drawing"),
    (re.compile(rb"<"), "an XML document"),
    (re.compile(rb"[{\[]"), "a JSON document"),
    (re.compile(rb"data:"), "a data URI"),
    (re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+\Z"), "a text"),
)


def _check_end(kind: Format, data: memoryview, end: int) -> None:
    """Trailing bytes make a file that is a picture to one program and a page or an archive to another."""
    if end != len(data):
        raise NotAPicture(f"a {kind} with bytes after its end")


def _name(head: bytes) -> str:
    """What the first bytes say that the data is, for somebody who reads a log."""
    for signature, name in _BINARY_NAMES:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "an AVIF, HEIC or MP4 file"
    text = head.removeprefix(b"\xef\xbb\xbf").strip().lower()
    names = (name for pattern, name in _TEXT_NAMES if pattern.match(text))
    return next(names, "bytes of a format that is not known here")


# ── Decoding ─────────────────────────────────────────────────────────────────────────────────────


def _undecodable(info: Inspected) -> NotAPicture:
    return NotAPicture(f"a {info.format} that does not decode")


def _open(data: bytes | memoryview, info: Inspected) -> Image.Image:
    picture = Image.open(BytesIO(data), formats=[info.format])
    if picture.size != (info.width, info.height):
        raise NotAPicture(f"a {info.format} of another size than it declares")
    return picture


def _appearance(picture: Image.Image) -> Appearance:
    if picture.mode == "P":  # its values are places in a palette, not brightness
        picture = picture.convert("RGBA")
    bands = _extrema(picture)
    if picture.mode in ("LA", "RGBA"):
        faintest, strongest = bands.pop()
        if strongest == 0:
            return Appearance.UNIFORM
        if faintest != strongest:
            return Appearance.NORMAL
    if _is_black(picture.mode, bands):
        return Appearance.BLACK
    return Appearance.UNIFORM if all(low == high for low, high in bands) else Appearance.NORMAL


def _extrema(picture: Image.Image) -> list[tuple[float, float]]:
    """The lowest and the highest value of every band."""
    found = picture.getextrema()
    if isinstance(found[0], tuple):
        return list(cast("tuple[tuple[float, float], ...]", found))
    return [found]


def _is_black(mode: str, bands: Sequence[tuple[float, float]]) -> bool:
    if mode == "CMYK":  # ink: all of the key, or all of the other three
        *colours, key = (low / 255 for low, _ in bands)
        return key >= 1 - NEAR_BLACK or min(colours) >= 1 - NEAR_BLACK
    brightest = 65535 if mode.startswith("I") else 255
    return max(high for _, high in bands) <= NEAR_BLACK * brightest
