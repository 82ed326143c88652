"""The pen of the sketch provider: hills under a sky, coloured by prompt and seed, and the words on them. Pure.

Slow enough to belong in a thread: about 20 ms for 512², 0.6 s for 4096².
"""

import colorsys
import random
from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

TITLE = "SKETCH"
WORDS = 8
LONGEST_LINE = 60  # characters; a prompt without spaces is one word
SMALLEST_LETTERS = 6  # px
HILLS = 4
# A sky is computed on this many rows and columns and scaled up: a gradient does not get better by being exact.
SKY_SIDE = 64
PNG_LEVEL = 1  # of 9: two to three times faster than Pillow's own 6, and a third larger


def _tell_nobody() -> None:
    """Nobody looks over the shoulder."""


def draw(prompt: str, seed: int, width: int, height: int, tell_hill: Callable[[], None] = _tell_nobody) -> bytes:
    """A PNG of `width` × `height` px. The same arguments give the same bytes; `tell_hill` hears of each hill."""
    dice = random.Random(f"{seed}\0{prompt}")  # noqa: S311 - a drawing, no secret
    canvas = _sky(dice, width, height)
    pen = ImageDraw.Draw(canvas)
    for step in range(HILLS):
        pen.polygon(_hill(dice, step, width, height), fill=_colour(dice, 0.55 - 0.1 * step))
        tell_hill()
    _write(pen, TITLE, canvas.size, share=7, line=0.42)
    _write(pen, opening(prompt), canvas.size, share=20, line=0.58)
    encoded = BytesIO()
    canvas.save(encoded, "PNG", compress_level=PNG_LEVEL)
    return encoded.getvalue()


def _sky(dice: random.Random, width: int, height: int) -> Image.Image:
    """From one colour above to another below, with a grain that keeps it from being a flat picture."""
    above, below = _colour(dice, 0.9), _colour(dice, 1.0)
    gradient = Image.linear_gradient("L").resize((SKY_SIDE, SKY_SIDE))
    sky = Image.composite(Image.new("RGB", gradient.size, below), Image.new("RGB", gradient.size, above), gradient)
    grain = Image.frombytes("RGB", gradient.size, dice.randbytes(3 * SKY_SIDE * SKY_SIDE))
    return Image.blend(sky, grain, 0.06).resize((width, height), Image.Resampling.BICUBIC)


def _hill(dice: random.Random, step: int, width: int, height: int) -> list[tuple[float, float]]:
    """The outline of the hill `step`: the later, the nearer and the lower."""
    top = height * (0.35 + 0.15 * step)
    crest = [(width * across / 6, top + height * dice.uniform(-0.08, 0.08)) for across in range(7)]
    return [(0, height), *crest, (width, height)]


def _colour(dice: random.Random, brightness: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(dice.random(), dice.uniform(0.3, 0.7), brightness)
    return round(red * 255), round(green * 255), round(blue * 255)


def opening(prompt: str) -> str:
    """The prompt's first words, on one line."""
    words = prompt.split()
    line = " ".join(words[:WORDS])
    is_cut = len(words) > WORDS or len(line) > LONGEST_LINE
    return f"{line[:LONGEST_LINE]}…" if is_cut else line


def fitting_font(text: str, width: float, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters of `size` px for `text`, or smaller ones where it would be wider than `width` px.

    Pillow's own font knows Latin letters only: others become boxes, which is good enough for a sketch.
    """
    font = ImageFont.load_default(size)
    while font.getlength(text) > width and size > SMALLEST_LETTERS:
        # Hinted letters do not shrink in proportion, so one step may not do.
        size = max(size * min(width / font.getlength(text), 0.95), SMALLEST_LETTERS)
        font = ImageFont.load_default(size)
    return font


def _write(pen: ImageDraw.ImageDraw, text: str, canvas: tuple[int, int], *, share: int, line: float) -> None:
    """`text` in the middle of the height `line` (0 to 1), its letters a `share` of the shorter side."""
    width, height = canvas
    font = fitting_font(text, width * 0.92, max(min(canvas) / share, SMALLEST_LETTERS))
    stroke = max(min(canvas) // share // 12, 1)
    at = (width / 2, height * line)
    pen.text(at, text, font=font, anchor="mm", fill="white", stroke_width=stroke, stroke_fill="black")
