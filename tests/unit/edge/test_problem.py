"""What callers are told of problems."""

import base64
from typing import Literal

import grpc
import pytest

from imagegate.client import GenerationError
from imagegate.edge.problem import Problem, no_room, of_error, unkept
from imagegate.runtime.errors import Reason
from imagegate.testing.galleries import answer
from imagegate.testing.pictures import picture


def test_pictures_that_cannot_be_kept_are_in_the_answer() -> None:
    """F38: what was made and paid for is told with the reason why it is kept nowhere, and nobody is sent again."""
    problem = unkept(no_room("the disk is full"), answer([picture()]).images)
    shown = problem.to_dict("an-id")
    assert shown["images"] == [{"data": base64.b64encode(picture()).decode(), "mime_type": "image/png", "seed": 7}]
    assert (shown["status"], shown["reason"]) == (507, "INSUFFICIENT_STORAGE")
    assert "the disk is full" in shown["detail"]
    assert problem.headers["X-Should-Retry"] == "false"
    assert "retry_after" not in shown


def test_a_problem_without_pictures_has_none() -> None:
    """The list is there only where it holds something."""
    assert "images" not in Problem(503, "STORE_UNAVAILABLE", "away", retry_after=5).to_dict("an-id")


def error(code: grpc.StatusCode, dispatch: Literal["", "NOT_SENT", "UNKNOWN"] = "") -> GenerationError:
    return GenerationError(Reason.UNREACHABLE, "no router answers at 10.0.3.7:50051", code=code, dispatch=dispatch)


@pytest.mark.parametrize("code", grpc.StatusCode)
@pytest.mark.parametrize("dispatch", ["NOT_SENT", "UNKNOWN"])
def test_callers_are_not_told_where_the_router_is(
    code: grpc.StatusCode, dispatch: Literal["NOT_SENT", "UNKNOWN"]
) -> None:
    """R10: where no router answers the sentence is the edge's own, and the fault is never said to be the caller's."""
    problem = of_error(error(code, dispatch))
    assert "10.0.3.7" not in str(problem.to_dict("an-id"))
    assert problem.status >= 500


def test_nobody_is_sent_again_after_what_may_be_charged() -> None:
    """Only where nothing reached the router a repetition is for free, so only then it is asked for."""
    unsent, lost = (of_error(error(grpc.StatusCode.UNAVAILABLE, how)) for how in ("NOT_SENT", "UNKNOWN"))
    assert (unsent.status, unsent.retry_after, unsent.headers) == (503, 1, {})
    assert (lost.status, lost.retry_after, lost.headers) == (503, None, {"X-Should-Retry": "false"})
    assert "may be charged" in lost.detail


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_router_that_does_not_let_the_edge_in_says_nothing_of_the_callers_key(code: grpc.StatusCode) -> None:
    """P12: a caller whose key is good is never told that it is not; whoever runs the edge has to mend that."""
    problem = of_error(GenerationError(Reason.UNAUTHENTICATED, "this key is not known here", code=code))
    assert (problem.status, problem.reason) == (502, "SHUT_OUT")
    assert "key" not in problem.detail


@pytest.mark.parametrize(("told", "shown"), [(None, 1), (0.0, 1), (0.2, 1), (7.1, 8), (86_400.0, 60)])
def test_retry_after_is_whole_seconds_that_a_client_waits_for(told: float | None, shown: int) -> None:
    """P12: never 0, which is at once, and never longer than OpenAI's client waits before it gives up."""
    limited = GenerationError(
        Reason.RATE_LIMITED, "too much", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=told
    )
    assert of_error(limited).retry_after == shown
