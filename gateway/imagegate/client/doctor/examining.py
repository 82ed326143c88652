"""Asking a router how everything is: free questions, and pictures where those are wanted."""

import asyncio
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imagegate.client.client import CHECK_TIMEOUT, AsyncClient
from imagegate.client.doctor.judging import Learnt, is_worth_a_picture
from imagegate.client.doctor.row import Made, Trouble
from imagegate.client.doctor.trial import PROMPT, Plan, Trial, planned, result_of, trial_of
from imagegate.client.error import GenerationError
from imagegate.client.files import Destination
from imagegate.client.result import Attempt
from imagegate.runtime.errors import Reason
from imagegate.runtime.models import Model
from imagegate.v1 import catalog_pb2

# Free questions to one provider at a time.
AT_A_TIME = 4
# A request's id has up to 128 characters, and a file's name is made of it.
MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Makes:
    """Which pictures to make, and where they go. `announce` hears what they cost before the first one is made."""

    all_models: bool
    destination: Destination
    announce: Callable[[Plan], None]


@dataclass(slots=True)
class Examination:
    """Asks through `client`, up to `timeout` seconds for each answer; `tell` hears in words how far it is."""

    client: AsyncClient
    timeout: float
    tell: Callable[[str], None]
    _slots: dict[str, asyncio.Semaphore] = field(default_factory=lambda: defaultdict(_slots))
    _answered: int = 0

    async def learn(self, makes: Makes | None) -> Learnt:
        """Everything that can be learnt; pictures are made where `makes` says which.

        What is wrong with a model is part of the answer. Raises GenerationError where the router itself cannot be
        asked, CannotWriteError where a picture cannot be kept.
        """
        catalogue, status = await asyncio.gather(self.client.models(), self.client.status())
        listed = {f"{model.provider}/{model.key}": model for model in catalogue.models}
        providers = {provider.name: provider for provider in catalogue.providers}
        candidates = dict.fromkeys(name for route in status.routes for name in route.candidates if name not in listed)
        others = {name: who for name in candidates if (who := name.partition("/")[0]) in providers}
        learnt = Learnt(providers, listed, others, status, {}, time.time())
        learnt = await self._checked(learnt)
        return learnt if makes is None else await self._tried(learnt, makes)

    async def _checked(self, learnt: Learnt) -> Learnt:
        """With the upstreams' free word on every model that is on, and what the router makes of it."""
        names = [name for name in (*learnt.listed, *learnt.others) if _is_on(name, learnt)]
        answers = await asyncio.gather(*(self._check(name, learnt.provider_of(name), len(names)) for name in names))
        checks = dict(zip(names, answers, strict=True))
        return replace(learnt, checks=checks, status=await self.client.status(), now=time.time())

    async def _check(self, name: str, provider: str, total: int) -> catalog_pb2.ModelCheck | Trouble:
        async with self._slots[provider]:
            try:
                return await self.client.check(name, timeout=min(self.timeout, CHECK_TIMEOUT))
            except GenerationError as error:
                return _trouble(error)
            finally:
                self._answered += 1
                self.tell(f"asking about the models: {self._answered} of {total}")

    async def _tried(self, learnt: Learnt, makes: Makes) -> Learnt:
        """With pictures, one at a time of each provider."""
        trials, unread = _trials(learnt)
        plan = planned(trials, lambda name: is_worth_a_picture(name, learnt), all_models=makes.all_models)
        plan = replace(plan, left_out=(*plan.left_out, *unread))
        makes.announce(plan)
        by_provider: dict[str, list[Trial]] = defaultdict(list)
        for trial in plan.trials:
            by_provider[trial.provider].append(trial)
        tried = await asyncio.gather(*(self._try_all(trials, makes) for trials in by_provider.values()))
        return replace(learnt, tried={name: outcome for each in tried for name, outcome in each.items()})

    async def _try_all(self, trials: Sequence[Trial], makes: Makes) -> Mapping[str, Made | Trouble]:
        return {trial.name: await self._try(trial, makes.destination) for trial in trials}

    async def _try(self, trial: Trial, destination: Destination) -> Made | Trouble:
        self.tell(f"making a picture of {trial.name}")
        request_id = f"doctor-{_safe(trial.name)}-{uuid.uuid4().hex[:8]}"
        try:
            result = await self.client.generate(
                PROMPT,
                model=trial.name,
                timeout=self.timeout,
                width=trial.width,
                height=trial.height,
                no_fallback=True,
                request_id=request_id,
            )
        except GenerationError as error:
            return _trouble(error)
        (path,) = destination.save(result.images[:1], result.request_id)
        return result_of(trial, result, str(path))


def _slots() -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_A_TIME)


def _is_on(name: str, learnt: Learnt) -> bool:
    model = learnt.listed.get(name)
    return learnt.providers[learnt.provider_of(name)].enabled and (model is None or model.enabled)


def _trials(learnt: Learnt) -> tuple[list[Trial], list[str]]:
    """A picture of everything that was told, and whose entry this version cannot read: a router may be newer."""
    told = [(name, model.provider, model) for name, model in learnt.listed.items()]
    for name, provider in learnt.others.items():
        if learnt.providers[provider].HasField("outside_catalogue"):
            told.append((name, provider, learnt.providers[provider].outside_catalogue))
    trials, unread = [], []
    for name, provider, model in told:
        try:
            trials.append(trial_of(name, provider, Model.from_proto(model)))
        except ValueError:
            unread.append(f"none of {name}: this version cannot read its entry")
    return trials, unread


def _trouble(error: GenerationError) -> Trouble:
    """What a failed call says of its model. Raises GenerationError where nobody but the router can be meant."""
    if not error.attempts:
        if error.reason is Reason.UNREACHABLE:
            raise error
        return Trouble(str(error.reason), error.message, ready_in=error.retry_after)
    last = _deciding(error.attempts)
    return Trouble(
        last.reason,
        last.message or error.message,
        last.remedy,
        last.upstream_status,
        last.upstream_message,
        error.retry_after,
    )


def _deciding(attempts: Sequence[Attempt]) -> Attempt:
    """The last one that was made, or else the last that was passed over."""
    return next((attempt for attempt in reversed(attempts) if not attempt.skipped), attempts[-1])


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:MAX_NAME_CHARACTERS]
