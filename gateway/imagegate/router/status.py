"""What `GetStatus` tells: the state of every provider, model and route as this replica sees it."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from imagegate.router import budget
from imagegate.router.admission import Admission
from imagegate.router.answer import timestamp
from imagegate.router.breaker import State
from imagegate.router.config import ModelConfig, RouterConfig
from imagegate.router.events import AttemptFinished, AttemptStarted, Event
from imagegate.router.overrides import Mode, Override, Scope
from imagegate.router.router import Router
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.metrics import OTHER
from imagegate.runtime.models import Model
from imagegate.v1 import router_pb2

BREAKER_STATES = {
    State.CLOSED: router_pb2.BREAKER_STATE_CLOSED,
    State.OPEN: router_pb2.BREAKER_STATE_OPEN,
    State.HALF_OPEN: router_pb2.BREAKER_STATE_HALF_OPEN,
}
OVERRIDE_MODES = {
    Mode.OPEN: router_pb2.OVERRIDE_MODE_OPEN,
    Mode.CLOSED: router_pb2.OVERRIDE_MODE_CLOSED,
    Mode.OBSERVE_ONLY: router_pb2.OVERRIDE_MODE_OBSERVE_ONLY,
}


@dataclass(slots=True)
class _Score:
    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    last_failure: Failure | None = None
    failed_at: float = 0.0


@dataclass(slots=True)
class Scoreboard:
    """Remembers what the events told, by provider and by model. `is_known` says whether (provider, model) is in
    a catalogue: requests may name anything, and what is not there is scored together.
    """

    is_known: Callable[[str, str], bool]
    scores: defaultdict[tuple[str, str], _Score] = field(default_factory=lambda: defaultdict(_Score))

    def __call__(self, event: Event) -> None:
        """Note one event."""
        if isinstance(event, AttemptStarted):
            self.scores[event.provider, ""].in_flight += 1
        elif isinstance(event, AttemptFinished):
            self.scores[event.provider, ""].in_flight -= 1
            model = event.model if self.is_known(event.provider, event.model) else OTHER
            for key in (event.provider, ""), (event.provider, model):
                self._note(self.scores[key], event)

    def _note(self, score: _Score, event: AttemptFinished) -> None:
        if event.failure is None:
            score.succeeded += 1
        elif event.failure.reason is not Reason.CANCELLED:
            score.failed += 1
            score.last_failure, score.failed_at = event.failure, time.time()


def status_of(router: Router, scoreboard: Scoreboard, config: RouterConfig, source: str) -> router_pb2.RouterStatus:
    """The whole status. Asks nobody."""
    providers = [_provider(name, router, scoreboard, config) for name in config.providers]
    routes = [_route(name, router) for name in sorted(config.routes)]
    return router_pb2.RouterStatus(providers=providers, routes=routes, config_source=source, config_hash=config.hash)


def _provider(name: str, router: Router, scoreboard: Scoreboard, config: RouterConfig) -> router_pb2.ProviderStatus:
    settings = config.providers[name]
    offer = router.catalogues.offer(name)
    disabled = offer.disabled_reason if settings.enabled else f"providers.{name}.enabled is false in the configuration"
    now = router.clock()
    score = scoreboard.scores[name, ""]
    status = router_pb2.ProviderStatus(
        name=name,
        enabled=not disabled,
        disabled_reason=disabled,
        reachable=offer.reachable,
        breaker=BREAKER_STATES[router.admission.state(name, "", now)],
        in_flight=score.in_flight,
        target=settings.target,
        problem=offer.problem,
        quota_left=offer.quota_left,
        models=[
            _model(name, model, settings.models.get(model.key, settings), router, scoreboard)
            for model in (offer.catalogue.models if offer.catalogue else ())
        ],
    )
    _note_admission(status, (name, ""), router.admission, now)
    _note_last_error(status, score)
    return status


def _model(
    provider: str, model: Model, settings: ModelConfig, router: Router, scoreboard: Scoreboard
) -> router_pb2.ModelStatus:
    now, admission = router.clock(), router.admission
    score = scoreboard.scores[provider, model.key]
    usual = budget.usual_seconds(model)
    status = router_pb2.ModelStatus(
        key=model.key,
        enabled=model.enabled,
        disabled_reason=model.disabled_reason,
        breaker=BREAKER_STATES[admission.state(provider, model.key, now)],
        succeeded=score.succeeded,
        failed=score.failed,
        slow=admission.is_slow(provider, model.key, now, usual, settings.latency_objective),
        rejecting=admission.rejecting(provider, model.key),
    )
    status.usual.FromMilliseconds(round(admission.usual(provider, model.key, 0.50, usual) * 1000))
    _note_admission(status, (provider, model.key), admission, now)
    _note_last_error(status, score)
    return status


def override_to_proto(scope: Scope, override: Override, now: float) -> router_pb2.BreakerOverride:
    """An operator's decision as the wire tells it; `now` is the monotonic clock."""
    return router_pb2.BreakerOverride(
        provider=scope[0],
        model=scope[1],
        mode=OVERRIDE_MODES[override.mode],
        reason=override.reason,
        actor=override.actor,
        until=timestamp(time.time() + override.until - now),
    )


def _note_admission(
    status: router_pb2.ProviderStatus | router_pb2.ModelStatus, scope: Scope, admission: Admission, now: float
) -> None:
    """What holds the scope back, how much of it fails, and what an operator has decided."""
    refusal = admission.refusal(*scope, now)
    if refusal is not None:
        status.held_back = refusal.reason.to_proto()
        status.until.CopyFrom(timestamp(time.time() + refusal.wait))
    rate = admission.failure_rate(*scope, now)
    if rate is not None:
        status.failure_rate = rate
    override = admission.overrides.on(scope, now)
    if override is not None:
        status.override.CopyFrom(override_to_proto(scope, override, now))


def _route(name: str, router: Router) -> router_pb2.RouteStatus:
    return router_pb2.RouteStatus(
        name=name,
        candidates=[str(candidate) for candidate in router.planner.resolve(name).candidates],
        available=router.is_available(name),
    )


def _note_last_error(status: router_pb2.ProviderStatus | router_pb2.ModelStatus, score: _Score) -> None:
    if score.last_failure is not None:
        status.last_error.reason = score.last_failure.reason.to_proto()
        status.last_error.message = score.last_failure.message
        status.last_error.upstream_status = score.last_failure.upstream_status
        status.last_error.upstream_message = score.last_failure.upstream_message
        status.last_error.at.CopyFrom(timestamp(score.failed_at))
