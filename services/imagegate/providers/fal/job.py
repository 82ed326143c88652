"""Work that fal took, and where it is. Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Job:
    """Work that fal took. Of the URLs only the path may be used: a key must not leave for a host named in an answer."""

    id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job is; completed, it may have failed, which `error` and `error_type` say in fal's words.

    `queue_position` is how many are before it, None where fal does not tell.
    """

    phase: Literal["queue", "run", "completed"]
    error: str = ""
    error_type: str = ""
    queue_position: int | None = None
