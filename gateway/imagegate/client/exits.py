"""How a command ends: the exit code, and one sentence or one JSON object about what went wrong."""

import sys
from collections.abc import Mapping
from typing import Any

import grpc

from imagegate.client.error import STATUS_CODES, GenerationError
from imagegate.client.files import CannotWriteError
from imagegate.client.logs import printable
from imagegate.client.process import ProcessFailedError
from imagegate.client.startup import CannotStartError
from imagegate.client.stdout import say_json
from imagegate.runtime.errors import Reason, code_of
from imagegate.v1 import router_pb2

USAGE = 2
TRY_LATER = 75  # EX_TEMPFAIL
FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT

EXIT_CODES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.NOT_FOUND: USAGE,
    grpc.StatusCode.FAILED_PRECONDITION: USAGE,
    grpc.StatusCode.UNAVAILABLE: TRY_LATER,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TRY_LATER,
    grpc.StatusCode.DEADLINE_EXCEEDED: TRY_LATER,
}

# What a command may end with; anything else is a bug of ours and keeps its traceback.
Expected = GenerationError | CannotStartError | CannotWriteError | ProcessFailedError


def exit_code(error: Expected) -> int:
    """The exit code that `error` ends the command with."""
    match error:
        case GenerationError():
            return EXIT_CODES.get(error.code, FAILED)
        case CannotStartError() | ProcessFailedError():
            return error.exit_code
        case CannotWriteError():
            return USAGE


def foreseen(explanation: router_pb2.Explanation) -> int:
    """The exit code that the explained request would end with, if nothing else happens."""
    if not explanation.reason:
        return 0
    reason = Reason.from_proto(explanation.reason)
    skips = [prospect.skipped.reason for prospect in explanation.candidates if prospect.HasField("skipped")]
    codes = {code_of(Reason.from_proto(skip)) for skip in skips}
    agreed = codes.pop() if reason is Reason.NO_CANDIDATE and len(codes) == 1 else code_of(reason)
    return EXIT_CODES.get(STATUS_CODES[agreed], FAILED)


def tell(error: Expected, *, as_json: bool) -> None:
    """Say what went wrong: a sentence on standard error, or an object on standard output."""
    tell_problem(str(error), _described(error), as_json=as_json)


def tell_usage(message: str, *, as_json: bool) -> None:
    """Say what is wrong with the command line itself."""
    tell_problem(message, _local(message, grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_REQUEST), as_json=as_json)


def tell_problem(message: str, described: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one of the two."""
    if as_json:
        say_json({"error": described})
    else:
        sys.stderr.write(f"imagegate: {printable(message)}\n")


def _described(error: Expected) -> dict[str, Any]:
    match error:
        case GenerationError():
            return error.to_dict()
        case CannotWriteError():
            return _local(str(error), grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_REQUEST)
        case CannotStartError():
            return _local(str(error), grpc.StatusCode.FAILED_PRECONDITION, Reason.INVALID_REQUEST)
        case ProcessFailedError():
            return _local(str(error), grpc.StatusCode.INTERNAL, Reason.INTERNAL)


def _local(message: str, code: grpc.StatusCode, reason: Reason) -> dict[str, Any]:
    """An error that no server told, in the shape of those that one did."""
    return {"code": code.name, "reason": str(reason), "message": message, "attempts": []}
