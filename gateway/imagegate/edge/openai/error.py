"""How OpenAI's API tells of a problem, whatever it is."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from imagegate.client.result import Attempt
from imagegate.edge.openai.schema import RENAMED
from imagegate.edge.problem import Problem
from imagegate.runtime.errors import Reason, Violation

# What OpenAI calls it; whatever is not here goes by our own reason, in lower case.
CODES = {
    "UNAUTHENTICATED": "invalid_api_key",
    "NOT_FOUND": "unknown_url",
    "METHOD_NOT_ALLOWED": "method_not_supported",
    str(Reason.INVALID_REQUEST): "invalid_value",
    str(Reason.CONTENT_REJECTED): "content_policy_violation",
}
# The parameter that is to blame, where no field is named.
BLAMED = {str(Reason.MODEL_NOT_FOUND): "model", str(Reason.CONTENT_REJECTED): "prompt"}
PARAMETERS = {**RENAMED, "task": "image"}
# What the block of our own tells beside the error.
OURS = ("reason", "request_id", "attempts", "retry_after", "images")


class ErrorDetail(BaseModel):
    """What went wrong, by OpenAI's names; `imagegate` has what we know besides."""

    message: str
    type: str
    param: str | None
    code: str
    imagegate: dict[str, Any]


class ErrorDocument(BaseModel):
    """A problem as `error_of` has it, for the description of the API."""

    error: ErrorDetail


def tell_error(problem: Problem, request_id: str) -> web.Response:
    """`{"error": {…}}` with the problem's status.

    Their client orders again by itself after 429 and 5xx. It is told not to where that may be paid for twice.
    """
    headers = {"X-Should-Retry": "false"} if may_have_cost(problem) else {}
    return web.json_response(error_of(problem, request_id), status=problem.status, headers=headers)


def error_of(problem: Problem, request_id: str) -> dict[str, Any]:
    """The body: message, type, param and code as OpenAI has them, and in `imagegate` what we know besides."""
    named = [Violation(parameter_of(each.field), each.description) for each in problem.violations]
    shown = problem.to_dict(request_id)
    ours: dict[str, Any] = {name: shown[name] for name in OURS if name in shown}
    if named:
        ours["errors"] = [{"param": each.field or None, "message": each.description} for each in named]
    return {
        "error": {
            "message": _listed(named) if named else problem.detail,
            "type": _type_of(problem.status),
            "param": (named[0].field if named else BLAMED.get(problem.reason)) or None,
            "code": _code_of(problem),
            "imagegate": ours,
        }
    }


def parameter_of(field: str) -> str:
    """What a field of GenerateRequest is called here."""
    last = field.rpartition(".")[2]
    return PARAMETERS.get(last, last)


def may_have_cost(problem: Problem) -> bool:
    """Whether a repetition may be a second order for something that is charged already."""
    return problem.status >= 500 and (problem.reason == Reason.TIMEOUT or any(map(_may_be_charged, problem.attempts)))


def _may_be_charged(attempt: Attempt) -> bool:
    return not attempt.skipped and attempt.billed is not False and attempt.dispatch in ("ACCEPTED", "UNKNOWN")


def _type_of(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "requests" if status == 429 else "invalid_request_error"


def _code_of(problem: Problem) -> str:
    if problem.status >= 500:
        return "server_error"
    return "rate_limit_exceeded" if problem.status == 429 else CODES.get(problem.reason, problem.reason.lower())


def _listed(violations: Iterable[Violation]) -> str:
    told = (f"{each.field}: {each.description}" if each.field else each.description for each in violations)
    return f"the request is not valid: {'; '.join(told)}"
