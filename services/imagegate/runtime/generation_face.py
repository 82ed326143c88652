"""GenerationService in front of one provider: what all of them have in common, done once.

Validate, fit, keep the limits, end the attempt in time, check that what came back is a picture, hand it over as it was
asked for, tell the truth about it and log one line. `GenerateStream` does the same work as `Generate` and tells of it
while it happens.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import grpc
import structlog

from imagegate.runtime.attempt import Attempt, Attempts
from imagegate.runtime.callers import Caller, told_of
from imagegate.runtime.current import current_caller, current_request_id
from imagegate.runtime.deadline import Deadline, kept_back
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.errors import Dispatch, Failure, Reason, invalid_request
from imagegate.runtime.fitting import SEEDS, asked_fields, fit, forbidden, lack
from imagegate.runtime.handover import Handover
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.inspection import Inspector
from imagegate.runtime.limits import Limits
from imagegate.runtime.made import MadeAnswer
from imagegate.runtime.metadata import (
    ATTEMPT_NUMBER,
    CALLER,
    CALLER_WEIGHT,
    DRAWN_SEED,
    FALLBACK_WAITS,
    INPUTS_ADMITTED,
    REJECT_BLANK,
    UPSTREAM_ID,
    WAITED,
)
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.outbox import Bounds
from imagegate.runtime.pricing import price
from imagegate.runtime.provider import Provider, model_called, why_off
from imagegate.runtime.reply import until_room
from imagegate.runtime.stream_event import completed
from imagegate.runtime.streaming import Context as StreamContext
from imagegate.runtime.streaming import Tell, stream
from imagegate.runtime.tasks import count_of, inability
from imagegate.runtime.validation import violations
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

# Seconds that a caller who has another candidate waits for its turn.
PATIENCE_SECONDS = 1.0
# Whoever waited for less had a slot at once.
SHORTEST_WAIT_SECONDS = 0.01

Event = generation_pb2.GenerateEvent
Context = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, MadeAnswer]
AnyContext = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, Any]


async def _tell_nobody(_upstream_id: str) -> None:
    """A stream has it in its progress."""


@dataclass(frozen=True, slots=True)
class _Audience:
    """Who hears of an attempt while it is under way."""

    tell_upstream_id: Callable[[str], Awaitable[None]] = _tell_nobody
    begins: Callable[[], None] | None = None
    watch: Callable[[generation_pb2.Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, and what came along with it in the metadata, by name. gRPC makes that anew each time it is asked."""

    request: generation_pb2.GenerateRequest
    context: AnyContext
    told: Mapping[str, str]

    @classmethod
    def of(cls, request: generation_pb2.GenerateRequest, context: AnyContext) -> "_Call":
        told: dict[str, str] = {}
        for name, value in context.invocation_metadata() or ():
            told.setdefault(name, str(value))
        return cls(request, context, told)


