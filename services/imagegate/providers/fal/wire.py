"""fal's words: what is sent to its queue, and what its answers mean. Pure.

Beside it: `dialects` (what a family of apps calls what it takes), `inputs_wire` (what goes along besides words) and
`errors` (what a refusal or a failure means).
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from imagegate.providers.fal import inputs_wire
from imagegate.providers.fal.dialects import OURS, dialect_of, takes_size
from imagegate.providers.fal.errors import (
    MISSING_MODEL,
    before_submission,
    described,
    to_error,
    to_job_error,
    to_upload_error,
)
from imagegate.providers.fal.job import Job, Status
from imagegate.runtime.answer import Answer, from_base64
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.order import Order
from imagegate.runtime.upstream import MAX_BODY_BYTES
from imagegate.runtime.words import parsed, words

# fal's queue would try a failed job up to ten times; the router is the one layer that tries again.
NO_RETRY = {"x-fal-no-retry": "1"}
# Seconds. fal takes a time-out for the start of a job, and refuses one of a second or less.
START_TIMEOUT_HEADER = "X-Fal-Request-Timeout"
MINIMUM_START_TIMEOUT = 1.0

# Our wire carries seeds as int64. fal has drawn larger ones; a cut seed would make another picture, so there is none.
MAX_SEED = 2**63 - 1


def to_payload(order: Order, index: int, placed: Mapping[str, str] | None = None) -> dict[str, object]:
    """The app's input for picture `index` of the order: what the order holds, and nothing else.

    `placed` are the addresses of the files that go along, by the fields that take them.
    """
    dialect = dialect_of(order.model)
    payload: dict[str, object] = {name: value for name, value in order.options.items() if name not in OURS}
    if dialect.takes_words:
        payload |= {"prompt": inputs_wire.prompt_of(order), "num_images": 1}
    payload |= {name: value for name, value in dialect.constants.items() if name not in payload}
    for name, theirs in (
        ("negative_prompt", "negative_prompt"),
        ("steps", dialect.steps),
        ("guidance_scale", "guidance_scale"),
    ):
        if name in order.parameters:
            payload[theirs] = order.parameters[name]
    # A side that is left open is left to fal.
    size = {side: order.parameters[side] for side in ("width", "height") if side in order.parameters}
    if size and takes_size(order):
        payload["image_size"] = size
    seed = order.seed(index)
    if seed is not None:
        payload["seed"] = seed
    return {**payload, **inputs_wire.fields_of(order), **(placed or {})}


def submission_headers(remaining: float) -> dict[str, str]:
    """The headers of a submission that is of no use to anybody after `remaining` seconds."""
    if remaining <= MINIMUM_START_TIMEOUT:
        return NO_RETRY
    return {**NO_RETRY, START_TIMEOUT_HEADER: f"{remaining:.1f}"}


def to_job(answer: Answer) -> Job:
    """The job that a submission became.

    Raises Failure: what a refusal means, or BAD_OUTPUT where an answer of success names no job. Whether there is one
    all the same is unknown then.
    """
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise to_error(answer)
    body = _json_object(answer)
    job = Job(*(_text(body, name) for name in ("request_id", "status_url", "response_url", "cancel_url")))
    if not all((job.id, job.status_url, job.response_url, job.cancel_url)):
        told = words(answer, body)
        raise described(answer, Reason.BAD_OUTPUT, told, "fal answered a submission without naming the request")
    return job


# Our wire carries positions as int32.
MAX_POSITION = 2**31 - 1
PHASES: dict[str, Literal["queue", "run", "completed"]] = {
    "IN_QUEUE": "queue",
    "IN_PROGRESS": "run",
    "COMPLETED": "completed",
}


def to_status(answer: Answer) -> Status:
    """What fal says of a job. Raises Failure where it says nothing that can be understood."""
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise to_job_error(answer)
    body = _json_object(answer)
    phase = PHASES.get(_text(body, "status"))
    if phase is None:
        told = words(answer, body)
        raise described(answer, Reason.UPSTREAM_ERROR, told, "fal reported a state that it does not document")
    position = body.get("queue_position") if phase == "queue" else None
    is_told = type(position) is int and 0 <= position <= MAX_POSITION
    return Status(phase, _text(body, "error"), _text(body, "error_type"), position if is_told else None)


def came_too_late(answer: Answer) -> bool:
    """Whether a cancellation was answered that the job is over already."""
    body = parsed(answer)
    return isinstance(body, dict) and body.get("status") == "ALREADY_COMPLETED"


def status_path_of_nothing(upstream_model: str, request_id: str) -> str:
    """Where fal would tell the status of a request that there never was: with owner and alias, as all its URLs."""
    return f"/{'/'.join(upstream_model.split('/')[:2])}/requests/{request_id}/status"


def to_check(answer: Answer) -> Check:
    """What the answer to that says of our key: fal looks for the request only after it has taken the key.

    Whether it serves the model it hardly ever tells for free, and whether the account has credit never.
    """
    body = parsed(answer)
    told = words(answer, body)
    if answer.status < HTTPStatus.BAD_REQUEST or not isinstance(body, dict):
        what = "fal answered the question for a status with something that it does not document"
        return Check(failure=described(answer, Reason.UPSTREAM_ERROR, told, what))
    if answer.status == HTTPStatus.NOT_FOUND and not MISSING_MODEL.match(told):
        return Check("the key is accepted; nobody tells for free whether the account has credit", key_accepted=True)
    failure = to_error(answer)
    if failure.reason is Reason.MODEL_NOT_FOUND:
        return Check(exists=False, key_accepted=True, failure=failure)
    known = {Reason.CREDENTIALS_REJECTED: False, Reason.OUT_OF_CREDIT: True}
    return Check(key_accepted=known.get(failure.reason), failure=failure)


@dataclass(frozen=True, slots=True)
class Output:
    """A finished job's picture: where it lies (or a data: URI that holds it), its seed, and whether it was blanked."""

    url: str
    seed: int | None
    filtered: bool


