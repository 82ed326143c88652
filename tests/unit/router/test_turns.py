"""How many requests of a caller may be under way at a time (S32)."""

import asyncio

import pytest
from google.rpc import code_pb2

from imagegate.router.turns import Turns
from imagegate.runtime.callers import ANONYMOUS, Caller
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.slots import MAX_WAITING
from imagegate.v1 import generation_pb2

WEB = Caller("web", max_inflight=2)


async def settle() -> None:
    """Let every task run as far as it gets."""
    for _ in range(20):
        await asyncio.sleep(0)


class Request:
    """One that takes as long as it is let."""

    def __init__(self, turns: Turns, caller: Caller, seconds: float = 300.0) -> None:
        self.is_under_way = False
        self.heard = list[int]()
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._made(turns, caller, seconds))

    async def _made(self, turns: Turns, caller: Caller, seconds: float) -> None:
        async with turns.turn(caller, seconds, self._hear):
            self.is_under_way = True
            await self._end.wait()

    def _hear(self, event: generation_pb2.GenerateEvent) -> None:
        assert event.progress.phase == generation_pb2.PHASE_QUEUED
        self.heard.append(event.progress.queue_position)

    async def end(self) -> None:
        """It is over, and whoever follows has begun."""
        self._end.set()
        await self.task
        await settle()

    async def leave(self) -> None:
        """Its caller goes away."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await settle()


async def refused(turns: Turns, caller: Caller, seconds: float) -> Failure:
    with pytest.raises(Failure) as caught:
        async with turns.turn(caller, seconds):
            pass
    return caught.value


async def test_no_more_than_may_be_are_under_way() -> None:
    """S32: beyond `max_inflight` a caller's requests wait, the oldest first, and hear their places."""
    turns = Turns()
    requests = [Request(turns, WEB) for _ in range(5)]
    await settle()
    assert [each.is_under_way for each in requests] == [True, True, False, False, False]
    assert [each.heard for each in requests] == [[], [], [0], [1], [2]]
    await requests[3].leave()
    assert requests[4].heard == [2, 1]
    await requests[0].end()
    assert [each.is_under_way for each in requests[2:]] == [True, False, False]
    assert requests[4].heard == [2, 1, 0]
    await requests[1].leave()
    assert requests[4].is_under_way
    for request in (requests[2], requests[4]):
        await request.end()
    for _ in range(2):
        await Request(turns, WEB).end()


async def test_nobody_waits_for_another_caller() -> None:
    """S32: one caller's requests are no reason for another's to wait, nor are there any where there is no limit."""
    turns = Turns()
    held = [Request(turns, WEB) for _ in range(10)]
    others = [Request(turns, caller) for caller in (Caller("batch", max_inflight=1), Caller("free"), ANONYMOUS)]
    many = [Request(turns, Caller("free")) for _ in range(100)]
    await settle()
    assert all(request.is_under_way for request in (*others, *many))
    for request in (*held, *others, *many):
        await request.leave()


async def test_who_waits_in_vain_is_told_in_time() -> None:
    """S32: a request whose turn does not come is BUSY, with what to do, before its caller has gone."""
    turns = Turns()
    held = [Request(turns, WEB) for _ in range(2)]
    await settle()
    failure = await refused(turns, WEB, 0.05)
    assert (failure.reason, failure.code, failure.dispatch) == (
        Reason.BUSY,
        code_pb2.RESOURCE_EXHAUSTED,
        Dispatch.NOT_SENT,
    )
    assert failure.retry_after == 1.0
    assert failure.message == ("2 requests of web are under way, and no more may be: all 2 of its slots are taken")
    assert "callers.web.max_inflight" in failure.remedy
    for request in held:
        await request.end()


async def test_not_everybody_may_wait() -> None:
    """S32: of one caller a thousand wait; more are BUSY at once."""
    turns = Turns()
    requests = [Request(turns, WEB) for _ in range(2 + MAX_WAITING)]
    await settle()
    assert "1,000 requests of this caller wait already" in (await refused(turns, WEB, 300)).message
    await requests[0].end()
    requests.append(Request(turns, WEB))
    await settle()
    assert not requests[-1].task.done()
    for request in requests[1:]:
        request.task.cancel()
    await asyncio.gather(*(request.task for request in requests), return_exceptions=True)


async def test_another_limit_holds_from_the_next_request_on() -> None:
    """S32: a configuration that is loaded anew lets more begin at once, or none until enough have ended."""
    turns = Turns()
    requests = [Request(turns, WEB) for _ in range(4)]
    await settle()
    requests.append(Request(turns, Caller("web", max_inflight=4)))
    await settle()
    assert [each.is_under_way for each in requests] == [True, True, True, True, False]
    requests.append(Request(turns, Caller("web", max_inflight=1)))
    await settle()
    for request in requests[:3]:
        await request.end()
        assert not requests[4].is_under_way
    await requests[3].end()
    assert [each.is_under_way for each in requests[4:]] == [True, False]
    for request in requests[4:]:
        await request.end()
