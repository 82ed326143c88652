"""The loop over the candidates: skip, attempt, judge, fall back, until one delivers.

Everything that decides is pure and lives in its own module; here it is put into order, with time
and the network around it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from imagegate.router import answer, budget
from imagegate.router.admission import Admission, Refusal
from imagegate.router.catalogues import Catalogues
from imagegate.router.config import ModelOverrides, RouterConfig
from imagegate.router.endpoint import Endpoint, Sighting
from imagegate.router.events import (
    AttemptFinished,
    AttemptStarted,
    CandidateSkipped,
    ConfigLoaded,
    FellBack,
    Listener,
    RequestFinished,
)
from imagegate.router.routes import Candidate, Resolution, resolve
from imagegate.router.verdict import Next, verdict_on
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.fitting import fit, forbidden
from imagegate.runtime.metadata import ATTEMPT_NUMBER, FALLBACK_WAITS, REQUEST_ID_KEY
from imagegate.v1 import error_pb2, generation_pb2

MAX_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a candidate is passed over; `wait` in seconds where it is known."""

    reason: Reason
    message: str = ""
    remedy: str = ""
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A serialised GenerateResponse, complete, and the attempts that it tells of."""

    body: bytes
    attempts: Sequence[error_pb2.Attempt]


@dataclass(slots=True)
class _Run:
    """One request on its way through the candidates."""

    request: generation_pb2.GenerateRequest
    resolution: Resolution
    deadline: Deadline
    request_id: str
    began: float
    record: list[error_pb2.Attempt] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    failed_at: str = ""
    inside_attempts: float = 0.0


class Router:
    """Routes requests to providers. One per process; its state is this replica's own."""

    def __init__(
        self,
        overrides: ModelOverrides,
        emit: Listener,
        *,
        clock: Callable[[], float] = monotonic,
        random_source: random.Random | None = None,
    ) -> None:
        self.config: RouterConfig | None = None
        self.overrides = overrides
        self.catalogues = Catalogues()
        rng = random_source or random.Random()  # noqa: S311 jitter needs no secrecy
        self.admission = Admission(emit, lambda: rng.uniform(-1, 1))
        self.clock = clock
        self._emit = emit
        self._endpoints: dict[str, Endpoint] = {}

    async def configure(self, config: RouterConfig) -> None:
        """Take `config` from now on. Calls under way at a provider that moved fall back as UNREACHABLE.

        New requests see the new configuration at once: nothing is awaited before it stands.
        """
        former = self._endpoints
        self._endpoints = {
            name: former[name]
            if name in former and former[name].target == settings.target
            else Endpoint(name, settings.target)
            for name, settings in config.providers.items()
        }
        self.config = config
        for name, endpoint in self._endpoints.items():
            if former.get(name) is not endpoint:
                self.catalogues.watch(endpoint)
        self._emit(ConfigLoaded(config.hash))
        for name, endpoint in former.items():
            if self._endpoints.get(name) is not endpoint:
                if name not in self._endpoints:
                    await self.catalogues.forget(name)
                await endpoint.close()

    async def close(self) -> None:
        """Close every connection."""
        await self.catalogues.close()
        for endpoint in self._endpoints.values():
            await endpoint.close()

    async def generate(self, request: generation_pb2.GenerateRequest, deadline: Deadline, request_id: str) -> Answered:
        """The answer of the first candidate that delivers. Raises Failure."""
        resolution = self.resolve(request.model)
        run = _Run(request, resolution, deadline, request_id, self.clock())
        try:
            body = await self._first_delivery(run)
            return Answered(body, run.record)
        finally:
            self._emit(RequestFinished(self.clock() - run.began - run.inside_attempts))

    def resolve(self, name: str) -> Resolution:
        """The candidates that `name` means. Raises Failure(MODEL_NOT_FOUND)."""
        if self.config is None:
            raise Failure(Reason.NO_CANDIDATE, "the router has no configuration yet")
        return resolve(name, self.config, self.overrides, self.catalogues.known)

    def obstacle(self, candidate: Candidate, request: generation_pb2.GenerateRequest | None = None) -> Obstacle | None:
        """Why `candidate` would be passed over now (for `request`, or for any); None where it would not."""
        return (
            self._switched_off(candidate)
            or (request and (_not_allowed(candidate, request) or _unsupported(candidate, request)))
            or self._held_back(candidate)
        ) or None

    async def _first_delivery(self, run: _Run) -> bytes:
        candidates = _in_play(run)
        for index, candidate in enumerate(candidates):
            obstacle = self._obstacle_in(run, candidate)
            if obstacle is not None:
                self._skip(run, candidate, obstacle)
                continue
            is_last_attempt = len(run.failures) == MAX_ATTEMPTS - 1
            later = [] if is_last_attempt else candidates[index + 1 :]
            body = await self._attempt(run, candidate, self._following(run, later))
            if body is not None:
                return body
            if is_last_attempt or not _goes_on(run.failures):
                break
        raise answer.exhausted(run.record, run.failures)

    def _following(self, run: _Run, later: Sequence[Candidate]) -> Candidate | None:
        """The candidate that would be tried if this one failed now."""
        return next((candidate for candidate in later if self.obstacle(candidate, run.request) is None), None)

    def _obstacle_in(self, run: _Run, candidate: Candidate) -> Obstacle | None:
        if run.deadline.remaining(self.clock()) <= budget.RESERVE:
            return Obstacle(Reason.DEADLINE_TOO_SHORT, "no time is left for it", "give the request more time")
        return self.obstacle(candidate, run.request)

    def _skip(self, run: _Run, candidate: Candidate, obstacle: Obstacle) -> None:
        run.record.append(
            answer.skipped(
                candidate.provider, candidate.key, obstacle.reason, obstacle.message, obstacle.remedy, obstacle.wait
            )
        )
        self._emit(CandidateSkipped(candidate.provider, candidate.key, obstacle.reason))

    async def _attempt(self, run: _Run, candidate: Candidate, following: Candidate | None) -> bytes | None:
        """The answer, complete, or None where the attempt failed and was recorded."""
        if run.failures:
            self._emit(FellBack(run.failed_at, candidate.provider, run.failures[-1].reason))
        permits = self.admission.acquire(candidate.provider, candidate.key, self.clock())
        sighting = Sighting()
        timeout = self._timeout(run, candidate, following)
        began = self.clock()
        self._emit(AttemptStarted(candidate.provider, candidate.key))
        failure: Failure | None = None
        try:
            body = await self._call(run, candidate, timeout, following is not None, sighting)
            each = (self.clock() - began) / (run.request.count or 1)
            self.admission.delivered(permits, self.clock(), each, budget.usual_seconds(candidate.model))
        except Failure as error:
            failure = _remembered(error)
            starved = failure.reason is Reason.TIMEOUT and timeout < self._fair(run, candidate)
            self.admission.failed(permits, failure, self.clock(), starved=starved)
        except asyncio.CancelledError:  # the caller left, which says nothing about the provider
            self.admission.release(permits, self.clock())
            failure = Failure(Reason.CANCELLED, "the caller left")
            raise
        except BaseException:  # a bug of ours, which does not either
            self.admission.release(permits, self.clock())
            failure = Failure(Reason.INTERNAL, "the router failed by a bug of its own")
            raise
        finally:
            seconds = self.clock() - began
            run.inside_attempts += seconds
            self._emit(AttemptFinished(candidate.provider, candidate.key, seconds, failure))
        if failure is not None:
            run.failures.append(failure)
            run.failed_at = candidate.provider
            run.record.append(answer.failed(failure, candidate.provider, candidate.key, seconds, sighting.upstream_id))
            return None
        run.record.append(answer.delivered(candidate.provider, candidate.key, seconds, sighting.upstream_id))
        total = self.clock() - run.began
        return body + answer.appendix(run.record, run.resolution.rule, run.request_id, total)

    def _timeout(self, run: _Run, candidate: Candidate, following: Candidate | None) -> float:
        """The seconds that an attempt at `candidate` gets."""
        return budget.attempt_timeout(
            run.deadline.remaining(self.clock()),
            self._limit(run, candidate),
            self._usual(following, run) if following else None,
        )

    def _fair(self, run: _Run, candidate: Candidate) -> float:
        """The seconds that an attempt must have had for its time-out to be held against the candidate: its usual
        time, or the limit that the operator set below it.
        """
        return min(self._usual(candidate, run), self._limit(run, candidate))

    def _limit(self, run: _Run, candidate: Candidate) -> float:
        return budget.own_limit(candidate.model, self._configured_timeout(candidate), run.request.count or 1)

    def _usual(self, candidate: Candidate, run: _Run) -> float:
        """The seconds that half of the candidate's answers to such a request stay within."""
        usual = budget.usual_seconds(candidate.model)
        return self.admission.usual(candidate.provider, candidate.key, 0.50, usual) * (run.request.count or 1)

    async def _call(
        self, run: _Run, candidate: Candidate, timeout: float, fallback_waits: bool, sighting: Sighting
    ) -> bytes:
        metadata = {REQUEST_ID_KEY: run.request_id, ATTEMPT_NUMBER: str(len(run.failures) + 1)}
        if fallback_waits:
            metadata[FALLBACK_WAITS] = "true"
        request = generation_pb2.GenerateRequest()
        request.CopyFrom(run.request)
        request.model = candidate.asked
        request.request_id = run.request_id
        request.ClearField("routing")
        endpoint = self._endpoints[candidate.provider]
        return await endpoint.generate(request.SerializeToString(), timeout, metadata, sighting)

    def _configured_timeout(self, candidate: Candidate) -> float | None:
        settings = self.config.providers.get(candidate.provider) if self.config else None
        return settings.attempt_timeout if settings else None

    def _switched_off(self, candidate: Candidate) -> Obstacle | None:
        settings = self.config.providers.get(candidate.provider) if self.config else None
        if settings is None or not settings.enabled:
            remedy = f"set providers.{candidate.provider}.enabled to true in the router's configuration"
            return Obstacle(Reason.DISABLED, f"{candidate.provider} is switched off", remedy)
        reason = self.catalogues.offer(candidate.provider).disabled_reason
        if reason:
            return Obstacle(Reason.DISABLED, f"{candidate.provider} is off", reason)
        if candidate.model is not None and not candidate.model.enabled:
            return Obstacle(Reason.DISABLED, candidate.model.disabled_reason)
        return None

    def _held_back(self, candidate: Candidate) -> Obstacle | None:
        refusal: Refusal | None = self.admission.refusal(candidate.provider, candidate.key, self.clock())
        if refusal is None:
            return None
        cause = refusal.because
        why = f"after {cause.reason}: {cause.message}" if cause else ""
        return Obstacle(refusal.reason, why, cause.remedy if cause else "", refusal.wait)


