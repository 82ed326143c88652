"""Limits that belong to an upstream's key or machine: at a time, per second, per day.

They are kept in the provider's process, next to the key. Whoever would wait longer than the caller
has patience for is told so at once, with the time after which it makes sense to come back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from time import monotonic

from imagegate.runtime.errors import Dispatch, Failure, Reason


class Rate:
    """A token bucket: `per_second` requests, at most one second's worth at once (but always one)."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._capacity = max(per_second, 1.0)
        self._tokens = self._capacity
        self._at: float | None = None

    def take(self, now: float, patience: float | None) -> float:
        """Take a token and return the seconds to wait before using it.

        `now` is the monotonic clock. Where the wait exceeds `patience` seconds nothing is taken and
        Failure(RATE_LIMITED) raised; None waits however long it takes.
        """
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._tokens + elapsed * self.per_second, self._capacity)
        wait = max(1.0 - self._tokens, 0.0) / self.per_second
        if patience is not None and wait > patience:
            raise _held_back(Reason.RATE_LIMITED, f"its rate of {self.per_second:g} requests a second is used up", wait)
        self._tokens -= 1.0
        return wait

    def give_back(self) -> None:
        """Return a token that was taken and not used."""
        self._tokens = min(self._tokens + 1.0, self._capacity)


class DailyQuota:
    """A number of requests per UTC day. It is kept in memory: a restart begins anew."""

    def __init__(self, per_day: int) -> None:
        self.per_day = per_day
        self.used = 0
        self._day: date | None = None

    def take(self, now: datetime) -> None:
        """Count one request, or raise Failure(OVER_QUOTA) with the time until the next UTC day."""
        now = now.astimezone(UTC)
        if now.date() != self._day:
            self._day, self.used = now.date(), 0
        if self.used >= self.per_day:
            midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            wait = (midnight - now).total_seconds()
            raise _held_back(Reason.OVER_QUOTA, f"its {self.per_day} requests of today are used up", wait)
        self.used += 1

    def give_back(self) -> None:
        """Return a request that was counted and not made."""
        self.used = max(self.used - 1, 0)


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
        self.concurrency = concurrency
        self.quota = quota
        self._rate = rate
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._today = today

    @asynccontextmanager
    async def slot(self, patience: float | None) -> AsyncIterator[None]:
        """Hold one slot. Waits at most `patience` seconds for it, for ever where that is None.

        Raises Failure: BUSY, RATE_LIMITED or OVER_QUOTA, with `retry_after`.
        """
        await self._acquire(patience)
        try:
            await self._take(patience)
            yield
        finally:
            self._slots.release()

    async def _take(self, patience: float | None) -> None:
        """Count one request and wait for its turn; who is refused or leaves before it has used nothing up."""
        if self.quota is not None:
            self.quota.take(self._today())
        try:
            await self._turn(patience)
        except BaseException:
            if self.quota is not None:
                self.quota.give_back()
            raise

    async def _turn(self, patience: float | None) -> None:
        wait = self._rate.take(self._clock(), patience) if self._rate is not None else 0.0
        if self._rate is None or wait <= 0:
            return
        try:
            await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._rate.give_back()
            raise

    async def _acquire(self, patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _held_back(Reason.BUSY, f"all {self.concurrency} of its slots are taken", 1.0) from error


def _held_back(reason: Reason, why: str, wait: float) -> Failure:
    return Failure(reason, f"the provider is held back: {why}", retry_after=wait, dispatch=Dispatch.NOT_SENT)
