"""Hugging Face's words, as far as its inference providers share them: what is sent, what an error means. Pure.

Behind the router stand several inference providers with payloads and answers of their own: see `shapes`.
"""

import re
from collections.abc import Collection, Mapping

from imagegate.runtime.adjustments import text_of
from imagegate.runtime.answer import MAX_RETRY_AFTER_SECONDS, REASONS_BY_STATUS, Answer, from_base64
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.order import Order
from imagegate.runtime.words import parsed, words
from imagegate.v1 import generation_pb2

REQUEST_ID_HEADER = "X-Request-Id"

# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def named(
    order: Order, index: int, *, steps: str = "num_inference_steps", guidance: str = "guidance_scale"
) -> dict[str, object]:
    """What the order holds but for its size, as most call it. Nothing else ever leaves: hf-inference refuses the whole
    request for one unknown parameter.
    """
    names = {"negative_prompt": "negative_prompt", "steps": steps, "guidance_scale": guidance}
    found: dict[str, object] = {
        theirs: order.parameters[ours] for ours, theirs in names.items() if ours in order.parameters
    }
    seed = order.seed(index)
    return found if seed is None else {**found, "seed": seed}


def no_headers(order: Order) -> Mapping[str, str]:
    """Beside ours none is needed."""
    return {}


def images_url(router: str, inference_provider: str) -> str:
    """Where those who keep to OpenAI's address make pictures, of all models."""
    return f"{router}/{inference_provider}/v1/images/generations"


def sides(order: Order) -> dict[str, int]:
    """The size in pixels, as far as there is one."""
    return {name: int(order.parameters[name]) for name in ("width", "height") if name in order.parameters}


def close_open_side(order: Order) -> None:
    """For those who take both sides or none: the side that was left open is as long as the other."""
    found = sides(order)
    if len(found) == 1:
        order.parameters = {**order.parameters, **dict.fromkeys(("width", "height"), *found.values())}


def drop(order: Order, name: str, why: str, *, is_the_same: bool = False) -> None:
    """Leave out a parameter that this inference provider does not take. Raises Failure as `Order.change` does."""
    if name in order.parameters:
        order.change(name, None, generation_pb2.ACTION_DROPPED, why, is_the_same=is_the_same)


def refuse_pictures(order: Order) -> None:
    """For those who are sent words only. Raises Failure(UNSUPPORTED) where the request brings pictures along, whatever
    an entry of the operator's claims: one made without them is not what was asked for.
    """
    if order.inputs.image is not None or order.inputs.controls or order.inputs.identity:
        raise Failure(
            Reason.UNSUPPORTED,
            f"{order.model.display_name} is sent words only where it is served now",
            remedy="run it on a dedicated endpoint with our handler: HUGGINGFACE_ENDPOINTS=key+handler=url",
            phase="submit",
            dispatch=Dispatch.NOT_SENT,
        )


def drop_lora_weights(order: Order, why: str) -> None:
    """Leave out how much of each LoRA was asked for; the 1 that it then is, is the same. Raises Failure as
    `Order.adjust` does.
    """
    for n, lora in enumerate(order.inputs.loras):
        if lora.weight is None:
            continue
        place, requested = f"loras[{n}].weight", text_of(lora.weight)
        for told in [each for each in order.adjustments if each.parameter == place]:
            requested = told.requested
            order.adjustments.remove(told)
        record = order.note if requested == "1" else order.adjust
        record(place, requested, "", generation_pb2.ACTION_DROPPED, why)


def drop_idle_guidance(order: Order) -> None:
    """For those who take no guidance of 0, which elsewhere says that a model has none to scale."""
    guidance = order.model.parameters.get("guidance_scale")
    if guidance is not None and guidance.maximum == 0:
        drop(order, "guidance_scale", f"{order.model.display_name} has no guidance to scale", is_the_same=True)


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def to_inline(answer: Answer, order: Order) -> bytes:
    """The picture that an answer of success holds in base64, as OpenAI's do; no longer than an answer may be.

    Raises Failure: what an error that came as a success says, or BAD_OUTPUT.
    """
    body = parsed(answer)
    data = body.get("data") if isinstance(body, dict) else None
    first = data[0] if isinstance(data, list) and data else None
    encoded = first.get("b64_json") if isinstance(first, dict) else None
    if not isinstance(encoded, str) or not encoded:
        raise to_error(answer, order.model.upstream_model, body)
    try:
        return from_base64(encoded)
    except ValueError as error:
        raise Failure(
            Reason.BAD_OUTPUT,
            "Hugging Face answered success, but its picture is not base64",
            upstream_status=answer.status,
            upstream_id=answer.headers.get(REQUEST_ID_HEADER, ""),
            dispatch=Dispatch.ACCEPTED,
            billed=True,
        ) from error


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
        ((422,), r"\bversion does not exist\b", Reason.MODEL_NOT_FOUND),
        ((400, 422), r"content_policy_violation|\bnsfw content\b", Reason.CONTENT_REJECTED),
        ((401,), r"\brepo(?:sitory )?not ?found\b", Reason.MODEL_NOT_FOUND),
    )
)
# An ingress that gave up on what is behind it: the request may have arrived there.
GIVEN_UP = frozenset({502, 504, 520, 524})

# What a reason is called in a sentence that begins with "Hugging Face", and what to do about it.
SAYINGS: Mapping[Reason, tuple[str, str]] = {
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
    Reason.TIMEOUT: (
        "had not finished the picture by {model} when it answered",
        "try again: it may have been starting",
    ),
    Reason.UPSTREAM_ERROR: ("failed", "look at https://status.huggingface.co"),
    Reason.BAD_OUTPUT: ("answered success, but not with a picture", "try again"),
}
LEGACY_HOST = re.compile(r"api-inference\.huggingface\.co is no longer supported")
LEGACY_REMEDY = "set HUGGINGFACE_BASE_URL=https://router.huggingface.co"


def to_error(
    answer: Answer,
    model: str,
    body: object = ...,
    *,
    reason: Reason | None = None,
    sayings: Mapping[Reason, tuple[str, str]] = SAYINGS,
    who: str = "Hugging Face",
) -> Failure:
    """What an answer without a picture means; `model` is its id on the Hub, `body` the answer's JSON where it is known,
    `reason` the one where it is. `sayings` are told of `who`.

    From 400 on nothing was taken, unless an ingress gave up waiting. At a success the work was taken: an error that is
    told is not charged, anything else may be.
    """
    body = parsed(answer) if body is ... else body
    reason = reason or _reason(answer, body)
    saying, remedy = (text.format(model=model) for text in sayings[reason])
    told = words(answer, body)
    is_success = answer.status < 300
    refused = Dispatch.UNKNOWN if answer.status in GIVEN_UP else Dispatch.REFUSED
    return Failure(
        reason,
        f"{who} {saying} ({answer.status})",
        remedy=LEGACY_REMEDY if LEGACY_HOST.search(told) else remedy,
        retry_after=_retry_after(answer, body, reason),
        upstream_status=answer.status,
        upstream_message=told,
        upstream_id=answer.headers.get(REQUEST_ID_HEADER, ""),
        phase="run" if is_success else "submit",
        dispatch=Dispatch.ACCEPTED if is_success else refused,
        billed=reason is Reason.BAD_OUTPUT if is_success else None,
    )


def explain(failure: Failure, variable: str) -> None:
    """Say what to do about a connection that could not be made to the address in `variable`."""
    if failure.reason is Reason.UNREACHABLE:
        failure.remedy = f"check the network, and {variable} if it is set"
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
