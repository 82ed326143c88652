"""What is wrong with a call, before a family of routes gives it its shape. Pure."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import structlog
from pydantic import BaseModel, Field

from imagegate.client import GenerationError
from imagegate.client.plain import plain
from imagegate.client.result import Attempt, Image
from imagegate.runtime.errors import Reason, Violation

log = structlog.get_logger(__name__)

# A client that is told to come back later than this mostly gives up instead (OpenAI's does, beyond 120 s), and an
# earlier look costs nothing.
MAX_RETRY_AFTER = 60

# google.rpc's own table of HTTP statuses, but for a condition that does not hold, which is the caller's fault here.
STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# What the router says to an edge that it does not know; an edge's own caller has shown a key that is good.
SHUT_OUT = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
# What is said where a router was asked, and has not answered.
MAY_BE_CHARGED = "a picture that was ordered may be charged all the same"
SILENCES = {
    grpc.StatusCode.UNAVAILABLE: (503, f"the router went away while it was asked; {MAY_BE_CHARGED}"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, f"the router has not answered in time; {MAY_BE_CHARGED}"),
    grpc.StatusCode.UNIMPLEMENTED: (501, "the router is of another version; whoever runs this edge has to change that"),
}
# Statuses after which trying again makes sense at all.
PASSING = {429, 503}


@dataclass(eq=False)
class Problem(Exception):
    """A call that is answered with an error.

    `reason` is an ErrorReason's name, or one of ours in its style for what only HTTP knows (UNAUTHENTICATED,
    BODY_TOO_LARGE, …); `detail` one sentence with the remedy; `retry_after` whole seconds. `images` are pictures that
    were made, and are nowhere but here.
    """

    status: int
    reason: str
    detail: str
    violations: Sequence[Violation] = ()
    attempts: Sequence[Attempt] = ()
    retry_after: int | None = None
    images: Sequence[Image] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.detail}"

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """As RFC 9457 has it: `type` is about:blank, what is ours stands beside it."""
        shown: dict[str, Any] = {
            "type": "about:blank",
            "title": self.reason.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            "request_id": request_id,
        }
        if self.violations:
            shown["errors"] = [{"field": each.field, "detail": each.description} for each in self.violations]
        if self.attempts:
            shown["attempts"] = [plain(attempt.proto) for attempt in self.attempts]
        if self.retry_after is not None:
            shown["retry_after"] = self.retry_after
        if self.images:
            shown["images"] = self.shown_images()
        return shown

    def shown_images(self) -> list[dict[str, Any]]:
        """`images` as every family shows them: the bytes in base64, what they are, and the seed."""
        return [
            {"data": base64.b64encode(each.data).decode(), "mime_type": each.mime_type, "seed": each.seed}
            for each in self.images
        ]


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    detail: str


class ProblemDocument(BaseModel):
    """A problem as `to_dict` has it, for the description of the API."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str = Field(description="One sentence with the remedy.")
    reason: str = Field(description="What to decide on.")
    request_id: str = Field(default="", description="As the header X-Request-Id has it.")
    errors: list[FieldProblem] = Field(default=[], description="Every field that is wrong.")
    attempts: list[dict[str, Any]] = Field(default=[], description="What was tried, and why it failed.")
    retry_after: int | None = Field(default=None, description="Seconds after which trying again makes sense.")


def of_error(error: GenerationError) -> Problem:
    """What the router said, or what happened on the way to it: where the router is, and what it wants of this edge, is
    nothing that a caller could do anything about.
    """
    if error.dispatch:
        # Which router, and how, is for the log: callers are not told.
        log.warning("no_answer_of_a_router", reason=str(error.reason), told=error.message)
        return _without_answer(error)
    if error.code in SHUT_OUT:
        return Problem(502, "SHUT_OUT", "the router does not let this edge in; whoever runs this edge has to mend that")
    status = STATUSES.get(error.code, 500)
    wait = error.retry_after
    if wait is None and status in PASSING:
        wait = 1.0
    return Problem(
        status,
        str(error.reason),
        error.message,
        violations=error.violations,
        attempts=error.attempts,
        retry_after=None if wait is None else min(max(math.ceil(wait), 1), MAX_RETRY_AFTER),
    )


def _without_answer(error: GenerationError) -> Problem:
    """Nobody has answered. Where the order may have reached a router all the same, nobody is sent again by themselves,
    which may be paid for again.
    """
    if error.dispatch == "NOT_SENT":
        return Problem(503, str(error.reason), "no router answers just now; try again in a moment", retry_after=1)
    status, told = SILENCES.get(error.code, (502, f"the router broke off its answer; {MAY_BE_CHARGED}"))
    return Problem(status, str(error.reason), told, headers={"X-Should-Retry": "false"})


def invalid(*violations: Violation) -> Problem:
    """The fields that are wrong, all at once."""
    listed = "; ".join(f"{each.field}: {each.description}" if each.field else each.description for each in violations)
    return Problem(400, str(Reason.INVALID_REQUEST), f"the request is not valid: {listed}", violations=violations)


def no_room(what: str) -> Problem:
    """A disk or a bucket is full."""
    return Problem(507, "INSUFFICIENT_STORAGE", f"{what}; whoever runs this edge has to make room")


def unkept(told: Problem, images: Sequence[Image]) -> Problem:
    """Pictures were made, and paid for, that cannot be kept: the answer brings them along.

    It asks nobody to come again by themselves, which would be paid for again.
    """
    detail = f"the pictures were made and are in this answer, but they could not be kept: {told.detail}"
    return Problem(507, told.reason, detail, images=images, headers={"X-Should-Retry": "false"})


def not_found(what: str = "there is nothing here") -> Problem:
    """Answers alike for what never was and for what is somebody else's."""
    return Problem(404, "NOT_FOUND", what)


def bug() -> Problem:
    """What a caller is told of a bug of ours: nothing but that."""
    return Problem(500, "INTERNAL", "imagegate failed by a bug of its own; its log has more")
