"""The record of one attempt: its line in the log, its count, and what its caller is told of a failure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog

from imagegate.runtime.current import current_request_id
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.inputs import in_short
from imagegate.runtime.made import MadeAnswer, MadePicture
from imagegate.runtime.metrics import ProviderMetrics
from imagegate.runtime.order import Order
from imagegate.runtime.prompts import without_prompts
from imagegate.runtime.redaction import Redactor, clip
from imagegate.v1 import error_pb2, generation_pb2

log = structlog.get_logger()

LOGGED_PROMPT_CHARACTERS = 100

# What to do about a failure that names nothing better.
REMEDIES = {
    Reason.UPSTREAM_ERROR: "try again; if it goes on, look at the state of {provider}",
    Reason.UNREACHABLE: "look at the network between here and {provider}",
    Reason.TIMEOUT: "give the request more time",
    Reason.BAD_OUTPUT: "try again, or with another model",
    Reason.UNSUPPORTED: "allow the change, or ask for what the model takes",
    Reason.BUSY: "try again, or raise IMAGEGATE_{variable}_CONCURRENCY",
    Reason.RATE_LIMITED: "try again later, or raise IMAGEGATE_{variable}_REQUESTS_PER_SECOND",
    Reason.OVER_QUOTA: "wait for the next day (UTC), or raise IMAGEGATE_{variable}_REQUESTS_PER_DAY",
}


def make_presentable(failure: Failure, provider: str, redactor: Redactor) -> None:
    """Name a remedy where there is none, and scrub and clip every word."""
    failure.remedy = failure.remedy or REMEDIES.get(failure.reason, "").format(
        provider=provider, variable=provider.upper()
    )
    failure.message = redactor.scrub(failure.message)
    failure.remedy = redactor.scrub(failure.remedy)
    failure.upstream_message = clip(redactor.scrub(failure.upstream_message), 512)
    failure.upstream_id = clip(redactor.scrub(failure.upstream_id), 128)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Where the attempts of one provider are recorded."""

    provider: str
    metrics: ProviderMetrics
    redactor: Redactor
    log_prompts: bool

    def begin(self, request: generation_pb2.GenerateRequest, number: int) -> "Attempt":
        """An attempt that begins now, the `number`th of its request, from 1."""
        return Attempt(self, request, number)


class Attempt:
    """One attempt. `order` is set once the request has become one; exactly one of the ends is called."""

    def __init__(self, attempts: Attempts, request: generation_pb2.GenerateRequest, number: int) -> None:
        self.number = number
        self.order: Order | None = None
        self._attempts = attempts
        self._request = request
        self._began = monotonic()
        self._started = datetime.now(UTC)

    @property
    def model(self) -> str:
        """The key of the model, or as much as is told of the name that was asked for."""
        return self.order.model.key if self.order is not None else clip(self._request.model, 64)

    def started(self) -> generation_pb2.AttemptStarted:
        """The attempt as it is told at its beginning, with an order."""
        told = generation_pb2.AttemptStarted(provider=self._attempts.provider, model=self.model, number=self.number)
        told.started.FromDatetime(self._started)
        if self.order is not None:
            told.timeout.FromMilliseconds(round(self.order.deadline.remaining() * 1000))
        return told

    def delivered(self, answer: MadeAnswer) -> None:
        """It made pictures: their answer gets its time."""
        answer.rest.timings.total.FromMilliseconds(round((monotonic() - self._began) * 1000))
        self._log(None, None, answer.pictures)

    def failed(self, failure: Failure) -> None:
        """It failed: the failure is completed and gets the record of this one attempt."""
        self._complete(failure)
        failure.attempts = [self._stamped(failure.as_attempt(self._attempts.provider, self.model))]
        self._log(failure.reason, failure, ())

    def success(self) -> error_pb2.Attempt:
        """The record of an attempt that has delivered."""
        told = error_pb2.Attempt(
            provider=self._attempts.provider, model=self.model, dispatch=Dispatch.ACCEPTED.to_proto()
        )
        if self.order is not None:
            told.upstream_id = self.order.upstream_id
        return self._stamped(told)

    def left(self) -> None:
        """The caller left."""
        self._log(Reason.CANCELLED, None, ())

    def _complete(self, failure: Failure) -> None:
        """Fill in what only the order knows, and make it presentable."""
        order = self.order
        if order is not None:
            failure.phase = failure.phase or order.phase
            failure.upstream_id = failure.upstream_id or order.upstream_id
            if failure.dispatch is Dispatch.UNSPECIFIED or order.dispatch is Dispatch.ACCEPTED:
                failure.dispatch = order.dispatch  # once it was accepted, no later trouble undoes that
            if failure.billed is None:
                failure.billed = order.billed
        is_free = order is not None and order.model.credits == 0  # one's own machine, whatever became of the work
        if is_free or failure.dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED):
            failure.billed = False
        elif failure.billed is None and (failure.reason, failure.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED):
            failure.billed = True  # it was made, in vain
        if not self._attempts.log_prompts:  # in what the caller is told as well, since a router remembers it
            without_prompts(failure, self._request)
        make_presentable(failure, self._attempts.provider, self._attempts.redactor)

    def _stamped(self, told: error_pb2.Attempt) -> error_pb2.Attempt:
        told.started.FromDatetime(self._started)
        told.duration.FromMilliseconds(round((monotonic() - self._began) * 1000))
        return told

    def _log(self, reason: Reason | None, failure: Failure | None, pictures: Sequence[MadePicture]) -> None:
        """One line per attempt: everything that an operator asks for at three in the morning."""
        order = self.order
        line: dict[str, object] = {
            "request_id": current_request_id(),
            "attempt": str(self.number),
            "provider": self._attempts.provider,
            "model": self.model,
            "upstream_id": order.upstream_id if order else "",
            "parameters": self._parameters(order) if order else {},
            "outcome": reason or "ok",
            "bytes": sum(picture.told.size_bytes for picture in pictures),
            "duration_ms": round((monotonic() - self._began) * 1000),
        }
        if order is not None and (inputs := in_short(order.inputs)):
            line["inputs"] = inputs
        if order is not None and order.recoded:
            line["recoded"] = order.recoded
        if self._attempts.log_prompts:
            line["prompt"] = self._request.prompt[:LOGGED_PROMPT_CHARACTERS]
        if failure is not None:
            line["message"] = failure.message
            line["upstream_status"] = failure.upstream_status
            line["upstream_message"] = failure.upstream_message
            line["phase"] = failure.phase
            line["dispatch"] = failure.dispatch
        log.info("attempt", **line)
        self._attempts.metrics.attempted(order, len(pictures), reason)

    def _parameters(self, order: Order) -> dict[str, object]:
        """What went to the model; of the caller's words as much as is logged of a prompt."""
        sent: dict[str, object] = {**order.options, **order.parameters}
        free = {name for name, option in order.model.options.items() if option.kind == "text" and not option.choices}
        words = {name: str(sent.pop(name)) for name in ("negative_prompt", *free) if name in sent}
        if self._attempts.log_prompts:
            sent |= {name: text[:LOGGED_PROMPT_CHARACTERS] for name, text in words.items()}
        return sent
