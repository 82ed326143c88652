"""A deadline is a point in time that is carried through a call; a timeout is a length."""

from dataclasses import dataclass
from time import monotonic
from typing import Protocol

# What a call without a deadline gets, in seconds.
DEFAULT_TIMEOUT = 300.0


# What a provider keeps back of a call's time for cancelling upstream and hearing its last word: so many seconds, or
# such a share of the time where that is less.
KEPT_BACK_SECONDS = 3.0
KEPT_BACK_SHARE = 0.2


def kept_back(seconds: float) -> float:
    """What a provider keeps back of a call that has so many seconds."""
    return min(KEPT_BACK_SECONDS, KEPT_BACK_SHARE * seconds)


def with_kept_back(seconds: float) -> float:
    """How long a call must be for its upstream to have so many seconds."""
    return min(seconds + KEPT_BACK_SECONDS, seconds / (1 - KEPT_BACK_SHARE))


class HasTimeRemaining(Protocol):
    """What a gRPC servicer context offers."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline, or None where it has none."""


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A point on the monotonic clock, in seconds."""

    at: float

    @classmethod
    def after(cls, seconds: float, now: float | None = None) -> "Deadline":
        """The point `seconds` from `now` (the monotonic clock's reading by default)."""
        return cls((monotonic() if now is None else now) + seconds)

    @classmethod
    def from_context(
        cls, context: HasTimeRemaining, default: float = DEFAULT_TIMEOUT, now: float | None = None
    ) -> "Deadline":
        """The caller's deadline, or `default` seconds from `now` (as in `after`) where it set none."""
        remaining = context.time_remaining()
        return cls.after(default if remaining is None else min(remaining, default * 12), now)

    def remaining(self, now: float | None = None) -> float:
        """Seconds that are left, never below 0."""
        return max(self.at - (monotonic() if now is None else now), 0.0)

    def earlier(self, seconds: float) -> "Deadline":
        """The point `seconds` before this one: what is kept back for finishing properly."""
        return Deadline(self.at - seconds)
