"""GenerationService on the router: every call is validated, remembered, joined with its like and logged."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import grpc
import structlog

from imagegate.router import answer
from imagegate.router.endpoint import Tell
from imagegate.router.history import History, Remembered
from imagegate.router.joining import Joining
from imagegate.router.router import Answered, Router
from imagegate.router.shapes import Shaped
from imagegate.router.unsettled import unsettled
from imagegate.runtime import streaming
from imagegate.runtime.current import current_caller, current_request_id
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.runtime.redaction import clip
from imagegate.runtime.server import Service
from imagegate.runtime.stream_event import completed
from imagegate.v1 import error_pb2, generation_pb2

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, bytes]


class GenerationFace:
    """Hands calls over to the router; decides nothing."""

    def __init__(self, router: Router, history: History, bounds: Bounds = BOUNDS) -> None:
        self._router = router
        self._history = history
        self._bounds = bounds  # of the readers of streams
        self._joining = Joining(router.clock)

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        return [streaming.generation_service(self.generate, self.generate_stream)]

    async def generate(self, request: generation_pb2.GenerateRequest, context: Context) -> bytes:
        """The serialised answer of the first candidate that delivers."""
        return (await self.answer(request, current_request_id(), self._deadline(context))).body

    async def generate_stream(self, request: generation_pb2.GenerateRequest, context: Context) -> None:
        """The same, told while it happens."""
        deadline = self._deadline(context)

        async def work(tell: streaming.Tell) -> bytes:
            told = await self.answer(request, current_request_id(), deadline, lambda e: tell(e.SerializeToString()))
            return completed(told.body)

        await streaming.stream(context, work, self._bounds)

    def _deadline(self, context: Context) -> Deadline:
        """The caller's, on the clock that the router decides by."""
        return Deadline.from_context(context, now=self._router.clock())

    async def answer(
        self,
        request: generation_pb2.GenerateRequest,
        request_id: str,
        deadline: Deadline,
        tell: Tell | None = None,
    ) -> Answered:
        """The answer to a request, remembered and logged however it ends; `deadline` is on the router's clock.

        Raises Failure.
        """
        began = self._router.clock()
        entry = self._history.began(request_id, request.model, request.prompt, began)
        attempts: Sequence[error_pb2.Attempt] = ()
        failure: Failure | None = None
        try:
            answered = await self._joined(request, deadline, entry, tell)
            attempts = answered.attempts
            return answered
        except Failure as error:
            failure, attempts = error, error.attempts
            raise
        except asyncio.CancelledError:
            failure = Failure(Reason.CANCELLED, "the caller left")
            raise
        except Exception:
            failure = Failure(Reason.INTERNAL, "a bug of the router; see its log")
            raise
        finally:
            now = self._router.clock()
            if not attempts and entry.journey is not None:  # broken off: what there was until then
                attempts = answer.attempts_of(entry.journey.course.record, now)
            self._history.ended(entry, now, attempts, failure)
            log.info(
                "request",
                request_id=request_id,
                caller=current_caller().name,
                model=clip(request.model, 128),
                outcome=failure.reason if failure else "ok",
                attempts=[answer.in_short(attempt) for attempt in attempts],
                duration_ms=round((now - began) * 1000),
                message=failure.message if failure else "",
            )

    async def _joined(
        self, request: generation_pb2.GenerateRequest, deadline: Deadline, entry: Remembered, tell: Tell | None
    ) -> Answered:
        order = _Order(self._router, self._history, request, deadline, entry, tell)
        # What is not valid belongs to no key.
        if not request.idempotency_key or self._router.planner.violations(Shaped.of(request)):
            return await order.make()
        answered = await self._joining.answer(request, order, current_caller().name)
        return answered if entry.journey else _addressed(answered, entry.request_id)


def _addressed(answered: Answered, request_id: str) -> Answered:
    """Somebody else's answer for the caller with this id: of what is written twice the last counts."""
    own = generation_pb2.GenerateResponse(request_id=request_id).SerializeToString()
    return replace(answered, body=answered.body + own)


@dataclass(frozen=True, slots=True)
class _Order:
    """One caller's order, which is made unless it joins another's."""

    router: Router
    history: History
    request: generation_pb2.GenerateRequest
    deadline: Deadline
    entry: Remembered
    tell: Tell | None

    async def make(self) -> Answered:
        """The answer of the first candidate that delivers. Raises Failure."""
        seconds = self.deadline.remaining(self.router.clock())
        async with self.router.turns.turn(current_caller(), seconds, self.tell):
            admitted = await self.router.admitted(self.request)
            journey = self.router.begin(admitted, self.deadline, self.entry.request_id)
            self.history.set_out(self.entry, journey)
            return await self.router.generate(journey, self.tell)

    def unsettled(self) -> Failure | None:
        """Why it must not be made again, once it has ended without an answer; None where it may."""
        journey = self.entry.journey
        return unsettled(journey.course, self.router.clock()) if journey else None
