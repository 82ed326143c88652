"""How a call ended, as its caller sees it. Pure: `face` makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from imagegate.runtime.errors import Failure, from_status
from imagegate.runtime.redaction import clip, one_line

Answer = TypeVar("Answer", bound=Message)

OK = "OK"
SHOWN_MESSAGE_BYTES = 160


@dataclass(frozen=True, slots=True)
class Told:
    """`code` is the name of the gRPC code, `details` the google.rpc.Status beside it (empty where there is none).

    `head` is the initial metadata, which arrived `head_seconds` after the call began; the end came after `seconds`.
    """

    code: str
    message: str = ""
    details: bytes = b""
    answers: Sequence[Message] = ()
    head: Mapping[str, str] = field(default_factory=dict)
    head_seconds: float = 0.0
    trailers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def only(self, kind: type[Answer]) -> Answer | None:
        """The one answer of a call that ended well; None where there is another number, or something else."""
        answers = [answer for answer in self.answers if isinstance(answer, kind)]
        return answers[0] if self.code == OK and len(answers) == len(self.answers) == 1 else None

    @property
    def status(self) -> status_pb2.Status | None:
        """The google.rpc.Status, where there is one that can be read."""
        try:
            return status_pb2.Status.FromString(self.details) if self.details else None
        except DecodeError:
            return None

    @property
    def failure(self) -> Failure | None:
        """The failure in our terms; None where it is told in no such terms."""
        status = self.status
        return from_status(status) if status is not None else None

    def summary(self) -> str:
        """The end in one line."""
        if self.code == OK:
            return f"{OK} in {self.seconds:.2f} s"
        failure = self.failure
        if failure is None:
            return clip(one_line(f"{self.code} without an ErrorInfo of ours: {self.message}"), SHOWN_MESSAGE_BYTES)
        parts = [f"{self.code} {failure.reason}"]
        parts += [f"upstream {failure.upstream_status}"] if failure.upstream_status else []
        parts += [str(failure.dispatch)] if failure.attempts else []
        parts += [] if failure.billed is None else ["charged" if failure.billed else "not charged"]
        parts += [] if failure.retry_after is None else [f"again in {failure.retry_after:g} s"]
        return ", ".join(parts)
