"""A gate: a known time before which not to ask. Not a failure. Pure; `now` is the monotonic clock."""

from dataclasses import dataclass

from imagegate.runtime.errors import Failure, Reason

# Without a Retry-After: 1 s, doubled each time in a row, at most a minute, ± 50 %.
FIRST_SECONDS = 1.0
MAX_GUESSED_SECONDS = 60.0
MAX_GUESSES = 16
JITTER = 0.5
# What is asked for is honoured up to this: a quota ends with its day, nothing else is that patient.
LONGEST_SECONDS = 600.0
LONGEST_QUOTA_SECONDS = 86_400.0

# What a caller is told about a candidate behind a gate, by what closed it.
SKIPS = {Reason.MODEL_LOADING: Reason.WARMING, Reason.OVER_QUOTA: Reason.OVER_QUOTA}


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed gate: the skip reason, until when (monotonic seconds), and what closed it, for people."""

    skip: Reason
    until: float
    because: Failure


class Gate:
    """The gate of a provider, or of a model that is being loaded."""

    def __init__(self) -> None:
        self._closed: Closed | None = None
        self._guesses = 0

    def __repr__(self) -> str:
        return f"<Gate {self._closed.skip} until {self._closed.until:g}>" if self._closed else "<Gate>"

    def close(self, because: Failure, now: float, jitter: float) -> float:
        """Ask nobody behind it before the failure's `retry_after`; the later of two times stands. Returns it.

        `jitter` is from -1 to 1, for a failure that does not say for how long. Several of these that left before the
        gate closed tell one thing.
        """
        longest = LONGEST_QUOTA_SECONDS if because.reason is Reason.OVER_QUOTA else LONGEST_SECONDS
        seconds = because.retry_after
        if seconds is None:
            if self.closed(now) is None or not self._guesses:
                self._guesses = min(self._guesses + 1, MAX_GUESSES)
            guessed = min(FIRST_SECONDS * 2 ** (self._guesses - 1), MAX_GUESSED_SECONDS)
            seconds = guessed * (1 + JITTER * jitter)
        until = now + min(max(seconds, 0.0), longest)
        if self._closed is None or until >= self._closed.until:
            self._closed = Closed(SKIPS.get(because.reason, Reason.BACKING_OFF), until, because)
        return self._closed.until

    def closed(self, now: float) -> Closed | None:
        """What holds the candidate back now; None where it may be asked."""
        return self._closed if self._closed is not None and self._closed.until > now else None

    def delivered(self) -> None:
        """Somebody behind it delivered: the next guess begins at the shortest again."""
        self._guesses = 0

    def open(self) -> None:
        """What it waited for has happened."""
        self._closed = None
        self._guesses = 0
