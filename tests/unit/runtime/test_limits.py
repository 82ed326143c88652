"""Limits that belong to an upstream's key or machine (R9)."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.limits import DailyQuota, Limits, Rate
from imagegate.testing import FakeClock

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def refused(call: Callable[[], object]) -> Failure:
    with pytest.raises(Failure) as caught:
        call()
    assert caught.value.dispatch is Dispatch.NOT_SENT
    return caught.value


async def refused_slot(limits: Limits, patience: float | None) -> Failure:
    with pytest.raises(Failure) as caught:
        async with limits.slot(patience):
            pass
    assert caught.value.dispatch is Dispatch.NOT_SENT
    return caught.value


async def settle() -> None:
    """Let every task run as far as it gets."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_rate_allows_a_second_at_once() -> None:
    """R9: a second's worth of requests goes at once; the next waits for its turn."""
    rate = Rate(2.0)
    assert [rate.take(0.0, 1.0) for _ in range(4)] == [0, 0, 0.5, 1.0]


def test_rate_refuses_who_would_wait_too_long() -> None:
    """R9: who would wait longer than his patience is told when to come back, and uses nothing up."""
    rate = Rate(0.5)
    assert rate.take(0.0, 1.0) == 0
    for now, wait in ((0.0, 2.0), (0.0, 2.0), (0.5, 1.5)):
        failure = refused(lambda now=now: rate.take(now, 1.0))
        assert (failure.reason, failure.retry_after) == (Reason.RATE_LIMITED, pytest.approx(wait))
    assert rate.take(1.0, 1.0) == pytest.approx(1.0)


def test_rate_saves_up_no_more_than_a_second() -> None:
    """R9: a night without requests does not allow a burst in the morning."""
    rate = Rate(3.0)
    rate.take(0.0, None)
    assert [rate.take(36_000.0, None) for _ in range(4)] == [0, 0, 0, pytest.approx(1 / 3)]


def test_rate_keeps_a_burst() -> None:
    """P12: a rate may keep more than a second's worth, and never more than that."""
    rate = Rate(0.5, burst=3)
    assert [rate.take(0.0, 0.0) for _ in range(3)] == [0, 0, 0]
    assert refused(lambda: rate.take(0.0, 0.0)).retry_after == 2
    assert [rate.take(3600.0, None) for _ in range(4)] == [0, 0, 0, 2]


def test_rate_is_owed_what_was_used_beyond_it() -> None:
    """P12: several at once weigh as many; whoever comes next waits for what is owed."""
    rate = Rate(1.0, burst=2)
    assert rate.take(0.0, None, count=5) == 3
    assert refused(lambda: rate.take(0.0, 0.0)).retry_after == 4
    assert rate.take(4.0, 0.0) == 0


def test_quota_ends_at_midnight_utc() -> None:
    """R9: a day's requests are counted until midnight UTC, and the refusal says how long that is."""
    quota = DailyQuota(2)
    quota.take(NOON)
    quota.take(NOON)
    failure = refused(lambda: quota.take(NOON))
    assert (failure.reason, failure.retry_after) == (Reason.OVER_QUOTA, 12 * 3600)
    last = NOON.replace(hour=23, minute=59, second=59)
    assert refused(lambda: quota.take(last)).retry_after == 1
    quota.take(last + timedelta(seconds=1))
    assert quota.used == 1


def test_quota_in_another_zone() -> None:
    """R9: the day is UTC's, whatever zone the clock is told in."""
    quota = DailyQuota(1)
    tokyo = timezone(timedelta(hours=9))
    quota.take(datetime(2025, 3, 2, 8, 59, tzinfo=tokyo))
    assert refused(lambda: quota.take(datetime(2025, 3, 2, 8, 59, 30, tzinfo=tokyo))).retry_after == 30
    quota.take(datetime(2025, 3, 2, 9, 0, tzinfo=tokyo))


def test_quota_and_a_clock_that_is_set_back() -> None:
    """R9, F33: a clock that jumps to and fro over midnight gives one more day's requests, not one at every jump."""
    quota = DailyQuota(1)
    before = NOON.replace(hour=23, minute=30)
    after = before + timedelta(hours=1)
    quota.take(before)
    quota.take(after)
    for now in (before, after, before):
        assert quota.left(now) == 0
        refused(lambda now=now: quota.take(now))
    long_before = before - timedelta(days=7)  # it was wrong for a long time
    assert quota.left(long_before) == 1
    quota.take(long_before)


async def test_busy_after_patience() -> None:
    """R9: who finds every slot taken is BUSY once his patience is over, and told to come back in a second."""
    limits = Limits(concurrency=1)
    async with limits.slot(None):
        for patience in (0, 0.01):
            failure = await refused_slot(limits, patience)
            assert (failure.reason, failure.retry_after) == (Reason.BUSY, 1.0)
    async with limits.slot(0):
        pass


async def test_first_come_first_served() -> None:
    """R9: slots are given in the order in which they were asked for."""
    limits = Limits(concurrency=1)
    served: list[int] = []

    async def one(number: int) -> None:
        async with limits.slot(None):
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(10)))
    assert served == list(range(10))


async def test_released_whatever_happens() -> None:
    """R9: an exception, a cancel while working and a cancel while waiting each give the slot back."""
    limits = Limits(concurrency=1)

    async def work() -> None:
        async with limits.slot(None):
            await asyncio.Event().wait()

    with pytest.raises(ValueError, match="boom"):
        async with limits.slot(None):
            raise ValueError("boom")
    working, waiting = asyncio.create_task(work()), asyncio.create_task(work())
    await settle()
    waiting.cancel()
    working.cancel()
    await asyncio.gather(working, waiting, return_exceptions=True)
    async with limits.slot(0):
        pass


