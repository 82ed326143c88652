"""What fal's refusals and failures mean. Pure.

Two kinds of answers look alike and mean different things: a refused submission (nothing was taken) is read by
`to_error`, a failed job (fal took the work and says how it ended) by `to_job_error`; a refused file by
`to_upload_error`.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus

from imagegate.providers.fal.job import Status
from imagegate.runtime.answer import MAX_RETRY_AFTER_SECONDS, REASONS_BY_STATUS, Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.words import parsed, words, words_of

REQUEST_ID_HEADER = "x-fal-request-id"
BILLED_UNITS_HEADER = "x-fal-billable-units"
COMPLETED = Status("completed")

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
    failure = described(answer, _reason(answer, told, _kinds(answer, body)), told)
    failure.dispatch = Dispatch.UNKNOWN if _is_ingress(answer) else Dispatch.REFUSED
    return failure


def to_job_error(answer: Answer, status: Status = COMPLETED) -> Failure:
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
    failure = described(answer, reason, told)
    if answer.status < HTTPStatus.BAD_REQUEST or not failure.upstream_message:
        failure.upstream_message = words_of(status.error)
    failure.dispatch = Dispatch.ACCEPTED
    failure.billed = None if is_at_work else _billed(answer, kinds, reason, status)
    return failure


def to_upload_error(answer: Answer, *, is_ours: bool) -> Failure:
    """What it means that fal did not take a file: whatever it is, nothing was asked for yet.

    `is_ours` tells that our key was sent; without it a refused authorization says nothing of the key.
    """
    body = parsed(answer)
    told = words(answer, body)
    reason = _reason(answer, told, _kinds(answer, body))
    if reason is Reason.MODEL_NOT_FOUND or (reason is Reason.CREDENTIALS_REJECTED and not is_ours):
        reason = Reason.UPSTREAM_ERROR
    saying = SAYINGS[reason][0]
    failure = described(answer, reason, told, f"fal {saying} ({answer.status}) when it was given a picture")
    return before_submission(failure)


def before_submission(failure: Failure) -> Failure:
    """The same failure, met while fal was given the pictures that the work begins with."""
    failure.phase, failure.dispatch, failure.billed = "upload", Dispatch.NOT_SENT, False
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


def described(answer: Answer, reason: Reason, told: str, message: str = "") -> Failure:
    """A failure of this reason, with its remedy and what the answer tells."""
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


def _kinds(answer: Answer, body: object) -> frozenset[str]:
    """Every type that the answer gives for its error: in the header, beside the detail, or in each part of it."""
    found = [answer.headers.get("X-Fal-Error-Type")]
    if isinstance(body, dict):
        found.append(body.get("error_type"))
        detail = body.get("detail")
        found += [part.get("type") for part in detail if isinstance(part, dict)] if isinstance(detail, list) else []
    return frozenset(kind for kind in found if isinstance(kind, str))
