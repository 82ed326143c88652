"""The webui's words: what its txt2img is sent, and what its answers mean. Pure. What is installed: see `installed`."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Order, Picture
from imagegate.runtime.redaction import one_line
from imagegate.runtime.words import parsed, words

TXT2IMG = "/sdapi/v1/txt2img"
PROGRESS = "/sdapi/v1/progress?skip_current_image=true"
PREVIEW = "/sdapi/v1/progress"
INTERRUPT = "/sdapi/v1/interrupt"
# Our wire carries seeds as int64.
MAX_SEED = 2**63 - 1
# More than anybody asks for; our wire carries steps as int32.
MAX_STEPS = 10_000
# Of base64. A preview of 1024² as PNG has about 2 million.
MAX_PREVIEW_CHARACTERS = 6 * 1024 * 1024

# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Ours and theirs; the scheduler is what an old sampler's name was split into.
NAMES = {
    "width": "width",
    "height": "height",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
}
# The pictures go back in the answer and nowhere else.
CONSTANTS = {"send_images": True, "save_images": False, "do_not_save_samples": True, "do_not_save_grid": True}
# What a request says in fields of its own, how pictures come back, and what would make the webui do something else than
# a request says: no option of a model's may be one of these.
OURS = frozenset({
    "prompt", "negative_prompt", "n_iter", "batch_size", "seed", *NAMES.values(), *CONSTANTS, "sampler_index",
    "override_settings", "override_settings_restore_afterwards", "script_name", "infotext", "hr_prompt",
    "hr_negative_prompt",
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


def to_payload(order: Order, checkpoint: str = "") -> dict[str, object]:
    """The body of one txt2img for all pictures of the order; `checkpoint` is a title, empty for what is loaded."""
    payload: dict[str, object] = {name: value for name, value in order.options.items() if name not in OURS}
    payload |= {"prompt": plain(order.prompt), "n_iter": order.count, "batch_size": 1, **CONSTANTS}
    if "negative_prompt" in order.parameters:
        payload["negative_prompt"] = plain(str(order.parameters["negative_prompt"]))
    payload |= {theirs: order.parameters[ours] for ours, theirs in NAMES.items() if ours in order.parameters}
    seed = order.seed()
    if seed is not None:
        payload["seed"] = seed
    if checkpoint:
        payload["override_settings"] = {"sd_model_checkpoint": checkpoint}
        payload["override_settings_restore_afterwards"] = True
    return payload


# The webui takes `<word:arguments>` for an instruction to one of its extra networks.
_TAG_BEGINS = re.compile(r"<(?=\w+:)")
_TAG = re.compile(r"<\w+:[^<>]*>?")


def plain(text: str) -> str:
    """The text without instructions to the webui: each loses the bracket that makes it one.

    A space takes its place, so that nothing around it can close up to another instruction.
    """
    return _TAG_BEGINS.sub(" ", text)


def tags(text: str) -> list[str]:
    """What in the text the webui would take for instructions."""
    return _TAG.findall(text)


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
    first = _whole(info.get("index_of_first_image")) or 0
    told = info.get("all_seeds")
    seeds = [_whole(seed) for seed in told] if isinstance(told, list) else []
    pictures: list[Picture] = []
    for index, data in enumerate(images[first : first + order.count]):
        seed = seeds[index] if index < len(seeds) else None
        pictures.append(Picture(_decoded(data), order.seed(index) if seed is None else seed))
    if not pictures:
        raise _described(answer, Reason.BAD_OUTPUT)
    return pictures


def to_info(answer: Answer) -> Mapping[str, Any]:
    """What the webui says of the pictures it made; empty where it says nothing that can be read."""
    body = parsed(answer)
    info = _json(body.get("info")) if isinstance(body, dict) else None
    return info if isinstance(info, dict) else {}


def is_busy(answer: Answer) -> bool:
    """Whether the webui says that it is at work on something; while it is, its `job_count` is not 0."""
    return _is_at_work(_state(parsed(answer)))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the webui is with all pictures of an order, and the one it is at as it is now; hostile, empty if none."""

    step: int
    steps: int
    picture: bytes


def to_progress(answer: Answer, count: int) -> Progress | None:
    """How far the webui is with `count` pictures; None where it does nothing or does not say."""
    body = parsed(answer)
    state = _state(body)
    job, step, steps = (_whole(state.get(name)) for name in ("job_no", "sampling_step", "sampling_steps"))
    if not _is_at_work(state) or job is None or step is None or not steps or steps > MAX_STEPS:
        return None
    encoded = body.get("current_image")
    is_told = isinstance(encoded, str) and len(encoded) <= MAX_PREVIEW_CHARACTERS
    try:
        picture = b64decode(encoded, validate=True) if is_told else b""
    except ValueError:
        picture = b""
    return Progress(min(job, count - 1) * steps + min(step, steps), count * steps, picture)


def _is_at_work(state: Mapping[str, Any]) -> bool:
    count = state.get("job_count")
    return isinstance(count, int) and count != 0


def _state(body: object) -> Mapping[str, Any]:
    state = body.get("state") if isinstance(body, dict) else None
    return state if isinstance(state, dict) else {}


def to_checkpoint_name(info: Mapping[str, Any]) -> str:
    """The checkpoint that made the pictures, at most 256 characters; empty where the webui does not say."""
    name = info.get("sd_model_name")
    return one_line(name)[:256] if isinstance(name, str) else ""


def _decoded(data: object) -> bytes:
    try:
        return b64decode(data if isinstance(data, str) else "?", validate=True)
    except ValueError as error:
        raise Failure(
            Reason.BAD_OUTPUT, "the webui's picture is not base64", dispatch=Dispatch.ACCEPTED, billed=False
        ) from error


def _whole(value: object) -> int | None:
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


def to_error(answer: Answer) -> Failure:
    """What an answer of 300 or more means. Nothing was taken, unless an ingress gave up waiting for the webui."""
    failure = _described(answer, _reason(answer))
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
