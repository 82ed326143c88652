"""A timer cooldown, as published of LiteLLM's router (`router_utils/cooldown_handlers.py`, "Retries, fallbacks and
cooldowns" in its documentation), with its defaults:

- A deployment is left alone for 5 s (`cooldown_time`), or for the Retry-After, at once on 429, 401 and 404, and when
  more than half of at least five calls of this clock minute failed (408 counts there; no other 4xx ever counts).
- The only deployment of a group is cooled by 401 and 404 only, or when a thousand calls of a minute all failed.
- There is no probe: when the timer ends, everybody may call again. If all are cooling, the filter is bypassed.
- A failed request goes to the next deployment that neither cools nor failed it; where there is none, the same one is
  tried again, twice at most (`num_retries`), for a failure worth retrying, after its Retry-After up to 60 s or 0.5 s
  doubled to 8 s with jitter. (Bypass and backoff are not in that file: they were taken from descriptions of it.)

In its favour: a refused connection counts here (published code ignores it), and every failure falls back. It does not
know the caller's deadline: an attempt ends with its time-out (6,000 s where nobody sets one) or when the caller leaves.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.runtime.errors import Failure, Reason
from simulation.gateway import Call, Ended, Step, Try, Wait
from simulation.traffic import Request

DEFAULT_TIMEOUT = 6000.0
COOLDOWN_SECONDS = 5.0
FAILED_SHARE, AT_LEAST = 0.5, 5
AT_LEAST_WHERE_SINGLE = 1000
RETRIES = 2
LONGEST_RETRY_AFTER = 60.0
AT_ONCE = frozenset({401, 404, 429})
COUNTED_4XX = AT_ONCE | {408}
AT_ONCE_WHERE_SINGLE = frozenset({401, 404})
RETRIED_4XX = frozenset({408, 409, 429})


@dataclass(slots=True)
class _Minute:
    number: int = -1
    succeeded: int = 0
    failed: int = 0


class Cooldown:
    """The gateway. `timeout` is what an attempt gets, in seconds."""

    def __init__(self, candidates: Sequence[str], timeout: float, rng: random.Random) -> None:
        self.candidates = candidates
        self.timeout = timeout
        self.rng = rng
        self._until: defaultdict[str, float] = defaultdict(float)
        self._minutes: defaultdict[str, _Minute] = defaultdict(_Minute)

    def __repr__(self) -> str:
        cooled = ", ".join(f"{candidate} until {until:g}s" for candidate, until in self._until.items() if until)
        return f"<Cooldown {cooled or 'none'}>"

    def begin(self, request: Request, now: float) -> Call:
        return _Call(self)

    def key_accepted(self, candidate: str, now: float) -> None:
        """Nothing is made of it."""

    def open_to(self, now: float) -> Sequence[str]:
        """The candidates that do not cool; all of them where all do."""
        return [each for each in self.candidates if self._until[each] <= now] or self.candidates

    def succeeded(self, candidate: str, now: float) -> None:
        self._minute(candidate, now).succeeded += 1

    def failed(self, candidate: str, failure: Failure, now: float) -> None:
        status = status_of(failure)
        if 400 <= status < 500 and status not in COUNTED_4XX:
            return
        minute = self._minute(candidate, now)
        minute.failed += 1
        if self._is_too_much(status, minute):
            length = COOLDOWN_SECONDS if failure.retry_after is None else failure.retry_after
            self._until[candidate] = now + length

    def _is_too_much(self, status: int, minute: _Minute) -> bool:
        total = minute.succeeded + minute.failed
        if len(self.candidates) == 1:
            return status in AT_ONCE_WHERE_SINGLE or (minute.succeeded == 0 and total >= AT_LEAST_WHERE_SINGLE)
        return status in AT_ONCE or (total >= AT_LEAST and minute.failed / total > FAILED_SHARE)

    def _minute(self, candidate: str, now: float) -> _Minute:
        number = int(now // 60)
        if self._minutes[candidate].number != number:
            self._minutes[candidate] = _Minute(number)
        return self._minutes[candidate]


class _Call:
    def __init__(self, gateway: Cooldown) -> None:
        self._gateway = gateway
        self._failed: list[str] = []
        self._tried = ""
        self._retries = 0
        self._waited = False
        self._failure: Failure | None = None
        self._delivered = False

    def next(self, now: float) -> Step:
        if self._delivered:
            return Ended(delivered=True)
        open_to = self._gateway.open_to(now)
        fresh = [each for each in open_to if each not in self._failed]
        if not fresh and not self._waited:
            return self._before_retry()
        self._waited = False
        self._tried = (fresh or open_to)[0]
        return Try(self._tried, self._gateway.timeout)

    def report(self, failure: Failure | None, now: float) -> None:
        self._failure = failure
        self._delivered = failure is None
        if failure is None:
            self._gateway.succeeded(self._tried, now)
        else:
            self._failed.append(self._tried)
            self._gateway.failed(self._tried, failure, now)

    def loaded(self, now: float) -> None:
        """Nothing is made of it."""

    def left(self, now: float) -> None:
        """A caller who leaves is counted nowhere."""

    def _before_retry(self) -> Step:
        failure = self._failure
        if failure is None or self._retries == RETRIES or not _is_worth_retrying(failure):
            return Ended(delivered=False)
        self._waited = True
        asked = failure.retry_after
        backoff = min(0.5 * 2**self._retries, 8.0) + 0.75 * self._gateway.rng.random()
        self._retries += 1
        return Wait(asked if asked is not None and 0 < asked <= LONGEST_RETRY_AFTER else backoff)


def status_of(failure: Failure) -> int:
    """The HTTP status that such a gateway sees: 408 for a time-out, 500 where there was no answer."""
    return 408 if failure.reason is Reason.TIMEOUT else failure.upstream_status or 500


def _is_worth_retrying(failure: Failure) -> bool:
    status = status_of(failure)
    return status in RETRIED_4XX or status >= 500
