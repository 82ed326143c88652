"""A picture such as an upstream returns: textured, so that nothing takes it for a blank one."""

import io
import random
from functools import cache

from PIL import Image


@cache
def picture(width: int = 64, height: int = 64, image_format: str = "PNG", seed: int = 0) -> bytes:
    """An encoded picture of noise; the same arguments give the same bytes."""
    noise = random.Random(seed).randbytes(width * height * 3)  # noqa: S311 a picture, not a secret
    buffer = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(buffer, format=image_format)
    return buffer.getvalue()
