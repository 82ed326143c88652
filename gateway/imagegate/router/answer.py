"""How the record of the attempts is told: beside the picture, or in the error. Pure.

The provider's answer is passed on unparsed; what the router adds is appended, because serialised
protobuf messages concatenate to their merge.
"""

import time
from collections.abc import Sequence
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from imagegate.router.course import Made, Passed
from imagegate.router.payment import is_free
from imagegate.runtime.errors import Dispatch, Failure, Reason, code_of
from imagegate.v1 import error_pb2, generation_pb2

NANOS = 1_000_000_000
# Points in time are told in these: a float of seconds since 1970 holds no more.
MICROS = 1_000_000

# After one of these nothing else decides.
FINAL = frozenset({Reason.TIMEOUT, Reason.CONTENT_REJECTED, Reason.INVALID_REQUEST, Reason.INTERNAL})
# Waiting changes nothing about these.
PATIENCE_IS_NO_HELP = frozenset({
    code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.FAILED_PRECONDITION, code_pb2.INTERNAL,
})  # fmt: skip
# Whoever failed for these may be asked again at once.
PASSING = frozenset({Reason.UPSTREAM_ERROR, Reason.UNREACHABLE, Reason.TIMEOUT, Reason.BAD_OUTPUT})
# Candidates skipped for these may deliver later, so what the others said is not the last word.
RESTING = frozenset({
    Reason.CIRCUIT_OPEN, Reason.BACKING_OFF, Reason.WARMING, Reason.OVER_QUOTA, Reason.BUSY, Reason.DEADLINE_TOO_SHORT,
})  # fmt: skip


def attempts_of(record: Sequence[Made | Passed], now: float) -> list[error_pb2.Attempt]:
    """The record of a request as the wire tells it; `now` is the monotonic clock that it was written by."""
    wall = time.time() - now
    return [_made(entry, wall) if isinstance(entry, Made) else _passed(entry, wall) for entry in record]


def _passed(passed: Passed, wall: float) -> error_pb2.Attempt:
    obstacle = passed.obstacle
    attempt = error_pb2.Attempt(
        provider=passed.candidate.provider,
        model=passed.candidate.key,
        message=obstacle.message,
        remedy=obstacle.remedy,
        dispatch=Dispatch.NOT_SENT.to_proto(),
    )
    attempt.skipped.reason = obstacle.reason.to_proto()
    if obstacle.wait is not None:
        attempt.skipped.until.CopyFrom(timestamp(wall + passed.at + obstacle.wait))
    return attempt


def _made(made: Made, wall: float) -> error_pb2.Attempt:
    provider, model = made.candidate.provider, made.candidate.key
    if made.failure is not None:
        attempt = error_pb2.Attempt()
        attempt.CopyFrom(made.failure.as_attempt(provider, model))
    else:
        attempt = error_pb2.Attempt(provider=provider, model=model, dispatch=Dispatch.ACCEPTED.to_proto())
        if made.candidate.model is not None and made.candidate.model.credits is not None:
            attempt.billed = not is_free(made.candidate.model)
    if made.upstream_id and not attempt.upstream_id:
        attempt.upstream_id = made.upstream_id
    attempt.started.CopyFrom(timestamp(wall + made.began))
    duration = attempt.duration
    duration.seconds, duration.nanos = divmod(round(made.seconds * NANOS), NANOS)
    return attempt


def appendix(
    attempts: Sequence[error_pb2.Attempt],
    rule: "generation_pb2.ResolvedBy.ValueType",
    request_id: str,
    seconds: float,
) -> bytes:
    """What the router adds to a provider's serialised answer."""
    added = generation_pb2.GenerateResponse()  # filled field by field: as arguments they take twice the time
    added.attempts.extend(attempts)
    added.resolved_by, added.request_id = rule, request_id
    total = added.timings.total
    total.seconds, nanos = divmod(round(seconds * NANOS), NANOS)
    # Never 0: a zero is not written, and the provider's own nanoseconds would stay in the merge.
    total.nanos = max(nanos, 1)
    return added.SerializeToString()


