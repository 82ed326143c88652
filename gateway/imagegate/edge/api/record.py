"""A picture of the gallery, and an answer, as this family shows them. Pure."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from imagegate.client.plain import plain
from imagegate.client.result import Result
from imagegate.edge.gallery import Picture

# What makes of a path, and of the sum of what is there, a link that whoever has it may follow.
Sign = Callable[[str, str], str]


class Record(BaseModel):
    """Everything that is known of one picture; what nobody knows is null."""

    id: str
    url: str = Field(description="A signed link, relative to this address.")
    filename: str
    project: str
    created: str = Field(description="RFC 3339.")
    request_id: str
    number: int = Field(description="Its place among the pictures of its request, from 0.")
    mime_type: str
    size_bytes: int
    width: int
    height: int
    seed: int | None
    sha256: str
    prompt: str
    parameters: dict[str, Any] = Field(description="What was asked besides; the body of another generation.")
    provider: str
    model: str
    upstream_model: str
    attempts: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    warnings: list[str]
    cost: int | None = Field(description="Credits of the whole request.")
    seconds: float
    sandbox: bool

    @classmethod
    def of(cls, picture: Picture, sign: Sign) -> "Record":
        """The record of a picture."""
        same = {name: getattr(picture, name) for name in cls.model_fields if name not in ("url", "created")}
        return cls(**same, url=sign(picture.path, picture.sha256), created=moment(picture.created / 1000))


class Answer(BaseModel):
    """What was made, and how it came about."""

    request_id: str
    pictures: list[Record]
    provider: str
    model: str
    upstream_model: str
    upstream_provider: str
    attempts: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    warnings: list[str]
    cost: int | None
    seconds: float
    sandbox: bool

    @classmethod
    def of(cls, result: Result, pictures: list[Record]) -> "Answer":
        """The answer with these pictures."""
        return cls(
            request_id=result.request_id,
            pictures=pictures,
            provider=result.provider,
            model=result.model,
            upstream_model=result.upstream_model,
            upstream_provider=result.upstream_provider,
            attempts=[plain(attempt.proto) for attempt in result.attempts],
            adjustments=[plain(adjustment) for adjustment in result.proto.adjustments],
            warnings=list(result.warnings),
            cost=result.cost,
            seconds=result.seconds,
            sandbox=result.sandbox,
        )


def moment(seconds: float) -> str:
    """A time of the wall clock, in seconds since the epoch, as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def data_url(mime_type: str, data: bytes) -> str:
    """The picture in a URL of its own."""
    return f"data:{mime_type};base64,{base64.b64encode(data).decode('ascii')}"
