"""The taxonomy of failures, and the only two translators between them and the wire.

Everything that can go wrong is a `Failure` with one `Reason`. `to_status` turns it into a
google.rpc.Status, `from_status` turns that (or whatever the transport made up instead) back into
the same `Failure` on the other side. No other module knows how an error looks on the wire.
"""

from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from imagegate.runtime.redaction import clip
from imagegate.v1 import error_pb2

DOMAIN = "imagegate"

# gRPC replaces a status whose trailers exceed about 8 KB by one of its own. The message travels
# twice (percent-encoded, and inside the details as base64), so both are bounded.
MAX_DETAILS_BYTES = 4096
MAX_MESSAGE_BYTES = 2048
MAX_UPSTREAM_MESSAGE_BYTES = 512
# The bounds of an attempt's other texts, so that the last attempt always fits.
MAX_ATTEMPT_BYTES = {
    "message": 512,
    "remedy": 256,
    "upstream_message": MAX_UPSTREAM_MESSAGE_BYTES,
    "upstream_id": 128,
    "phase": 32,
    "provider": 64,
    "model": 256,
}
# What upstream messages are cut to before whole attempts go.
SHORT_UPSTREAM_MESSAGE_BYTES = 64
MAX_REQUEST_ID_BYTES = 128
# Together at most this much of the details; what does not fit is counted in the last one.
MAX_VIOLATIONS_BYTES = 1280
MAX_VIOLATION_BYTES = 512
# A Duration ends at 315,576,000,000 s; a day says as much.
MAX_RETRY_AFTER_SECONDS = 86_400.0


class Reason(StrEnum):
    """Why something failed: the names of `imagegate.v1.ErrorReason` without their prefix."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UPSTREAM_REJECTED_INPUT = "UPSTREAM_REJECTED_INPUT"
    CONTENT_REJECTED = "CONTENT_REJECTED"
    CREDENTIALS_REJECTED = "CREDENTIALS_REJECTED"
    OUT_OF_CREDIT = "OUT_OF_CREDIT"
    MODEL_ACCESS_DENIED = "MODEL_ACCESS_DENIED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    MODEL_LOADING = "MODEL_LOADING"
    OVERLOADED = "OVERLOADED"
    UPSTREAM_ERROR = "UPSTREAM_ERROR"
    UNREACHABLE = "UNREACHABLE"
    TIMEOUT = "TIMEOUT"
    BAD_OUTPUT = "BAD_OUTPUT"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    UNAUTHENTICATED = "UNAUTHENTICATED"

    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    BACKING_OFF = "BACKING_OFF"
    WARMING = "WARMING"
    OVER_QUOTA = "OVER_QUOTA"
    BUSY = "BUSY"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    UNSUPPORTED = "UNSUPPORTED"
    TOO_EXPENSIVE = "TOO_EXPENSIVE"
    DISABLED = "DISABLED"
    NOT_ALLOWED = "NOT_ALLOWED"
    NO_CANDIDATE = "NO_CANDIDATE"

    def to_proto(self) -> "error_pb2.ErrorReason.ValueType":
        """The same reason as an enum value of the wire."""
        return _REASONS[self]

    @classmethod
    def from_proto(cls, value: "error_pb2.ErrorReason.ValueType") -> "Reason":
        """The reason of an enum value; one that this version does not know is INTERNAL."""
        return _BY_NUMBER.get(value, cls.INTERNAL)


class Dispatch(StrEnum):
    """How far an attempt got: the names of `imagegate.v1.Dispatch` without their prefix."""

    UNSPECIFIED = "UNSPECIFIED"
    NOT_SENT = "NOT_SENT"
    REFUSED = "REFUSED"
    ACCEPTED = "ACCEPTED"
    UNKNOWN = "UNKNOWN"

    def to_proto(self) -> "error_pb2.Dispatch.ValueType":
        """The same value on the wire."""
        return _DISPATCHES[self]

    @classmethod
    def from_proto(cls, value: "error_pb2.Dispatch.ValueType") -> "Dispatch":
        """The member of an enum value; one that this version does not know tells nothing: UNKNOWN."""
        return _DISPATCHES_BY_NUMBER.get(value, cls.UNKNOWN)


_REASONS = {reason: error_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}") for reason in Reason}
_BY_NUMBER = {number: reason for reason, number in _REASONS.items()}
_DISPATCHES = {dispatch: error_pb2.Dispatch.Value(f"DISPATCH_{dispatch}") for dispatch in Dispatch}
_DISPATCHES_BY_NUMBER = {number: dispatch for dispatch, number in _DISPATCHES.items()}

# The gRPC code of a reason where it alone decides the answer. A provider's own credentials are
# never UNAUTHENTICATED: the caller's token is fine.
CODES: Mapping[Reason, int] = {
    Reason.INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    Reason.UPSTREAM_REJECTED_INPUT: code_pb2.INVALID_ARGUMENT,
    Reason.CONTENT_REJECTED: code_pb2.INVALID_ARGUMENT,
    Reason.UNSUPPORTED: code_pb2.INVALID_ARGUMENT,
    Reason.MODEL_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.BACKING_OFF: code_pb2.RESOURCE_EXHAUSTED,
    Reason.OVER_QUOTA: code_pb2.RESOURCE_EXHAUSTED,
    Reason.BUSY: code_pb2.RESOURCE_EXHAUSTED,
    Reason.TIMEOUT: code_pb2.DEADLINE_EXCEEDED,
    Reason.DEADLINE_TOO_SHORT: code_pb2.DEADLINE_EXCEEDED,
    Reason.TOO_EXPENSIVE: code_pb2.FAILED_PRECONDITION,
    Reason.DISABLED: code_pb2.FAILED_PRECONDITION,
    Reason.NOT_ALLOWED: code_pb2.FAILED_PRECONDITION,
    Reason.CANCELLED: code_pb2.CANCELLED,
    Reason.INTERNAL: code_pb2.INTERNAL,
    Reason.UNAUTHENTICATED: code_pb2.UNAUTHENTICATED,
}


def code_of(reason: Reason) -> int:
    """The google.rpc.Code that `reason` maps to; UNAVAILABLE unless the table says otherwise."""
    return CODES.get(reason, code_pb2.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request."""

    field: str
    description: str


