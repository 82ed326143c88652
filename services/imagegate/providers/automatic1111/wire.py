"""The webui's words: what it is sent, and what its answers mean. Pure.

What is installed: see `installed` and `extensions`; how far it is: see `progress`.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagegate.providers.automatic1111.prompt import plain, with_loras
from imagegate.runtime.answer import Answer, from_base64
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.inputs import Control, InputPicture
from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Order, Picture
from imagegate.runtime.redaction import one_line
from imagegate.runtime.tasks import FittedLora
from imagegate.runtime.words import parsed, words

TXT2IMG = "/sdapi/v1/txt2img"
IMG2IMG = "/sdapi/v1/img2img"
DETECT = "/controlnet/detect"
INTERRUPT = "/sdapi/v1/interrupt"
# Our wire carries seeds as int64.
MAX_SEED = 2**63 - 1

# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Ours and theirs; the scheduler is what an old sampler's name was split into.
NAMES = {
    "width": "width",
    "height": "height",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
    "strength": "denoising_strength",
    "mask_blur": "mask_blur",
}
# The pictures go back in the answer and nowhere else.
CONSTANTS = {"send_images": True, "save_images": False, "do_not_save_samples": True, "do_not_save_grid": True}
# The picture as a whole is made anew in its own place, not the masked part alone and larger; what is to be repainted
# begins with what is there; white is repainted.
RESIZED = {"resize_mode": 0}
MASKED = {"inpainting_fill": 1, "inpaint_full_res": False, "inpainting_mask_invert": 0}
# What a request says in fields of its own, how pictures come back, and what would make the webui do something else than
# a request says: no option of a model's may be one of these.
OURS = frozenset({
    "prompt", "negative_prompt", "n_iter", "batch_size", "seed", *NAMES.values(), *CONSTANTS, "sampler_index",
    "override_settings", "override_settings_restore_afterwards", "script_name", "infotext", "hr_prompt",
    "hr_negative_prompt", "init_images", "mask", "latent_mask", "firstpass_image", *RESIZED, *MASKED,
    "inpaint_full_res_padding", "mask_blur_x", "mask_blur_y", "alwayson_scripts", "script_args", "styles",
    "force_task_id", "include_init_images",
})  # fmt: skip


def checked(catalogue: Catalogue) -> Catalogue:
    """The catalogue, if none of its options is one that this module sets. Raises CatalogueError naming them."""
    taken = [
        f"models.{model.key}.options.{name}: imagegate says it itself"
        for model in catalogue.models
        for name in sorted(OURS & model.options.keys())
    ]
    if taken:
        raise CatalogueError(*taken)
    return catalogue


# A unit whose picture is drawn already needs no preprocessor.
NO_MODULE = "none"


@dataclass(frozen=True, slots=True)
class Unit:
    """A control, and what does it in ControlNet: a model by its title, and a preprocessor."""

    control: Control
    model: str
    module: str = NO_MODULE


def path(order: Order) -> str:
    """Where the order is sent."""
    return IMG2IMG if order.inputs.image is not None else TXT2IMG


def to_payload(
    order: Order, checkpoint: str = "", loras: Sequence[FittedLora] = (), units: Sequence[Unit] = ()
) -> dict[str, object]:
    """The body of the one call for all pictures of the order.

    `checkpoint` is a title, empty for what is loaded; `loras` have names that the webui knows.
    """
    payload: dict[str, object] = {name: value for name, value in order.options.items() if name not in OURS}
    payload |= {"prompt": with_loras(order.prompt, loras), "n_iter": order.count, "batch_size": 1, **CONSTANTS}
    if "negative_prompt" in order.parameters:
        payload["negative_prompt"] = plain(str(order.parameters["negative_prompt"]))
    payload |= {theirs: order.parameters[ours] for ours, theirs in NAMES.items() if ours in order.parameters}
    seed = order.seed()
    if seed is not None:
        payload["seed"] = seed
    if checkpoint:
        payload["override_settings"] = {"sd_model_checkpoint": checkpoint}
        payload["override_settings_restore_afterwards"] = True
    if order.inputs.image is not None:
        payload |= {"init_images": [_encoded(order.inputs.image)], **RESIZED}
    if order.inputs.mask is not None:
        payload |= {"mask": _encoded(order.inputs.mask), **MASKED}
    if units:
        payload["alwayson_scripts"] = {"controlnet": {"args": [to_unit(unit) for unit in units]}}
    return payload


def to_unit(unit: Unit) -> dict[str, object]:
    """A control as ControlNet takes it; what it finds in the picture does not come back among ours."""
    fitted = unit.control.fitted
    asked = {"weight": fitted.scale, "guidance_start": fitted.start, "guidance_end": fitted.end}
    return {
        "enabled": True,
        "module": unit.module,
        "model": unit.model,
        "image": _encoded(unit.control.picture),
        **{name: value for name, value in asked.items() if value is not None},
        "pixel_perfect": True,
        "save_detected_map": False,
    }


# Pixels of the shorter side that a preprocessor works at.
DETECTED_SIDES = (64, 2048)


def to_detection(order: Order, detector: str) -> dict[str, object]:
    """The body that asks for the pose in the order's photo, as large as the photo where that is possible."""
    image = order.inputs.image
    if image is None:
        raise ValueError("an order to find a pose has no photo")  # a bug: it would have been refused before
    side = min(max(min(image.width, image.height), DETECTED_SIDES[0]), DETECTED_SIDES[1])
    return {
        "controlnet_module": detector,
        "controlnet_input_images": [_encoded(image)],
        "controlnet_processor_res": side,
    }


