"""What a batch does where nothing is as it should be."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from structlog.testing import capture_logs

from imagegate.router.batch import Batches, Context
from imagegate.router.router import Answered
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.outbox import Bounds
from imagegate.runtime.redaction import Redactor
from imagegate.v1 import generation_pb2, router_pb2

Request = generation_pb2.GenerateRequest


class Caller:
    """Takes what is written as soon as it `may_read`."""

    def __init__(self) -> None:
        self.read: list[router_pb2.BatchEvent] = []
        self.may_read = asyncio.Event()

    async def send_initial_metadata(self, _metadata: object) -> None:
        """Sent."""

    def time_remaining(self) -> float:
        return 10.0

    async def write(self, event: bytes) -> None:
        await self.may_read.wait()
        self.read.append(router_pb2.BatchEvent.FromString(event))


class Scripted:
    """Answers with so many bytes, or raises; remembers whom it was asked for."""

    def __init__(self, reply: Callable[[Request], int]) -> None:
        self._reply = reply
        self.ids: list[str] = []

    async def __call__(self, request: Request, request_id: str, deadline: Deadline) -> Answered:
        self.ids.append(request_id)
        await asyncio.sleep(0)
        warnings = ["x" * self._reply(request)]
        answer = generation_pb2.GenerateResponse(request_id=request_id, warnings=warnings)
        return Answered(answer.SerializeToString(), ())


def batch(
    scripted: Scripted, requests: Sequence[Request], caller: Caller, bounds: Bounds, concurrency: int
) -> "asyncio.Task[None]":
    redactor = Redactor()
    redactor.add("hf_madeUpKey0123456789")
    batches = Batches(scripted, lambda: 0.0, redactor, bounds)
    request = router_pb2.GenerateBatchRequest(requests=requests, concurrency=concurrency)
    context: Any = caller
    return asyncio.create_task(batches.generate_batch(request, cast(Context, context)))


async def test_nothing_begins_while_too_much_is_unread() -> None:
    """P8: beyond the bounds only what is under way is made; reading lets the rest begin, and nothing is lost."""
    scripted, caller = Scripted(lambda _: 600), Caller()
    requests = [Request(request_id=f"r{number}") for number in range(10)]
    async with asyncio.timeout(5):
        running = batch(scripted, requests, caller, Bounds(unread_bytes=1000), concurrency=2)
        while len(scripted.ids) < 3:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(scripted.ids) <= 4
        caller.may_read.set()
        await running
    assert sorted(event.response.request_id for event in caller.read) == sorted(
        request.request_id for request in requests
    )


async def test_a_bug_fails_its_request_alone() -> None:
    """R5: a bug, or a stray cancellation, is told as INTERNAL and logged, and the others go on; keys stay hidden."""

    def reply(request: Request) -> int:
        if request.prompt == "bug":
            raise ZeroDivisionError
        if request.prompt == "cancelled":
            raise asyncio.CancelledError
        if request.prompt == "key":
            raise Failure(Reason.UPSTREAM_ERROR, "refused hf_madeUpKey0123456789")
        return 1

    caller = Caller()
    caller.may_read.set()
    requests = [Request(prompt=prompt) for prompt in ("bug", "cancelled", "key", "good")]
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            await batch(Scripted(reply), requests, caller, Bounds(), concurrency=1)
    bug, cancelled, key, good = caller.read
    assert Reason.from_proto(bug.failure.reason) is Reason.from_proto(cancelled.failure.reason) is Reason.INTERNAL
    assert len(bug.failure.request_id) == 32
    assert "madeUp" not in key.failure.message
    assert good.HasField("response")
    assert [log["log_level"] for log in logs] == ["error", "error"]
