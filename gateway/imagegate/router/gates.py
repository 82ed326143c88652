"""Gates: a known time before which not to ask. Not a failure. Pure; `now` is the monotonic clock."""

from dataclasses import dataclass

from imagegate.runtime.errors import Failure, Reason

# Without a Retry-After: 1 s, doubled each time in a row, at most a minute, ± 50 %.
FIRST_SECONDS = 1.0
MAX_GUESSED_SECONDS = 60.0
JITTER = 0.5
# What is asked for is honoured up to this: a quota ends with its day, nothing else is that patient.
LONGEST_SECONDS = 600.0
LONGEST_QUOTA_SECONDS = 86_400.0

# What a caller is told about a candidate behind a gate, by what closed it.
SKIPS = {Reason.MODEL_LOADING: Reason.WARMING, Reason.OVER_QUOTA: Reason.OVER_QUOTA}


@dataclass(slots=True)
class _Gate:
    until: float
    skip: Reason
    because: Failure | None = None
    guesses: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed gate: the skip reason, until when (monotonic seconds), and what closed it, for people."""

    skip: Reason
    until: float
    because: Failure | None


class Gates:
    """The gates of all providers, and of models that are warming."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], _Gate] = {}

    def close(
        self,
        provider: str,
        model: str,
        reason: Reason,
        retry_after: float | None,
        now: float,
        jitter: float,
        because: Failure | None = None,
    ) -> float:
        """Ask nobody behind it before `retry_after` seconds; the later of two times stands. Returns it.

        A loading model gates itself only, everything else its provider.
        """
        place = (provider, model if reason is Reason.MODEL_LOADING else "")
        gate = self._gates.setdefault(place, _Gate(now, Reason.BACKING_OFF))
        longest = LONGEST_QUOTA_SECONDS if reason is Reason.OVER_QUOTA else LONGEST_SECONDS
        if retry_after is None:
            guessed = min(FIRST_SECONDS * 2**gate.guesses, MAX_GUESSED_SECONDS)
            retry_after = guessed * (1 + JITTER * jitter)
            gate.guesses = min(gate.guesses + 1, 16)
        until = now + min(max(retry_after, 0.0), longest)
        if until >= gate.until:
            gate.until = until
            gate.skip = SKIPS.get(reason, Reason.BACKING_OFF)
            gate.because = because
        return gate.until

    def open(self, provider: str, model: str) -> None:
        """The candidate delivered: the next guess begins at the shortest again."""
        for place in ((provider, ""), (provider, model)):
            if place in self._gates:
                self._gates[place].guesses = 0

    def closed(self, provider: str, model: str, now: float) -> Closed | None:
        """The gate that is closed the longest; None where the candidate may be asked."""
        gates = [self._gates[place] for place in ((provider, ""), (provider, model)) if place in self._gates]
        latest = max(gates, key=lambda gate: gate.until, default=None)
        return Closed(latest.skip, latest.until, latest.because) if latest is not None and latest.until > now else None
