"""What is wrong with a failure or an answer, by the contract: sentences, none where all is well. Pure."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.rpc import code_pb2

from imagegate.conformance.body import Billed
from imagegate.conformance.told import OK, Told
from imagegate.runtime import images
from imagegate.runtime.errors import (
    MAX_DETAILS_BYTES,
    MAX_UPSTREAM_MESSAGE_BYTES,
    Dispatch,
    Failure,
    Reason,
    code_of,
)
from imagegate.runtime.metadata import REASON_KEY, REQUEST_ID_KEY
from imagegate.runtime.models import Model
from imagegate.runtime.output import FORMATS
from imagegate.v1 import generation_pb2

# Seconds by which a time to come back may differ from the one that the upstream gave.
RETRY_TOLERANCE = 0.5


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Expected:
    """The failure that is due: any of `reasons`. What is None or empty is not judged."""

    reasons: Sequence[Reason]
    dispatch: Dispatch | None = None
    billed: Billed = None
    retry_after: float | None = None
    upstream_status: int = 0
    words: str = ""
    remedy: str = ""
    message: str = ""

    def summary(self) -> str:
        """In one line, as `Told.summary` puts what came."""
        parts = [f"{code_pb2.Code.Name(code_of(self.reasons[0]))} {' or '.join(self.reasons)}"]
        parts += [f"upstream {self.upstream_status}"] if self.upstream_status else []
        parts += [str(self.dispatch)] if self.dispatch else []
        parts += ["charged" if self.billed else "not charged"] if isinstance(self.billed, bool) else []
        parts += [] if self.retry_after is None else [f"again in {self.retry_after:g} s"]
        return ", ".join(parts)


def failure_problems(told: Told, expected: Expected, provider: str, request_id: str = "") -> list[str]:
    """What is wrong with a failed call of `provider`. `request_id` is the caller's own, if it gave one."""
    if told.code == OK:
        return ["it was answered OK"]
    if not told.details:
        return [f"no google.rpc.Status beside {told.code}: nobody knows the reason"]
    failure = told.failure
    if failure is None:
        return ["no ErrorInfo with the domain imagegate and a reason of ErrorReason"]
    return [*_form(told, failure, request_id), *_content(failure, expected), *_attempt(failure, expected, provider)]


def _form(told: Told, failure: Failure, request_id: str) -> Iterator[str]:
    """How every failure is told."""
    if len(told.details) > MAX_DETAILS_BYTES:
        yield f"the details are {len(told.details):,} bytes, at most {MAX_DETAILS_BYTES:,} are allowed"
    status = told.status
    if status is not None and code_pb2.Code.Name(status.code) != told.code:
        yield f"the google.rpc.Status says {code_pb2.Code.Name(status.code)}"
    if told.code != (due := code_pb2.Code.Name(code_of(failure.reason))):
        yield f"{failure.reason} has the code {due}"
    if told.trailers.get(REASON_KEY) != str(failure.reason):
        yield f"the trailer {REASON_KEY} is {told.trailers.get(REASON_KEY)!r}"
    yield from request_id_problems(told, request_id)
    if not told.message:
        yield "the status has no message"


def request_id_problems(told: Told, request_id: str) -> Iterator[str]:
    """Whether a request's id is in the trailers: the caller's own where it gave one."""
    came = told.trailers.get(REQUEST_ID_KEY, "")
    if not came or (request_id and came != request_id):
        yield f"the trailer {REQUEST_ID_KEY} is {came!r}"


def _content(failure: Failure, expected: Expected) -> Iterator[str]:
    if failure.reason not in expected.reasons:
        yield f"the reason is {failure.reason}"
    if expected.message.casefold() not in f"{failure.message} {failure.remedy}".casefold():
        yield f"the message does not say {expected.message!r}"
    due = expected.retry_after
    if due is not None and (failure.retry_after is None or abs(failure.retry_after - due) > RETRY_TOLERANCE):
        yield f"RetryInfo says {'nothing' if failure.retry_after is None else f'{failure.retry_after:g} s'}"


def _attempt(failure: Failure, expected: Expected, provider: str) -> Iterator[str]:
    """The record of the attempt, where something is expected of it."""
    if expected.dispatch is None:
        return
    if len(failure.attempts) != 1:
        yield f"a GenerationFailure with one attempt is due, {len(failure.attempts)} came"
        return
    (attempt,) = failure.attempts
    if attempt.provider != provider:
        yield f"the attempt is of the provider {attempt.provider!r}"
    if Reason.from_proto(attempt.reason) is not failure.reason:
        yield f"the attempt's reason is {Reason.from_proto(attempt.reason)}"
    if expected.upstream_status and failure.upstream_status != expected.upstream_status:
        yield f"upstream_status is {failure.upstream_status}"
    if expected.words not in failure.upstream_message:
        yield f"upstream_message does not have the upstream's words ({expected.words!r})"
    if len(failure.upstream_message.encode()) > MAX_UPSTREAM_MESSAGE_BYTES:
        yield f"upstream_message is longer than {MAX_UPSTREAM_MESSAGE_BYTES} bytes"
    if not failure.remedy or expected.remedy not in failure.remedy:
        yield f"the remedy {failure.remedy!r} does not say {expected.remedy or 'what to do'!r}"
    if failure.dispatch is not expected.dispatch:
        yield f"dispatch is {failure.dispatch}"
    yield from _billed(failure.billed, expected.billed)


