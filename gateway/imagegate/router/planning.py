"""What a request sets out with: which candidates its model's name means, and what lies in the way of each.

Depends on its shape, the configuration and the catalogues, and on nothing else: most of it is found out once for all
requests of a shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.router import eligibility
from imagegate.router.catalogues import Catalogues
from imagegate.router.config import ModelOverrides, RouteOptions, RouterConfig
from imagegate.router.ranking import Entry, Obstacle
from imagegate.router.routes import Candidate, Resolution, resolve, unknown_providers
from imagegate.router.shapes import Shaped, Shapes
from imagegate.runtime.errors import Failure, Reason, Violation
from imagegate.runtime.validation import violations_of_shape, violations_of_words
from imagegate.v1 import generation_pb2, terms_pb2


@dataclass(frozen=True, slots=True)
class Plan:
    """The candidates of a request, and what is configured for its route."""

    resolution: Resolution
    entries: Sequence[Entry]
    options: RouteOptions


class Planner:
    """Plans by the configuration in force and by what the catalogues say now."""

    def __init__(self, overrides: ModelOverrides, catalogues: Catalogues) -> None:
        self.config: RouterConfig | None = None
        self.overrides = overrides
        self._catalogues = catalogues
        self._faults: Shapes[Sequence[Violation]] = Shapes()
        self._plans: Shapes[Plan] = Shapes()

    def configured(self) -> RouterConfig:
        """The configuration in force. Raises Failure(NO_CANDIDATE) before there is one."""
        if self.config is None:
            raise Failure(Reason.NO_CANDIDATE, "the router has no configuration yet")
        return self.config

    def violations(self, shaped: Shaped, *, needs_prompt: bool = True) -> Sequence[Violation]:
        """Every bad field of a request; options for a provider that is not configured are a mistake, not ignored."""
        request, config = shaped.request, self.configured()

        def of_shape() -> Sequence[Violation]:
            return [*violations_of_shape(request), *unknown_providers(request, config)]

        of_words = violations_of_words(request, needs_prompt=needs_prompt)
        return [*of_words, *self._faults.known(shaped.shape, (config,), of_shape)]

    def plan(self, shaped: Shaped) -> Plan:
        """What a valid request's model means, and which candidates it may use. Raises Failure(MODEL_NOT_FOUND)."""
        standing = (self.config, self._catalogues.revision)
        return self._plans.known(shaped.shape, standing, lambda: self._made(shaped.request))

    def resolve(self, name: str, quality: "terms_pb2.Quality.ValueType" = terms_pb2.QUALITY_UNSPECIFIED) -> Resolution:
        """The candidates that `name` means for pictures of this quality. Raises Failure(MODEL_NOT_FOUND)."""
        return resolve(name, self.configured(), self.overrides, self._catalogues.known, quality)

    def entry(
        self, candidate: Candidate, request: generation_pb2.GenerateRequest | None = None, route: str = ""
    ) -> Entry:
        """A candidate of a request (None: of any), and what lies in its way whatever happens."""
        obstacle = self._switched_off(candidate)
        if request is not None:
            obstacle = eligibility.not_allowed(candidate, request) or obstacle
            obstacle = obstacle or eligibility.unsupported(candidate, request)
            obstacle = obstacle or eligibility.too_expensive(candidate, request)
        if self.config is None or candidate.provider not in self.config.providers:
            return Entry(candidate, obstacle)
        return Entry(
            candidate,
            obstacle,
            limit=self.config.attempt_timeout(candidate.provider, candidate.key, route),
            objective=self.config.latency_objective(candidate.provider, candidate.key),
        )

    def _made(self, request: generation_pb2.GenerateRequest) -> Plan:
        resolution = self.resolve(request.model, request.quality)
        route = resolution.route
        entries = [self.entry(candidate, request, route) for candidate in resolution.candidates]
        if request.routing.no_fallback:
            entries = [entry for entry in entries if not _is_not_allowed(entry)][:1] or entries
        if eligibility.need_advice(entries):
            able = [name for name in self.configured().routes if name != route and self._can_make(name, request)]
            entries = eligibility.advised(entries, able)
        options = self.configured().route_options.get(route)
        return Plan(resolution, entries, options or RouteOptions())

    def _can_make(self, route: str, request: generation_pb2.GenerateRequest) -> bool:
        """Whether a route has a candidate that a request might use, if it asked for that route."""
        candidates = self.resolve(route, request.quality).candidates
        return any(self.entry(each, request, route).obstacle is None for each in candidates if each.model is not None)

    def _switched_off(self, candidate: Candidate) -> Obstacle | None:
        settings = self.config.providers.get(candidate.provider) if self.config else None
        if settings is None or not settings.enabled:
            remedy = f"set providers.{candidate.provider}.enabled to true in the router's configuration"
            return Obstacle(Reason.DISABLED, f"{candidate.provider} is switched off", remedy)
        reason = self._catalogues.offer(candidate.provider).disabled_reason
        if reason:
            return Obstacle(Reason.DISABLED, f"{candidate.provider} is off", reason)
        if candidate.model is not None and not candidate.model.enabled:
            return Obstacle(Reason.DISABLED, candidate.model.disabled_reason)
        return None


def _is_not_allowed(entry: Entry) -> bool:
    return entry.obstacle is not None and entry.obstacle.reason is Reason.NOT_ALLOWED
