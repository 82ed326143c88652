"""Whether a model rejects everything, whoever asks for what. Pure; `now` is the monotonic clock.

A parameter that an upstream stopped taking fails every request, and looks like many bad requests.
"""

from imagegate.runtime.errors import Failure

REJECTIONS = 10
# One caller who repeats one bad prompt proves nothing.
PROMPTS = 3
# So long after its last rejection it stands last; then the next request finds out whether it takes inputs again.
STANDS_LAST_SECONDS = 60.0


class Rejecting:
    """The rejections of one model since its last success."""

    def __init__(self) -> None:
        self._count = 0
        self._prompts: set[int] = set()
        self._last: Failure | None = None
        self._last_at = 0.0

    def __repr__(self) -> str:
        return f"<Rejecting {self._count} in a row>"

    @property
    def words(self) -> str:
        """What the upstream says while the model rejects everything; empty while it does not."""
        if self._last is None or self._count < REJECTIONS or len(self._prompts) < PROMPTS:
            return ""
        return self._last.upstream_message or self._last.message

    def stands_last(self, now: float) -> bool:
        """Whether everybody else is tried before it."""
        return bool(self.words) and now - self._last_at < STANDS_LAST_SECONDS

    def rejected(self, prompt: int, failure: Failure, now: float) -> None:
        """It refused the input of a request whose prompt has the hash `prompt`."""
        self._count += 1
        self._last, self._last_at = failure, now
        if len(self._prompts) < PROMPTS:
            self._prompts.add(prompt)

    def over(self) -> None:
        """It delivered."""
        self._count, self._last = 0, None
        self._prompts.clear()