@dataclass(slots=True, eq=False)
class Failure(Exception):
    """Something that failed, told so that whoever reads it knows what to do.

    `message` is one readable sentence of ours, already scrubbed. `retry_after` is in seconds.
    The fields from `upstream_status` on describe one conversation with an upstream; `attempts`
    holds the record of several (a router's), or of the one when it came over the wire.
    """

    reason: Reason
    message: str
    remedy: str = ""
    retry_after: float | None = None
    violations: Sequence[Violation] = ()
    upstream_status: int = 0
    upstream_message: str = ""
    upstream_id: str = ""
    phase: str = ""
    dispatch: Dispatch = Dispatch.UNSPECIFIED
    billed: bool | None = None
    attempts: Sequence[error_pb2.Attempt] = ()
    code: int = field(default=-1)

    def __post_init__(self) -> None:
        if self.code < 0:
            self.code = code_of(self.reason)
        Exception.__init__(self, self.message)

    def __str__(self) -> str:
        return f"{self.message}; try: {self.remedy}" if self.remedy else self.message

    def __repr__(self) -> str:
        return f"<Failure {self.reason}: {self.message}>"

    def as_attempt(self, provider: str, model: str) -> error_pb2.Attempt:
        """The record of this failure as one attempt at `provider`/`model`."""
        attempt = error_pb2.Attempt(
            provider=provider,
            model=model,
            reason=self.reason.to_proto(),
            message=self.message,
            remedy=self.remedy,
            upstream_status=self.upstream_status,
            upstream_message=self.upstream_message,
            upstream_id=self.upstream_id,
            phase=self.phase,
            dispatch=self.dispatch.to_proto(),
        )
        if self.billed is not None:
            attempt.billed = self.billed
        return attempt


def invalid_request(violations: Iterable[Violation]) -> Failure:
    """The failure that lists every bad field at once."""
    found = tuple(violations)
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in found)
    message = f"the request is not valid: {listed}"
    return Failure(Reason.INVALID_REQUEST, message, violations=found, dispatch=Dispatch.NOT_SENT)


def to_status(failure: Failure, request_id: str) -> status_pb2.Status:
    """`failure` as it goes over the wire, in at most `MAX_DETAILS_BYTES`.

    What does not fit is cut in this order: upstream messages, skipped candidates, the oldest
    attempts; the last that was made always stays. The message itself already names every attempt.
    """
    request_id = clip(request_id, MAX_REQUEST_ID_BYTES)
    status = _without_attempts(failure, request_id)
    if failure.attempts:
        record = error_pb2.GenerationFailure(request_id=request_id, attempts=failure.attempts)
        for attempt in record.attempts:
            _clip(attempt)
        room = MAX_DETAILS_BYTES - status.ByteSize() - len(request_id.encode()) - _ENVELOPE_BYTES
        _fit_into(room, record.attempts)
        status.details.add().Pack(record)
    return status


