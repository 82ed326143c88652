"""Who may be asked now: the breakers of providers and models and the gates, as one. Pure.

Both scopes must admit an attempt. What an attempt's end means for each is read from the verdict.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imagegate.router.breaker import (
    MAX_REFUSED_MODEL_SECONDS,
    MAX_REFUSED_PROVIDER_SECONDS,
    CircuitBreaker,
    Permit,
    State,
)
from imagegate.router.events import BreakerMoved, GateClosed, Listener
from imagegate.router.gates import Gates
from imagegate.router.verdict import Effect, verdict_on
from imagegate.runtime.errors import Failure, Reason

# Requests may name any upstream id: the least recently used model's breaker is forgotten.
MAX_MODELS = 512
# The worse a state, the later it stands.
WORSE = (State.CLOSED, State.HALF_OPEN, State.OPEN)


@dataclass(frozen=True, slots=True)
class Permits:
    """The right to one attempt at `provider`/`model`; settled exactly once."""

    provider: str
    model: str
    of_provider: Permit
    of_model: Permit


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a candidate may not be asked now, for how many seconds, and what led to it, for people."""

    reason: Reason
    wait: float
    because: Failure | None = None


class Admission:
    """The state of every breaker and gate. `jitter` gives numbers from -1 to 1."""

    def __init__(self, emit: Listener, jitter: Callable[[], float]) -> None:
        self._emit = emit
        self._jitter = jitter
        self._providers: dict[str, CircuitBreaker] = {}
        self._models: OrderedDict[tuple[str, str], CircuitBreaker] = OrderedDict()
        self._gates = Gates()

    def breaker(self, provider: str, model: str = "") -> CircuitBreaker:
        """The breaker of a provider, or of one of its models."""
        if not model:
            return self._providers.setdefault(provider, CircuitBreaker(provider))
        breaker = self._models.setdefault((provider, model), CircuitBreaker(f"{provider}/{model}"))
        self._models.move_to_end((provider, model))
        while len(self._models) > MAX_MODELS:
            self._models.popitem(last=False)
        return breaker

    def refusal(self, provider: str, model: str, now: float) -> Refusal | None:
        """Why the candidate may not be asked now; None where it may. Changes nothing that counts."""
        for breaker in self._both(provider, model):
            until = breaker.until(now)
            if until is not None:
                return Refusal(Reason.CIRCUIT_OPEN, until - now, breaker.because)
        closed = self._gates.closed(provider, model, now)
        return Refusal(closed.skip, closed.until - now, closed.because) if closed else None

    def acquire(self, provider: str, model: str, now: float) -> Permits:
        """The permits for one attempt, right after `refusal` was None."""
        of_provider = self.breaker(provider).acquire(now)
        of_model = self.breaker(provider, model).acquire(now)
        if of_provider is None or of_model is None:
            raise RuntimeError(f"{provider}/{model} was acquired although it is refused")
        return Permits(provider, model, of_provider, of_model)

    def delivered(self, permits: Permits, now: float) -> None:
        """The attempt delivered."""
        with_state = self._states(permits, now)
        self.breaker(permits.provider).succeeded(permits.of_provider)
        self.breaker(permits.provider, permits.model).succeeded(permits.of_model)
        self._gates.open(permits.provider, permits.model)
        self._tell(permits, with_state, None, now)

    def failed(self, permits: Permits, failure: Failure, now: float) -> None:
        """The attempt failed; what that means is the verdict on its reason."""
        verdict = verdict_on(failure.reason)
        with_state = self._states(permits, now)
        provider, model = self._both(permits.provider, permits.model)
        jitter = self._jitter()
        match verdict.effect:
            case Effect.OPENS_PROVIDER:
                provider.refused(permits.of_provider, now, jitter, MAX_REFUSED_PROVIDER_SECONDS, failure)
            case Effect.OPENS_MODEL:
                model.refused(permits.of_model, now, jitter, MAX_REFUSED_MODEL_SECONDS, failure)
            case Effect.PROVIDER_FAILURE:
                provider.failed(permits.of_provider, now, jitter, failure)
            case Effect.MODEL_FAILURE:
                model.failed(permits.of_model, now, jitter, failure)
            case Effect.NEUTRAL:
                pass
        self.release(permits)
        if verdict.gates:
            until = self._gates.close(
                permits.provider, permits.model, failure.reason, failure.retry_after, now, jitter, failure
            )
            self._emit(GateClosed(permits.provider, permits.model, until - now))
        self._tell(permits, with_state, failure.reason, now)

    def release(self, permits: Permits) -> None:
        """The attempt ended in a way that says nothing; a permit that was used up takes no notice."""
        self.breaker(permits.provider).release(permits.of_provider)
        self.breaker(permits.provider, permits.model).release(permits.of_model)

    def worst(self, provider: str, now: float) -> State:
        """The worst state among the models of a provider."""
        states = [breaker.state(now) for (owner, _), breaker in self._models.items() if owner == provider]
        return max(states, key=WORSE.index, default=State.CLOSED)

    def _both(self, provider: str, model: str) -> tuple[CircuitBreaker, CircuitBreaker]:
        return self.breaker(provider), self.breaker(provider, model)

    def _states(self, permits: Permits, now: float) -> tuple[State, State]:
        provider, model = self._both(permits.provider, permits.model)
        return provider.state(now), model.state(now)

    def _tell(self, permits: Permits, before: tuple[State, State], reason: Reason | None, now: float) -> None:
        for moved in self._moves(permits, before, reason, now):
            self._emit(moved)

    def _moves(
        self, permits: Permits, before: tuple[State, State], reason: Reason | None, now: float
    ) -> Iterator[BreakerMoved]:
        of_provider, of_model = self._states(permits, now)
        if of_provider is not before[0]:
            yield BreakerMoved(permits.provider, "", of_provider.value, of_provider.value, reason)
        if of_model is not before[1]:
            worst = self.worst(permits.provider, now).value
            yield BreakerMoved(permits.provider, permits.model, of_model.value, worst, reason)
