"""What callers are told of problems."""

import base64

from imagegate.edge.problem import Problem, no_room, unkept
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
