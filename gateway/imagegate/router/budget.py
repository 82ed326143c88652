"""How much time an attempt gets. Pure; all values in seconds."""

from imagegate.runtime.deadline import kept_back, with_kept_back
from imagegate.runtime.models import Model

# Three times the upper end of the model's usual time, within these bounds.
USUAL_TIMES = 3.0
SHORTEST, LONGEST = 20.0, 120.0
# Where the model is not known yet.
UNKNOWN = 60.0
# Kept back so that the answer still reaches the caller.
RESERVE = 0.25


def upstream_seconds(seconds: float) -> float:
    """What the upstream gets of an attempt's seconds: the provider keeps some back to end it properly."""
    return seconds - kept_back(seconds)


def usual_seconds(model: Model | None) -> float:
    """The usual time of one picture by the catalogue's word: the middle of its range."""
    return sum(model.typical_seconds) / 2 if model else UNKNOWN / USUAL_TIMES


def own_limit(model: Model | None, configured: float | None, count: int) -> float:
    """The most that one attempt may take, whatever time there is."""
    if configured is not None:
        return configured
    if model is None:
        return UNKNOWN
    return min(max(USUAL_TIMES * model.typical_seconds[1] * count, SHORTEST), LONGEST)


def attempt_timeout(remaining: float, limit: float, next_usual: float | None) -> float:
    """The time for one attempt, of the `remaining` ones.

    `next_usual` is the usual time of the next candidate, which must still fit; None for the last
    one, which gets all that is left.
    """
    available = remaining - RESERVE
    if next_usual is None:
        return max(available, 0.0)
    needed = with_kept_back(next_usual)
    # Where the next one would not fit anyway, the two share what there is.
    shared = available - needed if available > 2 * needed else available / 2
    return max(min(limit, shared), 0.0)
