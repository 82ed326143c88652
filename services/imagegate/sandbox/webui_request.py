"""What txt2img and img2img take.

The webui is pydantic v1 behind FastAPI: unknown fields are ignored, errors have v1's words.
"""

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from imagegate.sandbox.call import RefusedError

V1_WORDS = {
    "int": ("value is not a valid integer", "type_error.integer"),
    "float": ("value is not a valid float", "type_error.float"),
    "string": ("str type expected", "type_error.str"),
    "bool": ("value could not be parsed to a boolean", "type_error.bool"),
    "dict": ("value is not a valid dict", "type_error.dict"),
    "list": ("value is not a valid list", "type_error.list"),
    "model": ("value is not a valid dict", "type_error.dict"),
}
NONE_WORDS = ("none is not an allowed value", "type_error.none.not_allowed")
# The names of the scripts that run with every request, and of those that one may name.
Scripts = tuple[Collection[str], Collection[str]]


class Generating(BaseModel):
    """What both take, with the API's own defaults: 50 steps, not the page's 20. It is echoed as `parameters`."""

    prompt: str = ""
    negative_prompt: str = ""
    styles: list[str] | None = None
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: str | None = None
    sampler_index: str = "Euler"
    scheduler: str | None = None
    batch_size: int = 1
    n_iter: int = 1
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None
    disable_extra_networks: bool = False
    comments: dict[str, Any] | None = None
    force_task_id: str | None = None
    script_name: str | None = None
    script_args: list[Any] = []
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[str, Any] = {}
    infotext: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in px: what the model rounds down to."""
        return self.width // 8 * 8, self.height // 8 * 8

    @property
    def strength(self) -> float | None:
        """How much may change of what there is; None where there is nothing."""
        return None

    @property
    def worked_steps(self) -> int:
        """How many steps are really made."""
        return self.steps

    def echo(self) -> dict[str, object]:
        """The request as the answer repeats it."""
        return self.model_dump()


class Txt2Img(Generating):
    """Words alone."""

    denoising_strength: float | None = None
    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_prompt: str = ""
    hr_negative_prompt: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """After the second pass, if there is one."""
        width, height = self.width, self.height
        if self.enable_hr:
            width = self.hr_resize_x or int(width * self.hr_scale)
            height = self.hr_resize_y or int(height * self.hr_scale)
        return width // 8 * 8, height // 8 * 8

    @property
    def strength(self) -> float | None:
        """Of the second pass."""
        return self.denoising_strength


class Img2Img(Generating):
    """Words and a picture to begin with."""

    init_images: list[str] | None = None
    resize_mode: int = 0
    denoising_strength: float = 0.75
    image_cfg_scale: float | None = None
    mask: str | None = None
    mask_blur: int = 4
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_round: bool = True
    inpainting_fill: int = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: int = 0
    initial_noise_multiplier: float | None = None
    latent_mask: str | None = None
    include_init_images: bool = False

    @property
    def strength(self) -> float | None:
        """Of the whole picture, or of what the mask has."""
        return self.denoising_strength

    @property
    def worked_steps(self) -> int:
        """The less may change, the fewer; one at least."""
        return int(min(self.denoising_strength, 0.999) * self.steps) + 1

    def echo(self) -> dict[str, object]:
        """Without the pictures, unless they are asked for."""
        without = {} if self.include_init_images else {"init_images": None, "mask": None}
        return {**self.model_dump(), **without}


def read_txt2img(body: object, scripts: Scripts = ((), ())) -> Txt2Img:
    """The checked request. Raises RefusedError 422, for scripts that are not there too."""
    return _with_scripts(checked(Txt2Img, body), scripts)


def read_img2img(body: object, scripts: Scripts = ((), ())) -> Img2Img:
    """The checked request. Raises RefusedError: 404 without a picture, else 422."""
    asked = checked(Img2Img, body)
    if asked.init_images is None:
        raise http_exception(404, "Init image not found")
    if not asked.init_images:
        raise uncaught("IndexError", "list index out of range")
    return _with_scripts(asked, scripts)


Body = TypeVar("Body", bound=BaseModel)
Asked = TypeVar("Asked", bound=Generating)


def checked(kind: type[Body], body: object) -> Body:
    """The body as that. Raises RefusedError 422 in the words of pydantic v1."""
    if body is None:
        raise RefusedError(422, {"detail": [_item(["body"], ("field required", "value_error.missing"))]})
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise RefusedError(422, {"detail": [_in_v1_words(each) for each in error.errors()]}) from error


def _with_scripts(asked: Asked, scripts: Scripts) -> Asked:
    always_on, by_name = scripts
    if asked.script_name and asked.script_name.lower() not in by_name:
        raise http_exception(422, f"Script '{asked.script_name}' not found")
    for title in asked.alwayson_scripts:
        if title.lower() in by_name:
            raise http_exception(422, "Cannot have a selectable script in the always on scripts params")
        if title.lower() not in always_on:
            raise http_exception(422, f"always on script {title} not found")
    return asked


def http_exception(status: int, detail: str) -> RefusedError:
    """What the webui's API raises on purpose."""
    return RefusedError(status, {"error": "HTTPException", "detail": detail, "body": "", "errors": ""})


def uncaught(kind: str, text: str) -> RefusedError:
    """What nobody caught in the webui: `kind` is the exception's class."""
    return RefusedError(500, {"error": kind, "detail": "", "body": "", "errors": text})


def _in_v1_words(problem: Any) -> dict[str, object]:
    kind = problem["type"].partition("_")[0]
    words = V1_WORDS.get(kind, (problem["msg"], f"value_error.{problem['type']}"))
    return _item(["body", *problem["loc"]], NONE_WORDS if problem["input"] is None else words)


def _item(loc: list[str | int], words: tuple[str, str]) -> dict[str, object]:
    return {"loc": loc, "msg": words[0], "type": words[1]}
