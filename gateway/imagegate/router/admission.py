"""Who may be asked now: the breakers of providers and models and the gates, as one. Pure.

Both scopes must admit an attempt. What an attempt's end means for each is read from the verdict.
"""

from collections import OrderedDict
from collections.abc import Callable
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
from imagegate.router.latency import Latency
from imagegate.router.verdict import STARVED, Effect, verdict_on
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
        self._latencies: dict[tuple[str, str], Latency] = {}
        self._gates = Gates()

    def refusal(self, provider: str, model: str, now: float) -> Refusal | None:
        """Why the candidate may not be asked now; None where it may. An unknown name leaves no trace."""
        for breaker in (self._providers.get(provider), self._models.get((provider, model))):
            until = breaker.until(now) if breaker else None
            if breaker and until is not None:
                return Refusal(Reason.CIRCUIT_OPEN, until - now, breaker.because)
        closed = self._gates.closed(provider, model, now)
        return Refusal(closed.skip, closed.until - now, closed.because) if closed else None

    def acquire(self, provider: str, model: str, now: float) -> Permits:
        """The permits for one attempt, right after `refusal` was None."""
        of_provider = self._provider(provider).acquire(now)
        of_model = self._model(provider, model, now).acquire(now)
        if of_provider is None or of_model is None:
            raise RuntimeError(f"{provider}/{model} was acquired although it is refused")
        return Permits(provider, model, of_provider, of_model)

    def usual(self, provider: str, model: str, share: float, usual: float) -> float:
        """The seconds that `share` of a model's pictures stay within; `usual` is the catalogue's word."""
        latency = self._latencies.get((provider, model))
        return (latency or Latency()).quantile(share, usual)

    def delivered(self, permits: Permits, now: float, seconds: float, usual: float) -> None:
        """The attempt delivered, in `seconds` a picture; `usual` is the catalogue's word on that."""
        provider, model = self._provider(permits.provider), self._model(permits.provider, permits.model, now)
        provider.succeeded(permits.of_provider, now)
        model.succeeded(permits.of_model, now)
        self._gates.open(permits.provider, permits.model)
        latency = self._latencies.setdefault((permits.provider, permits.model), Latency())
        latency.add(seconds)
        for breaker in (provider, model):
            breaker.window.span(latency.quantile(0.95, usual))

    def failed(self, permits: Permits, failure: Failure, now: float, *, starved: bool = False) -> None:
        """The attempt failed; what that means is the verdict on its reason.

        One that was `starved` of time says nothing about the model. A failure that closes a gate
        without saying for how long gets that time as its `retry_after`.
        """
        verdict = STARVED if starved else verdict_on(failure.reason)
        provider, model = self._provider(permits.provider), self._model(permits.provider, permits.model, now)
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
        self.release(permits, now)
        if verdict.gates:
            self._close_gate(permits, failure, now, jitter)

    def release(self, permits: Permits, now: float) -> None:
        """The attempt ended in a way that says nothing; a permit that was used up takes no notice."""
        self._provider(permits.provider).release(permits.of_provider)
        self._model(permits.provider, permits.model, now).release(permits.of_model)

    def state(self, provider: str, model: str, now: float) -> State:
        """The state of a provider's breaker (`model` empty) or a model's, for whoever only looks."""
        breaker = self._models.get((provider, model)) if model else self._providers.get(provider)
        return breaker.peek(now) if breaker else State.CLOSED

    def worst(self, provider: str, now: float) -> State:
        """The worst state among the models of a provider, for whoever only looks."""
        states = [breaker.peek(now) for (owner, _), breaker in list(self._models.items()) if owner == provider]
        return max(states, key=WORSE.index, default=State.CLOSED)

    def _close_gate(self, permits: Permits, failure: Failure, now: float, jitter: float) -> None:
        provider, model = permits.provider, permits.model
        until = self._gates.close(provider, model, failure.reason, failure.retry_after, now, jitter, failure)
        if failure.retry_after is None:
            failure.retry_after = until - now
        if failure.reason is not Reason.MODEL_LOADING:  # which holds back one model only
            self._emit(GateClosed(provider, until - now))

    def _provider(self, provider: str) -> CircuitBreaker:
        if provider not in self._providers:
            self._providers[provider] = CircuitBreaker(provider, self._teller(provider, ""))
        return self._providers[provider]

    def _model(self, provider: str, model: str, now: float) -> CircuitBreaker:
        place = (provider, model)
        if place not in self._models:
            self._models[place] = CircuitBreaker(f"{provider}/{model}", self._teller(provider, model))
            if len(self._models) > MAX_MODELS:
                forgotten = self._least_missed(now)
                del self._models[forgotten]
                self._latencies.pop(forgotten, None)
        self._models.move_to_end(place)
        return self._models[place]

    def _least_missed(self, now: float) -> tuple[str, str]:
        """The least recently used breaker, one that is closed if there is any: an open one knows something."""
        closed = (place for place, breaker in self._models.items() if breaker.peek(now) is State.CLOSED)
        return next(closed, next(iter(self._models)))

    def _teller(self, provider: str, model: str) -> Callable[[State, Failure | None], None]:
        def tell(state: State, because: Failure | None) -> None:
            self._emit(BreakerMoved(provider, model, state.value, because.reason if because else None))

        return tell
