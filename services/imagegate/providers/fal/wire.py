"""fal's words: what is sent to its queue, and what its answers mean. Pure.

Two kinds of answers look alike and mean different things: a refused submission (nothing was taken) is read by
`to_error`, a failed job (fal took the work and says how it ended) by `to_job_error`.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from imagegate.runtime.answer import MAX_RETRY_AFTER_SECONDS, REASONS_BY_STATUS, Answer
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Order
from imagegate.runtime.upstream import MAX_BODY_BYTES
from imagegate.runtime.words import parsed, words, words_of

# fal's queue would try a failed job up to ten times; the router is the one layer that tries again.
NO_RETRY = {"x-fal-no-retry": "1"}
# Seconds. fal takes a time-out for the start of a job, and refuses one of a second or less.
START_TIMEOUT_HEADER = "X-Fal-Request-Timeout"
MINIMUM_START_TIMEOUT = 1.0

REQUEST_ID_HEADER = "x-fal-request-id"
BILLED_UNITS_HEADER = "x-fal-billable-units"

# Our wire carries seeds as int64. fal has drawn larger ones; a cut seed would make another picture, so there is none.
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of models names what it takes; `constants` go along with every request."""

    steps: str = "num_inference_steps"
    takes_size: bool = True
    constants: Mapping[str, str] = field(default_factory=dict)


# The safety checker is left as fal has it, on, unless an option says otherwise. Only the FLUX family takes a format,
# and gives JPEG unless asked.
DIALECTS = {
    "plain": Dialect(),
    "flux": Dialect(constants={"output_format": "png"}),
    "cascade": Dialect(steps="first_stage_steps"),
    "aura": Dialect(takes_size=False),
}
# What a request says in fields of its own, and how a picture comes back: no option of a model's may be one of these.
OURS = frozenset({
    "prompt", "negative_prompt", "image_size", "guidance_scale", "seed", "num_images", "output_format", "format",
    "sync_mode", *(dialect.steps for dialect in DIALECTS.values()),
})  # fmt: skip


def checked(catalogue: Catalogue) -> Catalogue:
    """The catalogue, if all that it says can be said here. Raises CatalogueError with every problem."""
    models = [*catalogue.models, *([catalogue.outside] if catalogue.outside else [])]
    problems = [f"models.{model.key}.{problem}" for model in models for problem in _problems(model)]
    if problems:
        raise CatalogueError(*problems)
    return catalogue


def _problems(model: Model) -> Iterator[str]:
    if (dialect := _dialect_of(model)) not in DIALECTS:
        yield f"wire.dialect: {dialect!r} is not one of {', '.join(DIALECTS)}"
    yield from (f"options.{name}: imagegate says it itself" for name in sorted(OURS & model.options.keys()))


def _dialect_of(model: Model) -> str:
    return model.wire.get("dialect", "plain")


def to_payload(order: Order, index: int) -> dict[str, object]:
    """The model's input for picture `index` of the order: what the order holds, and nothing else."""
    dialect = DIALECTS[_dialect_of(order.model)]
    payload: dict[str, object] = {name: value for name, value in order.options.items() if name not in OURS}
    payload |= {"prompt": order.prompt, "num_images": 1, **dialect.constants}
    for name, theirs in (
        ("negative_prompt", "negative_prompt"),
        ("steps", dialect.steps),
        ("guidance_scale", "guidance_scale"),
    ):
        if name in order.parameters:
            payload[theirs] = order.parameters[name]
    # A side that is left open is left to fal.
    size = {side: order.parameters[side] for side in ("width", "height") if side in order.parameters}
    if size and dialect.takes_size:
        payload["image_size"] = size
    seed = order.seed(index)
    if seed is not None:
        payload["seed"] = seed
    return payload


def submission_headers(remaining: float) -> dict[str, str]:
    """The headers of a submission that is of no use to anybody after `remaining` seconds."""
    if remaining <= MINIMUM_START_TIMEOUT:
        return NO_RETRY
    return {**NO_RETRY, START_TIMEOUT_HEADER: f"{remaining:.1f}"}