def to_output(answer: Answer, status: Status, sent_seed: int | None) -> Output:
    """The picture of a completed job; a seed that fal does not report is the one that was sent.

    Raises Failure: how the job failed, or BAD_OUTPUT where it did not and still brought nothing.
    """
    if answer.status != HTTPStatus.OK or status.error:
        raise to_job_error(answer, status)
    body = _json_object(answer)
    images = body.get("images", [body.get("image")])  # an extracted pose comes alone
    url = _text(images[0], "url") if isinstance(images, list) and images and isinstance(images[0], dict) else ""
    if not url:
        told = words(answer, body)
        failure = described(answer, Reason.BAD_OUTPUT, told, "fal reported success without a picture")
        failure.billed = True
        raise failure
    flags = body.get("has_nsfw_concepts")
    return Output(url, _reported_seed(body.get("seed"), sent_seed), isinstance(flags, list) and flags[:1] == [True])


def from_data_uri(url: str) -> bytes | None:
    """The bytes that a data: URI holds; None where `url` is an address to fetch from.

    Raises Failure(BAD_OUTPUT) where it is not base64 or longer than any picture.
    """
    if url[:5].lower() != "data:":
        return None
    kind, _, encoded = url.partition(",")
    if not kind.lower().endswith(";base64") or len(url) > MAX_BODY_BYTES:
        raise _undecodable()
    try:
        return from_base64(encoded)
    except (binascii.Error, ValueError) as error:
        raise _undecodable() from error


def to_token(answer: Answer) -> str:
    """The authorization under which the CDN takes files, in the place of our key.

    Raises Failure: NOT_SENT, since nothing was asked for yet.
    """
    body = _stored(answer, is_ours=True)
    kind, token = _text(body, "token_type"), _text(body, "token")
    if not kind or not token or not f"{kind}{token}".isprintable():
        raise before_submission(_unlike(answer, "fal's storage gave no token for an upload"))
    return f"{kind} {token}"


def to_address(answer: Answer) -> str:
    """Where fal finds an uploaded file; it is only ever told to fal again. Raises Failure as `to_token` does."""
    address = _text(_stored(answer, is_ours=False), "access_url")
    if not address.startswith(("https://", "http://")):
        raise before_submission(_unlike(answer, "fal's storage took a picture without saying where it is"))
    return address


def _stored(answer: Answer, *, is_ours: bool) -> Mapping[str, Any]:
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise to_upload_error(answer, is_ours=is_ours)
    body = parsed(answer)
    return body if isinstance(body, dict) else {}


def _unlike(answer: Answer, what: str) -> Failure:
    # Without its words: they may hold a token.
    return described(answer, Reason.UPSTREAM_ERROR, "", what)


def _undecodable() -> Failure:
    return Failure(
        Reason.BAD_OUTPUT,
        "fal gave the picture inside its answer, but not as base64 of a bearable length",
        dispatch=Dispatch.ACCEPTED,
        billed=True,
    )


def _reported_seed(reported: object, sent: int | None) -> int | None:
    if isinstance(reported, bool) or not isinstance(reported, int):
        return sent
    return reported if 0 <= reported <= MAX_SEED else None


# ── Reading bodies ──────────────────────────────────────────────────────────────────────────────────────────────────


def _json_object(answer: Answer) -> Mapping[str, Any]:
    """The body of an answer of success. Raises Failure(BAD_OUTPUT) where it is not a JSON object."""
    body = parsed(answer)
    if not isinstance(body, dict):
        kind = answer.content_type or "no content type"
        raise described(
            answer,
            Reason.BAD_OUTPUT,
            words(answer, body),
            f"fal answered {answer.status} with {kind}, but not with a JSON object",
        )
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
