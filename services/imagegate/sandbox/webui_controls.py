"""ControlNet: the units of a request, and finding something in a picture."""

import base64
from collections.abc import Sequence
from typing import Any

from PIL import Image
from pydantic import BaseModel, ValidationError

from imagegate.sandbox import webui_extensions
from imagegate.sandbox.pictures import Picture, encode
from imagegate.sandbox.webui_canvas import detected, read_image
from imagegate.sandbox.webui_request import Generating, checked, http_exception, uncaught

ALIASES = {"guidance": "guidance_end", "lowvram": "low_vram", "input_image": "image", "mask_image": "mask"}
RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill")
CONTROL_MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")
USUAL_SIDE = 512  # px of the shorter side at which a preprocessor works unless told otherwise


class Unit(BaseModel):
    """One control, with the extension's own defaults: it is off unless it says otherwise."""

    enabled: bool = False
    module: str = "none"
    model: str = "None"
    weight: float = 1.0
    image: Any = None
    mask: Any = None
    resize_mode: str = "Crop and Resize"
    low_vram: bool = False
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    pixel_perfect: bool = False
    control_mode: str = "Balanced"
    hr_option: str = "Both"
    save_detected_map: bool = True

    def told(self) -> str:
        """As the webui's word on the picture has it."""
        return (
            f"Module: {self.module}, Model: {self.model}, Weight: {self.weight}, Resize Mode: {self.resize_mode}, "
            f"Guidance Start: {self.guidance_start}, Guidance End: {self.guidance_end}, "
            f"Pixel Perfect: {self.pixel_perfect}, Control Mode: {self.control_mode}"
        )

    def picture(self, given: Image.Image | None) -> Image.Image:
        """What it keeps to: its own picture, or the one to begin with. Raises RefusedError 500 where it has neither."""
        encoded = self.image.get("image") if isinstance(self.image, dict) else self.image
        image = read_image(encoded) if isinstance(encoded, str) and encoded else given
        if image is None:
            raise uncaught("ValueError", "controlnet is enabled but no input image is given")
        return detected(image, self.module)

    def problems(self) -> Sequence[str]:
        found = []
        if self.module not in webui_extensions.CONTROL_MODULES:
            found.append(f"module({self.module}) not found in supported modules.")
        if self.model != "None" and self.model not in webui_extensions.CONTROL_MODELS:
            found.append(f"model({self.model}) not found in supported models.")
        if self.resize_mode not in RESIZE_MODES:
            found.append(f"'{self.resize_mode}' is not a valid ResizeMode")
        if self.control_mode not in CONTROL_MODES:
            found.append(f"'{self.control_mode}' is not a valid ControlMode")
        if not 0 <= self.weight <= 2:
            found.append("ensure that the weight lies between 0 and 2")
        if not 0 <= self.guidance_start <= 1 or not 0 <= self.guidance_end <= 1:
            found.append("ensure that guidance lies between 0 and 1")
        if self.guidance_start > self.guidance_end:
            found.append(f"guidance_start({self.guidance_start}) > guidance_end({self.guidance_end})")
        return found


def read_units(asked: Generating) -> list[Unit]:
    """The units that are switched on. Raises RefusedError 500, as nobody catches what is wrong with one."""
    for title, script in asked.alwayson_scripts.items():
        if title.lower() == "controlnet":
            told = script.get("args") if isinstance(script, dict) else None
            units = [_unit(each) for each in (told or [])[: webui_extensions.UNITS]]
            return [unit for unit in units if unit.enabled]
    return []


def _unit(told: object) -> Unit:
    if not isinstance(told, dict):
        raise uncaught("AttributeError", f"{type(told).__name__!r} object has no attribute 'enabled'")
    try:
        unit = Unit.model_validate({ALIASES.get(name, name): value for name, value in told.items()})
    except ValidationError as error:
        raise uncaught("ValueError", str(error.errors()[0]["msg"])) from error
    if problems := unit.problems():
        raise uncaught("ValueError", problems[0])
    return unit


class Detection(BaseModel):
    """What `detect` takes."""

    controlnet_module: str = "none"
    controlnet_input_images: list[str] = []
    controlnet_processor_res: int = -1
    controlnet_threshold_a: float = -1
    controlnet_threshold_b: float = -1
    controlnet_masks: list[str] = []
    low_vram: bool = False


def read_detection(body: object) -> Detection:
    """The checked request. Raises RefusedError 422."""
    asked = checked(Detection, body)
    if asked.controlnet_module not in webui_extensions.CONTROL_MODULES:
        raise http_exception(422, "Module not available")
    if asked.controlnet_module in webui_extensions.WITHOUT_PICTURE:
        raise http_exception(422, "Module not supported")
    if not asked.controlnet_input_images:
        raise http_exception(422, "No image selected")
    return asked


def detect(asked: Detection, spoilt: str | None) -> dict[str, object]:
    """The answer of `detect`; slow enough to belong in a thread. Raises RefusedError 500 for what is no picture."""
    side = asked.controlnet_processor_res if asked.controlnet_processor_res >= 64 else USUAL_SIDE
    maps = [detected(read_image(each), asked.controlnet_module, side) for each in asked.controlnet_input_images]
    answer: dict[str, object] = {"info": "Success", "images": [encoded_map(each, spoilt) for each in maps]}
    if "openpose" in asked.controlnet_module:
        answer["poses"] = [
            {"people": [], "animals": [], "canvas_width": each.width, "canvas_height": each.height} for each in maps
        ]
    return answer


def encoded_map(image: Image.Image, spoilt: str | None = None) -> str:
    """A detected map in base64."""
    blank = Picture("", 0, image.width, image.height, "png", spoilt)
    return base64.b64encode(encode(blank, lambda _: image)).decode()
