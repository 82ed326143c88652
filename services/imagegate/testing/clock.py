"""A clock that moves only when told."""

from dataclasses import dataclass


@dataclass(slots=True)
class FakeClock:
    """Called like `time.monotonic`; `now` is in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, and give the new time."""
        self.now += seconds
        return self.now
