"""What happens in the core, as values. Listeners count, log and remember; the core knows no metric name.

What is made for each request is a named tuple, here and in the core: as constant as a frozen dataclass, and made in a
third of the time.
"""

from collections.abc import Callable
from typing import NamedTuple

from imagegate.runtime.errors import Failure, Reason


class AttemptStarted(NamedTuple):
    """An attempt of `caller` (empty: callers are not told apart) left for `provider`/`model`."""

    provider: str
    model: str
    caller: str = ""


class AttemptFinished(NamedTuple):
    """It ended: `failure` is None where it delivered, CANCELLED where the caller left."""

    provider: str
    model: str
    seconds: float
    failure: Failure | None = None
    caller: str = ""


class CreditsSpent(NamedTuple):
    """A request was delivered by `provider`/`model`, for so many credits by the catalogue's price."""

    provider: str
    model: str
    credits: int


class CandidateSkipped(NamedTuple):
    """A candidate was passed over."""

    provider: str
    model: str
    reason: Reason


class FellBack(NamedTuple):
    """After a failure at one provider the next attempt goes to another candidate."""

    from_provider: str
    to_provider: str
    reason: Reason


class ChargeRisked(NamedTuple):
    """Another attempt follows one at `provider` that is, or may be, charged without having delivered."""

    provider: str


class BreakerMoved(NamedTuple):
    """A breaker changed its state; `model` is empty for the provider's own, `reason` is what opened it."""

    provider: str
    model: str
    state: str
    reason: Reason | None


class GateClosed(NamedTuple):
    """Nobody asks `provider` for this many seconds."""

    provider: str
    seconds: float


class RequestFinished(NamedTuple):
    """A request was answered; `overhead` is the router's own time in seconds."""

    overhead: float


class ConfigLoaded(NamedTuple):
    """A configuration was read (`hash`), or refused (empty)."""

    hash: str


Event = (
    AttemptStarted
    | AttemptFinished
    | CreditsSpent
    | CandidateSkipped
    | FellBack
    | ChargeRisked
    | BreakerMoved
    | GateClosed
    | RequestFinished
    | ConfigLoaded
)
Listener = Callable[[Event], None]


class Listeners:
    """Everybody who wants to hear; called like one listener."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def add(self, *listeners: Listener) -> None:
        """From now on these hear every event, in this order."""
        self._listeners += listeners

    def __call__(self, event: Event) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener(event)
