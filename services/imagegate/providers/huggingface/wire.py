"""Hugging Face's words: what its router is sent, and what its answers mean. Pure.

Behind the router stand inference providers with payloads of their own. Two are spoken here: `hf-inference`, which
answers with the picture, and `fal-ai`, which answers where it lies. Which one it is: see `hub`.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from imagegate.runtime.answer import MAX_RETRY_AFTER_SECONDS, REASONS_BY_STATUS, Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.order import Order, Picture
from imagegate.runtime.words import parsed, words

HF_INFERENCE = "hf-inference"
FAL = "fal-ai"

REQUEST_ID_HEADER = "X-Request-Id"
# Our wire carries seeds as int64.
MAX_SEED = 2**63 - 1

# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Ours and theirs. Nothing else ever leaves: hf-inference refuses the whole request for one unknown parameter.
NAMES = {"negative_prompt": "negative_prompt", "steps": "num_inference_steps", "guidance_scale": "guidance_scale"}


def to_payload(order: Order, index: int, inference_provider: str) -> dict[str, object]:
    """The request body for picture `index` of the order: what the order holds, and nothing else."""
    return _to_fal(order, index) if inference_provider == FAL else _to_hf_inference(order, index)


def _to_hf_inference(order: Order, index: int) -> dict[str, object]:
    sizes = {name: order.parameters[name] for name in ("width", "height") if name in order.parameters}
    return {"inputs": order.prompt, "parameters": _named(order, index) | sizes}


def _to_fal(order: Order, index: int) -> dict[str, object]:
    payload = {"prompt": order.prompt, **_named(order, index)}
    guidance = order.model.parameters.get("guidance_scale")
    if guidance is not None and guidance.maximum == 0:
        payload.pop("guidance_scale", None)  # the model has none to scale, and fal takes no 0
    width, height = order.parameters.get("width"), order.parameters.get("height")
    if width or height:  # fal takes both or none: the side that was left open is ours to choose
        payload["image_size"] = {"width": width or height, "height": height or width}
    return payload


def _named(order: Order, index: int) -> dict[str, object]:
    named: dict[str, object] = {
        theirs: order.parameters[ours] for ours, theirs in NAMES.items() if ours in order.parameters
    }
    seed = order.seed(index)
    return named if seed is None else {**named, "seed": seed}


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def to_picture(answer: Answer, order: Order, index: int) -> Picture:
    """The picture of an answer of success by hf-inference; the seed is the one that was sent, it reports none.

    Raises Failure: what an error that came as a success says, or BAD_OUTPUT for any other text.
    """
    if not answer.content_type.startswith("image/") or answer.body.lstrip()[:1] in (b"{", b"[", b"<", b""):
        raise to_error(answer, order.model.upstream_model)
    return Picture(answer.body, order.seed(index))


@dataclass(frozen=True, slots=True)
class File:
    """Where fal put a finished picture, the seed that makes it again, and whether its safety check blanked it."""

    url: str
    seed: int | None
    filtered: bool


def to_file(answer: Answer, order: Order, index: int) -> File:
    """The picture that an answer of success by fal names. Raises Failure as `to_picture` does."""
    body = parsed(answer)
    images = body.get("images") if isinstance(body, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    if not isinstance(first, dict) or not isinstance(first.get("url"), str):
        raise to_error(answer, order.model.upstream_model, body)
    seed = body.get("seed")
    is_reported = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED
    flags = body.get("has_nsfw_concepts")
    filtered = isinstance(flags, list) and flags[:1] == [True]
    return File(first["url"], seed if is_reported else order.seed(index), filtered)


# ── What an error means ──────────────────────────────────────────────────────────────────────────────────────────────

# Words that outweigh the status, the first that fit; at a success they are all there is to go by.
BY_WORDS: tuple[tuple[Collection[int], re.Pattern[str], Reason], ...] = tuple(
    (statuses, re.compile(pattern, re.IGNORECASE), reason)
    for statuses, pattern, reason in (
        ((503,), r"\bestimated_time\b|currently loading", Reason.MODEL_LOADING),
        ((400, 403), r"\brequires? (?:a )?pro\b|\bupgrade to pro\b|model access denied", Reason.MODEL_ACCESS_DENIED),
        # A 500 may hold the 403 that the machine met when it fetched the model.
        ((403, 500), r"\bgated\b|access to (?:this )?model|authorized list", Reason.MODEL_ACCESS_DENIED),
        ((500,), r"\b403\b.{0,20}\bforbidden\b", Reason.MODEL_ACCESS_DENIED),
        (
            (403, 429),
            r"monthly (?:included|usage)|\bpre-?paid\b|\bbalance\b|\bbilling\b|\bpayment\b|\bout of credit",
            Reason.OUT_OF_CREDIT,
        ),
        ((400,), r"not supported by (?:any )?provider", Reason.MODEL_NOT_FOUND),
        ((400, 422), r"content_policy_violation", Reason.CONTENT_REJECTED),
        ((401,), r"\brepo(?:sitory )?not ?found\b", Reason.MODEL_NOT_FOUND),
    )
)
# An ingress that gave up on what is behind it: the request may have arrived there.
GIVEN_UP = frozenset({502, 504, 520, 524})

# What a reason is called in a sentence that begins with "Hugging Face", and what to do about it.
SAYINGS = {
    Reason.CREDENTIALS_REJECTED: (
        "does not accept the key",
        "get a key that may call Inference Providers at https://huggingface.co/settings/tokens "
        "and set HUGGINGFACE_API_KEY",
    ),
    Reason.OUT_OF_CREDIT: (
        "has no credit left for this account",
        "buy credits at https://huggingface.co/settings/billing",
    ),
    Reason.MODEL_ACCESS_DENIED: (
        "does not let this key use {model}",
        "use the key of a PRO account, or accept the model's conditions at https://huggingface.co/{model}",
    ),
    Reason.MODEL_NOT_FOUND: (
        "does not serve {model}",
        "run it on a dedicated endpoint (https://endpoints.huggingface.co), or ask another provider for it",
    ),
    Reason.UPSTREAM_REJECTED_INPUT: ("refused the input for {model}", "correct what Hugging Face names"),
    Reason.CONTENT_REJECTED: ("refused the content of the request", "word the prompt differently"),
    Reason.RATE_LIMITED: (
        "has had too many requests of this key",
        "set IMAGEGATE_HUGGINGFACE_REQUESTS_PER_DAY or use the key of a PRO account",
    ),
    Reason.MODEL_LOADING: ("is loading {model}", "try again when it is loaded"),
    Reason.OVERLOADED: ("is overloaded", "try again later"),
    Reason.UPSTREAM_ERROR: ("failed", "look at https://status.huggingface.co"),
    Reason.BAD_OUTPUT: ("answered success, but not with a picture", "try again"),
}
LEGACY_HOST = re.compile(r"api-inference\.huggingface\.co is no longer supported")
LEGACY_REMEDY = "set HUGGINGFACE_BASE_URL=https://router.huggingface.co"


def to_error(answer: Answer, model: str, body: object = ...) -> Failure:
    """What an answer without a picture means; `model` is its id on the Hub, `body` the answer's JSON where it is known.

    From 400 on nothing was taken, unless an ingress gave up waiting. At a success the work was taken: an error that is
    told is not charged, anything else may be.
    """
    body = parsed(answer) if body is ... else body
    reason = _reason(answer, body)
    saying, remedy = (text.format(model=model) for text in SAYINGS[reason])
    told = words(answer, body)
    is_success = answer.status < 300
    refused = Dispatch.UNKNOWN if answer.status in GIVEN_UP else Dispatch.REFUSED
    return Failure(
        reason,
        f"Hugging Face {saying} ({answer.status})",
        remedy=LEGACY_REMEDY if LEGACY_HOST.search(told) else remedy,
        retry_after=_retry_after(answer, body, reason),
        upstream_status=answer.status,
        upstream_message=told,
        upstream_id=answer.headers.get(REQUEST_ID_HEADER, ""),
        phase="run" if is_success else "submit",
        dispatch=Dispatch.ACCEPTED if is_success else refused,
        billed=reason is Reason.BAD_OUTPUT if is_success else None,
    )


def explain(failure: Failure) -> None:
    """Say what to do about a connection that could not be made."""
    if failure.reason is Reason.UNREACHABLE:
        failure.remedy = "check the network, and HUGGINGFACE_BASE_URL if it is set"
        failure.phase = "submit"


def _reason(answer: Answer, body: object) -> Reason:
    is_success = answer.status < 300
    if is_success and not _is_error(body):
        return Reason.BAD_OUTPUT
    text = f"{answer.headers.get('X-Error-Code', '')} {answer.text}"
    for statuses, pattern, reason in BY_WORDS:
        if (is_success or answer.status in statuses) and pattern.search(text):
            return reason
    return Reason.BAD_OUTPUT if is_success else REASONS_BY_STATUS.get(answer.status, Reason.UPSTREAM_ERROR)


def _is_error(body: object) -> bool:
    return isinstance(body, dict) and any(body.get(name) for name in ("error", "errors", "detail"))


def _retry_after(answer: Answer, body: object, reason: Reason) -> float | None:
    """Seconds, at most 10 minutes: a loading model's estimate, `Retry-After`, or the Hub's `RateLimit` header."""
    estimate = body.get("estimated_time") if isinstance(body, dict) else None
    if reason is Reason.MODEL_LOADING and isinstance(estimate, int | float) and estimate >= 0:
        return float(min(estimate, MAX_RETRY_AFTER_SECONDS))  # an integer may be beyond every float
    if reason not in (Reason.MODEL_LOADING, Reason.RATE_LIMITED, Reason.OVERLOADED):
        return None
    told = answer.retry_after()
    window = re.search(r";\s*t=(\d{1,9})", answer.headers.get("RateLimit", ""))
    return min(float(window[1]), MAX_RETRY_AFTER_SECONDS) if told is None and window else told