def _encoded(picture: InputPicture) -> str:
    """Base64 of our own bytes, which are those of a picture: an address or a path would be followed."""
    return b64encode(picture.data).decode()


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def to_pictures(answer: Answer, order: Order) -> list[Picture]:
    """The pictures of a success, in order, without a grid before or detected maps behind them.

    Raises Failure(BAD_OUTPUT) where there is none, or what there is is not base64.
    """
    body = parsed(answer)
    images = body.get("images") if isinstance(body, dict) else None
    if not isinstance(images, list) or not images:
        raise _described(answer, Reason.BAD_OUTPUT)
    info = to_info(answer)
    first = whole(info.get("index_of_first_image")) or 0
    told = info.get("all_seeds")
    seeds = [whole(seed) for seed in told] if isinstance(told, list) else []
    pictures: list[Picture] = []
    for index, data in enumerate(images[first : first + order.count]):
        seed = seeds[index] if index < len(seeds) else None
        pictures.append(Picture(_decoded(data), order.seed(index) if seed is None else seed))
    if not pictures:
        raise _described(answer, Reason.BAD_OUTPUT)
    return pictures


def to_pose(answer: Answer) -> Picture:
    """The drawing of a pose. Raises Failure(BAD_OUTPUT) where there is none, or it is not base64."""
    body = parsed(answer)
    images = body.get("images") if isinstance(body, dict) else None
    if not isinstance(images, list) or not images:
        raise _described(answer, Reason.BAD_OUTPUT)
    return Picture(_decoded(images[0]))


def to_info(answer: Answer) -> Mapping[str, Any]:
    """What the webui says of the pictures it made; empty where it says nothing that can be read."""
    body = parsed(answer)
    info = _json(body.get("info")) if isinstance(body, dict) else None
    return info if isinstance(info, dict) else {}


def to_checkpoint_name(info: Mapping[str, Any]) -> str:
    """The checkpoint that made the pictures, at most 256 characters; empty where the webui does not say."""
    name = info.get("sd_model_name")
    return one_line(name)[:256] if isinstance(name, str) else ""


def _decoded(data: object) -> bytes:
    try:
        return from_base64(data if isinstance(data, str) else "?")
    except ValueError as error:
        raise Failure(
            Reason.BAD_OUTPUT, "the webui's picture is not base64", dispatch=Dispatch.ACCEPTED, billed=False
        ) from error


