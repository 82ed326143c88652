"""What happens around every call: an id, a deadline, a log line, and errors that tell the truth.

The interceptor here is the outermost one. It lets no exception through: gRPC would send an
exception's text to the caller, secrets included, and a stray CancelledError would leave the caller
waiting until its deadline.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import monotonic
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from imagegate.runtime.deadline import DEFAULT_TIMEOUT
from imagegate.runtime.errors import Failure, Reason, to_status
from imagegate.runtime.metadata import REASON_KEY, REQUEST_ID_KEY
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.validation import REQUEST_ID
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

# Whose streams are wrapped: those of the library's own services (health, reflection, channelz) end when they like.
OURS = "imagegate."
# A method whose name begins so tells what changes until the caller leaves: it has no end that it could be late for.
WATCH = "Watch"
# Seconds for an error to leave. On a stream it waits behind what the caller has not read; gRPC keeps it for then.
LEAVING_SECONDS = 1.0

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # generic in the stubs only
Behaviour = Callable[[Any, Any], Awaitable[Any]]

_request_id: ContextVar[str] = ContextVar("imagegate_request_id", default="")


def current_request_id() -> str:
    """The id of the request that this task works on; empty outside of one."""
    return _request_id.get()


def begin_request(*offered: str) -> str:
    """From now on this task works on another request, and its log lines say so: the first id of `offered` that is a
    legal one, else a new one. Returns the id.
    """
    request_id = next((each for each in offered if REQUEST_ID.fullmatch(each)), uuid.uuid4().hex)
    _request_id.set(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


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
    """The caller left before it could be answered."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every unary call, and the answering streams of our own services.

    A handler of ours that answers with a stream is a coroutine that calls `context.write`, not a generator:
    only so can it stop waiting for a caller who does not read.
    """

    def __init__(self, metrics: ProcessMetrics, redactor: Redactor, default_timeout: float = DEFAULT_TIMEOUT) -> None:
        self._metrics = metrics
        self._redactor = redactor
        self._default_timeout = default_timeout

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler that the server will call, wrapped."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.removeprefix("/")
        if handler is None or not _is_wrapped(handler, method):
            return handler
        behaviour = cast(Behaviour, handler.unary_unary or handler.unary_stream)

        async def answer(request: Any, context: Any) -> Any:
            return await self._answer(method, behaviour, request, context)

        wrap = grpc.unary_unary_rpc_method_handler if handler.unary_unary else grpc.unary_stream_rpc_method_handler
        return wrap(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _answer(self, method: str, behaviour: Behaviour, request: Any, context: Any) -> Any:
        began = monotonic()
        request_id = begin_request(*_offered_ids(request, context))
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        imposed = None if method.rpartition("/")[2].startswith(WATCH) else self._default_timeout
        patience = asyncio.timeout(imposed if context.time_remaining() is None else None)
        try:
            async with patience:
                response = await behaviour(request, context)
        except asyncio.CancelledError as cancelled:
            # Nothing tells a caller who left from a task that was cancelled by mistake, except an answer:
            # it cannot be sent to the former, and the latter would wait for one until its deadline.
            try:
                await self._refuse(method, by_a_bug(), request_id, context, began)
            except _CallerGoneError:
                raise cancelled from None
            except (grpc.aio.AbortError, asyncio.CancelledError):
                log.exception("a call was cancelled by nobody", method=method)
                raise
        except grpc.aio.AbortError:
            # The library's own services (health, channelz) have ended the call themselves.
            code = context.code()
            self._metrics.answered(method, getattr(code, "name", "UNKNOWN"), monotonic() - began)
            raise
        except Failure as error:
            failure = error
        except Exception as error:
            if isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED:
                # A service's generated base says so of what is in the contract and is not offered.
                self._metrics.answered(method, "UNIMPLEMENTED", monotonic() - began)
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not offered here")
            if isinstance(error, TimeoutError) and patience.expired():
                failure = Failure(Reason.TIMEOUT, f"no answer within the default of {self._default_timeout:g} s")
            else:
                log.exception("a call failed by a bug", method=method)
                failure = by_a_bug()
        else:
            self._metrics.answered(method, "OK", monotonic() - began)
            return response
        try:
            return await self._refuse(method, failure, request_id, context, began)
        except _CallerGoneError:
            raise asyncio.CancelledError from None

    async def _refuse(self, method: str, failure: Failure, request_id: str, context: Any, began: float) -> None:
        """End the call with `failure`; always raises.

        AbortError where it was sent, CancelledError where the caller has to read what lies before it first,
        _CallerGoneError where nobody is there to hear it.
        """
        status = told_as(failure, request_id, self._redactor)
        rich = rpc_status.to_status(status)
        metadata = (*rich.trailing_metadata, (REASON_KEY, str(failure.reason)), (REQUEST_ID_KEY, request_id))
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                await context.abort(rich.code, rich.details, metadata)
        except grpc.aio.AbortError:
            self._metrics.answered(method, code_pb2.Code.Name(status.code), monotonic() - began)
            raise
        except TimeoutError:
            self._metrics.answered(method, code_pb2.Code.Name(status.code), monotonic() - began)
            raise asyncio.CancelledError from None
        except Exception as gone:  # gRPC has several words for it
            self._metrics.answered(method, "CANCELLED", monotonic() - began)
            raise _CallerGoneError from gone


def _is_wrapped(handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> bool:
    return bool(handler.unary_unary or (handler.unary_stream and method.startswith(OURS)))


def _offered_ids(request: Any, context: Any) -> list[str]:
    """The caller's ids, from the order and the metadata.

    Other requests have a `request_id` too: that of the order which they ask about.
    """
    offered = [request.request_id] if isinstance(request, generation_pb2.GenerateRequest) else []
    return [*offered, *(str(value) for key, value in context.invocation_metadata() or () if key == REQUEST_ID_KEY)]
