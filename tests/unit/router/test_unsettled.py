"""What a request that brought nothing may still cost."""

import pytest
from google.rpc import code_pb2

from imagegate.router.course import Try
from imagegate.router.unsettled import unsettled
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.testing import FakeReplica, entry, failed, outcomes
from imagegate.v1 import generation_pb2, terms_pb2

ONCE = entry("a/m", payment="pay_once")
FREE = entry("b/m", credits=0)
SILENT = failed(Reason.TIMEOUT, Dispatch.UNKNOWN)
REFUSED = failed(Reason.OVERLOADED)


@pytest.fixture
def replica() -> FakeReplica:
    """A replica that has just started."""
    return FakeReplica()


def test_any_attempt_that_may_be_charged_counts_not_only_the_last(replica: FakeReplica) -> None:
    """Paying once: a free candidate that was refused afterwards changes nothing about the first one's bill."""
    course = replica.course(ONCE, FREE)
    replica.play(course, [SILENT, REFUSED])
    told = unsettled(course, replica.clock())
    assert told is not None
    assert (told.reason, told.code) == (Reason.TIMEOUT, code_pb2.UNAVAILABLE)
    assert "attempt at a/m may be charged" in told.message
    assert "routing.payment" in told.remedy
    assert outcomes(told.attempts) == ["a TIMEOUT", "b OVERLOADED"]


def test_an_attempt_that_was_broken_off_may_be_charged(replica: FakeReplica) -> None:
    """F40, paying once: nobody knows of an attempt under way when all left, and its id says where to ask."""
    course = replica.course(ONCE)
    assert isinstance(course.next(replica.clock()), Try)
    course.left(Failure(Reason.CANCELLED, "the caller left", dispatch=Dispatch.ACCEPTED), replica.clock(), "job-7")
    told = unsettled(course, replica.clock())
    assert told is not None
    assert (told.reason, told.attempts[0].upstream_id) == (Reason.CANCELLED, "job-7")
    assert "job-7" in told.message


@pytest.mark.parametrize("failure", [REFUSED, failed(Reason.UNREACHABLE, Dispatch.NOT_SENT)])
def test_what_provably_cost_nothing_may_be_made_again(replica: FakeReplica, failure: Failure) -> None:
    """Paying once: refused, or never sent, there is no bill."""
    course = replica.course(ONCE)
    replica.play(course, [failure, failure])
    assert unsettled(course, replica.clock()) is None


def test_where_nobody_pays_once_it_may_be_made_again(replica: FakeReplica) -> None:
    """Paying once: the request's word, else the model's; and what is free cannot be charged twice."""
    available = generation_pb2.GenerateRequest(routing=generation_pb2.Routing(payment=terms_pb2.PAYMENT_AVAILABLE))
    for course in (
        replica.course(ONCE, request=available),
        replica.course(entry("c/m")),
        replica.course(entry("d/m", payment="pay_once", credits=0)),
        replica.course(),
    ):
        replica.play(course, [SILENT])
        assert unsettled(course, replica.clock()) is None
