"""Our policy behind the simulator's face. Provisional: it walks the candidates over `Admission` as `Router` does."""

import random
from collections.abc import Sequence

from imagegate.router import budget
from imagegate.router.admission import Admission, Permits
from imagegate.router.events import Event
from imagegate.router.routes import Candidate
from imagegate.router.verdict import Next, verdict_on
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Model
from simulation.gateway import Call, Ended, Step, Try
from simulation.traffic import Request

TYPICAL_SECONDS = (5.0, 20.0)
MODEL = Model(key="model", display_name="model", upstream_model="model", typical_seconds=TYPICAL_SECONDS)
ATTEMPT_SECONDS = budget.own_limit(MODEL, None, 1)


def nobody_hears(_event: Event) -> None:
    """The simulator measures what is done, not what is told."""


class Ours:
    """The gateway."""

    def __init__(self, candidates: Sequence[str], rng: random.Random) -> None:
        self.admission = Admission(nobody_hears, lambda: rng.uniform(-1, 1))
        self.candidates = [Candidate(name, MODEL.key, MODEL) for name in candidates]

    def begin(self, request: Request, now: float) -> Call:
        return _Call(self, request)


class _Call:
    def __init__(self, gateway: Ours, request: Request) -> None:
        self._admission = gateway.admission
        self._left = list(gateway.candidates)
        self._request = request
        self._permits: Permits | None = None
        self._began = 0.0
        self._timeout = 0.0
        self._failures: list[Failure] = []
        self._delivered = False

    def next(self, now: float) -> Step:
        remaining = self._request.deadline - now
        if self._delivered or remaining <= budget.RESERVE or not self._goes_on():
            return Ended(self._delivered)
        while self._left:
            candidate = self._left.pop(0)
            if self._admission.refusal(candidate.provider, candidate.key, now) is None:
                return self._try(candidate, remaining, now)
        return Ended(delivered=False)

    def report(self, failure: Failure | None, now: float) -> None:
        if self._permits is None:
            return
        if failure is None:
            self._delivered = True
            self._admission.delivered(self._permits, now, now - self._began, budget.usual_seconds(MODEL))
        else:
            self._failures.append(failure)
            starved = failure.reason is Reason.TIMEOUT and self._timeout < MODEL.typical_seconds[0]
            self._admission.failed(self._permits, failure, now, starved=starved)
        self._permits = None

    def left(self, now: float) -> None:
        if self._permits is not None:
            self._admission.release(self._permits, now)

    def _goes_on(self) -> bool:
        verdicts = [verdict_on(failure.reason).next for failure in self._failures]
        return Next.NONE not in verdicts and verdicts.count(Next.ONE) < 2

    def _try(self, candidate: Candidate, remaining: float, now: float) -> Step:
        following = next(
            (c for c in self._left if self._admission.refusal(c.provider, c.key, now) is None),
            None,
        )
        usual = budget.usual_seconds(MODEL)
        following_usual = self._admission.usual(following.provider, following.key, 0.5, usual) if following else None
        self._permits = self._admission.acquire(candidate.provider, candidate.key, now)
        self._began = now
        self._timeout = budget.attempt_timeout(remaining, ATTEMPT_SECONDS, following_usual)
        return Try(candidate.provider, self._timeout)
