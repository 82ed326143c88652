"""Carries out the course of each request: time and the network around what is decided purely."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from imagegate.router import answer, eligibility, progress
from imagegate.router.admission import Admission
from imagegate.router.calling import Sighting
from imagegate.router.catalogues import Catalogues
from imagegate.router.config import ModelOverrides, ProviderConfig, RouteOptions, RouterConfig
from imagegate.router.course import Course, Ended, Passed, Pause, Try, Warm
from imagegate.router.endpoint import Endpoint, Tell
from imagegate.router.estimate import cost_of
from imagegate.router.events import ConfigLoaded, CreditsSpent, Listener, RequestFinished
from imagegate.router.hops import Hops
from imagegate.router.offers import Offered
from imagegate.router.payment import is_free
from imagegate.router.planning import Plan, Planner
from imagegate.router.ranking import line_up
from imagegate.router.repeats import RepeatBudget
from imagegate.router.routes import Candidate, Resolution
from imagegate.router.shapes import Shaped
from imagegate.router.turns import Turns
from imagegate.router.warmup import Warmup
from imagegate.runtime.callers import OPEN
from imagegate.runtime.current import current_caller
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import SEEDS, leaves_seed_open
from imagegate.runtime.metadata import (
    ATTEMPT_NUMBER,
    CALLER,
    CALLER_WEIGHT,
    DRAWN_SEED,
    FALLBACK_WAITS,
    INPUTS_ADMITTED,
    REJECT_BLANK,
    REQUEST_ID_KEY,
)
from imagegate.runtime.prompts import without_prompts
from imagegate.v1 import catalog_pb2, error_pb2, generation_pb2


@dataclass(frozen=True, slots=True)
class Answered:
    """A serialised GenerateResponse, complete, and the attempts that it tells of."""

    body: bytes
    attempts: Sequence[error_pb2.Attempt]


@dataclass(slots=True)
class Journey:
    """One request under way: what its model's name means, what is configured for its route, its course through the
    candidates, the seed for those that take one (None where the caller gave it), the seconds for which it waited for
    others, and how many of those that were passed over its caller has heard of.
    """

    request_id: str
    resolution: Resolution
    options: RouteOptions
    course: Course
    began: float
    drawn_seed: int | None = None
    waited: float = 0.0
    told_passed: int = 0


class Router:
    """Routes requests to providers. One per process; its state is this replica's own."""

    def __init__(
        self,
        overrides: ModelOverrides,
        emit: Listener,
        entrance: Entrance | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        random_source: random.Random | None = None,
        keep_prompts: bool = True,
        hops: Hops | None = None,
    ) -> None:
        self.callers = OPEN
        self.catalogues = Catalogues(self._key_renewed, self._quota_left)
        self.planner = Planner(overrides, self.catalogues)
        self._random = random_source or random.Random()  # noqa: S311 neither jitter nor seeds need secrecy
        self.admission = Admission(emit, self._random)
        self.turns = Turns()
        self.clock = clock
        self._emit = emit
        self._hops = hops or Hops()
        self._entrance = entrance or Entrance()
        self._keep_prompts = keep_prompts  # in what providers say of failures, which is told to others and logged
        self._endpoints: dict[str, Endpoint] = {}
        # Those that left the configuration with calls under way, each with the task that waits for their end.
        self._leaving: dict[Endpoint, asyncio.Task[None]] = {}
        self._repeats = RepeatBudget()
        self._warmup = Warmup(clock)

    @property
    def config(self) -> RouterConfig | None:
        """The configuration in force; None before there is one."""
        return self.planner.config

    def configured(self) -> RouterConfig:
        """The configuration in force. Raises Failure(NO_CANDIDATE) before there is one."""
        return self.planner.configured()

    async def configure(self, config: RouterConfig) -> None:
        """Take `config` from now on. Calls under way at a provider that moved or was removed go on to their ends.

        New requests see the new configuration at once: nothing is awaited before it stands.
        """
        former = self._endpoints
        self._endpoints = {
            name: former[name]
            if name in former and self._is_where_it_was(name, settings)
            else Endpoint(name, settings.target, self._hops.to(settings))
            for name, settings in config.providers.items()
        }
        self.planner.config = config
        self.callers = config.known_callers()
        for name, endpoint in self._endpoints.items():
            if former.get(name) is not endpoint:
                self.catalogues.watch(endpoint)
        self._emit(ConfigLoaded(config.hash))
        for name, endpoint in former.items():
            if self._endpoints.get(name) is not endpoint:
                if name not in self._endpoints:
                    await self.catalogues.forget(name)
                self._let_finish(endpoint)

    def _is_where_it_was(self, provider: str, settings: ProviderConfig) -> bool:
        return self.config is not None and self.config.providers[provider].place == settings.place

    async def close(self) -> None:
        """Close every connection."""
        await self.catalogues.close()
        finishing = list(self._leaving.values())
        for endpoint in (*self._endpoints.values(), *self._leaving):
            await endpoint.close()
        for task in finishing:
            task.cancel()
        await asyncio.gather(*finishing, return_exceptions=True)

    def _let_finish(self, endpoint: Endpoint) -> None:
        self._leaving[endpoint] = task = asyncio.create_task(endpoint.finish())
        task.add_done_callback(lambda _: self._leaving.pop(endpoint))

    # ── One request ──────────────────────────────────────────────────────────────────────────────────────────────

    async def admitted(self, request: generation_pb2.GenerateRequest, *, needs_prompt: bool = True) -> Shaped:
        """The request as it goes on: valid, with clean pictures, and within its caller's tier. Raises Failure with
        everything that is wrong.
        """
        shaped = Shaped.of(request)
        clean = await self._entrance.admit(request, self.planner.violations(shaped, needs_prompt=needs_prompt))
        admitted = eligibility.within_tier(clean, current_caller().tier)
        return shaped if admitted is request else Shaped.of(admitted)

    def begin(self, admitted: Shaped, deadline: Deadline, request_id: str) -> Journey:
        """Set out for a request that was admitted. Raises Failure(MODEL_NOT_FOUND)."""
        now = self.clock()
        self._repeats.requested(now)
        plan = self.planner.plan(admitted)
        seed = self._random.randrange(SEEDS) if leaves_seed_open(admitted.request) else None
        course = self._course(admitted.request, plan, deadline)
        return Journey(request_id, plan.resolution, plan.options, course, now, seed)

    async def generate(self, journey: Journey, tell: Tell | None = None) -> Answered:
        """The answer of the first candidate that delivers; `tell` hears what happens on the way. Raises Failure."""
        course = journey.course
        body: bytes | None = None
        try:
            while body is None:
                step = course.next(self.clock())
                self._tell_passed(journey, tell)
                if isinstance(step, Ended):
                    raise answer.exhausted(course.record, self.clock())
                body = await self._take(journey, step, tell)
        finally:
            self._emit(RequestFinished(self.clock() - journey.began - journey.waited))
        attempts = answer.attempts_of(course.record, self.clock())
        total = self.clock() - journey.began
        return Answered(body + answer.appendix(attempts, journey.resolution.rule, journey.request_id, total), attempts)

    def explain(self, admitted: Shaped, deadline: Deadline) -> tuple[Resolution, Course]:
        """What a request that was admitted would set out with. Raises Failure(MODEL_NOT_FOUND)."""
        plan = self.planner.plan(admitted)
        return plan.resolution, self._course(admitted.request, plan, deadline)

    async def check(self, candidate: Candidate) -> catalog_pb2.ModelCheck:
        """What the candidate's upstream says of it now, for free. Raises Failure where its provider does not tell."""
        return await self._endpoint(candidate.provider).check_model(candidate.asked)

    def is_available(self, route: str) -> bool:
        """Whether any candidate of a route would be tried now, for a request that names no quality."""
        entries = [self.planner.entry(candidate) for candidate in self.planner.resolve(route).candidates]
        turns = line_up(entries, self.admission, self.clock()).turns
        return any(not turn.trickles for turn in turns)  # one request a second makes nothing available

    def is_switched_on(self, route: str) -> bool:
        """Whether any candidate of a route is switched on, by the configuration and by its provider."""
        config = self.configured()
        return any(
            config.providers[candidate.provider].enabled
            and not self.catalogues.offer(candidate.provider).disabled_reason
            and (candidate.model is None or candidate.model.enabled)
            for candidate in self.planner.resolve(route).candidates
        )

    def offered(self) -> Sequence[Offered]:
        """Every model that is known, and what would become of each now if it were asked for alone."""
        now, known = self.clock(), self.catalogues.known
        offered = []
        for provider in self.configured().providers:
            for model in known[provider].models if provider in known else ():
                entry = self.planner.entry(Candidate(provider, model.key, model))
                lineup = line_up([entry], self.admission, now)
                offered += [Offered(model, prospect) for prospect in (*lineup.turns, *lineup.passed)]
        return offered

    def is_usable(self, provider: str) -> bool:
        """Whether a provider is switched on, answers and is not held back as a whole."""
        settings = self.configured().providers.get(provider)
        offer = self.catalogues.offer(provider)
        is_on = settings is not None and settings.enabled and offer.reachable and not offer.disabled_reason
        return is_on and self.admission.refusal(provider, "", self.clock()) is None

    async def check_refused_keys(self) -> None:
        """Ask each provider whose key was refused whether it is accepted now, which is free; if so the next request
        finds out.
        """
        for provider in self.configured().providers:
            catalogue = self.catalogues.offer(provider).catalogue
            model = catalogue.find("") if catalogue else None
            if model is None:
                continue
            if self.admission.refused_because(provider, self.clock()) is Reason.CREDENTIALS_REJECTED:
                try:
                    check = await self._endpoint(provider).check_model(model.key)
                except Failure:
                    continue  # its word is all that was asked for
                if check.key_accepted:
                    self.admission.key_accepted(provider, self.clock())

    def _course(self, request: generation_pb2.GenerateRequest, plan: Plan, deadline: Deadline) -> Course:
        return Course(
            request,
            plan.entries,
            deadline,
            self.admission,
            self._repeats,
            self._emit,
            plan.options.fall_back_on_refused_content,
            current_caller().name,
        )

    # ── One step ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take(self, journey: Journey, step: Try | Warm | Pause, tell: Tell | None) -> bytes | None:
        """Take a step; the provider's answer where it delivered."""
        began = self.clock()
        try:
            match step:
                case Try():
                    return await self._attempt(journey, step, tell)
                case Warm(candidate, seconds):
                    await self._warm(candidate, seconds, tell)
                case Pause(candidate, seconds):
                    with suppress(Failure):  # taken out meanwhile: the next attempt tells
                        await self._endpoint(candidate.provider).until_ready(seconds)
            return None
        finally:
            journey.waited += self.clock() - began

    def _tell_passed(self, journey: Journey, tell: Tell | None) -> None:
        """Tell of the candidates that were passed over since the last time."""
        if tell is None:
            return
        passed = [entry for entry in journey.course.record if isinstance(entry, Passed)]
        for entry in passed[journey.told_passed :]:
            tell(progress.finished([entry], self.clock()))
        journey.told_passed = len(passed)

    async def _attempt(self, journey: Journey, attempt: Try, tell: Tell | None) -> bytes | None:
        """The provider's answer, or None where the attempt failed and was recorded."""
        course, sighting = journey.course, Sighting()
        try:
            if tell is not None:
                tell(progress.started(attempt))
            body = await self._call(journey, attempt, sighting, tell)
        except Failure as failure:
            if not self._keep_prompts:
                without_prompts(failure, course.request)
            course.failed(_remembered(failure), self.clock(), sighting.upstream_id)
        except asyncio.CancelledError:  # the caller left, which says nothing about the provider
            left = Failure(Reason.CANCELLED, "the caller left", dispatch=sighting.dispatch)
            course.left(left, self.clock(), sighting.upstream_id)
            raise
        except BaseException:  # a bug of ours, which does not either
            bug = Failure(Reason.INTERNAL, "the router failed by a bug of its own", dispatch=sighting.dispatch)
            course.left(bug, self.clock(), sighting.upstream_id)
            raise
        else:
            course.delivered(self.clock(), sighting.upstream_id, sighting.waited)
            self._tell_cost(attempt.candidate, course.request)
            return body
        finally:
            if tell is not None:
                tell(progress.finished(course.record, self.clock()))
        return None

    def _tell_cost(self, candidate: Candidate, request: generation_pb2.GenerateRequest) -> None:
        credits = cost_of(candidate, request)
        if credits is not None:
            self._emit(CreditsSpent(candidate.provider, candidate.key, credits))

    async def _call(self, journey: Journey, attempt: Try, sighting: Sighting, tell: Tell | None) -> bytes:
        metadata = {
            REQUEST_ID_KEY: journey.request_id,
            ATTEMPT_NUMBER: str(attempt.number),
            INPUTS_ADMITTED: "true",
        }
        caller = current_caller()
        if caller.name:
            metadata |= {CALLER: caller.name, CALLER_WEIGHT: f"{caller.weight:g}"}
        if attempt.fallback_waits:
            metadata[FALLBACK_WAITS] = "true"
        if journey.drawn_seed is not None:
            metadata[DRAWN_SEED] = str(journey.drawn_seed)
        if journey.options.reject_blank:
            metadata[REJECT_BLANK] = "true"
        endpoint = self._endpoint(attempt.candidate.provider)
        request = _serialised(journey, attempt.candidate)
        may_be_charged = not is_free(attempt.candidate.model)
        return await endpoint.generate(
            request, attempt.timeout, metadata, sighting, tell, may_be_charged=may_be_charged
        )

    async def _warm(self, candidate: Candidate, seconds: float, tell: Tell | None) -> None:
        """Wait until the model is loaded, at most `seconds`; the provider is asked now and then, which is free."""
        ends = self.clock() + seconds

        async def is_ready() -> bool:
            with suppress(Failure):  # then the estimate is all there is
                check = await self.check(candidate)
                if check.HasField("loaded") and check.loaded:
                    self.admission.warmed(candidate.provider, candidate.key, self.clock())
                    return True
            if tell is not None:
                tell(progress.warming(ends - self.clock()))
            return False

        if tell is not None:  # also where another request asks
            tell(progress.warming(seconds))
        await self._warmup.wait((candidate.provider, candidate.key), seconds, is_ready)

    def _endpoint(self, provider: str) -> Endpoint:
        if provider not in self._endpoints:
            raise Failure(Reason.DISABLED, f"{provider} was taken out of the configuration", dispatch=Dispatch.NOT_SENT)
        return self._endpoints[provider]

    def _key_renewed(self, provider: str) -> None:
        self.admission.key_renewed(provider, self.clock())

    def _quota_left(self, provider: str) -> None:
        self.admission.quota_left(provider, self.clock())


def _serialised(journey: Journey, candidate: Candidate) -> bytes:
    """What the candidate's provider is sent. A copy with pictures of megabytes does not outlive this."""
    request = generation_pb2.GenerateRequest()
    request.CopyFrom(journey.course.request)
    request.model = candidate.asked
    request.request_id = journey.request_id
    request.ClearField("routing")
    request.ClearField("idempotency_key")
    return request.SerializeToString()


def _remembered(failure: Failure) -> Failure:
    """The failure without its traceback, which would keep the whole request alive for as long as it is told."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)
