"""What happens in the core, as values. Listeners count, log and remember; the core knows no metric name."""

from collections.abc import Callable
from dataclasses import dataclass

from imagegate.runtime.errors import Failure, Reason


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt of `caller` (empty: callers are not told apart) left for `provider`/`model`."""

    provider: str
    model: str
    caller: str = ""


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """It ended: `failure` is None where it delivered, CANCELLED where the caller left."""

    provider: str
    model: str
    seconds: float
    failure: Failure | None = None
    caller: str = ""


@dataclass(frozen=True, slots=True)
class CreditsSpent:
    """A request was delivered by `provider`/`model`, for so many credits by the catalogue's price."""

    provider: str
    model: str
    credits: int


@dataclass(frozen=True, slots=True)
class CandidateSkipped:
    """A candidate was passed over."""

    provider: str
    model: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class FellBack:
    """After a failure at one provider the next attempt goes to another candidate."""

    from_provider: str
    to_provider: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class ChargeRisked:
    """Another attempt follows one at `provider` that is, or may be, charged without having delivered."""

    provider: str


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """A breaker changed its state; `model` is empty for the provider's own, `reason` is what opened it."""

    provider: str
    model: str
    state: str
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class GateClosed:
    """Nobody asks `provider` for this many seconds."""

    provider: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """A request was answered; `overhead` is the router's own time in seconds."""

    overhead: float


@dataclass(frozen=True, slots=True)
class ConfigLoaded:
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
