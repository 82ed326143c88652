"""What a request that brought nothing may still cost, and what is told to whoever repeats it. Pure."""

from google.rpc import code_pb2

from imagegate.router.answer import attempts_of
from imagegate.router.course import Course, Made
from imagegate.router.payment import Charge, charge_of, is_free, pays_once
from imagegate.runtime.errors import Failure


def unsettled(course: Course, now: float) -> Failure | None:
    """The failure for a repetition of a request that has ended without an answer; None where it may be made again.

    It may not where any of its attempts, one that was broken off as well, may be charged and pays once. `now` is the
    monotonic clock that the course was told by.
    """
    made = next(
        (entry for entry in reversed(course.record) if isinstance(entry, Made) and _is_open(course, entry)), None
    )
    if made is None or made.failure is None:
        return None
    upstream_id = made.upstream_id or made.failure.upstream_id
    known_as = f" (its id there is {upstream_id})" if upstream_id else ""
    return Failure(
        made.failure.reason,
        "the first call with this idempotency key ended without an answer, and is not made again: "
        f"its attempt at {made.candidate}{known_as} may be charged",
        remedy="set routing.payment to AVAILABLE or use another key to make it again, which may be charged as well",
        attempts=attempts_of(course.record, now),
        code=code_pb2.UNAVAILABLE,
    )


def _is_open(course: Course, made: Made) -> bool:
    model = made.candidate.model
    is_unknown = made.failure is not None and charge_of(made.failure) is Charge.UNKNOWN
    return is_unknown and pays_once(course.request, model) and not is_free(model)