@dataclass(frozen=True, slots=True)
class Job:
    """Work that fal took. Of the URLs only the path may be used: a key must not leave for a host named in an answer."""

    id: str
    status_url: str
    response_url: str
    cancel_url: str


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
        raise _described(answer, Reason.BAD_OUTPUT, told, "fal answered a submission without naming the request")
    return job


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job is; completed, it may have failed, which `error` and `error_type` say in fal's words.

    `queue_position` is how many are before it, None where fal does not tell.
    """

    phase: Literal["queue", "run", "completed"]
    error: str = ""
    error_type: str = ""
    queue_position: int | None = None


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
        raise _described(answer, Reason.UPSTREAM_ERROR, told, "fal reported a state that it does not document")
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
        return Check(failure=_described(answer, Reason.UPSTREAM_ERROR, told, what))
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
    images = body.get("images")
    url = _text(images[0], "url") if isinstance(images, list) and images and isinstance(images[0], dict) else ""
    if not url:
        told = words(answer, body)
        failure = _described(answer, Reason.BAD_OUTPUT, told, "fal reported success without a picture")
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
        return b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _undecodable() from error


# By the type that fal gives: its texts change, its types are documented.
REASONS_BY_KIND = {
    "content_policy_violation": Reason.CONTENT_REJECTED,
    "downstream_service_error": Reason.UPSTREAM_ERROR,  # comes with 400, and is not about the input
    "downstream_service_unavailable": Reason.UPSTREAM_ERROR,
    "runner_scheduling_failure": Reason.OVERLOADED,  # no machine was free
    "startup_timeout": Reason.OVERLOADED,  # none became ready in time
    "runner_connection_timeout": Reason.UPSTREAM_ERROR,  # from here on a machine broke
    "runner_connection_refused": Reason.UPSTREAM_ERROR,
    "runner_connection_error": Reason.UPSTREAM_ERROR,
    "runner_disconnected": Reason.UPSTREAM_ERROR,
    "runner_incomplete_response": Reason.UPSTREAM_ERROR,
    "runner_server_error": Reason.UPSTREAM_ERROR,
}
# What the reason is called in a sentence that begins with "fal", and what to do about it.
SAYINGS = {
    Reason.CREDENTIALS_REJECTED: (
        "does not accept the key",
        "get a key at https://fal.ai/dashboard/keys and set FAL_KEY",
    ),
    Reason.OUT_OF_CREDIT: ("has no credit left for this account", "top up at https://fal.ai/dashboard/billing"),
    Reason.MODEL_NOT_FOUND: ("does not serve this model", "look for its id at https://fal.ai/models"),
    Reason.UPSTREAM_REJECTED_INPUT: ("refused the input", "correct what fal names"),
    Reason.CONTENT_REJECTED: ("refused the content of the request", "word the prompt differently"),
    Reason.RATE_LIMITED: (
        "has too many requests of this account",
        "lower IMAGEGATE_FAL_CONCURRENCY or set IMAGEGATE_FAL_REQUESTS_PER_SECOND",
    ),
    Reason.OVERLOADED: ("has no machine free for this model", "try again later"),
    Reason.UPSTREAM_ERROR: ("failed", "look at https://status.fal.ai"),
    Reason.TIMEOUT: ("did not start the work in time", "give the request more time"),
    Reason.BAD_OUTPUT: ("has lost the result", "try again"),
}
# These may have used a GPU before they were refused, so that fal may charge for them.
MAYBE_BILLED_KINDS = frozenset({"content_policy_violation", "no_media_generated"})
# Where fal told of no failure before, these and a bare 5xx are about our asking for the result: the work itself may be
# finished.
ABOUT_ASKING = frozenset({Reason.BAD_OUTPUT, Reason.CREDENTIALS_REJECTED, Reason.OUT_OF_CREDIT, Reason.RATE_LIMITED})
# An ingress that gave up on what is behind it: the request may have arrived there.
GIVEN_UP = frozenset({502, 504, 520, 524})

BILLING_WORDS = re.compile(
    r"\bbalance\b|\bbilling\b|\btop[ _-]?up\b|\bpayment\b|\bout of credit|insufficient (?:credit|fund)", re.I
)
MISSING_MODEL = re.compile(r'^(?:Application "?.*"?|Path .*) not found$', re.I)
AT_WORK = re.compile(r"\bstill in progress\b", re.I)
NESTED_403 = re.compile(r"\b(?:status|code|http|error)\D{0,12}403\b|\b403:? forbidden\b", re.I)


def to_error(answer: Answer) -> Failure:
    """What a refused submission means. Nothing was taken, unless an ingress gave up waiting for fal itself."""
    body = parsed(answer)
    told = words(answer, body)
    failure = _described(answer, _reason(answer, told, _kinds(answer, body)), told)
    failure.dispatch = Dispatch.UNKNOWN if _is_ingress(answer) else Dispatch.REFUSED
    return failure


def to_job_error(answer: Answer, status: Status = Status("completed")) -> Failure:
    """What an answer of 400 or more about an accepted job means; `status` is what fal said of the job before.

    Not charged, as fal says of every failure of its own, unless its header or the kind of failure says otherwise.
    """
    body = parsed(answer)
    told = words(answer, body)
    kinds = _kinds(answer, body) | {status.error_type}
    reason = _reason(answer, told, kinds) if answer.status >= HTTPStatus.BAD_REQUEST else _by_kind(kinds)
    if reason is Reason.MODEL_NOT_FOUND and not MISSING_MODEL.match(told):
        reason = Reason.BAD_OUTPUT  # what is missing is the result
    is_at_work = answer.status == HTTPStatus.BAD_REQUEST and AT_WORK.search(told)
    if is_at_work:
        reason = Reason.UPSTREAM_ERROR  # asked too early: nothing is wrong with the input
    failure = _described(answer, reason, told)
    if answer.status < HTTPStatus.BAD_REQUEST or not failure.upstream_message:
        failure.upstream_message = words_of(status.error)
    failure.dispatch = Dispatch.ACCEPTED
    failure.billed = None if is_at_work else _billed(answer, kinds, reason, status)
    return failure


def may_ask_again(failure: Failure) -> bool:
    """Whether a result that did not arrive may still be there: not after fal's own word of a failure, or of its end."""
    is_broken = failure.reason is Reason.UPSTREAM_ERROR or failure.upstream_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    is_no_result = failure.reason is Reason.BAD_OUTPUT and failure.upstream_status == HTTPStatus.OK
    return (is_broken or is_no_result) and failure.billed is not False


