"""What is remembered of requests."""

from imagegate.router.history import History
from imagegate.runtime.errors import Failure, Reason
from imagegate.v1 import error_pb2


def test_an_id_that_is_used_again_stands_for_the_later_request() -> None:
    """A caller who left and asked again under the same id finds what became of the second order, not of the first."""
    history = History(keep_prompts=False)
    former = history.began("mine", "m", "a cat", 0.0)
    later = history.began("mine", "m", "a cat", 1.0)
    history.ended(former, 1.5, (), Failure(Reason.CANCELLED, "the caller left"))
    assert history.get("mine", 2.0).under_way
    history.ended(later, 3.0, [error_pb2.Attempt(provider="a", model="m")], None)
    record = history.get("mine", 4.0)
    assert (record.reason, record.provider, record.duration.ToSeconds()) == (0, "a", 2)
    assert len(history.last(10, 4.0, failed_only=False)) == 1
