"""What is sent to callers who are not there any more: nothing, since gRPC keeps for ever what it cannot send."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, cast

import grpc
import pytest

from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.interceptors import CallInterceptor
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry

METHOD = "/imagegate.v1.GenerationService/Generate"


class Details(grpc.HandlerCallDetails):
    """Which method is called."""

    method = METHOD
    invocation_metadata = ()


class Context:
    """A call as gRPC shows it; `sent` has what it was to send."""

    def __init__(self) -> None:
        self.remaining: float | None = 30.0
        self.sent: list[str] = []

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def set_trailing_metadata(self, _metadata: object) -> None:
        pass

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def auth_context(self) -> Mapping[str, object]:
        return {}

    def add_done_callback(self, _callback: object) -> None:
        pass

    def time_remaining(self) -> float | None:
        return self.remaining

    async def read(self) -> bytes:
        return b"a message"

    async def send_initial_metadata(self, _metadata: object) -> None:
        self.sent.append("a question")

    async def abort(self, code: grpc.StatusCode, _details: str, _metadata: object) -> None:
        self.sent.append(code.name)
        raise grpc.aio.AbortError


async def call(context: Context, behave: Callable[[bytes, Any], Awaitable[bytes]]) -> asyncio.Task[bytes]:
    """The task of a call that is served by `behave`, as gRPC makes it."""
    handler = grpc.unary_unary_rpc_method_handler(behave, bytes, bytes)

    async def found(_details: grpc.HandlerCallDetails) -> object:
        return handler

    interceptor = CallInterceptor(ProcessMetrics(Registry()), Redactor())
    wrapped: Any = await interceptor.intercept_service(cast(Any, found), Details())
    work: Coroutine[Any, Any, bytes] = wrapped.stream_unary(None, context)
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: None)
    return task


async def test_a_caller_who_left_is_not_asked_whether_he_is_there() -> None:
    """A call that gRPC cancelled, and whose end it waits for, sends nothing."""
    context, begun = Context(), asyncio.Event()

    async def hanging(_message: bytes, _context: Any) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    task = await call(context, hanging)
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert context.sent == []


async def test_whoever_is_cancelled_by_mistake_has_a_caller() -> None:
    """M2: a task that was cancelled and that nobody waits for finds out that its caller is there, and answers it."""
    context = Context()

    async def cancelling_itself(_message: bytes, _context: Any) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()
        return b""

    task = await call(context, cancelling_itself)
    async with asyncio.timeout(5):
        while not task.done():
            await asyncio.sleep(0.01)
    assert isinstance(task.exception(), grpc.aio.AbortError)
    assert context.sent == ["a question", "INTERNAL"]


async def test_an_error_that_comes_after_the_deadline_is_not_sent() -> None:
    """F42: once the deadline has passed nobody hears why."""
    context = Context()

    async def too_late(_message: bytes, _context: Any) -> bytes:
        context.remaining = 0.0
        raise Failure(Reason.DEADLINE_TOO_SHORT, "there was no time")

    task = await call(context, too_late)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert context.sent == []


async def test_a_picture_that_comes_after_the_deadline_is_not_sent() -> None:
    """F42: nor does anybody hear of what was made too late, however large it is."""
    context = Context()

    async def too_late(_message: bytes, _context: Any) -> bytes:
        context.remaining = 0.0
        return b"a picture"

    task = await call(context, too_late)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert context.sent == []
