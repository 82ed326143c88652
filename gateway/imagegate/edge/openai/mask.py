"""A mask of OpenAI's made one of ours. Slow, as it decodes: call it in a thread, for one mask at a time."""

from io import BytesIO

from PIL import ImageChops

from imagegate.runtime import images
from imagegate.runtime.cleaning import clean
from imagegate.runtime.recoding import PNG_LEVEL

TRANSPARENCY = "RGBA"


class NoMaskError(ValueError):
    """It says nowhere what to edit; `str` is what it lacks."""


def repainted(data: bytes) -> bytes:
    """A PNG that is white where the mask is transparent: there OpenAI's client wants an edit, and so do we where it is
    white. What is half transparent becomes grey.

    Raises NotAPicture, and NoMaskError where nothing is transparent.
    """
    upright = clean(data).data
    picture = images.decode(upright, images.inspect(upright))
    if picture.mode != TRANSPARENCY:
        raise NoMaskError("has no transparency; what shall be edited has to be transparent in it")
    alpha = picture.getchannel("A")
    if alpha.getextrema() == (255, 255):
        raise NoMaskError("is opaque throughout; what shall be edited has to be transparent in it")
    file = BytesIO()
    ImageChops.invert(alpha).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()