def exhausted(record: Sequence[Made | Passed], now: float) -> Failure:
    """The final error where no candidate delivered: it names every attempt and the remedies.

    `now` is the monotonic clock that the record was written by.
    """
    attempts = attempts_of(record, now)
    failures = [entry.failure for entry in record if isinstance(entry, Made) and entry.failure is not None]
    reason, code = _final(attempts, failures)
    tried = len({str(entry.candidate) for entry in record if isinstance(entry, Made)})  # one may be asked twice
    listed = "; ".join(_told(attempt) for attempt in attempts)
    count = f"{tried} candidate{'' if tried == 1 else 's'} tried" if tried else "no candidate could be tried"
    remedies = list(dict.fromkeys(attempt.remedy for attempt in attempts if attempt.remedy))
    return Failure(
        reason,
        f"{count}: {listed}" if listed else count,
        remedy="; ".join(remedies),
        retry_after=_earliest(record, failures, code, now),
        violations=failures[-1].violations if failures else (),
        attempts=attempts,
        code=code,
    )


def _final(attempts: Sequence[error_pb2.Attempt], failures: Sequence[Failure]) -> tuple[Reason, int]:
    """The reason and the gRPC code: the code that everything agrees on, else UNAVAILABLE."""
    skips = {Reason.from_proto(attempt.skipped.reason) for attempt in attempts if attempt.HasField("skipped")}
    if not failures:
        codes = {code_of(reason) for reason in skips}
        return Reason.NO_CANDIDATE, codes.pop() if len(codes) == 1 else code_of(Reason.NO_CANDIDATE)
    last = failures[-1].reason
    reasons = {failure.reason for failure in failures}
    is_the_input = [failure.reason for failure in failures].count(Reason.UPSTREAM_REJECTED_INPUT) > 1
    if last in FINAL or is_the_input or reasons == {Reason.UPSTREAM_REJECTED_INPUT}:
        return last, code_of(last)
    codes = {code_of(reason) for reason in reasons | (skips & RESTING)}
    return last, codes.pop() if len(codes) == 1 else code_of(Reason.UPSTREAM_ERROR)


def _earliest(record: Sequence[Made | Passed], failures: Sequence[Failure], code: int, now: float) -> float | None:
    """Seconds after which the first of those that are held back may be asked again.

    Those that were tried may be tried again: where they were not held back, nobody waits for the skipped.
    """
    if code in PATIENCE_IS_NO_HELP:
        return None
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    if failures and code != code_of(Reason.RATE_LIMITED):
        may_be_asked_now = any(failure.reason in PASSING and failure.retry_after is None for failure in failures)
        return None if may_be_asked_now else min(waits, default=None)
    waits += [
        max(entry.at + entry.obstacle.wait - now, 0.0)
        for entry in record
        if isinstance(entry, Passed) and entry.obstacle.wait is not None
    ]
    return min(waits, default=None)


def _told(attempt: error_pb2.Attempt) -> str:
    """One attempt in a sentence: `huggingface/flux-dev MODEL_ACCESS_DENIED (400 'Model requires PRO')`."""
    who = f"{attempt.provider}/{attempt.model}"
    if attempt.HasField("skipped"):
        reason = Reason.from_proto(attempt.skipped.reason)
        until = ""
        if attempt.skipped.HasField("until"):
            until = f" until {attempt.skipped.until.ToDatetime(UTC):%H:%M:%S} UTC"
        return f"{who} skipped {reason}{until}" + (f" ({attempt.message})" if attempt.message else "")
    words = attempt.message
    if attempt.upstream_status:
        said = f"'{attempt.upstream_message[:200]}'" if attempt.upstream_message else attempt.message
        words = f"{attempt.upstream_status} {said}"
    return f"{who} {Reason.from_proto(attempt.reason)} ({words})"


def in_short(attempt: error_pb2.Attempt) -> str:
    """One attempt in three words, for the log: `fal/flux-dev RATE_LIMITED`, `… skipped CIRCUIT_OPEN`, `… ok`."""
    who = f"{attempt.provider}/{attempt.model}"
    if attempt.HasField("skipped"):
        return f"{who} skipped {Reason.from_proto(attempt.skipped.reason)}"
    return f"{who} {Reason.from_proto(attempt.reason)}" if attempt.reason else f"{who} ok"


def timestamp(seconds: float) -> Timestamp:
    """A point in time as the wire tells it: seconds since 1970."""
    told = Timestamp()
    told.seconds, micros = divmod(round(seconds * MICROS), MICROS)
    told.nanos = micros * 1000
    return told