def _billed(came: bool | None, due: Billed) -> Iterator[str]:
    if due is None or came is (None if due == "unknown" else due):
        return
    yield f"billed is {'unset' if came is None else str(came).lower()}"


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def answer_problems(told: Told, request: generation_pb2.GenerateRequest, model: Model, provider: str) -> list[str]:
    """What is wrong with a delivery of `model` for `request`."""
    if told.code != OK:
        return [f"it failed: {told.message}"]
    answer = told.only(generation_pb2.GenerateResponse)
    if answer is None:
        return [f"one GenerateResponse is due, {len(told.answers)} came"]
    problems = [
        *response_problems(answer, request, model, provider),
        *request_id_problems(told, request.request_id),
    ]
    return problems + ([f"the trailer {REASON_KEY} is there"] if REASON_KEY in told.trailers else [])


def response_problems(
    response: generation_pb2.GenerateResponse, request: generation_pb2.GenerateRequest, model: Model, provider: str
) -> list[str]:
    """What is wrong with the answer itself."""
    return [*_record(response, request, model, provider), *_pictures(response, request, model)]


def _record(
    response: generation_pb2.GenerateResponse, request: generation_pb2.GenerateRequest, model: Model, provider: str
) -> Iterator[str]:
    for name, due in (("provider", provider), ("model", model.key), ("request_id", request.request_id)):
        if getattr(response, name) != due:
            yield f"{name} is {getattr(response, name)!r}"
    if not response.upstream_model:
        yield "upstream_model is empty"
    if response.attempts:
        yield "attempts are for a router to record"
    cost = response.cost if response.HasField("cost") else None
    due_cost = None if model.credits is None else model.credits * len(response.images)
    if cost != due_cost:
        yield f"cost is {cost}, the catalogue makes it {due_cost}"
    if any(not each.parameter or not each.action or not each.why for each in response.adjustments):
        yield "an adjustment does not say what was done to which parameter, and why"


def _pictures(
    response: generation_pb2.GenerateResponse, request: generation_pb2.GenerateRequest, model: Model
) -> Iterator[str]:
    asked = request.count or 1
    adjusted = {adjustment.parameter for adjustment in response.adjustments}
    if len(response.images) > asked or (len(response.images) < asked and "count" not in adjusted):
        yield f"{asked} pictures were asked for, {len(response.images)} came"
    if not response.images:
        yield "there is no picture"
    for index, image in enumerate(response.images):
        only_told = request.output.delivery == generation_pb2.DELIVERY_NONE
        problems = [
            *(_told(image) if only_told else _whole(image)),
            *_as_asked(image, request, adjusted),
            *_seed(image, index, request, model, adjusted),
        ]
        yield from (f"picture {index + 1}: {problem}" for problem in problems)
    together = sum(image.size_bytes for image in response.images)
    if request.output.HasField("max_bytes") and together > request.output.max_bytes:
        yield f"{together:,} bytes came, output.max_bytes is {request.output.max_bytes:,}"


def _told(image: generation_pb2.Image) -> Iterator[str]:
    """What is known of a picture that is not there itself."""
    if image.data:
        yield "it is there, and output.delivery is NONE"
    if not image.size_bytes or not image.sha256 or not image.mime_type:
        yield "size_bytes, sha256 and mime_type are not all told"


def _whole(image: generation_pb2.Image) -> Iterator[str]:
    if hashlib.sha256(image.data).hexdigest() != image.sha256:
        yield "sha256 is not that of the data"
    if len(image.data) != image.size_bytes:
        yield f"it has {len(image.data):,} bytes, and size_bytes is {image.size_bytes:,}"
    try:
        seen = images.inspect(image.data)
    except images.NotAPicture as error:
        yield str(error)
        return
    if (seen.width, seen.height) != (image.width, image.height):
        yield f"it is {seen.width} × {seen.height}, and said to be {image.width} × {image.height}"
    if seen.mime_type != image.mime_type:
        yield f"it is {seen.mime_type}, and said to be {image.mime_type!r}"


def _as_asked(
    image: generation_pb2.Image, request: generation_pb2.GenerateRequest, adjusted: set[str]
) -> Iterator[str]:
    for name in ("width", "height"):
        asked = getattr(request, name)
        if asked and asked != getattr(image, name) and name not in adjusted:
            yield f"{name} is {getattr(image, name)}, {asked} was asked for and no adjustment says so"
    kind = FORMATS.get(request.output.format)
    if kind is not None and image.mime_type != f"image/{kind.lower()}" and "output.format" not in adjusted:
        yield f"it is {image.mime_type!r}, {kind} was asked for and no adjustment says so"


def _seed(
    image: generation_pb2.Image, index: int, request: generation_pb2.GenerateRequest, model: Model, adjusted: set[str]
) -> Iterator[str]:
    takes_one = "seed" in model.parameters
    if image.HasField("seed") != takes_one:
        yield "it has no seed, and the model takes one" if takes_one else "it has a seed, and the model takes none"
    elif takes_one and request.HasField("seed") and "seed" not in adjusted and image.seed != request.seed + index:
        yield f"its seed is {image.seed}, asked was {request.seed} + {index}"
