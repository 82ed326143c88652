"""Our policy behind the simulator's face: the router's own course of a request, step by step. No policy is here."""

import random
from collections.abc import Sequence

from imagegate.router import budget
from imagegate.router.admission import Admission
from imagegate.router.course import Course, Pause, Warm
from imagegate.router.course import Try as CourseTry
from imagegate.router.events import Event
from imagegate.router.ranking import Entry
from imagegate.router.repeats import RepeatBudget
from imagegate.router.routes import Candidate
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Model
from imagegate.v1 import generation_pb2
from simulation.gateway import Call, Ended, Step, Try, Wait
from simulation.traffic import Request

TYPICAL_SECONDS = (5.0, 20.0)
MODEL = Model(key="model", display_name="model", upstream_model="model", typical_seconds=TYPICAL_SECONDS)
ATTEMPT_SECONDS = budget.own_limit(MODEL, None, 1)


def nobody_hears(_event: Event) -> None:
    """The simulator measures what is done, not what is told."""


class Ours:
    """The gateway."""

    def __init__(self, candidates: Sequence[str], rng: random.Random) -> None:
        self.admission = Admission(nobody_hears, rng)
        self.repeats = RepeatBudget()
        self.entries = [Entry(Candidate(name, MODEL.key, MODEL)) for name in candidates]

    def begin(self, request: Request, now: float) -> Call:
        self.repeats.requested(now)
        asked = generation_pb2.GenerateRequest(prompt=str(request.number))
        return _Call(
            Course(asked, self.entries, Deadline(request.deadline), self.admission, self.repeats, nobody_hears)
        )

    def key_accepted(self, candidate: str, now: float) -> None:
        self.admission.key_renewed(candidate, now)


class _Call:
    def __init__(self, course: Course) -> None:
        self._course = course
        self._waits_for = ""
        self._is_under_way = False
        self._delivered = False

    def next(self, now: float) -> Step:
        if self._delivered:
            return Ended(delivered=True)
        match self._course.next(now):
            case CourseTry(candidate, _, timeout):
                self._is_under_way = True
                return Try(candidate.provider, timeout)
            case Warm(candidate, seconds):
                self._waits_for = candidate.provider
                return Wait(seconds, loading=candidate.provider)
            case Pause(_, seconds):
                return Wait(seconds)
            case _:
                return Ended(delivered=False)

    def report(self, failure: Failure | None, now: float) -> None:
        self._is_under_way = False
        if failure is None:
            self._delivered = True
            self._course.delivered(now)
        else:
            self._course.failed(failure, now)

    def loaded(self, now: float) -> None:
        self._course.admission.warmed(self._waits_for, MODEL.key, now)

    def left(self, now: float) -> None:
        if self._is_under_way:
            self._course.left(Failure(Reason.CANCELLED, "the caller left"), now)
