"""What one router remembers and decides, without a network: time and chance as told, every event kept."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from imagegate.router.admission import Admission, Permits, Refusal
from imagegate.router.breaker import State
from imagegate.router.course import Course, Step, Try
from imagegate.router.events import Event
from imagegate.router.overrides import Mode, Override
from imagegate.router.ranking import Entry, Lineup, line_up
from imagegate.router.repeats import RepeatBudget
from imagegate.router.routes import Candidate
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.testing.clock import FakeClock
from imagegate.v1 import generation_pb2

USUAL_SECONDS = 10.0


class FakeChance(random.Random):
    """No jitter, and for every toss of a coin the same number: from 0 to 1, `luck`."""

    luck = 0.5

    def uniform(self, a: float, b: float) -> float:
        """The middle."""
        return (a + b) / 2

    def random(self) -> float:
        """The luck."""
        return self.luck


@dataclass(slots=True)
class FakeReplica:
    """The policy of one replica; attempts take `USUAL_SECONDS` by the catalogue's word."""

    clock: FakeClock = field(default_factory=FakeClock)
    chance: random.Random = field(default_factory=FakeChance)
    events: list[Event] = field(default_factory=list)
    admission: Admission = field(init=False)
    repeats: RepeatBudget = field(default_factory=RepeatBudget)

    def __post_init__(self) -> None:
        self.admission = Admission(self.events.append, self.chance)

    # ── Attempts of nobody's request ─────────────────────────────────────────────────────────────────────────────

    def ask(self, candidate: str) -> Permits:
        """An attempt of a minute, which is overdue after four times the usual time."""
        provider, _, model = candidate.partition("/")
        return self.admission.acquire(provider, model, self.clock(), 60.0, 4 * USUAL_SECONDS)

    def deliver(self, candidate: str, seconds: float = USUAL_SECONDS) -> None:
        """One that delivers at once, as if it had taken so long."""
        self.admission.delivered(self.ask(candidate), self.clock(), seconds, USUAL_SECONDS)

    def fail(self, candidate: str, reason: Reason, retry_after: float | None = None) -> Failure:
        """One that fails at once."""
        failure = Failure(reason, "its own words", retry_after=retry_after)
        self.admission.failed(self.ask(candidate), failure, self.clock())
        return failure

    def trip(self, candidate: str) -> None:
        """Open the model's breaker, and not its provider's: another model of it delivers."""
        self.deliver(candidate.partition("/")[0] + "/well")
        for _ in range(5):
            self.fail(candidate, Reason.UPSTREAM_ERROR)

    # ── What follows from them ───────────────────────────────────────────────────────────────────────────────────

    def refusal(self, candidate: str) -> Refusal | None:
        """Why a candidate may not be asked now."""
        provider, _, model = candidate.partition("/")
        return self.admission.refusal(provider, model, self.clock())

    def state(self, scope: str) -> State:
        """The state of the breaker of a provider, or of `provider/model`."""
        provider, _, model = scope.partition("/")
        return self.admission.state(provider, model, self.clock())

    def decide(self, scope: str, mode: Mode, seconds: float = 3600.0) -> None:
        """What alice, an operator, decides about a provider or `provider/model`."""
        provider, _, model = scope.partition("/")
        override = Override(mode, "it draws nonsense", "alice", self.clock() + seconds)
        self.admission.decide((provider, model), override, self.clock())

    def line_up(self, *entries: Entry, remaining: float | None = 300.0, count: int = 1) -> Lineup:
        """In which order these would be tried now."""
        return line_up(entries, self.admission, self.clock(), remaining=remaining, count=count)

    # ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def course(
        self, *entries: Entry, seconds: float = 300.0, request: generation_pb2.GenerateRequest | None = None
    ) -> Course:
        """A request for a picture within so many seconds."""
        self.repeats.requested(self.clock())
        return Course(
            request or generation_pb2.GenerateRequest(prompt="a fox"),
            entries,
            Deadline.after(seconds, self.clock()),
            self.admission,
            self.repeats,
            self.events.append,
        )

    def play(self, course: Course, failures: Sequence[Failure], took: float = 1.0) -> list[Step]:
        """The steps of a request whose attempts fail like this, each after `took` seconds, and the step after them.

        It waits for as long as it is told to.
        """
        steps: list[Step] = []
        script = iter(failures)
        while True:
            steps.append(step := course.next(self.clock()))
            if isinstance(step, Try):
                failure = next(script, None)
                if failure is None:
                    return steps
                course.failed(failure, self.clock.advance(took))
            elif seconds := getattr(step, "seconds", None):
                self.clock.advance(seconds)
            else:
                return steps


def entry(
    candidate: str,
    *,
    usual: float = USUAL_SECONDS,
    payment: str = "available",
    credits: int | None = 1,
    limit: float | None = None,
    objective: float | None = None,
) -> Entry:
    """A candidate of a request, `provider/model`, with a catalogue's word on its usual seconds and its price."""
    provider, key = candidate.split("/", 1)
    model = Model.model_validate({
        "provider": provider,
        "key": key,
        "display_name": key,
        "upstream_model": f"upstream/{key}",
        "typical_seconds": (usual, usual),
        "payment": payment,
        "credits": credits,
    })  # fmt: skip
    return Entry(Candidate(provider, key, model), limit=limit, objective=objective)


def failed(
    reason: Reason,
    dispatch: Dispatch = Dispatch.REFUSED,
    *,
    billed: bool | None = None,
    retry_after: float | None = None,
    phase: str = "",
) -> Failure:
    """How an attempt failed; by default the upstream refused it with a status."""
    return Failure(reason, "its own words", dispatch=dispatch, billed=billed, retry_after=retry_after, phase=phase)
