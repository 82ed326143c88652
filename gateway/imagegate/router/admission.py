"""Who may be asked now: breakers, gates and operators' decisions of providers and models, as one. Pure.

Both scopes must admit an attempt. What an attempt's end means for each is read from the verdict.
"""

import itertools
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from imagegate.router.breaker import (
    MAX_REFUSED_MODEL_SECONDS,
    MAX_REFUSED_PROVIDER_SECONDS,
    CircuitBreaker,
    Permit,
    State,
)
from imagegate.router.events import BreakerMoved, GateClosed, Listener
from imagegate.router.gates import Gate
from imagegate.router.latency import Latency
from imagegate.router.overrides import Mode, Override, Overrides, Scope
from imagegate.router.pulse import Pulse
from imagegate.router.rejecting import Rejecting
from imagegate.router.verdict import STARVED, Effect, verdict_on
from imagegate.router.warming import Warming
from imagegate.runtime.errors import Failure, Reason

# Requests may name any upstream id: the least recently used model's state is forgotten.
MAX_MODELS = 512
LOOKED_THROUGH = 32
# The worse a state, the later it stands.
WORSE = (State.CLOSED, State.HALF_OPEN, State.OPEN)
# Where nothing is admissible, so often a request goes all the same to one whose breaker is open.
TRICKLE_SECONDS = 1.0
SHORTEST_LOADING_SECONDS = 1.0


