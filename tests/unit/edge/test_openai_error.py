"""How OpenAI's client is told of problems."""

import grpc
import pytest

from imagegate.client import GenerationError
from imagegate.client.result import Attempt
from imagegate.edge.openai.error import error_of, may_have_cost, parameter_of, tell_error
from imagegate.edge.problem import Problem, of_error
from imagegate.runtime.errors import CODES, Dispatch, Reason, Violation, code_of
from imagegate.v1 import error_pb2

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def attempt(dispatch: Dispatch, *, billed: bool | None = None, skipped: bool = False) -> Attempt:
    proto = error_pb2.Attempt(provider="a", model="m", dispatch=dispatch.to_proto(), billed=billed)
    if skipped:
        proto.skipped.reason = Reason.CIRCUIT_OPEN.to_proto()
    return Attempt.of(proto)


def of_reason(reason: Reason) -> Problem:
    return of_error(GenerationError(reason, "told", code=GRPC_CODES[code_of(reason)]))


@pytest.mark.parametrize(
    ("problem", "status", "kind", "code"),
    [
        (Problem(401, "UNAUTHENTICATED", ""), 401, "invalid_request_error", "invalid_api_key"),
        (Problem(404, "NOT_FOUND", ""), 404, "invalid_request_error", "unknown_url"),
        (of_reason(Reason.MODEL_NOT_FOUND), 404, "invalid_request_error", "model_not_found"),
        (of_reason(Reason.CONTENT_REJECTED), 400, "invalid_request_error", "content_policy_violation"),
        (of_reason(Reason.INVALID_REQUEST), 400, "invalid_request_error", "invalid_value"),
        (of_reason(Reason.UNSUPPORTED), 400, "invalid_request_error", "unsupported"),
        (of_reason(Reason.RATE_LIMITED), 429, "requests", "rate_limit_exceeded"),
        (of_reason(Reason.OVER_QUOTA), 429, "requests", "rate_limit_exceeded"),
        (of_reason(Reason.CREDENTIALS_REJECTED), 503, "server_error", "server_error"),
        (of_reason(Reason.TIMEOUT), 504, "server_error", "server_error"),
        (of_reason(Reason.INTERNAL), 500, "server_error", "server_error"),
    ],
)
def test_each_problem_has_their_type_and_code(problem: Problem, status: int, kind: str, code: str) -> None:
    """R10: their client decides by status and code; the reason of ours stands beside."""
    answer, error = tell_error(problem, "r-1"), error_of(problem, "r-1")["error"]
    assert (answer.status, error["type"], error["code"]) == (status, kind, code)
    assert error["imagegate"]["reason"] == problem.reason
    assert error["imagegate"]["request_id"] == "r-1"


@pytest.mark.parametrize("reason", CODES)
def test_every_reason_is_an_error_of_theirs(reason: Reason) -> None:
    """R5: whatever the router says has a message, a type and a code."""
    error = error_of(of_reason(reason), "r-1")["error"]
    assert error["message"] == ("told" if reason is not Reason.UNAUTHENTICATED else of_reason(reason).detail)
    assert error["type"] in ("invalid_request_error", "requests", "server_error")


@pytest.mark.parametrize(
    ("field", "parameter"),
    [("count", "n"), ("width", "size"), ("output.format", "output_format"), ("inpainting.mask", "mask"),
     ("image_to_image.image", "image"), ("task", "image"), ("routing.max_credits", "max_credits"), ("seed", "seed")],
)  # fmt: skip
def test_fields_go_by_their_names(field: str, parameter: str) -> None:
    """P12: a field that the router finds wrong is blamed by the name that the caller used."""
    assert parameter_of(field) == parameter


def test_every_wrong_field_is_told() -> None:
    """P12: the first is `param`, all are in the message and in our block; what is not about a field has none."""
    problem = Problem(400, "INVALID_REQUEST", "d", violations=[Violation("count", "is 9"), Violation("", "and more")])
    error = error_of(problem, "r")["error"]
    assert error["param"] == "n"
    assert "n: is 9; and more" in error["message"]
    assert [each["param"] for each in error["imagegate"]["errors"]] == ["n", None]


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([], False),
        ([attempt(Dispatch.REFUSED), attempt(Dispatch.NOT_SENT)], False),
        ([attempt(Dispatch.ACCEPTED, billed=False)], False),
        ([attempt(Dispatch.UNKNOWN, skipped=True)], False),
        ([attempt(Dispatch.REFUSED), attempt(Dispatch.UNKNOWN)], True),
        ([attempt(Dispatch.ACCEPTED, billed=True)], True),
    ],
)
def test_what_may_be_paid_twice_is_not_repeated(attempts: list[Attempt], expected: bool) -> None:
    """The client is told not to order again after an attempt that may have been charged, nor after a time-out."""
    problem = Problem(503, "UPSTREAM_ERROR", "", attempts=attempts)
    assert may_have_cost(problem) is expected
    assert (tell_error(problem, "r").headers.get("X-Should-Retry") == "false") is expected
    assert may_have_cost(of_reason(Reason.TIMEOUT))
