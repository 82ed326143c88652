"""What a stream tells of a request under way. Pure, but for the wall clock that people read."""

import time
from collections.abc import Sequence

from imagegate.router.answer import attempts_of
from imagegate.router.course import Made, Passed, Try
from imagegate.v1 import generation_pb2


def started(attempt: Try) -> generation_pb2.GenerateEvent:
    """An attempt begins."""
    told = generation_pb2.AttemptStarted(
        provider=attempt.candidate.provider, model=attempt.candidate.key, number=attempt.number
    )
    told.started.FromNanoseconds(time.time_ns())
    told.timeout.FromMilliseconds(round(attempt.timeout * 1000))
    return generation_pb2.GenerateEvent(attempt_started=told)


def finished(record: Sequence[Made | Passed], now: float) -> generation_pb2.GenerateEvent:
    """The last attempt of the record ended, or the last candidate was passed over."""
    return generation_pb2.GenerateEvent(attempt_finished=attempts_of(record[-1:], now)[0])


def queued(place: int) -> generation_pb2.GenerateEvent:
    """The request waits, before any attempt, behind `place` others of its caller."""
    return generation_pb2.GenerateEvent(
        progress=generation_pb2.Progress(phase=generation_pb2.PHASE_QUEUED, queue_position=place)
    )


def warming(seconds: float) -> generation_pb2.GenerateEvent:
    """A model that is being loaded is expected to be ready in so many seconds."""
    told = generation_pb2.Progress(phase=generation_pb2.PHASE_WARMING)
    told.ready_in.FromMilliseconds(max(round(seconds * 1000), 0))
    return generation_pb2.GenerateEvent(progress=told)
