"""OpenAI's mask made ours."""

import io

import pytest
from PIL import Image

from imagegate.edge.openai.mask import NoMaskError, repainted
from imagegate.runtime.images import NotAPicture
from imagegate.testing import picture


def as_png(image: Image.Image, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **more)
    return file.getvalue()


def seen(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_what_is_transparent_is_repainted() -> None:
    """Transparent becomes white, opaque black and half transparent grey, whatever the colours are."""
    mask = Image.new("RGBA", (30, 10), (255, 255, 255, 255))
    mask.paste((9, 9, 9, 0), (0, 0, 10, 10))
    mask.paste((9, 9, 9, 155), (10, 0, 20, 10))
    ours = seen(repainted(as_png(mask)))
    assert (ours.mode, ours.size) == ("L", (30, 10))
    assert [ours.getpixel((x, 5)) for x in (5, 15, 25)] == [255, 100, 0]


def test_transparency_may_be_said_in_any_way() -> None:
    """Grey with alpha and a palette with a transparent colour say the same."""
    grey = Image.new("LA", (10, 10), (0, 255))
    grey.paste((0, 0), (0, 0, 5, 10))
    palette = Image.new("P", (10, 10), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(0, (0, 0, 5, 10))
    for data in (as_png(grey), as_png(palette, transparency=0)):
        ours = seen(repainted(data))
        assert [ours.getpixel((x, 5)) for x in (2, 7)] == [255, 0]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_mask_that_says_nowhere_is_none(mode: str) -> None:
    """P12: without transparency, or opaque throughout, it says nowhere what to edit, and is refused."""
    with pytest.raises(NoMaskError, match="transparent"):
        repainted(as_png(Image.new(mode, (10, 10), "white")))


@pytest.mark.parametrize("data", [b"", b"no picture", picture()[:100]])
def test_what_is_no_picture_is_no_mask(data: bytes) -> None:
    """P12: whatever the bytes are, they are a picture or refused."""
    with pytest.raises(NotAPicture):
        repainted(data)
