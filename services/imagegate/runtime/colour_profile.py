"""What a picture's numbers mean as colours, where they mean something else than sRGB: its ICC profile. Pure.

Of a profile only what says this is ever passed on: what somebody has written into one stays behind.
"""

import struct
import zlib
from collections.abc import Iterator

from imagegate.runtime.images import Inspected, parts

# Those of displays and cameras have 0.5 to 30 KB, and a segment of a JPEG has room for 64.
MAX_BYTES = 60_000
# Three primaries with their curves, or a curve of grey, and what white is.
_TAGS = {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"chad"}
_TYPES = {b"XYZ ", b"curv", b"para", b"sf32"}
_SPACES = {b"RGB ": {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}, b"GRAY": {b"kTRC"}}
_MAX_TAGS = 50
# As ASCII, and as UTF-16 has it.
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))
_JPEG_SIGN = b"ICC_PROFILE\0"
_JPEG_SEGMENT = 0xE2
_WEBP_PROFILE = 0x20  # a flag of VP8X


def colours_of(data: bytes, info: Inspected) -> bytes:
    """The profile of the picture that `inspect` has found, without anything but colours; empty where it is sRGB's, is
    none, or is too large.
    """
    profile = b"".join(_pieces(data, info))
    if len(profile) > MAX_BYTES or any(name in profile for name in _SRGB):
        return b""
    try:
        washed = _washed(profile)
    except struct.error:
        return b""
    return washed if len(washed) <= MAX_BYTES else b""  # tags that share their bytes have them each for itself here


def with_colours(data: bytes, info: Inspected, profile: bytes) -> bytes:
    """The picture, which has no profile, with this one."""
    if info.format == "PNG":
        body = b"iCCPICC\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:33] + chunk + data[33:]
    if info.format == "JPEG":
        at = 4 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 2
        body = _JPEG_SIGN + b"\1\1" + profile
        return data[:at] + struct.pack(">BBH", 0xFF, _JPEG_SEGMENT, len(body) + 2) + body + data[at:]
    if data[12:16] != b"VP8X":  # the simple kind has no place for one
        return data
    header = data[12:20] + bytes([data[20] | _WEBP_PROFILE]) + data[21:30]
    chunk = b"ICCP" + struct.pack("<I", len(profile)) + profile + b"\0" * (len(profile) % 2)
    body = b"WEBP" + header + chunk + data[30:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _pieces(data: bytes, info: Inspected) -> Iterator[bytes]:
    """The bytes of the profile, as they are in the file one after the other; not many more than MAX_BYTES."""
    for part in parts(data, info):
        if part.name == b"iCCP":
            packed = bytes(part.body).partition(b"\0")[2][1:]
            try:
                yield zlib.decompressobj().decompress(packed, MAX_BYTES + 1)
            except zlib.error:
                return
        elif part.name == b"ICCP":
            yield bytes(part.body[: MAX_BYTES + 1])
        elif part.name == bytes([_JPEG_SEGMENT]) and bytes(part.body[: len(_JPEG_SIGN)]) == _JPEG_SIGN:
            yield bytes(part.body[len(_JPEG_SIGN) + 2 :])


def _washed(profile: bytes) -> bytes:
    """A profile of the same colours, made anew; empty where it describes them in another way than by curves."""
    if profile[36:40] != b"acsp" or profile[16:20] not in _SPACES:
        return b""
    tags = dict(_tags(profile))
    if not _SPACES[profile[16:20]] <= tags.keys():
        return b""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    # Which version and class, from which space to which, what is to be kept and what white is.
    header = struct.pack(">4x16s12x4s24x16s48x", profile[8:24], b"acsp", profile[64:80])
    return struct.pack(">I", start + len(body)) + header + table + body


def _tags(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    (count,) = struct.unpack_from(">I", profile, 128)
    for number in range(min(count, _MAX_TAGS)):
        name, at, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        value = profile[at : at + size]
        if name in _TAGS and value[:4] in _TYPES and len(value) == size:
            yield name, value