class GenerationFace:
    """Generate and GenerateStream of one provider."""

    def __init__(
        self,
        provider: Provider,
        limits: Limits,
        attempts: Attempts,
        entrance: Entrance,
        random_source: random.Random,
        bounds: Bounds,
    ) -> None:
        self._provider = provider
        self._limits = limits
        self._attempts = attempts
        self._entrance = entrance
        self._random = random_source
        self._bounds = bounds
        self._inspector = Inspector()
        self._handover = Handover()

    async def generate(self, request: generation_pb2.GenerateRequest, context: Context) -> MadeAnswer:
        """Make the pictures of one request, or raise Failure with the record of the attempt."""

        async def tell_upstream_id(upstream_id: str) -> None:
            await context.send_initial_metadata(((UPSTREAM_ID, upstream_id),))

        call = _Call.of(request, context)
        return await self._run(self._attempt(call), call, _Audience(tell_upstream_id))

    async def generate_stream(self, request: generation_pb2.GenerateRequest, context: StreamContext) -> None:
        """The same, told while it happens: the attempt's beginning, its progress, its end, and the answer."""

        async def work(tell: Tell) -> bytes:
            call = _Call.of(request, context)
            attempt = self._attempt(call)
            audience = _Audience(
                begins=lambda: tell(Event(attempt_started=attempt.started()).SerializeToString()),
                watch=lambda progress: tell(Event(progress=progress).SerializeToString()),
            )
            try:
                answer = await self._run(attempt, call, audience)
            except Failure as failure:
                if attempt.order is not None:  # else there was none
                    tell(Event(attempt_finished=failure.attempts[0]).SerializeToString())
                raise
            tell(Event(attempt_finished=attempt.success()).SerializeToString())
            return completed(*answer.parts())

        await stream(context, work, self._bounds)

    def _attempt(self, call: _Call) -> Attempt:
        number = call.told.get(ATTEMPT_NUMBER, "")
        return self._attempts.begin(call.request, int(number) if number.isdecimal() and len(number) < 4 else 1)

    async def _run(self, attempt: Attempt, call: _Call, audience: _Audience) -> MadeAnswer:
        """The answer; however it ends, the attempt is recorded. Raises Failure."""
        try:
            attempt.order = order = self._take(await self._admitted(call), call, audience)
            if audience.begins is not None:
                audience.begins()
            answer = await self._fulfil(order, call)
        except Failure as failure:
            attempt.failed(failure)
            raise
        except asyncio.CancelledError:
            attempt.left()
            raise
        except Exception as error:
            log.exception("an attempt failed by a bug", provider=self._provider.catalogue.provider)
            bug = _bug()
            attempt.failed(bug)
            raise bug from error
        attempt.delivered(answer)
        return answer

    async def _admitted(self, call: _Call) -> generation_pb2.GenerateRequest:
        """The request, valid and with clean pictures, which a router has seen to before. Raises Failure."""
        wrong = violations(call.request)
        if not call.told.get(INPUTS_ADMITTED):
            return await self._entrance.admit(call.request, wrong)
        if wrong:
            raise invalid_request(wrong)
        return call.request

    def _take(self, request: generation_pb2.GenerateRequest, call: _Call, audience: _Audience) -> Order:
        """The order for a request that is valid, or Failure where there can be none. Nothing is sent here."""
        if off := why_off(self._provider):
            raise off
        model = model_called(request.model, self._provider.catalogue)
        if off := why_off(self._provider, model):
            raise off
        fitted = fit(request, model, self._drawn_seed(call))
        if why := inability(request, model) or lack(request, model, fitted):
            raise Failure(Reason.UNSUPPORTED, f"{model.display_name} cannot: {why}", dispatch=Dispatch.NOT_SENT)
        if refused := forbidden(request, fitted.adjustments):
            whys = "; ".join(f"{a.parameter}: {a.why}" for a in fitted.adjustments if a.parameter in refused)
            raise Failure(
                Reason.UNSUPPORTED,
                f"{model.display_name} cannot take {', '.join(refused)} as asked, "
                f"and the request forbids a change ({whys})",
                dispatch=Dispatch.NOT_SENT,
            )
        deadline = Deadline.from_context(call.context)
        reserve = kept_back(deadline.remaining())
        refuse = request.on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE
        return Order(
            model=model,
            prompt=request.prompt,
            parameters=fitted.parameters,
            deadline=deadline.earlier(reserve),
            reserve=reserve,
            count=count_of(request),
            inputs=to_inputs(request, fitted.inputs),
            options=fitted.options,
            output=request.output,
            request_id=current_request_id(),
            asked=asked_fields(request),
            kept=None if refuse else frozenset(request.must_keep),
            reject_blank=bool(call.told.get(REJECT_BLANK)),
            tell_upstream_id=audience.tell_upstream_id,
            watch=audience.watch,
            adjustments=list(fitted.told),
        )

    def _drawn_seed(self, call: _Call) -> int:
        """The router's, so that a fallback uses the same one; our own where it tells none, or nonsense."""
        told = call.told.get(DRAWN_SEED, "")
        seed = int(told) if told.isdecimal() and len(told) <= len(str(SEEDS)) else SEEDS
        return seed if seed < SEEDS else self._random.randrange(SEEDS)

    async def _fulfil(self, order: Order, call: _Call) -> MadeAnswer:
        patience = PATIENCE_SECONDS if call.told.get(FALLBACK_WAITS) else None

        def tell_place(place: int) -> None:
            order.tell(generation_pb2.PHASE_QUEUED, queue_position=place)

        slot = self._limits.slot(patience, tell_place if order.watch else None, _who_waits(call))
        began, has_slot = monotonic(), False
        try:
            async with asyncio.timeout(order.deadline.remaining()) as timer, slot:
                has_slot = True
                _tell_waited(call.context, monotonic() - began)
                await until_room(call.context)
                delivery = await self._provider.generate(order)
        except TimeoutError as error:
            if not timer.expired():
                raise  # not ours: a bug
            raise (_out_of_time(order) if has_slot else _never_its_turn()) from error
        answer = await self._answer(order, delivery)
        self._attempts.metrics.delivered(order, delivery)
        return answer

    async def _answer(self, order: Order, delivery: Delivery) -> MadeAnswer:
        """The answer, if there is a picture in it."""
        response = generation_pb2.GenerateResponse(
            provider=self._provider.catalogue.provider,
            model=order.model.key,
            upstream_model=delivery.upstream_model or order.model.upstream_model,
            upstream_provider=delivery.upstream_provider,
            request_id=order.request_id,
            sandbox=delivery.sandbox,
        )
        pictures = await self._handover.hand_over(order, await self._inspector.inspect(order, delivery))
        response.adjustments.extend(order.adjustments)
        response.warnings.extend(order.warnings)
        cost = price(order.model, order.fitted, len(pictures))
        if cost is not None:
            response.cost = cost
        for phase in ("queue", "run", "download"):
            seconds: float | None = getattr(delivery, f"{phase}_seconds")
            if seconds is not None:
                getattr(response.timings, phase).FromMilliseconds(round(seconds * 1000))
        return MadeAnswer(pictures, response)


def _out_of_time(order: Order) -> Failure:
    return Failure(
        Reason.TIMEOUT,
        f"{order.model.display_name} did not deliver in time (it was in phase {order.phase})",
        remedy="give the request more time, or ask for fewer steps or a smaller picture",
    )


def _never_its_turn() -> Failure:
    """It waited in our own queue until its time ran out, for which nobody upstream is to blame."""
    return Failure(
        Reason.BUSY,
        "the provider is held back: its turn did not come in time",
        retry_after=1.0,
        dispatch=Dispatch.NOT_SENT,
    )


def _bug() -> Failure:
    return Failure(
        Reason.INTERNAL,
        "imagegate failed by a bug of its own; nothing about your request is known to be wrong",
        remedy="look for this request's id in the log of the provider",
    )


def _who_waits(call: _Call) -> Caller:
    """The caller of whoever calls us, where that is a router that tells of one."""
    return told_of(call.told.get(CALLER, ""), call.told.get(CALLER_WEIGHT, "")) or current_caller()


def _tell_waited(context: AnyContext, seconds: float) -> None:
    if seconds >= SHORTEST_WAIT_SECONDS:
        context.set_trailing_metadata((*context.trailing_metadata(), (WAITED, f"{seconds:.3f}")))
