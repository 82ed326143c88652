"""What happens around every call: an id, a deadline, a log line, and errors that tell the truth.

The interceptor here is the outermost one. It lets no exception through: gRPC would send an
exception's text to the caller, secrets included, and a stray CancelledError would leave the caller
waiting until its deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf import text_format
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from imagegate.runtime.access import Access, access_to, is_audited
from imagegate.runtime.callers import OPEN
from imagegate.runtime.current import begin_request, current_caller, works_for
from imagegate.runtime.deadline import DEFAULT_TIMEOUT
from imagegate.runtime.errors import Failure, Reason, to_status
from imagegate.runtime.guard import Guard, check_access
from imagegate.runtime.metadata import REASON_KEY, REQUEST_ID_KEY
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.reply import Reply
from imagegate.runtime.traffic import Traffic
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

# Whose streams are wrapped: those of the library's own services (health, reflection, channelz) end when they like.
OURS = "imagegate."
# A method whose name begins so tells what changes until the caller leaves: it has no end that it could be late for.
WATCH = "Watch"
# Seconds for an error to leave: where it waits behind what the caller has not read, gRPC keeps it for then; otherwise
# whoever is busy gets it late.
LEAVING_SECONDS = 1.0
LEAVING_LATE_SECONDS = 10.0
# A line of the audit log repeats what was asked of the admin port, if it is no longer than what makes sense there.
MAX_AUDITED_BYTES = 2048

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # generic in the stubs only
Behaviour = Callable[[Any, Any], Awaitable[Any]]


def told_as(failure: Failure, request_id: str, redactor: Redactor) -> status_pb2.Status:
    """The status that tells a caller of `failure`, without secrets."""
    failure.message = redactor.scrub(failure.message)
    failure.remedy = redactor.scrub(failure.remedy)
    return to_status(failure, request_id)


def by_a_bug() -> Failure:
    """What a caller is told where one of ours has failed by a bug, which the log has."""
    return Failure(
        Reason.INTERNAL,
        "imagegate failed by a bug of its own; nothing about your request is known to be wrong",
        remedy="look for this request's id in the log of the service that answered",
    )


class _CallerGoneError(Exception):
    """Nobody is there to be answered: the caller left, or its deadline has passed."""


@dataclass(slots=True)
class _Call:
    """One call under way: what is called, since when, and what an operator asked for, once that is read."""

    method: str
    context: Any
    request_id: str
    began: float
    # Of the task that serves it, from the start: gRPC's own.
    callbacks: int
    request: Any = None

    def known_as(self, offered: Iterable[str]) -> None:
        """Its id is the first legal one of those, or of the metadata, else a new one."""
        told = (str(value) for key, value in self.context.invocation_metadata() or () if key == REQUEST_ID_KEY)
        self.request_id = begin_request(*offered, *told)
        self.context.set_trailing_metadata(((REQUEST_ID_KEY, self.request_id),))

    def received(self, request: Any) -> None:
        """Its message is there, which may have an id. In others `request_id` is that of the order they ask about."""
        if is_audited(self.method):
            self.request = request
        if isinstance(request, generation_pb2.GenerateRequest) and request.request_id:
            self.known_as((request.request_id, self.request_id))


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every unary call, and the answering streams of our own services; lets in whom the `guard` admits.

    A handler of ours that answers with a stream is a coroutine that calls `context.write`, not a generator:
    only so can it stop waiting for a caller who does not read. Without a guard everybody is let in. To gRPC every
    method takes a stream: only so is its message read by us, once its caller is admitted and as there is room.
    """

    def __init__(
        self,
        metrics: ProcessMetrics,
        redactor: Redactor,
        default_timeout: float = DEFAULT_TIMEOUT,
        guard: Guard | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._metrics = metrics
        self._redactor = redactor
        self._default_timeout = default_timeout
        self._guard = guard or Guard(lambda: OPEN)
        self._traffic = traffic or Traffic()
        # By method: the handler that there is for it, and the same one wrapped.
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler that the server will call, wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method.removeprefix("/")
        if self._guard.will_refuse(method, handler_call_details.invocation_metadata or ()):
            return self._refusing(method)
        former, wrapped = self._wrapped.get(method, (None, None))
        if former is not handler:
            wrapped = self._wrap(handler, method)
            self._wrapped[method] = handler, wrapped
        return wrapped

    def _wrap(self, handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
        if not _is_wrapped(handler, method):
            return self._guarded(handler, method)
        return self._unary(handler, method) if handler.unary_unary else self._streaming(handler, method)

    def _unary(self, handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
        serialize = handler.response_serializer or bytes
        behave = cast(Behaviour, handler.unary_unary)

        async def answer(_messages: Any, context: Any) -> bytes:
            reply = self._traffic.reply(context, handler.response_serializer)

            async def behaviour(call: _Call) -> bytes:
                message = serialize(await self._received(call, reply, handler, behave))  # the request is gone by then
                await reply.turn(message)
                if _is_out_of_time(call):
                    raise _CallerGoneError
                return message

            return cast(bytes, await self._answer(_begin(method, reply), behaviour))

        return grpc.stream_unary_rpc_method_handler(answer)

    def _streaming(self, handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
        behave = cast(Behaviour, handler.unary_stream)

        async def answer(_messages: Any, context: Any) -> None:
            reply = self._traffic.reply(context, handler.response_serializer)

            async def behaviour(call: _Call) -> None:
                await self._received(call, reply, handler, behave)

            await self._answer(_begin(method, reply), behaviour)

        return grpc.stream_stream_rpc_method_handler(answer)

    async def _received(
        self, call: _Call, reply: Reply, handler: "grpc.RpcMethodHandler[Any, Any]", behave: Behaviour
    ) -> Any:
        """What `behave` makes of the message of the call, whose own id counts from now on."""
        traffic = self._traffic
        is_counted = call.method.startswith(OURS)  # probes are answered whatever else goes on
        if is_counted:
            traffic.enter()
        try:
            request, size = await traffic.receive(reply, handler.request_deserializer or bytes)
            try:
                call.received(request)
                return await behave(request, reply)
            finally:
                traffic.back(size)
        finally:
            if is_counted:
                traffic.leave()

    def _refusing(self, method: str) -> Handler:
        """A handler that refuses. As one of a stream it does so before the message is read, however large that is."""

        async def refuse(_requests: Any, context: Any) -> None:
            await self._answer(_begin(method, context), _nothing)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _guarded(self, handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
        """A library's handler of a stream, for those who may; None where it is of a kind that nobody guards."""
        if access_to(method) is Access.ANYBODY:
            return handler
        if handler.stream_stream is None:
            return None
        stream = cast(Callable[[Any, Any], AsyncIterator[Any]], handler.stream_stream)

        async def answer(requests: Any, context: Any) -> AsyncIterator[Any]:
            await self._answer(_begin(method, context), _nothing)
            async for response in stream(requests, context):
                yield response

        return grpc.stream_stream_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _answer(self, call: _Call, behaviour: Callable[[_Call], Awaitable[Any]]) -> Any:
        context = call.context
        try:
            caller = self._guard.caller(call.method, context)
            works_for(caller)
            check_access(call.method, caller)
            response = await self._in_time(call, behaviour)
        except asyncio.CancelledError as cancelled:
            # Nothing tells a caller who left from a task that was cancelled by mistake, except an answer:
            # it cannot be sent to the former, and the latter would wait for one until its deadline.
            if await _is_gone(call):
                self._ended(call, "CANCELLED")
                raise
            try:
                await self._refuse(call, by_a_bug())
            except _CallerGoneError:
                raise cancelled from None
            except (grpc.aio.AbortError, asyncio.CancelledError):
                log.exception("a call was cancelled by nobody", method=call.method)
                raise
        except grpc.aio.AbortError:
            # The library's own services (health, channelz) have ended the call themselves.
            self._ended(call, getattr(context.code(), "name", "UNKNOWN"))
            raise
        except _CallerGoneError:
            self._ended(call, "DEADLINE_EXCEEDED")
            raise asyncio.CancelledError from None
        except Failure as error:
            # Its frames hold what was made; with the failure in one of them they would stay until they are collected.
            failure = error.with_traceback(None)
        except Exception as error:
            if isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED:
                # A service's generated base says so of what is in the contract and is not offered.
                self._ended(call, "UNIMPLEMENTED")
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{call.method} is not offered here")
            log.exception("a call failed by a bug", method=call.method)
            failure = by_a_bug()
        else:
            self._ended(call, "OK")
            return response
        try:
            return await self._refuse(call, failure)
        except _CallerGoneError:
            raise asyncio.CancelledError from None

    async def _in_time(self, call: _Call, behaviour: Callable[[_Call], Awaitable[Any]]) -> Any:
        """What it answers. Raises Failure(TIMEOUT) where its caller has set no deadline and the default one passes."""
        if call.context.time_remaining() is not None or call.method.rpartition("/")[2].startswith(WATCH):
            return await behaviour(call)
        try:
            async with asyncio.timeout(self._default_timeout) as patience:
                return await behaviour(call)
        except TimeoutError as error:
            if not patience.expired():
                raise
            told = f"no answer within the default of {self._default_timeout:g} s"
            raise Failure(Reason.TIMEOUT, told) from error

    async def _refuse(self, call: _Call, failure: Failure) -> None:
        """End the call with `failure`; always raises.

        AbortError where it was sent, CancelledError where the caller has to read what lies before it first,
        _CallerGoneError where nobody is there to hear it.
        """
        if _is_left(call) or _is_out_of_time(call):
            self._ended(call, "CANCELLED" if _is_left(call) else code_pb2.Code.Name(failure.code))
            raise _CallerGoneError
        status = told_as(failure, call.request_id, self._redactor)
        rich = rpc_status.to_status(status)
        metadata = (*rich.trailing_metadata, (REASON_KEY, str(failure.reason)), (REQUEST_ID_KEY, call.request_id))
        try:
            async with asyncio.timeout(LEAVING_SECONDS if _is_unread(call) else LEAVING_LATE_SECONDS):
                await call.context.abort(rich.code, rich.details, metadata)
        except grpc.aio.AbortError:
            self._ended(call, code_pb2.Code.Name(status.code))
            raise
        except TimeoutError:
            if isinstance(call.context, Reply):
                call.context.is_left_behind = True
            self._ended(call, code_pb2.Code.Name(status.code))
            raise asyncio.CancelledError from None
        except Exception as gone:  # gRPC has several words for it
            self._ended(call, "CANCELLED")
            raise _CallerGoneError from gone

    def _ended(self, call: _Call, code: str) -> None:
        self._metrics.answered(call.method, code, monotonic() - call.began)
        if is_audited(call.method):
            log.warning(
                "admin",
                who=current_caller().name,
                method=call.method,
                what=_in_short(call.request),
                outcome=code,
                address=call.context.peer(),
            )


def _begin(method: str, context: Any) -> _Call:
    began = monotonic()
    call = _Call(method, context, "", began, _callbacks())
    call.known_as(())
    return call


async def _nothing(_call: _Call) -> None:
    """What is done where whether it may be is all that matters."""


def _is_out_of_time(call: _Call) -> bool:
    """Whether the deadline of the call has passed, and nobody hears of it any more."""
    remaining = call.context.time_remaining()
    return remaining is not None and remaining <= 0


def _callbacks() -> int:
    """How many wait for the end of the task at hand."""
    return len(getattr(asyncio.current_task(), "_callbacks", None) or ())


def _is_left(call: _Call) -> bool:
    """Whether gRPC waits for the end of the call's task, as it does once it has cancelled it for a caller who left."""
    return _callbacks() > call.callbacks


async def _is_gone(call: _Call) -> bool:
    """Whether nothing can be sent any more, by its smallest part: gRPC keeps for ever what it cannot send
    (grpc/grpc#43360), and an error has a kilobyte.
    """
    if _is_out_of_time(call) or _is_left(call):
        return True
    try:
        await call.context.send_initial_metadata(())
    except grpc.aio.UsageError:  # it was sent before, and says nothing
        return False
    except Exception:  # noqa: BLE001 -- gRPC has several words for it
        return True
    return False


def _is_unread(call: _Call) -> bool:
    """Whether something lies before what is sent now."""
    return isinstance(call.context, Reply) and call.context.is_unread


def _in_short(request: Message | None) -> str:
    """What was asked, on one line."""
    if request is None or request.ByteSize() > MAX_AUDITED_BYTES:
        return "not looked at"
    return text_format.MessageToString(request, as_one_line=True, as_utf8=True)


def _is_wrapped(handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> bool:
    return bool(handler.unary_unary or (handler.unary_stream and method.startswith(OURS)))
