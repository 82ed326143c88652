"""The router's metric names, fed by its events. Labels come from closed sets only."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from imagegate.router.breaker import State
from imagegate.router.events import (
    AttemptFinished,
    AttemptStarted,
    BreakerMoved,
    CandidateSkipped,
    ChargeRisked,
    ConfigLoaded,
    CreditsSpent,
    Event,
    FellBack,
    GateClosed,
    RequestFinished,
)
from imagegate.router.inflight import Inflight
from imagegate.router.router import Router
from imagegate.router.verdict import Group, verdict_on
from imagegate.runtime.metrics import DURATION_BUCKETS, OTHER
from imagegate.runtime.registry import Registry


class RouterMetrics:
    """Counts the events of `router`, whose catalogues close the set of labels."""

    def __init__(self, registry: Registry, router: Router) -> None:
        self._router = router
        self._is_known = router.catalogues.has
        registry.live.register(Standings(router))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"imagegate_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"imagegate_{name}", text, labels, registry=registry)

        self._attempts = counter(
            "attempts",
            "Attempts by outcome; the failure rate is group failed / (ok + failed).",
            "provider",
            "model",
            "outcome",
            "outcome_group",
        )
        self._durations = Histogram(
            "imagegate_attempt_duration_seconds",
            "Time of an attempt.",
            ["provider", "model", "outcome_group"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._credits = counter("credits", "Credits of delivered requests, by the catalogue.", "provider", "model")
        self._fallbacks = counter(
            "fallbacks", "Attempts after a failure elsewhere.", "from_provider", "to_provider", "reason"
        )
        self._risks = counter(
            "duplicate_charge_risk", "Attempts after one that may be charged without having delivered.", "provider"
        )
        self._skips = counter("skips", "Candidates passed over.", "provider", "reason")
        self._moves = counter("breaker_transitions", "Transitions of breakers.", "provider", "scope", "to", "reason")
        # To look a series up takes longer than to count; there are as many as the closed sets allow.
        self._attempts_of = cache(self._attempts.labels)
        self._durations_of = cache(self._durations.labels)
        self._credits_of = cache(self._credits.labels)
        self._skips_of = cache(self._skips.labels)
        self._gates = gauge("gate_until_timestamp_seconds", "Until when a provider is not asked.", "provider")
        self._inflight = Inflight(router)
        registry.live.register(self._inflight)
        self._overhead = Histogram(
            "imagegate_overhead_seconds",
            "The router's own time per request.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5),
            registry=registry,
        )
        self._reload_ok = gauge("config_last_reload_ok", "1 where the last reading of the configuration succeeded.")
        self._config = gauge("config_info", "The configuration in force.", "hash")
        self._counting: Mapping[type[Event], Callable[[Any], None]] = {
            AttemptStarted: self._started,
            AttemptFinished: self._finished,
            CreditsSpent: self._spent,
            CandidateSkipped: self._skipped,
            FellBack: self._fell_back,
            ChargeRisked: self._risked,
            BreakerMoved: self._moved,
            GateClosed: self._closed,
            RequestFinished: self._answered,
            ConfigLoaded: self._loaded,
        }

    def __call__(self, event: Event) -> None:
        """Count one event."""
        self._counting[type(event)](event)

    def _started(self, event: AttemptStarted) -> None:
        self._inflight.count(event.provider, event.caller, 1)
        # There before it counts: Prometheus sees no increase in a series that appears.
        self._credits_of(event.provider, self._label(event.provider, event.model))

    def _spent(self, event: CreditsSpent) -> None:
        self._credits_of(event.provider, self._label(event.provider, event.model)).inc(event.credits)

    def _skipped(self, event: CandidateSkipped) -> None:
        self._skips_of(event.provider, event.reason.lower()).inc()

    def _fell_back(self, event: FellBack) -> None:
        self._fallbacks.labels(event.from_provider, event.to_provider, event.reason.lower()).inc()

    def _risked(self, event: ChargeRisked) -> None:
        self._risks.labels(event.provider).inc()

    def _closed(self, event: GateClosed) -> None:
        self._gates.labels(event.provider).set(time.time() + event.seconds)

    def _answered(self, event: RequestFinished) -> None:
        self._overhead.observe(event.overhead)

    def _label(self, provider: str, model: str) -> str:
        return model if self._is_known(provider, model) else OTHER

    def _finished(self, event: AttemptFinished) -> None:
        self._inflight.count(event.provider, event.caller, -1)
        reason = event.failure.reason if event.failure else None
        outcome = reason.lower() if reason else "ok"
        group = verdict_on(reason).group.value if reason else Group.OK.value
        model = self._label(event.provider, event.model)
        self._attempts_of(event.provider, model, outcome, group).inc()
        self._durations_of(event.provider, model, group).observe(event.seconds)

    def _moved(self, event: BreakerMoved) -> None:
        scope = "model" if event.model else "provider"
        self._moves.labels(event.provider, scope, event.state, event.reason.lower() if event.reason else "").inc()

    def _loaded(self, event: ConfigLoaded) -> None:
        self._reload_ok.set(bool(event.hash))
        if event.hash:
            self._config.clear()
            self._config.labels(event.hash).set(1)
        for provider in self._router.config.providers if self._router.config else ():
            for scope in ("provider", "model"):  # there before it counts, as credits are
                self._moves.labels(provider, scope, State.CLOSED.value, "")


class Standings(Collector):
    """How breakers and models stand at the time of scraping: a breaker becomes half open by time alone."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The breakers: one series per configured provider, scope and state; scope `model` is the worst of its models.
        Which accounts are refused: one series per such provider. Which models reject everything: one series per model
        of the catalogues. Which routes have nobody to ask: one series per route.
        """
        states = GaugeMetricFamily(
            "imagegate_breaker_state", "1 for the state a breaker is in.", labels=["provider", "scope", "state"]
        )
        admission, now = self._router.admission, self._router.clock()
        for provider in self._router.config.providers if self._router.config else ():
            for scope, current in (
                ("provider", admission.state(provider, "", now)),
                ("model", admission.worst(provider, now)),
            ):
                for state in State:
                    states.add_metric([provider, scope, state.value], float(state is current))
        yield states
        refused = GaugeMetricFamily(
            "imagegate_provider_refused",
            "1 from when an upstream refused the account until it delivers again.",
            labels=["provider", "reason"],
        )
        for provider in self._router.config.providers if self._router.config else ():
            reason = admission.refused(provider, now)
            if reason is not None:
                refused.add_metric([provider, reason.lower()], 1.0)
        yield refused
        rejecting = GaugeMetricFamily(
            "imagegate_model_rejecting", "1 while a model rejects every input.", labels=["provider", "model"]
        )
        for provider, catalogue in self._router.catalogues.known.items():
            for model in catalogue.models:
                rejecting.add_metric([provider, model.key], float(bool(admission.rejecting(provider, model.key))))
        yield rejecting
        available = GaugeMetricFamily(
            "imagegate_route_available",
            "1 while a route has a candidate that would be tried now; absent where all of them are switched off.",
            labels=["route"],
        )
        for route in self._router.config.routes if self._router.config else ():
            if self._router.is_switched_on(route):
                available.add_metric([route], float(self._router.is_available(route)))
        yield available