class Permits(NamedTuple):
    """The right to one attempt at `provider`/`model`; settled exactly once."""

    provider: str
    model: str
    of_provider: Permit
    of_model: Permit


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a candidate may not be asked now, for how many seconds, and what led to it, for people.

    `is_statistical`: by counting failures alone, so that it may be tried where nobody else is left.
    """

    reason: Reason
    wait: float
    because: Failure | None = None
    is_statistical: bool = False


@dataclass(slots=True)
class _Scope:
    """What is remembered of a provider, or of one of its models."""

    breaker: CircuitBreaker
    gate: Gate = field(default_factory=Gate)
    latency: Latency = field(default_factory=Latency)
    warming: Warming = field(default_factory=Warming)
    rejecting: Rejecting = field(default_factory=Rejecting)
    trickled_at: float | None = None
    is_listed: bool = True


class Admission:
    """The state of every provider and model as this replica sees it. `rng` jitters and tosses coins."""

    def __init__(self, emit: Listener, rng: random.Random) -> None:
        self.overrides = Overrides()
        self.pulse = Pulse()
        self._emit = emit
        self._rng = rng
        self._providers: dict[str, _Scope] = {}
        self._models: OrderedDict[Scope, _Scope] = OrderedDict()
        self._generations = itertools.count()

    # ── Before an attempt ────────────────────────────────────────────────────────────────────────────────────────

    def refusal(self, provider: str, model: str, now: float) -> Refusal | None:
        """Why the candidate may not be asked now; None where it may. An unknown name leaves no trace.

        Where several things hold it back this is the one that lasts longest.
        """
        refusals = self._refusals((provider, ""), self._providers.get(provider), now)
        if model:
            place = (provider, model)
            refusals += self._refusals(place, self._models.get(place), now)
        if not refusals:
            return None
        longest = max(refusals, key=lambda refusal: refusal.wait)
        return replace(longest, is_statistical=all(refusal.is_statistical for refusal in refusals))

    def share(self, provider: str, model: str, now: float) -> float:
        """How much of its turns the candidate gets: less than 1 while it has only just come back."""
        share = 1.0
        for scope in self._known(provider, model):
            share = min(share, scope.breaker.share(now))
        return share

    def is_slow(self, provider: str, model: str, now: float, usual: float, objective: float | None) -> bool:
        """Whether it takes much longer than it used to, and than `objective` seconds; `usual` is the catalogue's."""
        scope = self._models.get((provider, model))
        return scope is not None and scope.latency.is_slow(now, scope.breaker.window.length, usual, objective)

    def stands_last(self, provider: str, model: str, now: float) -> bool:
        """Whether everybody else is tried before the model, because it rejects every input."""
        scope = self._models.get((provider, model))
        return scope is not None and scope.rejecting.stands_last(now)

    def rejecting(self, provider: str, model: str) -> str:
        """The upstream's words while the model rejects every input; else empty."""
        scope = self._models.get((provider, model))
        return scope.rejecting.words if scope else ""

    def may_trickle(self, provider: str, model: str, now: float) -> bool:
        """Whether this second has seen no trial yet at the candidate, nor at any of a provider that is open."""
        scopes = self._known(provider, model)
        times = [s.trickled_at for s in scopes if s.trickled_at is not None and s.breaker.peek(now) is not State.CLOSED]
        return now - max(times, default=-math.inf) >= TRICKLE_SECONDS

    def usual(self, provider: str, model: str, share: float, usual: float) -> float:
        """The seconds that `share` of a model's pictures stay within; `usual` is the catalogue's word."""
        scope = self._models.get((provider, model))
        return (scope.latency if scope else Latency()).quantile(share, usual)

    def toss(self) -> float:
        """A number from 0 to 1, by chance."""
        return self._rng.random()

    def acquire(
        self,
        provider: str,
        model: str,
        now: float,
        timeout: float,
        overdue_after: float,
        *,
        may_queue: bool = False,
        is_listed: bool = True,
        trickles: bool = False,
    ) -> Permits:
        """The right to one attempt with `timeout` seconds, which counts as failed once it takes `overdue_after`.

        One that `may_queue` behind others does so only when nothing was delivered for as long. Whoever asks in spite of
        a refusal gets it too; `trickles` says that nobody else was left. `is_listed`: the model is in a catalogue.
        """
        of_provider, of_model = self._provider(provider), self._model(provider, model, now, is_listed=is_listed)
        if trickles:
            of_provider.trickled_at = of_model.trickled_at = now
        return Permits(
            provider,
            model,
            of_provider.breaker.acquire(now, timeout, overdue_after, model, may_queue=may_queue),
            of_model.breaker.acquire(now, timeout, overdue_after, may_queue=may_queue),
        )

    # ── After it ─────────────────────────────────────────────────────────────────────────────────────────────────

    def delivered(self, permits: Permits, now: float, seconds: float, usual: float, waited: float = 0.0) -> None:
        """The attempt delivered, in `seconds` a picture, `waited` of these behind others in the provider; `usual` is
        the catalogue's word on that.
        """
        model = self._model(permits.provider, permits.model, now)
        provider = self._provider(permits.provider)
        provider.breaker.succeeded(permits.of_provider, now)
        model.breaker.succeeded(permits.of_model, now)
        model.latency.add(now, seconds, waited)
        model.warming.over()
        model.rejecting.over()
        for scope in (provider, model):
            scope.gate.delivered()
            scope.breaker.window.span(model.latency.quantile(0.95, usual))

    def failed(self, permits: Permits, failure: Failure, now: float, *, starved: bool = False, prompt: int = 0) -> None:
        """The attempt failed; what that means is the verdict on its reason. `prompt` is a hash of the prompt.

        One that was `starved` of time says nothing about the model. A failure that closes a gate without saying for
        how long gets that time as its `retry_after`; a model that has been loading for too long is OVERLOADED.
        """
        provider, model = self._provider(permits.provider), self._model(permits.provider, permits.model, now)
        is_loading = failure.reason is Reason.MODEL_LOADING
        if is_loading:  # an estimate of nothing would be asked about again and again
            failure.retry_after = max(failure.retry_after or 0.0, SHORTEST_LOADING_SECONDS)
        if is_loading and model.warming.heard(failure.retry_after or 0.0, now):
            failure.reason, failure.retry_after = Reason.OVERLOADED, None
            failure.message = f"it has been loading for too long without getting nearer: {failure.message}"
            model.warming.over()
        if failure.reason is Reason.UPSTREAM_REJECTED_INPUT:
            model.rejecting.rejected(prompt, failure, now)
        verdict = STARVED if starved else verdict_on(failure.reason)
        match verdict.effect:
            case Effect.OPENS_PROVIDER:
                provider.breaker.refused(permits.of_provider, now, MAX_REFUSED_PROVIDER_SECONDS, failure)
            case Effect.OPENS_MODEL:
                model.breaker.refused(permits.of_model, now, MAX_REFUSED_MODEL_SECONDS, failure)
            case Effect.PROVIDER_FAILURE:
                provider.breaker.failed(permits.of_provider, now, failure, at_provider=True)
            case Effect.MODEL_FAILURE:
                model.breaker.failed(permits.of_model, now, failure)
                provider.breaker.failed(permits.of_provider, now, failure)
            case Effect.NEUTRAL:
                pass
        self.release(permits, now)
        if verdict.gates:
            # A model that is being loaded (for too long, too) holds back itself only, everything else its provider.
            self._close_gate(model if is_loading else provider, permits.provider, failure, now)

    def release(self, permits: Permits, now: float) -> None:
        """The attempt ended in a way that says nothing; a permit that was used up takes no notice."""
        self._provider(permits.provider).breaker.release(permits.of_provider)
        self._model(permits.provider, permits.model, now).breaker.release(permits.of_model)

    # ── From elsewhere ───────────────────────────────────────────────────────────────────────────────────────────

    def warmed(self, provider: str, model: str, now: float) -> None:
        """The upstream's free word: the model is ready."""
        self._model(provider, model, now).gate.open()

    def key_renewed(self, provider: str, now: float) -> None:
        """A provider has another key, with limits of its own: what the former one led to is over."""
        scope = self._providers.get(provider)
        if scope is not None:
            scope.gate.open()
            self.key_accepted(provider, now)
        for (owner, _), model in self._models.items():
            because = model.breaker.because
            if owner == provider and because is not None and because.reason is Reason.MODEL_ACCESS_DENIED:
                model.breaker.give_chance(now)

    def key_accepted(self, provider: str, now: float) -> None:
        """A provider that had refused its key accepts it, by the upstream's free word: the next request finds out."""
        scope = self._providers.get(provider)
        if scope is not None and scope.breaker.is_refused:
            scope.breaker.give_chance(now)

    def quota_left(self, provider: str, now: float) -> None:
        """A provider whose quota was used up may make requests again."""
        scope = self._providers.get(provider)
        closed = scope.gate.closed(now) if scope is not None else None
        if scope is not None and closed is not None and closed.skip is Reason.OVER_QUOTA:
            scope.gate.open()

    def decide(self, scope: Scope, override: Override, now: float) -> None:
        """An operator's decision; CLOSED forgets what had opened the breaker."""
        self.overrides.put(scope, override)
        known = self._models.get(scope) if scope[1] else self._providers.get(scope[0])
        if override.mode is Mode.CLOSED and known is not None:
            known.breaker.reset(now)
            known.gate.open()

    def look(self, now: float) -> None:
        """Let time alone have its effects: attempts become overdue, open breakers half open."""
        for scope in (*self._providers.values(), *self._models.values()):
            scope.breaker.state(now)

    # ── For whoever only looks ───────────────────────────────────────────────────────────────────────────────────

    def state(self, provider: str, model: str, now: float) -> State:
        """The state of a provider's breaker (`model` empty) or a model's."""
        scope = self._models.get((provider, model)) if model else self._providers.get(provider)
        return scope.breaker.peek(now) if scope else State.CLOSED

    def worst(self, provider: str, now: float) -> State:
        """The worst state among the models of a provider."""
        states = [scope.breaker.peek(now) for (owner, _), scope in list(self._models.items()) if owner == provider]
        return max(states, key=WORSE.index, default=State.CLOSED)

    def refused_because(self, provider: str, now: float) -> Reason | None:
        """Why the provider's account was refused, while its breaker is open for that."""
        return self.refused(provider, now) if self.state(provider, "", now) is State.OPEN else None

    def refused(self, provider: str, now: float) -> Reason | None:
        """Why the provider's account was refused, until it delivers again."""
        scope = self._providers.get(provider)
        if scope is None or not scope.breaker.is_refused or scope.breaker.peek(now) is State.CLOSED:
            return None
        return scope.breaker.because.reason if scope.breaker.because else None

    def failure_rate(self, provider: str, model: str, now: float) -> float | None:
        """Failed ÷ all over the breaker's window; None where nothing counted."""
        scope = self._models.get((provider, model)) if model else self._providers.get(provider)
        tally = scope.breaker.window.tally(now) if scope else None
        return tally.failure_rate if tally is not None and tally.total else None

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _refusals(self, place: Scope, scope: _Scope | None, now: float) -> list[Refusal]:
        """Everything that holds one scope back."""
        found = []
        override = self.overrides.on(place, now)
        if override is not None and override.mode is Mode.OPEN:
            found.append(Refusal(Reason.CIRCUIT_OPEN, override.until - now, _decided(override)))
        if scope is None:
            return found
        closed = scope.gate.closed(now)
        if closed is not None:
            found.append(Refusal(closed.skip, closed.until - now, closed.because))
        until = scope.breaker.until(now)
        if until is not None and override is None:
            statistical = not scope.breaker.is_refused
            found.append(Refusal(Reason.CIRCUIT_OPEN, until - now, scope.breaker.because, is_statistical=statistical))
        return found

    def _known(self, provider: str, model: str) -> Sequence[_Scope]:
        scopes = (self._providers.get(provider), self._models.get((provider, model)))
        return [scope for scope in scopes if scope is not None]

    def _close_gate(self, scope: _Scope, provider: str, failure: Failure, now: float) -> None:
        until = scope.gate.close(failure, now, self._jitter())
        if failure.retry_after is None:
            failure.retry_after = until - now
        if scope is self._providers.get(provider):
            self._emit(GateClosed(provider, until - now))

    def _jitter(self) -> float:
        return self._rng.uniform(-1, 1)

    def _provider(self, provider: str) -> _Scope:
        if provider not in self._providers:
            self._providers[provider] = _Scope(self._breaker(provider, ""))
        return self._providers[provider]

    def _model(self, provider: str, model: str, now: float, *, is_listed: bool = True) -> _Scope:
        place = (provider, model)
        if place not in self._models:
            if len(self._models) >= MAX_MODELS:
                del self._models[self._least_missed(now)]
            self._models[place] = _Scope(self._breaker(provider, model), is_listed=is_listed)
        self._models.move_to_end(place)
        return self._models[place]

    def _least_missed(self, now: float) -> Scope:
        """Of the least recently used few: one that somebody made up rather than one of a catalogue, and one whose
        breaker is closed rather than one that knows something.
        """
        oldest = list(islice(self._models.items(), LOOKED_THROUGH))
        return min(oldest, key=lambda item: (item[1].is_listed, item[1].breaker.peek(now) is not State.CLOSED))[0]

    def _breaker(self, provider: str, model: str) -> CircuitBreaker:
        name = f"{provider}/{model}" if model else provider
        return CircuitBreaker(name, self._jitter, self._teller(provider, model), self._generations, self.pulse)

    def _teller(self, provider: str, model: str) -> Callable[[State, Failure | None], None]:
        def tell(state: State, because: Failure | None) -> None:
            self._emit(BreakerMoved(provider, model, state.value, because.reason if because else None))

        return tell


def _decided(override: Override) -> Failure:
    """An operator's decision, as what holds the candidate back."""
    return Failure(
        Reason.CIRCUIT_OPEN,
        f"{override.actor} opened it: {override.reason}",
        remedy="`imagegate breaker clear` takes the decision back",
    )
