"""RouterAdminService: what operators decide for a while, and the configuration in force."""

from collections.abc import Mapping, Sequence

import structlog
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2

from imagegate.router import config as configuration
from imagegate.router.answer import NANOS
from imagegate.router.overrides import DEFAULT_SECONDS, LONGEST_SECONDS, Mode, Override, Scope
from imagegate.router.router import Router
from imagegate.router.status import override_to_proto
from imagegate.runtime.errors import Failure, Reason, Violation, invalid_request
from imagegate.runtime.redaction import clip, one_line
from imagegate.runtime.server import Service
from imagegate.v1 import admin_pb2, admin_pb2_grpc, router_pb2

log = structlog.get_logger()

MODES: Mapping["router_pb2.OverrideMode.ValueType", Mode] = {
    router_pb2.OVERRIDE_MODE_OPEN: Mode.OPEN,
    router_pb2.OVERRIDE_MODE_CLOSED: Mode.CLOSED,
    router_pb2.OVERRIDE_MODE_OBSERVE_ONLY: Mode.OBSERVE_ONLY,
}
MAX_REASON_CHARACTERS = 200
MAX_ACTOR_CHARACTERS = 100


class AdminFace(admin_pb2_grpc.RouterAdminServiceServicer):
    """Hands operators' decisions over to the router."""

    def __init__(self, router: Router, config_source: str) -> None:
        self._router = router
        self._config_source = config_source

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        name = "imagegate.v1.RouterAdminService"
        return [Service(name, lambda server: admin_pb2_grpc.add_RouterAdminServiceServicer_to_server(self, server))]

    async def OverrideBreaker(
        self, request: admin_pb2.OverrideBreakerRequest, context: object
    ) -> router_pb2.BreakerOverride:
        """Decide about a breaker for a while."""
        reason, actor = one_line(request.reason).strip(), one_line(request.actor).strip()
        if wrong := _violations(request, reason, actor):
            raise invalid_request(wrong)
        scope = self._scope(request.provider, request.model)
        seconds = _nanos(request.duration) / NANOS if request.HasField("duration") else DEFAULT_SECONDS
        now = self._router.clock()
        override = Override(MODES[request.mode], reason, actor, now + seconds)
        self._router.admission.decide(scope, override, now)
        log.warning(
            "a breaker was overridden",
            provider=scope[0],
            model=scope[1],
            mode=override.mode.value,
            reason=override.reason,
            actor=override.actor,
            seconds=seconds,
        )
        return override_to_proto(scope, override, now)

    async def ClearOverride(
        self, request: admin_pb2.ClearOverrideRequest, context: object
    ) -> admin_pb2.ClearOverrideResponse:
        """Take a decision back."""
        scope = (request.provider, request.model)
        if not self._router.admission.overrides.clear(scope, self._router.clock()):
            raise _not_found(f"nothing is decided about {_named(scope)}", "`imagegate breaker list` shows what is")
        log.warning("an override was taken back", provider=scope[0], model=scope[1])
        return admin_pb2.ClearOverrideResponse()

    async def ListOverrides(
        self, request: admin_pb2.ListOverridesRequest, context: object
    ) -> admin_pb2.ListOverridesResponse:
        """The decisions in force."""
        now = self._router.clock()
        in_force = self._router.admission.overrides.in_force(now)
        return admin_pb2.ListOverridesResponse(
            overrides=[override_to_proto(scope, override, now) for scope, override in in_force.items()]
        )

    async def GetConfig(self, request: admin_pb2.GetConfigRequest, context: object) -> admin_pb2.EffectiveConfig:
        """The configuration in force."""
        config = self._router.config
        if config is None:
            raise Failure(Reason.NO_CANDIDATE, "the router has no configuration yet")
        shown = configuration.dump(configuration.redacted(config))
        return admin_pb2.EffectiveConfig(yaml=shown, source=self._config_source, hash=config.hash)

    def _scope(self, provider: str, model: str) -> Scope:
        """The scope of these names. Raises Failure as NOT_FOUND where the router does not know them."""
        config = self._router.config
        known = list(config.providers) if config else []
        if provider not in known:
            raise _not_found(f"no provider is called {clip(provider, 64)!r}", f"one of {', '.join(known)}")
        catalogue = self._router.catalogues.offer(provider).catalogue
        if model and (catalogue is None or not self._router.catalogues.has(provider, model)):
            keys = ", ".join(entry.key for entry in catalogue.models) if catalogue else "wait until it was read"
            raise _not_found(f"{provider} has no model {clip(model, 64)!r} in its catalogue", f"one of {keys}")
        return provider, model


def _violations(request: admin_pb2.OverrideBreakerRequest, reason: str, actor: str) -> Sequence[Violation]:
    """What is wrong with a decision whose `reason` and `actor` will be kept in these words."""
    found = []
    if request.mode not in MODES:
        found.append(Violation("mode", "say OPEN, CLOSED or OBSERVE_ONLY"))
    for name, words, longest in (("reason", reason, MAX_REASON_CHARACTERS), ("actor", actor, MAX_ACTOR_CHARACTERS)):
        if not 1 <= len(words) <= longest:
            found.append(Violation(name, f"must have 1 to {longest} characters"))
    if request.HasField("duration") and not 0 < _nanos(request.duration) <= LONGEST_SECONDS * NANOS:
        found.append(Violation("duration", "must be more than 0 s and at most 7 days"))
    return found


def _nanos(duration: Duration) -> int:
    """A duration off the wire, which may hold any integers: more seconds than the library's own conversions take."""
    return duration.seconds * NANOS + duration.nanos


def _not_found(message: str, remedy: str) -> Failure:
    return Failure(Reason.INVALID_REQUEST, message, remedy=remedy, code=code_pb2.NOT_FOUND)


def _named(scope: Scope) -> str:
    return clip("/".join(part for part in scope if part), 128) or "nobody"
