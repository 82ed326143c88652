"""The last requests of this replica, without their pictures: what `GetRequest` and `ListRequests` tell."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from google.rpc import code_pb2

from imagegate.router import answer
from imagegate.router.router import Journey
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.redaction import clip
from imagegate.v1 import error_pb2, generation_pb2, router_pb2

MAX_REQUESTS = 1000
PROMPT_BYTES = 256
MODEL_BYTES = 128


@dataclass(slots=True)
class Remembered:
    """What is kept of a request, which few ever ask for; `journey` only while it is under way. `started` is in
    nanoseconds since 1970, `began` and `seconds` by the monotonic clock.
    """

    request_id: str
    model: str
    prompt: str
    started: int
    began: float
    journey: Journey | None = None
    under_way: bool = True
    resolved_by: "generation_pb2.ResolvedBy.ValueType" = generation_pb2.RESOLVED_BY_UNSPECIFIED
    seconds: float = 0.0
    attempts: Sequence[error_pb2.Attempt] = ()
    reason: Reason | None = None
    message: str = ""


class History:
    """The last `MAX_REQUESTS` requests by their ids. `keep_prompts` where prompts may be logged."""

    def __init__(self, *, keep_prompts: bool) -> None:
        self._keep_prompts = keep_prompts
        self._entries: OrderedDict[str, Remembered] = OrderedDict()

    def __repr__(self) -> str:
        return f"<History of {len(self._entries)} requests>"

    def began(self, request_id: str, model: str, prompt: str, now: float) -> Remembered:
        """A request arrived at `now` (monotonic seconds): its entry, which takes the place of another of this id."""
        kept = clip(prompt, PROMPT_BYTES) if self._keep_prompts else ""
        entry = Remembered(request_id, clip(model, MODEL_BYTES), kept, time.time_ns(), now)
        self._entries[request_id] = entry
        self._entries.move_to_end(request_id)
        while len(self._entries) > MAX_REQUESTS:
            self._entries.popitem(last=False)
        return entry

    def set_out(self, entry: Remembered, journey: Journey) -> None:
        """Its candidates are known."""
        entry.journey = journey
        entry.resolved_by = journey.resolution.rule

    def ended(
        self, entry: Remembered, now: float, attempts: Sequence[error_pb2.Attempt], failure: Failure | None
    ) -> None:
        """It was answered, or failed."""
        entry.journey, entry.under_way = None, False
        entry.attempts, entry.seconds = attempts, now - entry.began
        if failure is not None:
            entry.reason, entry.message = failure.reason, clip(str(failure), 2048)

    def get(self, request_id: str, now: float) -> router_pb2.RequestRecord:
        """One request. Raises Failure(NO_CANDIDATE) as NOT_FOUND."""
        entry = self._entries.get(request_id)
        if entry is None:
            raise not_kept(request_id)
        return _told(entry, now)

    def last(self, limit: int, now: float, *, failed_only: bool) -> Sequence[router_pb2.RequestRecord]:
        """The last requests, the latest first."""
        entries = reversed(self._entries.values())
        wanted = (entry for entry in entries if entry.reason is not None or not failed_only)
        return [_told(entry, now) for entry, _ in zip(wanted, range(limit), strict=False)]


def _told(entry: Remembered, now: float) -> router_pb2.RequestRecord:
    """The record as it is now."""
    record = router_pb2.RequestRecord(
        request_id=entry.request_id,
        model=entry.model,
        prompt=entry.prompt,
        under_way=entry.under_way,
        resolved_by=entry.resolved_by,
        message=entry.message,
        attempts=entry.attempts,
    )
    record.started.FromNanoseconds(entry.started)
    record.duration.FromNanoseconds(round((now - entry.began if entry.under_way else entry.seconds) * answer.NANOS))
    if entry.journey is not None:
        record.attempts.extend(answer.attempts_of(entry.journey.course.record, now))
    if entry.reason is not None:
        record.reason = entry.reason.to_proto()
    elif entry.attempts:
        record.provider, record.delivered_model = entry.attempts[-1].provider, entry.attempts[-1].model
    return record


def not_kept(request_id: str) -> Failure:
    """The failure for an id that is not known (any more)."""
    return Failure(
        Reason.INVALID_REQUEST,
        f"no request {clip(request_id, 128)!r} is among the last {MAX_REQUESTS} of this replica",
        remedy="ask the replica that answered it, or look for the id in the log; a restart forgets",
        code=code_pb2.NOT_FOUND,
    )
