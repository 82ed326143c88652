"""What a stream tells on the way to a picture."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imagegate.client.plain import bare_name, plain
from imagegate.client.result import Attempt, Image, Result, image_of
from imagegate.v1 import generation_pb2


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt begins. `number` counts from 1 within the request; `timeout` is the seconds that it gets.

    `started` and `timeout` are None where they were not told.
    """

    provider: str
    model: str
    number: int
    started: datetime | None
    timeout: float | None
    proto: generation_pb2.AttemptStarted = field(repr=False, compare=False)

    @classmethod
    def of(cls, proto: generation_pb2.AttemptStarted) -> "AttemptStarted":
        """The event that came over the wire."""
        return cls(
            provider=proto.provider,
            model=proto.model,
            number=proto.number,
            started=proto.started.ToDatetime(tzinfo=UTC) if proto.HasField("started") else None,
            timeout=proto.timeout.ToNanoseconds() / 1e9 if proto.HasField("timeout") else None,
            proto=proto,
        )

    def to_dict(self) -> dict[str, Any]:
        """The event as plain values: a line of `imagegate generate --stream --json`."""
        return {"attempt_started": plain(self.proto)}


@dataclass(frozen=True, slots=True)
class Progress:
    """The attempt under way has moved on. `phase` is QUEUED, WARMING, RUNNING or DOWNLOADING; the rest is None where
    the upstream does not tell it: `queue_position` (how many are before it), `ready_in` (seconds until a warming model
    is ready), `step` of `steps`, and `preview`, a small unfinished picture whose size and sum are not told.
    """

    phase: str
    queue_position: int | None
    ready_in: float | None
    step: int | None
    steps: int | None
    preview: Image | None
    proto: generation_pb2.Progress = field(repr=False, compare=False)

    @classmethod
    def of(cls, proto: generation_pb2.Progress) -> "Progress":
        """The event that came over the wire."""
        return cls(
            phase=bare_name(generation_pb2.Phase.DESCRIPTOR, proto.phase),
            queue_position=proto.queue_position if proto.HasField("queue_position") else None,
            ready_in=proto.ready_in.ToNanoseconds() / 1e9 if proto.HasField("ready_in") else None,
            step=proto.step if proto.HasField("step") else None,
            steps=proto.steps if proto.HasField("steps") else None,
            preview=image_of(proto.preview) if proto.HasField("preview") else None,
            proto=proto,
        )

    def to_dict(self) -> dict[str, Any]:
        """The event as plain values, without the preview: a line of `imagegate generate --stream --json`."""
        shown = plain(self.proto)
        shown.pop("preview", None)
        return {"progress": shown}


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt ended, or a candidate was passed over."""

    attempt: Attempt

    def to_dict(self) -> dict[str, Any]:
        """The event as plain values: a line of `imagegate generate --stream --json`."""
        return {"attempt_finished": plain(self.attempt.proto)}


@dataclass(frozen=True, slots=True)
class Completed:
    """The answer. It is the last event."""

    result: Result


Event = AttemptStarted | Progress | AttemptFinished | Completed


def event_of(proto: generation_pb2.GenerateEvent) -> Event | None:
    """The event that came over the wire; None for a heartbeat, and for what this version does not know."""
    match proto.WhichOneof("event"):
        case "attempt_started":
            return AttemptStarted.of(proto.attempt_started)
        case "progress":
            return Progress.of(proto.progress)
        case "attempt_finished":
            return AttemptFinished(Attempt.of(proto.attempt_finished))
        case "completed":
            return Completed(Result.of(proto.completed))
        case _:
            return None
