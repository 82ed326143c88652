"""Limits that belong to an upstream's key or machine: at a time, per second, per day.

They are kept in the provider's process, next to the key. Whoever would wait longer than the caller
has patience for is told so at once, with the time after which it makes sense to come back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from time import monotonic

from imagegate.runtime.errors import Dispatch, Failure, Reason


class Rate:
    """A token bucket: `per_second` tokens come in, and `burst` of them are kept at most (None: one second's worth);
    always one.
    """

    def __init__(self, per_second: float, burst: float | None = None) -> None:
        self.per_second = per_second
        self._capacity = max(per_second if burst is None else burst, 1.0)
        self._tokens = self._capacity
        self._at: float | None = None

    def take(self, now: float, patience: float | None, count: int = 1) -> float:
        """Take `count` tokens and return the seconds to wait before using them.

        `now` is the monotonic clock. Where the wait exceeds `patience` seconds nothing is taken and
        Failure(RATE_LIMITED) raised; None waits however long it takes, and whoever comes next waits for that as well.
        """
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._tokens + elapsed * self.per_second, self._capacity)
        wait = max(count - self._tokens, 0.0) / self.per_second
        if patience is not None and wait > patience:
            raise _held_back(Reason.RATE_LIMITED, f"its rate of {self.per_second:g} requests a second is used up", wait)
        self._tokens -= count
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
        if not self._is_counted(now.date()):
            self._day, self.used = now.date(), 0
        if self.used >= self.per_day:
            midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            wait = (midnight - now).total_seconds()
            raise _held_back(Reason.OVER_QUOTA, f"its {self.per_day} requests of today are used up", wait)
        self.used += 1

    def left(self, now: datetime) -> int:
        """How many requests there may still be today."""
        return self.per_day - (self.used if self._is_counted(now.astimezone(UTC).date()) else 0)

    def _is_counted(self, day: date) -> bool:
        """Whether what was used counts for `day`: a clock that is set back over midnight begins no new one."""
        return self._day is not None and timedelta(0) <= self._day - day <= timedelta(days=1)

    def give_back(self) -> None:
        """Return a request that was counted and not made."""
        self.used = max(self.used - 1, 0)


def _tell_nobody(_place: int) -> None:
    """Whoever waits does not want to know for how many."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """One who waits for a slot, and wants to hear its place."""

    tell_place: Callable[[int], None]


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
        self._queue: list[_Waiting] = []
        self._clock = clock
        self._today = today

    @property
    def quota_left(self) -> int | None:
        """How many requests there may still be today; None where that is not limited."""
        return None if self.quota is None else self.quota.left(self._today())

    @asynccontextmanager
    async def slot(
        self, patience: float | None, tell_place: Callable[[int], None] = _tell_nobody
    ) -> AsyncIterator[None]:
        """Hold one slot. Waits at most `patience` seconds for it, for ever where that is None.

        Whoever has to wait hears, now and whenever it changes, how many are before it: 0 is next.
        Raises Failure: BUSY, RATE_LIMITED or OVER_QUOTA, with `retry_after`.
        """
        await self._acquire(patience, tell_place)
        try:
            await self._take(patience, tell_place)
            yield
        finally:
            self._slots.release()

    async def _take(self, patience: float | None, tell_place: Callable[[int], None]) -> None:
        """Count one request and wait for its turn; who is refused or leaves before it has used nothing up."""
        if self.quota is not None:
            self.quota.take(self._today())
        try:
            await self._turn(patience, tell_place)
        except BaseException:
            if self.quota is not None:
                self.quota.give_back()
            raise

    async def _turn(self, patience: float | None, tell_place: Callable[[int], None]) -> None:
        wait = self._rate.take(self._clock(), patience) if self._rate is not None else 0.0
        if self._rate is None or wait <= 0:
            return
        tell_place(ceil(wait * self._rate.per_second) - 1)
        try:
            await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._rate.give_back()
            raise

    async def _acquire(self, patience: float | None, tell_place: Callable[[int], None]) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # at once: there is one, and nobody waits for it
            return
        waiting = _Waiting(tell_place)
        self._queue.append(waiting)
        tell_place(len(self._queue) - 1)
        try:
            async with asyncio.timeout(patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _held_back(Reason.BUSY, f"all {self.concurrency} of its slots are taken", 1.0) from error
        finally:
            self._leave(waiting)

    def _leave(self, waiting: _Waiting) -> None:
        """Take one out of the queue, and tell those behind it."""
        place = self._queue.index(waiting)
        del self._queue[place]
        for index, behind in enumerate(self._queue[place:], place):
            behind.tell_place(index)


def _held_back(reason: Reason, why: str, wait: float) -> Failure:
    return Failure(reason, f"the provider is held back: {why}", retry_after=wait, dispatch=Dispatch.NOT_SENT)