async def test_a_cancel_at_the_moment_of_release_loses_nothing() -> None:
    """R9: a slot that was given to somebody who leaves in the same moment goes on to the next."""
    limits = Limits(concurrency=1)
    served: list[str] = []

    async def one(name: str) -> None:
        async with limits.slot(None):
            served.append(name)

    async with limits.slot(None):
        first, second = asyncio.create_task(one("first")), asyncio.create_task(one("second"))
        await settle()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert served[-1] == "second"
    async with limits.slot(0):
        pass


async def test_rate_and_quota_at_the_slot() -> None:
    """R9: RATE_LIMITED and OVER_QUOTA come at once, with the time to come back, and keep no slot."""
    clock = FakeClock()
    limits = Limits(concurrency=1, rate=Rate(0.1), quota=DailyQuota(2), clock=clock, today=lambda: NOON)
    async with limits.slot(1.0):
        pass
    limited = await refused_slot(limits, 1.0)
    assert (limited.reason, limited.retry_after) == (Reason.RATE_LIMITED, pytest.approx(10))
    clock.advance(10)
    async with limits.slot(1.0):
        pass
    clock.advance(10)
    over = await refused_slot(limits, 1.0)
    assert (over.reason, over.retry_after) == (Reason.OVER_QUOTA, 12 * 3600)


async def test_what_is_refused_uses_up_nothing() -> None:
    """R9: a request held back by the rate is not counted for the day, and the other way round."""
    clock = FakeClock()
    quota = DailyQuota(5)
    limits = Limits(concurrency=1, rate=Rate(1.0), quota=quota, clock=clock, today=lambda: NOON)
    async with limits.slot(0.5):
        pass
    for _ in range(20):
        assert (await refused_slot(limits, 0.5)).reason is Reason.RATE_LIMITED
    assert quota.used == 1

    rate = Rate(1.0)
    spent = Limits(concurrency=1, rate=rate, quota=DailyQuota(0), clock=clock, today=lambda: NOON)
    for _ in range(100):
        assert (await refused_slot(spent, None)).reason is Reason.OVER_QUOTA
    assert rate.take(clock(), 0.0) == 0, "the refused ones must not hold up the first of the next day"


async def test_who_leaves_before_his_turn_uses_up_nothing() -> None:
    """R9: a caller that goes away while waiting for the rate gives his turn and his count back."""
    rate, quota = Rate(0.01), DailyQuota(5)
    limits = Limits(concurrency=2, rate=rate, quota=quota, clock=FakeClock(), today=lambda: NOON)

    async def one() -> None:
        async with limits.slot(None):
            pass

    await one()
    waiting = asyncio.create_task(one())
    await settle()
    assert quota.used == 2
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert quota.used == 1
    assert refused(lambda: rate.take(1000.0, 0.0)).retry_after == pytest.approx(100)


async def test_who_waits_hears_how_many_are_before_him() -> None:
    """R9: a place in the queue is told at once and whenever it changes, to those behind whoever goes."""
    limits = Limits(concurrency=1)
    heard: dict[str, list[int]] = {name: [] for name in ("first", "second", "third", "fourth")}
    leave = {name: asyncio.Event() for name in heard}

    async def one(name: str, patience: float | None = None) -> None:
        async with limits.slot(patience, heard[name].append):
            await leave[name].wait()

    tasks = {name: asyncio.create_task(one(name)) for name in heard}
    await settle()
    assert heard == {"first": [], "second": [0], "third": [1], "fourth": [2]}
    tasks["third"].cancel()
    await settle()
    assert heard == {"first": [], "second": [0], "third": [1], "fourth": [2, 1]}
    leave["first"].set()
    await settle()
    assert heard == {"first": [], "second": [0], "third": [1], "fourth": [2, 1, 0]}
    leave["second"].set()
    leave["fourth"].set()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    async with limits.slot(0, heard["first"].append):
        assert heard["first"] == []


async def test_who_is_refused_leaves_the_queue() -> None:
    """R9: whoever had enough of waiting is before nobody any more."""
    limits, heard = Limits(concurrency=1), list[int]()
    async with limits.slot(None):
        assert (await refused_slot(limits, 0.01)).reason is Reason.BUSY
        waiting = asyncio.create_task(limits.slot(None, heard.append).__aenter__())
        await settle()
        assert heard == [0]
        waiting.cancel()


async def test_the_rate_is_a_queue_too() -> None:
    """R9: who waits for the rate hears how many turns come before his."""
    limits, heard = Limits(concurrency=9, rate=Rate(2.0), clock=FakeClock()), list[int]()
    tasks = [asyncio.create_task(limits.slot(None, heard.append).__aenter__()) for _ in range(5)]
    await settle()
    assert heard == [0, 1, 2]
    for task in tasks:
        task.cancel()


async def test_what_is_left_of_the_day() -> None:
    """R9: the quota that is left is told, is whole again on the next day, and is not told where there is none."""
    now = [NOON]
    limits = Limits(concurrency=1, quota=DailyQuota(3), today=lambda: now[0])
    assert limits.quota_left == 3
    async with limits.slot(None):
        assert limits.quota_left == 2
    now[0] += timedelta(days=1)
    assert limits.quota_left == 3
    assert Limits(concurrency=1).quota_left is None
