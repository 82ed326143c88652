"""Drawings out of other pictures: what was given shows in what comes back, so that a test can see that it arrived.

Where a mask is black, the picture that was begun with stays as it is, pixel by pixel; a control is drawn into the
picture as brightly as it is; every person stands in its upper row; a pose is in its photo's colour.
"""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image, ImageChops, ImageDraw

from imagegate.runtime import images
from imagegate.sandbox.fal_inputs import Asked
from imagegate.sandbox.pictures import SAVE_OPTIONS, Picture, encode, seed_of

FACE_SIDE = 64  # px of each person in the upper row
# A figure, in shares of the picture's width and height: nose, neck, shoulders, hands, hips, feet.
FIGURE = ((0.5, 0.15), (0.5, 0.3), (0.35, 0.32), (0.65, 0.32), (0.25, 0.6), (0.75, 0.6), (0.4, 0.62), (0.6, 0.62),
          (0.38, 0.95), (0.62, 0.95))  # fmt: skip
LIMBS = ((0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (1, 6), (1, 7), (6, 8), (7, 9))


@dataclass(frozen=True)
class Worked(Picture):
    """A picture that is made out of `files`, each field's pictures as encoded bytes. `strength` is how far it is made
    anew, 0 to 1; `draw_mode` is that of a pose, or empty.
    """

    files: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    strength: float = 1.0
    draw_mode: str = ""

    @property
    def size_in_bytes(self) -> int:
        """What its files take, for as long as it is kept."""
        return sum(len(each) for pictures in self.files.values() for each in pictures)

    async def draw(self) -> bytes:
        if self.spoilt is not None:
            return await super().draw()
        return await asyncio.to_thread(_encode, self)


def picture_of(asked: Asked, seed: int, files: Mapping[str, Sequence[bytes]], spoilt: str | None) -> Picture:
    """What an app makes of its input; where only words count, the same as ever."""
    width, height = asked.size or _size_of(files) or (1024, 1024)
    weights = asked.weights
    seed = seed_of(seed, sorted(weights.items())) if weights else seed
    if not files:
        return Picture(asked.prompt, seed, width, height, asked.format, spoilt)
    strength, draw_mode = getattr(asked, "strength", 1.0), getattr(asked, "draw_mode", "")
    return Worked(asked.prompt, seed, width, height, asked.format, spoilt, files, strength, draw_mode)


def _size_of(files: Mapping[str, Sequence[bytes]]) -> tuple[int, int] | None:
    """The size of the picture that it begins with, or else of the first control."""
    first = next((files[name] for name in ("image_url", *files) if name in files), None)
    if first is None:
        return None
    seen = images.inspect(first[0])
    return seen.width, seen.height


def _encode(picture: Worked) -> bytes:
    canvas = _pose(picture) if picture.draw_mode else _worked(picture)
    encoded = io.BytesIO()
    canvas.save(encoded, picture.format, **SAVE_OPTIONS[picture.format])
    return encoded.getvalue()


def _worked(picture: Worked) -> Image.Image:
    size = (picture.width, picture.height)
    plain = Picture(picture.prompt, picture.seed, *size)
    canvas = _opened(encode(replace(plain, format="png")))
    given = {name: [_opened(each) for each in pictures] for name, pictures in picture.files.items()}
    for name, pictures in given.items():
        if name not in ("image_url", "mask_url", "image_archive_url"):
            canvas = ImageChops.lighter(canvas, pictures[0].resize(size))
    if begun_with := given.get("image_url"):
        source = begun_with[0].resize(size)
        anew = Image.blend(source, canvas, picture.strength)
        mask = given["mask_url"][0].convert("L").resize(size) if "mask_url" in given else None
        canvas = Image.composite(anew, source, mask) if mask else anew
    for n, face in enumerate(given.get("image_archive_url", ())):
        canvas.paste(face.resize((FACE_SIDE, FACE_SIDE)), (n * FACE_SIDE, 0))
    return canvas


def _pose(picture: Worked) -> Image.Image:
    """A figure on black in the photo's own colour, so that another photo has another pose."""
    photo = _opened(picture.files["image_url"][0])
    colour = tuple(max(channel, 64) for channel in photo.resize((1, 1)).tobytes())
    canvas = Image.new("RGB", photo.size)
    pen = ImageDraw.Draw(canvas)
    places = [(x * photo.width, y * photo.height) for x, y in FIGURE]
    thick = max(min(photo.size) // 64, 2)
    for start, end in LIMBS:
        pen.line((places[start], places[end]), fill=colour, width=thick)
    if picture.draw_mode == "full-pose":  # hands and face as well
        for x, y in (places[0], places[4], places[5]):
            pen.ellipse((x - 3 * thick, y - 3 * thick, x + 3 * thick, y + 3 * thick), outline="white", width=thick)
    return canvas


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")
