"""A picture that somebody sends, made clean: upright, 8 bits a channel, and without anything that came along with it.

Everything here decodes: call it in a thread, for one picture at a time. At 16.8 megapixels it takes up to 4 s and
300 MB, at 1 megapixel 0.1 s and 20 MB.
"""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from imagegate.runtime import images, luggage
from imagegate.runtime.images import NEAR_BLACK, Format
from imagegate.runtime.recoding import PNG_LEVEL, plain

JPEG_QUALITY = 95
# Pixels. A larger WEBP that has to be encoded again becomes a JPEG, unless it is transparent: as a PNG it would have
# ten times the bytes.
LARGE_PIXELS = 2048 * 2048

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN_MODES = ("L", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class Clean:
    """A clean picture; sizes are pixels. `is_changed` says that its data is not what was given, and `is_black` of a
    mask that nothing is white on it.
    """

    data: bytes
    width: int
    height: int
    is_changed: bool
    is_black: bool = False

    def __repr__(self) -> str:
        return f"<Clean {self.width}x{self.height} {len(self.data):,} bytes>"


def clean(data: bytes) -> Clean:
    """The picture in L, RGB or RGBA; encoded again only where it was another way up, or of another kind, and else the
    same in every pixel. Raises NotAPicture.
    """
    kind, bare, picture = _upright(data)
    if bare is None:
        bare = _encoded(_plain(picture, kind), kind)
    return Clean(bare, *picture.size, is_changed=bare is not data)


def clean_mask(data: bytes) -> Clean:
    """A mask, in L: its brightness, on black where it is transparent. Raises NotAPicture."""
    kind, bare, picture = _upright(data)
    if bare is None or picture.mode != "L":
        picture = _brightness(_plain(picture, kind))
        bare = _encoded(picture, "PNG")
    is_black = not any(picture.histogram()[round(NEAR_BLACK * 255) + 1 :])
    return Clean(bare, *picture.size, is_changed=bare is not data, is_black=is_black)


def _plain(picture: Image.Image, kind: Format) -> Image.Image:
    try:
        return plain(picture)
    except Exception as error:  # more transparent colours than it has, for one: found only when they are looked up
        raise images.NotAPicture(f"a {kind} whose colours make no sense") from error


def _upright(data: bytes) -> tuple[Format, bytes | None, Image.Image]:
    """The picture's format, its file without what came along with it, and its pixels, upright.

    There is no file where it has to be encoded again: it was another way up, or is not plain.
    """
    info = images.inspect(data)
    luggage.check(data, info)
    turn = _TURNS.get(luggage.orientation(data, info))
    bare = luggage.left_behind(data, info)
    picture = images.decode(bare, info)  # of what came along a decoder sees nothing
    if turn is not None:
        return info.format, None, picture.transpose(turn)
    return info.format, bare if _is_plain(picture, bare, info.format) else None, picture


def _is_plain(picture: Image.Image, data: bytes, kind: Format) -> bool:
    """Whether a file needs no other encoding. Pillow makes 8 bits of whatever a PNG has."""
    has_eight_bits = kind != "PNG" or data[24] == 8
    return has_eight_bits and picture.mode in _PLAIN_MODES and "transparency" not in picture.info


def _brightness(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "black")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    return picture.convert("L")


def _encoded(picture: Image.Image, kind: Format) -> bytes:
    file = BytesIO()
    is_large = picture.width * picture.height > LARGE_PIXELS
    if kind == "JPEG" or (kind == "WEBP" and is_large and picture.mode != "RGBA"):
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
    else:
        picture.save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()
