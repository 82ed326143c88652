"""How far the webui is, by its own word. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagegate.providers.automatic1111.wire import whole
from imagegate.runtime.answer import Answer, from_base64
from imagegate.runtime.words import parsed

PROGRESS = "/sdapi/v1/progress?skip_current_image=true"
PREVIEW = "/sdapi/v1/progress"
# More than anybody asks for; our wire carries steps as int32.
MAX_STEPS = 10_000
# Of base64. A preview of 1024² as PNG has about 2 million.
MAX_PREVIEW_CHARACTERS = 6 * 1024 * 1024


def is_busy(answer: Answer) -> bool:
    """Whether the webui says that it is at work on something; while it is, its `job_count` is not 0."""
    return _is_at_work(_state(parsed(answer)))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the webui is with all pictures of an order, and the one it is at as it is now; hostile, empty if none."""

    step: int
    steps: int
    picture: bytes


def to_progress(answer: Answer, count: int) -> Progress | None:
    """How far the webui is with `count` pictures; None where it does nothing or does not say."""
    body = parsed(answer)
    state = _state(body)
    job, step, steps = (whole(state.get(name)) for name in ("job_no", "sampling_step", "sampling_steps"))
    if not _is_at_work(state) or job is None or step is None or not steps or steps > MAX_STEPS:
        return None
    encoded = body.get("current_image")
    is_told = isinstance(encoded, str) and len(encoded) <= MAX_PREVIEW_CHARACTERS
    try:
        picture = from_base64(encoded) if is_told else b""
    except ValueError:
        picture = b""
    return Progress(min(job, count - 1) * steps + min(step, steps), count * steps, picture)


def _is_at_work(state: Mapping[str, Any]) -> bool:
    count = state.get("job_count")
    return isinstance(count, int) and count != 0


def _state(body: object) -> Mapping[str, Any]:
    state = body.get("state") if isinstance(body, dict) else None
    return state if isinstance(state, dict) else {}
