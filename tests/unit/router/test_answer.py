"""How the record of a request becomes its final error."""

import pytest
from google.rpc import code_pb2

from imagegate.router.answer import attempts_of, exhausted
from imagegate.router.course import Made, Passed
from imagegate.router.ranking import Obstacle
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import entry

NOW = 1000.0


def made(name: str, reason: Reason, retry_after: float | None = None) -> Made:
    candidate = entry(f"{name}/m").candidate
    return Made(candidate, NOW - 5, 5.0, Failure(reason, "its own words", retry_after=retry_after))


def passed(name: str, reason: Reason, wait: float | None = None) -> Passed:
    return Passed(entry(f"{name}/m").candidate, Obstacle(reason, wait=wait), NOW)


@pytest.mark.parametrize(
    ("record", "retry_after"),
    [
        ([made("a", Reason.RATE_LIMITED, 7.0)], 7.0),
        ([made("a", Reason.RATE_LIMITED, 7.0), made("b", Reason.RATE_LIMITED, 3.0)], 3.0),
        ([made("a", Reason.RATE_LIMITED, 7.0), passed("b", Reason.BACKING_OFF, 2.0)], 2.0),
        # The prompt was refused: waiting changes nothing.
        ([made("a", Reason.RATE_LIMITED, 7.0), made("b", Reason.CONTENT_REJECTED)], None),
        # The second may be asked again at once.
        ([made("a", Reason.RATE_LIMITED, 600.0), made("b", Reason.UPSTREAM_ERROR)], None),
        ([made("a", Reason.MODEL_NOT_FOUND)], None),
        ([passed("a", Reason.CIRCUIT_OPEN, 9.0), passed("b", Reason.WARMING, 4.0)], 4.0),
    ],
)
def test_when_to_come_back_is_told_where_waiting_helps(record: list[Made | Passed], retry_after: float | None) -> None:
    """RetryInfo is the earliest time at which it makes sense to ask again, and absent where waiting changes nothing."""
    assert exhausted(record, NOW).retry_after == retry_after


def test_two_refusals_of_the_input_decide() -> None:
    """An input that two upstreams refused is to blame, whatever a third one was busy with."""
    record = [made("a", Reason.RATE_LIMITED, 7.0)]
    record += [made(name, Reason.UPSTREAM_REJECTED_INPUT) for name in "bc"]
    error = exhausted(record, NOW)
    assert (error.reason, error.code) == (Reason.UPSTREAM_REJECTED_INPUT, code_pb2.INVALID_ARGUMENT)
    assert error.retry_after is None


@pytest.mark.parametrize(("credits_", "billed"), [(3, True), (0, False), (None, None)])
def test_what_was_delivered_is_billed_by_its_price(credits_: int | None, billed: bool | None) -> None:
    """A delivered attempt is billed unless its model costs nothing; of an unknown price nobody can know."""
    (attempt,) = attempts_of([Made(entry("a/m", credits=credits_).candidate, NOW - 5, 5.0)], NOW)
    assert (attempt.billed if attempt.HasField("billed") else None) is billed


def test_a_candidate_that_was_asked_twice_is_one() -> None:
    """The message counts candidates, and lists each attempt."""
    message = exhausted([made("a", Reason.UNREACHABLE), made("a", Reason.UNREACHABLE)], NOW).message
    assert message.startswith("1 candidate tried: a/m UNREACHABLE")
    assert message.count("UNREACHABLE") == 2
