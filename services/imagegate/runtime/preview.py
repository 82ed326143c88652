"""A picture that is not finished yet, made small. What an upstream returned is hostile, unfinished or not."""

from io import BytesIO

from PIL import Image

from imagegate.runtime import images

# Bytes and pixels of what is looked at. Engines keep their previews below; what is larger is not worth the work.
MAX_BYTES = 4 * 1024 * 1024
MAX_PIXELS = 2048 * 2048
# Pixels. Enough to see what it is going to be.
MAX_SIDE = 256
MIME_TYPE = "image/jpeg"


def shrunk(data: bytes) -> bytes | None:
    """A JPEG of at most 256 × 256 pixels (about 10 KB), with nothing that came along with the original.

    None where that is no whole picture, or too large a one. Decodes, so call it in a thread: it takes 5 to 40 ms.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        seen = images.inspect(data)
        if seen.pixels > MAX_PIXELS:
            return None
        with Image.open(BytesIO(data), formats=[seen.format]) as picture:
            small = picture.convert("RGB")
    except Exception:  # noqa: BLE001 -- Pillow's decoders raise whatever hostile bytes make them raise
        return None
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    clean = Image.new("RGB", small.size)
    clean.paste(small)
    buffer = BytesIO()
    clean.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