def whole(value: object) -> int | None:
    """A number that is one of ours, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_SEED else None


# ── What an error means ──────────────────────────────────────────────────────────────────────────────────────────────

BY_STATUS = {
    400: Reason.UPSTREAM_REJECTED_INPUT,
    401: Reason.CREDENTIALS_REJECTED,
    403: Reason.CREDENTIALS_REJECTED,
    404: Reason.UNREACHABLE,  # of the whole API: a model is never what a path names
    413: Reason.UPSTREAM_REJECTED_INPUT,
    422: Reason.UPSTREAM_REJECTED_INPUT,
    429: Reason.RATE_LIMITED,
    503: Reason.OVERLOADED,
}
OUT_OF_MEMORY = re.compile(r"OutOfMemoryError|out of memory", re.IGNORECASE)
# The API's own word for a refusal, and the statuses that mean something else where it does not say it.
RAISED = "HTTPException"
RAISED_ABOUT_INPUT = frozenset({404, 500})
# An ingress or a tunnel that gave up on the webui behind it, where the work goes on.
GIVEN_UP = frozenset({502, 504, 520, 524})

# What a reason is called in a sentence, and what to do about it.
SAYINGS = {
    Reason.UNREACHABLE: ("the webui's API is off", "start the webui with --api"),
    Reason.CREDENTIALS_REJECTED: (
        "the webui does not accept the user and password",
        "set SD_API_AUTH=user:password to what the webui was given as --api-auth",
    ),
    Reason.UPSTREAM_REJECTED_INPUT: ("the webui refused the input", "correct what the webui names"),
    Reason.UNSUPPORTED: ("the webui has no ControlNet extension any more", "install it, or ask another provider"),
    Reason.RATE_LIMITED: ("the webui's front has had too many requests", "ask less often"),
    Reason.OVERLOADED: ("the webui is overloaded", "try again later"),
    Reason.UPSTREAM_ERROR: ("the webui failed", "look at the webui's console"),
    Reason.BAD_OUTPUT: ("the webui answered success without a picture", "look at the webui's console"),
}
OUT_OF_MEMORY_SAYING = (
    "the webui ran out of memory",
    "ask for a smaller picture, or start the webui with --medvram",
)
NO_CONNECTION_REMEDY = "start the webui with --api, or set SD_API_URL"


def to_error(answer: Answer, path: str = "") -> Failure:
    """What an answer of 300 or more means, given at `path`.

    Nothing was taken, unless an ingress gave up waiting for the webui.
    """
    is_gone = path == DETECT and answer.status == 404 and not _is_raised(answer)
    failure = _described(answer, Reason.UNSUPPORTED if is_gone else _reason(answer))
    failure.phase = "submit"
    failure.dispatch = Dispatch.UNKNOWN if answer.status in GIVEN_UP else Dispatch.REFUSED
    return failure


def explain(failure: Failure) -> None:
    """Say what to do about a connection that could not be made."""
    if failure.reason is Reason.UNREACHABLE:
        failure.remedy = NO_CONNECTION_REMEDY
        failure.phase = "submit"


def _reason(answer: Answer) -> Reason:
    if answer.status in RAISED_ABOUT_INPUT and _is_raised(answer):
        return Reason.UPSTREAM_REJECTED_INPUT
    if answer.status == 500 and OUT_OF_MEMORY.search(answer.text):
        return Reason.OVERLOADED
    return BY_STATUS.get(answer.status, Reason.UPSTREAM_ERROR)


def _is_raised(answer: Answer) -> bool:
    """Whether the API said so on purpose, and is on: of a path that it does not have it says only `detail`."""
    body = parsed(answer)
    return isinstance(body, dict) and body.get("error") == RAISED


def _described(answer: Answer, reason: Reason) -> Failure:
    saying, remedy = SAYINGS[reason]
    if answer.status == 500 and reason is Reason.OVERLOADED:
        saying, remedy = OUT_OF_MEMORY_SAYING
    return Failure(
        reason,
        f"{saying} ({answer.status})",
        remedy=remedy,
        retry_after=answer.retry_after() if reason in (Reason.OVERLOADED, Reason.RATE_LIMITED) else None,
        upstream_status=answer.status,
        upstream_message=words(answer),
        billed=False,  # one's own machine
    )


def _json(text: object) -> Any:
    """The value, or None where it is not JSON."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
