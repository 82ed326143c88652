"""The one error of the SDK, and how it is read off a gRPC call that failed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from imagegate.client.address import Target
from imagegate.client.plain import plain
from imagegate.client.result import Attempt
from imagegate.runtime.errors import Reason, Violation, from_status
from imagegate.runtime.metadata import REQUEST_ID_KEY
from imagegate.runtime.redaction import clip, one_line
from imagegate.runtime.transport import is_tls_trouble, was_never_connected
from imagegate.v1 import router_pb2

MAX_FOREIGN_BYTES = 512
STATUS_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class GenerationError(Exception):
    """A call that failed.

    Decide on `reason` (`RATE_LIMITED`, `MODEL_NOT_FOUND`, …), never on `code` alone: gRPC itself makes up codes.
    `message` is one readable paragraph that names every attempt and the remedy, `attempts` its record,
    `retry_after` the seconds after which trying again makes sense (None: not known), `violations` the fields
    that were wrong, `request_id` what to look for in the router's log. `dispatch` is empty where the other side has
    answered; where it has not it is how far the call got: NOT_SENT or UNKNOWN, after which the work may have been done.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        code: grpc.StatusCode,
        attempts: Sequence[Attempt] = (),
        retry_after: float | None = None,
        request_id: str = "",
        violations: Sequence[Violation] = (),
        dispatch: Literal["", "NOT_SENT", "UNKNOWN"] = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code
        self.attempts = attempts
        self.retry_after = retry_after
        self.request_id = request_id
        self.violations = violations
        self.dispatch = dispatch

    def __repr__(self) -> str:
        return f"<GenerationError {self.reason} {self.code.name}: {self.message}>"

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values: what `--json` prints below `error`."""
        shown: dict[str, Any] = {
            "code": self.code.name,
            "reason": str(self.reason),
            "message": self.message,
            "attempts": [plain(attempt.proto) for attempt in self.attempts],
        }
        if self.request_id:
            shown["request_id"] = self.request_id
        if self.retry_after is not None:
            shown["retry_after"] = self.retry_after
        if self.violations:
            shown["violations"] = [{"field": each.field, "description": each.description} for each in self.violations]
        return shown


def invalid(*violations: Violation) -> GenerationError:
    """The error for what cannot even be put on the wire."""
    listed = "; ".join(f"{each.field}: {each.description}" for each in violations)
    message = f"the request is not valid: {listed}"
    code = grpc.StatusCode.INVALID_ARGUMENT
    return GenerationError(Reason.INVALID_REQUEST, message, code=code, violations=violations)


def from_batch_failure(failure: router_pb2.BatchFailure) -> GenerationError:
    """The error of one request of a batch: the router's own words."""
    return GenerationError(
        Reason.from_proto(failure.reason),
        failure.message,
        code=STATUS_CODES.get(failure.code, grpc.StatusCode.UNKNOWN),
        attempts=[Attempt.of(attempt) for attempt in failure.attempts],
        retry_after=failure.retry_after.ToNanoseconds() / 1e9 if failure.HasField("retry_after") else None,
        request_id=failure.request_id,
    )


def without_answer(target: Target, request_id: str) -> GenerationError:
    """The error for a stream that ended well and had no answer."""
    message = f"{target.address} ended the stream without an answer; what listens there is no {target.what} of ours"
    code = grpc.StatusCode.INTERNAL
    return GenerationError(Reason.INTERNAL, message, code=code, request_id=request_id, dispatch="UNKNOWN")


def from_rpc_error(
    error: grpc.aio.AioRpcError, target: Target, timeout: float | None, request_id: str = "", instead: str = ""
) -> GenerationError:
    """The error of a call to `target` that had `timeout` seconds (None: no end): the other side's own words where it
    sent any. `instead` is what to do where it does not know the method.
    """
    status = _rich_status(error)
    failure = from_status(status) if status is not None else None
    request_id = str(dict(error.trailing_metadata() or ()).get(REQUEST_ID_KEY, request_id))
    if status is None or failure is None:
        reason, message = _made_up_by_transport(error, target, timeout, instead)
        dispatch: Literal["NOT_SENT", "UNKNOWN"] = "NOT_SENT" if was_never_connected(error) else "UNKNOWN"
        return GenerationError(reason, message, code=error.code(), request_id=request_id, dispatch=dispatch)
    return GenerationError(
        failure.reason,
        status.message,
        code=error.code(),
        attempts=[Attempt.of(attempt) for attempt in failure.attempts],
        retry_after=failure.retry_after,
        request_id=request_id,
        violations=failure.violations,
    )


def _rich_status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None  # details that contradict the status are nobody's word
    return status


def _made_up_by_transport(
    error: grpc.aio.AioRpcError, target: Target, timeout: float | None, instead: str
) -> tuple[Reason, str]:
    """The reason and a sentence with the remedy, by gRPC's own code: nobody of ours has answered."""
    match error.code():
        case grpc.StatusCode.UNAVAILABLE if is_tls_trouble(error.details() or ""):
            told = f"the {target.what} at {target.address} shows no certificate that is believed here"
            return Reason.UNREACHABLE, f"{told}; name whom to believe with --ca or IMAGEGATE_TLS_CA_FILE"
        case grpc.StatusCode.UNAVAILABLE if _was_hung_up(error.details() or ""):
            told = f"what listens at {target.address} closes connections at once"
            return Reason.UNREACHABLE, f"{told}; perhaps it wants TLS, or a certificate: --ca, --cert and --key"
        case grpc.StatusCode.UNAVAILABLE:
            return Reason.UNREACHABLE, f"no {target.what} answers at {target.address}; {target.if_silent}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            within = "in time" if timeout is None else f"within {timeout:g} s"
            remedy = "allow more time, or see what it is doing with `imagegate status`"
            return Reason.TIMEOUT, f"no answer from {target.address} {within}; {remedy}"
        case grpc.StatusCode.UNIMPLEMENTED:
            remedy = f"{instead}, or {target.if_another}" if instead else target.if_another
            return Reason.UNSUPPORTED, f"what listens at {target.address} is no {target.what} of this version; {remedy}"
        case code:
            # Something answers there, a proxy perhaps: starting another one would not help.
            words = clip(" ".join(one_line(error.details() or "").split()), MAX_FOREIGN_BYTES) or "no details"
            return Reason.INTERNAL, f"the call to {target.address} was broken off ({code.name}: {words})"


def _was_hung_up(details: str) -> bool:
    """Whether gRPC says that a connection was made, and closed before anything was said."""
    return "last error" in details and "Socket closed" in details
