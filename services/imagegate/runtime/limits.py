"""Limits that belong to an upstream's key or machine: at a time, per second, per day.

They are kept in the provider's process, next to the key. Whoever would wait longer than the caller
has patience for is told so at once, with the time after which it makes sense to come back.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from time import monotonic

from imagegate.runtime.callers import ANONYMOUS, Caller
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.rate import Rate
from imagegate.runtime.slots import Slots, TellPlace


class DailyQuota:
    """A number of requests per UTC day. It is kept in memory: a restart begins anew."""

    def __init__(self, per_day: int) -> None:
        self.per_day = per_day
        self.used = 0
        self._day: date | None = None

    def take(self, now: datetime) -> None:
        """Count one request, or raise Failure(OVER_QUOTA) with the time until the next UTC day."""
        self.check(now)
        today = now.astimezone(UTC).date()
        if not self._is_counted(today):
            self._day, self.used = today, 0
        self.used += 1

    def check(self, now: datetime) -> None:
        """Raise what `take` would raise, and count nothing."""
        if self.left(now) > 0:
            return
        now = now.astimezone(UTC)
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        wait = (midnight - now).total_seconds()
        raise _held_back(Reason.OVER_QUOTA, f"its {self.per_day} requests of today are used up", wait)

    def left(self, now: datetime) -> int:
        """How many requests there may still be today."""
        return self.per_day - (self.used if self._is_counted(now.astimezone(UTC).date()) else 0)

    def _is_counted(self, day: date) -> bool:
        """Whether what was used counts for `day`: a clock that is set back over midnight begins no new one."""
        return self._day is not None and timedelta(0) <= self._day - day <= timedelta(days=1)


class Limits:
    """What one provider process may do at a time, per second and per day (None: no limit)."""

    def __init__(
        self,
        *,
        concurrency: int,
        rate: Rate | None = None,
        quota: DailyQuota | None = None,
        clock: Callable[[], float] = monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.quota = quota
        self._slots = Slots(concurrency, rate, clock)
        self._today = today

    @property
    def quota_left(self) -> int | None:
        """How many requests there may still be today; None where that is not limited."""
        return None if self.quota is None else self.quota.left(self._today())

    @asynccontextmanager
    async def slot(
        self, patience: float | None, tell_place: TellPlace | None = None, caller: Caller = ANONYMOUS
    ) -> AsyncIterator[None]:
        """Hold one slot. Waits at most `patience` seconds for it, for ever where that is None; callers are served by
        their weights.

        Whoever has to wait hears, now and whenever it changes, how many are before it: 0 is next.
        Raises Failure: BUSY, RATE_LIMITED or OVER_QUOTA, with `retry_after`.
        """
        if self.quota is not None:
            self.quota.check(self._today())  # nobody waits for that
        try:
            await self._slots.acquire(patience, tell_place, caller)
        except Failure as failure:
            raise _held_back(failure.reason, failure.message, failure.retry_after or 0.0) from failure
        try:
            self._count()
            yield
        finally:
            self._slots.release()

    def _count(self) -> None:
        """Count one request of the day; where there is none left its turn has used nothing up."""
        try:
            if self.quota is not None:
                self.quota.take(self._today())
        except Failure:
            self._slots.give_back()
            raise


def _held_back(reason: Reason, why: str, wait: float) -> Failure:
    return Failure(reason, f"the provider is held back: {why}", retry_after=wait, dispatch=Dispatch.NOT_SENT)
