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
from imagegate.v1 import error_pb2, router_pb2

MAX_REQUESTS = 1000
PROMPT_BYTES = 256
MODEL_BYTES = 128


@dataclass(slots=True)
class Remembered:
    """What is kept of a request; `journey` only while it is under way."""

    record: router_pb2.RequestRecord
    began: float
    journey: Journey | None = None


class History:
    """The last `MAX_REQUESTS` requests by their ids. `keep_prompts` where prompts may be logged."""

    def __init__(self, *, keep_prompts: bool) -> None:
        self._keep_prompts = keep_prompts
        self._entries: OrderedDict[str, Remembered] = OrderedDict()

    def __repr__(self) -> str:
        return f"<History of {len(self._entries)} requests>"

    def began(self, request_id: str, model: str, prompt: str, now: float) -> Remembered:
        """A request arrived at `now` (monotonic seconds): its entry, which takes the place of another of this id."""
        record = router_pb2.RequestRecord(request_id=request_id, model=clip(model, MODEL_BYTES), under_way=True)
        record.started.FromNanoseconds(time.time_ns())
        if self._keep_prompts:
            record.prompt = clip(prompt, PROMPT_BYTES)
        entry = self._entries[request_id] = Remembered(record, now)
        self._entries.move_to_end(request_id)
        while len(self._entries) > MAX_REQUESTS:
            self._entries.popitem(last=False)
        return entry

    def set_out(self, entry: Remembered, journey: Journey) -> None:
        """Its candidates are known."""
        entry.journey = journey
        entry.record.resolved_by = journey.resolution.rule

    def ended(
        self, entry: Remembered, now: float, attempts: Sequence[error_pb2.Attempt], failure: Failure | None
    ) -> None:
        """It was answered, or failed."""
        record, entry.journey = entry.record, None
        record.under_way = False
        record.attempts.extend(attempts)
        record.duration.FromNanoseconds(round((now - entry.began) * answer.NANOS))
        if failure is not None:
            record.reason, record.message = failure.reason.to_proto(), clip(str(failure), 2048)
        elif attempts:
            record.provider, record.delivered_model = attempts[-1].provider, attempts[-1].model

    def get(self, request_id: str, now: float) -> router_pb2.RequestRecord:
        """One request. Raises Failure(NO_CANDIDATE) as NOT_FOUND."""
        entry = self._entries.get(request_id)
        if entry is None:
            raise not_kept(request_id)
        return _told(entry, now)

    def last(self, limit: int, now: float, *, failed_only: bool) -> Sequence[router_pb2.RequestRecord]:
        """The last requests, the latest first."""
        entries = reversed(self._entries.values())
        wanted = (entry for entry in entries if entry.record.reason or not failed_only)
        return [_told(entry, now) for entry, _ in zip(wanted, range(limit), strict=False)]


def _told(entry: Remembered, now: float) -> router_pb2.RequestRecord:
    """The record as it is now."""
    if entry.journey is None and not entry.record.under_way:
        return entry.record
    record = router_pb2.RequestRecord()
    record.CopyFrom(entry.record)
    record.duration.FromNanoseconds(round((now - entry.began) * answer.NANOS))
    if entry.journey is not None:
        record.attempts.extend(answer.attempts_of(entry.journey.course.record, now))
    return record


def not_kept(request_id: str) -> Failure:
    """The failure for an id that is not known (any more)."""
    return Failure(
        Reason.INVALID_REQUEST,
        f"no request {clip(request_id, 128)!r} is among the last {MAX_REQUESTS} of this replica",
        remedy="ask the replica that answered it, or look for the id in the log; a restart forgets",
        code=code_pb2.NOT_FOUND,
    )