def from_status(status: status_pb2.Status) -> Failure | None:
    """The failure that `to_status` made on the other side, or None if it is not one of ours."""
    info, retry, bad, record = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.BadRequest(),
        error_pb2.GenerationFailure(),
    )
    try:
        found = {
            type(kind): detail.Unpack(kind)
            for detail in status.details
            for kind in (info, retry, bad, record)
            if detail.Is(kind.DESCRIPTOR)
        }
    except DecodeError:
        return None
    if info.domain != DOMAIN or info.reason not in Reason.__members__:
        return None
    made = [attempt for attempt in record.attempts if not attempt.HasField("skipped")]
    last = made[-1] if made else error_pb2.Attempt()
    return Failure(
        Reason(info.reason),
        last.message or status.message,
        remedy=last.remedy,
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if type(retry) in found else None,
        violations=[Violation(v.field, v.description) for v in bad.field_violations],
        upstream_status=last.upstream_status,
        upstream_message=last.upstream_message,
        upstream_id=last.upstream_id,
        phase=last.phase,
        dispatch=Dispatch.from_proto(last.dispatch),
        billed=last.billed if last.HasField("billed") else None,
        attempts=list(record.attempts),
        code=status.code,
    )


def _without_attempts(failure: Failure, request_id: str) -> status_pb2.Status:
    status = status_pb2.Status(code=failure.code, message=_bounded_message(str(failure)))
    info = error_details_pb2.ErrorInfo(domain=DOMAIN, reason=failure.reason, metadata={"request_id": request_id})
    status.details.add().Pack(info)
    if failure.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(_bounded_seconds(failure.retry_after) * 1e9))
        status.details.add().Pack(retry)
    if failure.violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in _bounded_violations(failure.violations)
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=fields))
    return status


# What a byte becomes at most in gRPC's own message: %20.
_QUOTED_TIMES = 3
# Tags and lengths around the record of the attempts, and the name of its type.
_ENVELOPE_BYTES = 80


def _clip(attempt: error_pb2.Attempt) -> None:
    for name, limit in MAX_ATTEMPT_BYTES.items():
        text = getattr(attempt, name)
        if (clipped := clip(text, limit)) != text:
            setattr(attempt, name, clipped)


def _fit_into(room: int, attempts: MutableSequence[error_pb2.Attempt]) -> None:
    """Take away the least useful first, until what is left takes at most `room` bytes."""
    over = sum(map(_size, attempts)) - room
    while over > 0 and (talkative := _most_talkative(attempts)) is not None:
        before = _size(talkative)
        half = max(len(talkative.upstream_message.encode()) // 2, SHORT_UPSTREAM_MESSAGE_BYTES)
        talkative.upstream_message = clip(talkative.upstream_message, half)
        over -= before - _size(talkative)
    while over > 0 and len(attempts) > 1:
        over -= _size(attempts.pop(_least_useful(attempts)))
    if over > 0 and attempts:
        # The status's own message says the same.
        attempts[0].ClearField("message")
        attempts[0].ClearField("remedy")


def _most_talkative(attempts: Sequence[error_pb2.Attempt]) -> error_pb2.Attempt | None:
    longest = max(attempts, key=lambda attempt: len(attempt.upstream_message.encode()), default=None)
    is_long = longest is not None and len(longest.upstream_message.encode()) > SHORT_UPSTREAM_MESSAGE_BYTES
    return longest if is_long else None


def _least_useful(attempts: Sequence[error_pb2.Attempt]) -> int:
    """The oldest skipped one, else the oldest."""
    return next((index for index, attempt in enumerate(attempts) if attempt.HasField("skipped")), 0)


def _size(attempt: error_pb2.Attempt) -> int:
    """Bytes of one attempt within the record, tag and length included."""
    return attempt.ByteSize() + 4


def _bounded_seconds(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if seconds == seconds else 0.0  # noqa: PLR0124 NaN


def _bounded_violations(violations: Sequence[Violation]) -> list[Violation]:
    """As many as fit, the last one saying how many do not."""
    kept: list[Violation] = []
    size = 0
    for violation in violations:
        cut = Violation(clip(violation.field, 64), clip(violation.description, MAX_VIOLATION_BYTES))
        size += len(cut.field.encode()) + len(cut.description.encode()) + 8
        if size > MAX_VIOLATIONS_BYTES:
            kept.append(Violation("", f"and {len(violations) - len(kept)} more"))
            break
        kept.append(cut)
    return kept


def _bounded_message(text: str) -> str:
    if len(text) * _QUOTED_TIMES <= MAX_MESSAGE_BYTES and text.isascii():
        return text
    text = clip(text, MAX_MESSAGE_BYTES - 512)
    while len(quote(text, safe=" ")) > MAX_MESSAGE_BYTES:
        text = clip(text, len(text.encode()) * 9 // 10)
    return text
