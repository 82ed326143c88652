"""How an upstream behaves. Each fault answers one submission: in how many seconds, with a picture or a failure.

`begins` and `ends` tell when it is sick; both are infinite for one that never is, `ends` also for as long as
nobody knows. A call that was under way when a fault began is hit by it too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from imagegate.runtime.errors import Dispatch, Failure, Reason
from simulation.traffic import Request

REFUSED_AFTER = 0.05  # nobody listens
ANSWERED_AFTER = 0.3  # a status instead of a picture
FAILED_AFTER = 1.0  # an error from inside
TAIL_SHARE, TAIL_TIMES = 0.05, 10.0
RATE_LIMIT_SECONDS = 60.0

Periods = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A picture, or `failure`, so many seconds after the submission; infinite: never."""

    seconds: float
    failure: Failure | None = None


class Fault(Protocol):
    """The behaviour of one upstream."""

    @property
    def begins(self) -> float:
        """When it falls sick."""

    @property
    def ends(self) -> float:
        """When it is well again."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        """What a submission at `now` gets, whose picture takes `seconds` where all is well."""

    def is_loaded(self, now: float) -> bool:
        """What a free check of the model says."""

    def takes_key(self, now: float) -> bool:
        """What a free check of our key says."""


class _Always:
    """Sick in certain periods, loaded always."""

    def __init__(self, periods: Periods = ()) -> None:
        self.periods = periods
        self.begins = periods[0][0] if periods else math.inf
        self.ends = periods[-1][1] if periods else math.inf

    def is_loaded(self, now: float) -> bool:
        return True

    def takes_key(self, now: float) -> bool:
        return True

    def _is_sick(self, now: float) -> bool:
        return any(begin <= now < end for begin, end in self.periods)

    def _hit(self, now: float, seconds: float) -> float | None:
        """When the first period begins that falls into a call under way."""
        return next((begin for begin, _ in self.periods if now < begin < now + seconds), None)


class Well(_Always):
    """It delivers."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        return Reply(seconds)


class Dead(_Always):
    """Connections are refused; those that stood are reset."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        if self._is_sick(now):
            return Reply(REFUSED_AFTER, Failure(Reason.UNREACHABLE, "refused", dispatch=Dispatch.NOT_SENT))
        begin = self._hit(now, seconds)
        if begin is not None:
            return Reply(begin - now, Failure(Reason.UPSTREAM_ERROR, "reset", dispatch=Dispatch.UNKNOWN))
        return Reply(seconds)


class Failing(_Always):
    """It answers 500, also to those under way."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        begin = now if self._is_sick(now) else self._hit(now, seconds)
        if begin is None:
            return Reply(seconds)
        failure = Failure(Reason.UPSTREAM_ERROR, "500", upstream_status=500, dispatch=Dispatch.ACCEPTED, billed=False)
        return Reply(begin - now + FAILED_AFTER, failure)


class Hang(_Always):
    """It takes everything and answers nothing, also to those under way; what hung once stays so."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        hangs = self._is_sick(now) or self._hit(now, seconds) is not None
        return Reply(math.inf if hangs else seconds)


class SlowTail(_Always):
    """One call in twenty takes ten times as long. It is not sick: to leave it is a false trip."""

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        return Reply(seconds * TAIL_TIMES if request.lot < TAIL_SHARE else seconds)


class RateLimit(_Always):
    """While it is short of room it takes `per_minute` submissions a minute and answers 429 to the rest."""

    def __init__(self, periods: Periods, per_minute: int, *, says_when: bool) -> None:
        super().__init__(periods)
        self.per_minute = per_minute
        self.says_when = says_when
        self._minute = -1
        self._taken = 0

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        if not self._is_sick(now):
            return Reply(seconds)
        minute, elapsed = divmod(now, RATE_LIMIT_SECONDS)
        if minute != self._minute:
            self._minute, self._taken = int(minute), 0
        if self._taken < self.per_minute:
            self._taken += 1
            return Reply(seconds)
        failure = Failure(Reason.RATE_LIMITED, "429", upstream_status=429, dispatch=Dispatch.REFUSED, billed=False)
        if self.says_when:
            failure.retry_after = float(math.ceil(RATE_LIMIT_SECONDS - elapsed))
        return Reply(ANSWERED_AFTER, failure)


class Cold:
    """Its model was unloaded at `begins`; whoever asks first makes it load, which takes `loading` seconds."""

    def __init__(self, begins: float, loading: float) -> None:
        self.begins = begins
        self.ends = math.inf
        self._loading = loading

    def takes_key(self, now: float) -> bool:
        return True

    def is_loaded(self, now: float) -> bool:
        return not self.begins <= now < self.ends

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        if self.is_loaded(now):
            return Reply(seconds)
        if self.ends == math.inf:
            self.ends = now + self._loading
        failure = Failure(
            Reason.MODEL_LOADING, "503", upstream_status=503, retry_after=self.ends - now, dispatch=Dispatch.REFUSED
        )
        return Reply(ANSWERED_AFTER, failure)


class Refuses(_Always):
    """It answers `status` to everything, for `reason`; those under way are delivered."""

    def __init__(self, periods: Periods, reason: Reason, status: int) -> None:
        super().__init__(periods)
        self.reason = reason
        self.status = status

    def takes_key(self, now: float) -> bool:
        return self.reason is not Reason.CREDENTIALS_REJECTED or not self._is_sick(now)

    def reply(self, request: Request, seconds: float, now: float) -> Reply:
        if not self._is_sick(now):
            return Reply(seconds)
        words = str(self.status)
        failure = Failure(self.reason, words, upstream_status=self.status, dispatch=Dispatch.REFUSED, billed=False)
        return Reply(ANSWERED_AFTER, failure)
