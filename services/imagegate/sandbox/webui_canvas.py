"""Pictures that come with a request, and what they make of a drawing: deterministic, so that tests can see it. Pure."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from imagegate.sandbox.webui_request import Img2Img, http_exception

Size = tuple[int, int]
# By resize_mode: stretched, cropped, filled.
RESIZES: dict[int, Callable[[Image.Image, Size], Image.Image]] = {1: ImageOps.fit, 2: ImageOps.pad}
ORIGINAL = 1  # of inpainting_fill
# How much of a control is seen in the picture at weight 1.
CONTROL_SHARE = 0.4
LIMB, JOINT = 6, 4  # px


def read_image(encoded: str) -> Image.Image:
    """The picture in base64 or in a data URI. Raises RefusedError 500, for an address too: no network is here."""
    if encoded.startswith(("http://", "https://")):
        raise http_exception(500, "Request to local resource not allowed")
    if encoded.startswith("data:image/"):
        encoded = encoded.partition(";")[2].partition(",")[2]
    try:
        image = Image.open(io.BytesIO(base64.b64decode(encoded)))
        image.load()
    except (OSError, ValueError) as error:
        raise http_exception(500, "Invalid encoded image") from error
    return image


@dataclass(frozen=True)
class Given:
    """The picture to begin with, and which part of it is made anew; `whole` says that all of it is drawn at once."""

    image: Image.Image
    mask: Image.Image | None
    strength: float
    resize_mode: int
    fill: int
    whole: bool

    @classmethod
    def of(cls, asked: Img2Img) -> "Given":
        """What a request brings along. Raises RefusedError."""
        mask = None if asked.mask is None else _soft(read_image(asked.mask), asked)
        image = read_image((asked.init_images or [""])[0]).convert("RGB")
        strength = asked.denoising_strength
        return cls(image, mask, strength, asked.resize_mode, asked.inpainting_fill, not asked.inpaint_full_res)

    def under(self, drawn: Image.Image) -> Image.Image:
        """The drawing over the picture, as far as strength and mask let it."""
        resize = RESIZES.get(self.resize_mode, Image.Image.resize)
        base = resize(self.image, drawn.size)
        if self.mask is None:
            return Image.blend(base, drawn, self.strength)
        mask = resize(self.mask, drawn.size)
        box = mask.getbbox()
        if box is not None and not self.whole:
            small = drawn.resize((box[2] - box[0], box[3] - box[1]))
            drawn = base.copy()
            drawn.paste(small, box)
        begun = base if self.fill == ORIGINAL else base.resize((1, 1)).resize(drawn.size)
        return Image.composite(Image.blend(begun, drawn, self.strength), base, mask)


def _soft(mask: Image.Image, asked: Img2Img) -> Image.Image:
    """White is made anew; a mask with transparency counts by that alone, as in the webui."""
    alpha = mask.getchannel("A") if mask.mode == "RGBA" else None
    grey = alpha if alpha is not None and alpha.getextrema() != (255, 255) else mask.convert("L")
    sharp = grey.point([255 if value > 128 else 0 for value in range(256)]) if asked.mask_round else grey
    seen = ImageChops.invert(sharp) if asked.inpainting_mask_invert else sharp
    return seen.filter(ImageFilter.GaussianBlur(asked.mask_blur)) if asked.mask_blur else seen


@dataclass(frozen=True)
class Controlled:
    """A picture that the drawing keeps to, as far as `weight` says."""

    image: Image.Image
    weight: float

    def over(self, drawn: Image.Image) -> Image.Image:
        return Image.blend(drawn, ImageOps.fit(self.image, drawn.size), min(self.weight * CONTROL_SHARE, 1.0))


def detected(image: Image.Image, module: str, shorter_side: int = 0) -> Image.Image:
    """What a preprocessor finds in a picture, scaled to that shorter side if one is told."""
    if shorter_side:
        factor = shorter_side / min(image.size)
        image = image.resize((round(image.width * factor), round(image.height * factor)))
    image = image.convert("RGB")
    if module == "none":
        return image
    if "openpose" in module:
        return skeleton(image, hands="hand" in module or "full" in module, face="face" in module or "full" in module)
    if module == "canny":
        return image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")
    return image.convert("L").filter(ImageFilter.GaussianBlur(8)).convert("RGB")


def skeleton(image: Image.Image, *, hands: bool, face: bool) -> Image.Image:
    """A stick figure that leans to where the picture is brighter, whoever may be in it."""
    left, right = (sum(part.resize((1, 1)).convert("L").tobytes()) for part in _halves(image))
    canvas = Image.new("RGB", image.size)
    pen = ImageDraw.Draw(canvas)
    width, height = image.size

    def at(x: float, y: float) -> tuple[float, float]:
        return width * (x + (right - left) / 2550), height * y

    neck, hip = at(0.5, 0.3), at(0.5, 0.55)
    ends = [at(0.3, 0.45), at(0.7, 0.45), at(0.4, 0.9), at(0.6, 0.9)]
    colours = ("red", "yellow", "lime", "blue")
    pen.line([at(0.5, 0.2), neck, hip], fill="magenta", width=LIMB)
    for end, start, colour in zip(ends, (neck, neck, hip, hip), colours, strict=True):
        pen.line([start, end], fill=colour, width=LIMB)
    dots = [*ends, *(_around(ends[:2], height) if hands else []), *(_around([at(0.5, 0.15)], height) if face else [])]
    for x, y in dots:
        pen.ellipse((x - JOINT, y - JOINT, x + JOINT, y + JOINT), fill="white")
    return canvas


def _halves(image: Image.Image) -> Sequence[Image.Image]:
    middle = max(image.width // 2, 1)
    return image.crop((0, 0, middle, image.height)), image.crop((image.width - middle, 0, image.width, image.height))


def _around(points: Sequence[tuple[float, float]], height: int) -> list[tuple[float, float]]:
    step = height * 0.03
    return [(x + dx * step, y + dy * step) for x, y in points for dx in (-1, 1) for dy in (-1, 1)]
