"""A picture, encoded again: in another format, or with fewer bytes. What came along with it stays behind.

Everything here decodes: call it in a thread, for one picture at a time. At 16.8 megapixels it takes 1 to 8 s and up to
300 MB (800 MB for a transparent WEBP), at 1 megapixel 0.05 to 0.5 s and 50 MB. The same bytes give the same bytes.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import cast

from PIL import Image

from imagegate.runtime import images
from imagegate.runtime.images import Format, Inspected
from imagegate.runtime.output import MAX_TRIES, Step, Try, lossy_format, next_step
from imagegate.v1 import generation_pb2

# As quick as it gets before files grow.
PNG_LEVEL = 3
# The encoder's effort: more takes twice the time for the same bytes.
WEBP_EFFORT = 1


@dataclass(frozen=True, slots=True)
class Encoded:
    """One whole picture; `step` says how we encoded it, None where it is as the upstream gave it."""

    data: bytes
    seen: Inspected
    step: Step | None = None

    @classmethod
    def given(cls, image: generation_pb2.Image) -> "Encoded":
        """A picture that was checked."""
        kind = cast("Format", image.mime_type.removeprefix("image/").upper())
        return cls(image.data, _seen(kind, (image.width, image.height)))

    def __str__(self) -> str:
        quality = f" quality {self.step.quality}" if self.step and self.seen.format != "PNG" else ""
        return f"{self.seen.format}{quality}, {len(self.data):,} bytes"


class _TooLargeError(Exception):
    """A file has become larger than it may be."""


class _Bounded(BytesIO):
    """Takes up to `limit` bytes: an encoder that would write more has worked enough."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        if self.tell() + len(data) > self._limit:
            raise _TooLargeError
        return super().write(data)


def to_png(given: Encoded, limit: int) -> Encoded | None:
    """The picture as a PNG, None where that has more than `limit` bytes. Raises NotAPicture."""
    picture = _plain(given)
    file = _Bounded(limit)
    try:
        picture.save(file, "PNG", compress_level=PNG_LEVEL)
    except _TooLargeError:
        return None
    return Encoded(file.getvalue(), _seen("PNG", picture.size), Step())


def fitted(given: Encoded, asked: Format | None, limit: int, tried: Encoded | None = None) -> Encoded:
    """The picture with at most `limit` bytes (MIN_OUTPUT_BYTES or more), in a format that loses some of it; JPEG, which
    has no transparency, shows it on white.

    `tried` is what an earlier call made for a larger limit. Raises NotAPicture.
    """
    picture = _plain(given)
    kind = lossy_format(asked, given.seen.format, picture.mode == "RGBA")
    if kind == "JPEG":
        picture = _on_white(picture)
    tries: list[Try] = []
    if tried is not None and tried.step is not None and tried.seen.format == kind:
        tries.append(Try(tried.step, len(tried.data)))
    while len(tries) < MAX_TRIES:
        step = next_step(kind, max(picture.size), limit, tries)
        size = step.size(*picture.size)
        scaled = picture if size == picture.size else picture.resize(size, reducing_gap=2.0)
        data = _encode(scaled, kind, step.quality)
        if data is not None and len(data) <= limit:
            return Encoded(data, _seen(kind, size), step)
        tries.append(Try(step, None if data is None else len(data)))
    raise AssertionError(f"the last step fits into {limit} bytes")


def plain(picture: Image.Image) -> Image.Image:
    """The pixels alone, 8 bits a channel: L, RGB, or RGBA where anything is transparent."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off instead of dividing
        picture.info.pop("transparency", None)
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() == (255, 255):
            picture = picture.convert("RGB")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    picture.info.clear()  # encoders write what they find there: comments, profiles
    return picture


def _seen(kind: Format, size: tuple[int, int]) -> Inspected:
    return Inspected(kind, f"image/{kind.lower()}", *size)


def _encode(picture: Image.Image, kind: Format, quality: int) -> bytes | None:
    """The file; None where the encoder cannot do it (a WEBP of megapixels of noise)."""
    file = BytesIO()
    try:
        if kind == "WEBP":
            picture.save(file, kind, quality=quality, method=WEBP_EFFORT)
        else:
            picture.save(file, kind, quality=quality)
    except (ValueError, OSError):
        return None
    return file.getvalue()


def _plain(given: Encoded) -> Image.Image:
    """The pixels of a picture, made plain. Raises NotAPicture."""
    picture = images.decode(given.data, given.seen)
    try:
        return plain(picture)
    except Exception as error:  # more transparent colours than it has, for one: found only when they are looked up
        raise images.NotAPicture(f"a {given.seen.format} whose colours make no sense") from error


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