def lost(failure: Failure) -> Failure:
    """The failure of a job of which nothing can be learned any more; `failure` is the last attempt to."""
    return Failure(
        Reason.UPSTREAM_ERROR,
        f"fal took the work, but cannot be asked how it goes: {failure.message}",
        remedy=SAYINGS[Reason.UPSTREAM_ERROR][1],
        upstream_status=failure.upstream_status,
        upstream_message=failure.upstream_message,
    )


def _reason(answer: Answer, told: str, kinds: frozenset[str]) -> Reason:
    if answer.status in (402, 403, 429, 500) and BILLING_WORDS.search(told):
        return Reason.OUT_OF_CREDIT
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and NESTED_403.search(answer.text):
        return Reason.CREDENTIALS_REJECTED  # a 403 that was wrapped on its way
    if answer.status == HTTPStatus.GATEWAY_TIMEOUT and answer.headers.get("X-Fal-Request-Timeout-Type") == "user":
        return Reason.TIMEOUT  # the time-out that we asked for
    by_status = REASONS_BY_STATUS.get(answer.status, Reason.UPSTREAM_ERROR)
    return _by_kind(kinds, by_status)


def _by_kind(kinds: Iterable[str], otherwise: Reason = Reason.UPSTREAM_ERROR) -> Reason:
    return next((REASONS_BY_KIND[kind] for kind in sorted(kinds) if kind in REASONS_BY_KIND), otherwise)


def _billed(answer: Answer, kinds: frozenset[str], reason: Reason, status: Status) -> bool | None:
    units = answer.headers.get(BILLED_UNITS_HEADER, "").strip()
    try:
        return float(units) > 0
    except ValueError:
        is_bare = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not any(kinds) and reason is not Reason.TIMEOUT
        only_asking_failed = (reason in ABOUT_ASKING or is_bare) and not status.error
        unknown = _is_ingress(answer) or only_asking_failed or kinds & MAYBE_BILLED_KINDS
        return None if unknown else False


def _is_ingress(answer: Answer) -> bool:
    return answer.status in GIVEN_UP and not answer.headers.get(REQUEST_ID_HEADER)


def _described(answer: Answer, reason: Reason, told: str, message: str = "") -> Failure:
    saying, remedy = SAYINGS[reason]
    return Failure(
        reason,
        message or f"fal {saying} ({answer.status})",
        remedy=remedy,
        retry_after=_retry_after(answer) if reason in (Reason.RATE_LIMITED, Reason.OVERLOADED) else None,
        upstream_status=answer.status,
        upstream_message=told,
        upstream_id=answer.headers.get(REQUEST_ID_HEADER, ""),
    )


def _retry_after(answer: Answer) -> float | None:
    """Seconds, from `Retry-After` or else from fal's own header."""
    try:
        reset = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return answer.retry_after()
    told = answer.retry_after()
    if told is not None:
        return told
    return min(reset, MAX_RETRY_AFTER_SECONDS) if reset >= 0 else None


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
        raise _described(
            answer,
            Reason.BAD_OUTPUT,
            words(answer, body),
            f"fal answered {answer.status} with {kind}, but not with a JSON object",
        )
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _kinds(answer: Answer, body: object) -> frozenset[str]:
    """Every type that the answer gives for its error: in the header, beside the detail, or in each part of it."""
    found = [answer.headers.get("X-Fal-Error-Type")]
    if isinstance(body, dict):
        found.append(body.get("error_type"))
        detail = body.get("detail")
        found += [part.get("type") for part in detail if isinstance(part, dict)] if isinstance(detail, list) else []
    return frozenset(kind for kind in found if isinstance(kind, str))
