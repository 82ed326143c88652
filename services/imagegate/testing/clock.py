"""Clocks that obey."""

from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class FakeClock:
    """Called like `time.monotonic`; moves only when told. `now` is in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, and give the new time."""
        self.now += seconds
        return self.now


@dataclass(slots=True)
class LeapingClock:
    """`time.monotonic`, which can leap ahead: for what waits for real answers and looks minutes back."""

    ahead: float = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return monotonic() + self.ahead

    def leap(self, seconds: float) -> None:
        """Let so much time have passed."""
        self.ahead += seconds