def _in_play(run: _Run) -> Sequence[Candidate]:
    """The candidates in order; without fallback only the first that the request allows."""
    candidates = run.resolution.candidates
    if not run.request.routing.no_fallback:
        return candidates
    return [candidate for candidate in candidates if _not_allowed(candidate, run.request) is None][:1] or candidates


def _goes_on(failures: Sequence[Failure]) -> bool:
    """Whether another candidate may follow: an input that two refused is not shown to a third."""
    verdicts = [verdict_on(failure.reason).next for failure in failures]
    return verdicts[-1] is not Next.NONE and verdicts.count(Next.ONE) < 2


def _remembered(failure: Failure) -> Failure:
    """The failure without its traceback, which would keep the whole request alive for as long as it is told."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def _not_allowed(candidate: Candidate, request: generation_pb2.GenerateRequest) -> Obstacle | None:
    routing = request.routing
    if candidate.provider in routing.deny_providers or (
        routing.allow_providers and candidate.provider not in routing.allow_providers
    ):
        return Obstacle(Reason.NOT_ALLOWED, "the request's routing excludes it")
    return None


def _unsupported(candidate: Candidate, request: generation_pb2.GenerateRequest) -> Obstacle | None:
    """Whether the model would need a change that the request forbids; an unknown model is let through."""
    if candidate.model is None:
        return None
    refused = forbidden(request, fit(request, candidate.model, drawn_seed=0).adjustments)
    return Obstacle(Reason.UNSUPPORTED, f"it cannot take {', '.join(refused)} as asked") if refused else None
