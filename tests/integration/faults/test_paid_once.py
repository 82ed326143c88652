"""Paid once: whatever goes wrong, a request that pays once is not charged for two pictures, and no other is uncounted.

What an upstream made is read from the sandbox's books, what we believe of it from our own record of the attempts.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from imagegate.router.events import AttemptFinished, AttemptStarted, ChargeRisked
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.provider import Provider
from imagegate.testing import ServedRouter, serving_router
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2, terms_pb2

from .rows import FAL, WEBUI
from .scripts import ATTEMPT, DEADLINE, Script, script
from .stage import MODELS, count, until

# So many scripts at a time: most of them wait for a hang.
AT_ONCE = 6
# What fal has begun ends by itself after so many seconds at most.
SETTLED_SECONDS = 20.0


@dataclass(frozen=True)
class Attempt:
    """One attempt as the router saw it (`failure` is None where it delivered), and how many pictures it cost."""

    upstream: str
    failure: Failure | None
    made: int

    @property
    def is_unusable(self) -> bool:
        """Whether it brought something that nobody can use."""
        failure = self.failure
        return failure is not None and (failure.reason, failure.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED)

    @property
    def is_free(self) -> bool:
        """Whether it is known that it was not charged."""
        failure = self.failure
        if failure is None:
            return False
        return failure.billed is False or failure.dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED)


class Watched:
    """A provider, and how many orders it is not done with: one whose caller has left may still have to be cancelled."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.orders = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    async def generate(self, order: Order) -> Delivery:
        """As the provider does."""
        self.orders += 1
        try:
            return await self._provider.generate(order)
        finally:
            self.orders -= 1


async def test_paid_once(seeds: Sequence[str]) -> None:
    """Property 7: under PAY_ONCE no two upstreams make a charged picture for one request unless the first one's cannot
    be used; under AVAILABLE every such case is counted; and nothing is believed to be free that was charged.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(seed: str) -> str:
        async with slots:
            played = script(random.Random(seed))  # noqa: S311 it must repeat
            try:
                attempts, risks = await play(played, seed)
                check(played, attempts, risks)
            except Exception as error:  # noqa: BLE001 whatever it is belongs to this script
                return f"--hypothesis-seed={seed.replace('/', ', script ')}: {error!r} in {played}"
        return ""

    problems = [problem for problem in await asyncio.gather(*map(one, seeds)) if problem]
    assert not problems, "\n".join(problems)


async def play(played: Script, prompt: str) -> tuple[Sequence[Attempt], Sequence[str]]:
    """The attempts of the script's one request, and the providers at which a second charge was risked."""
    candidates = [MODELS[upstream] for upstream in played.upstreams]
    watched: list[Watched] = []

    def watch(provider: Provider) -> Provider:
        watched.append(Watched(provider))
        return cast(Provider, watched[-1])

    async with serving_sandboxed(played.upstreams, pace=played.pace, around=watch) as served:
        served.sandbox.faults([dict(rule) for rule in played.rules])
        async with serving_router(served.targets, {"default": candidates}, attempt_timeout=ATTEMPT) as router:
            request = generation_pb2.GenerateRequest(prompt=prompt, width=256, height=256, count=played.count)
            request.routing.payment = terms_pb2.Payment.Value(f"PAYMENT_{played.payment}")
            await call(router, request, played.leaves_after)
            await until(lambda: count(router, AttemptFinished) == count(router, AttemptStarted), SETTLED_SECONDS)
            await until(
                lambda: not any(each.orders for each in watched) and not served.sandbox.at_work, SETTLED_SECONDS
            )
            risks = [event.provider for event in router.events if isinstance(event, ChargeRisked)]
            for upstream in played.upstreams:
                assert (counted(router, upstream) or 0) == risks.count(upstream)
    made = [each["upstream"] for each in served.sandbox.billing() if each["billed"] and each["prompt"] == prompt]
    ended = [event for event in router.events if isinstance(event, AttemptFinished)]
    last: dict[str, Failure | None] = {}  # in the order of their ends: one that waited for its model has more than one
    for event in ended:
        last.pop(event.provider, None)
        last[event.provider] = event.failure
    return [Attempt(upstream, failure, made.count(upstream)) for upstream, failure in last.items()], risks


async def call(router: ServedRouter, request: generation_pb2.GenerateRequest, leaves_after: float | None) -> None:
    """Ask, and leave early where the script says so; how it ends does not matter here."""
    async with router.stubs() as (generation, _):
        asked = asyncio.ensure_future(generation.Generate(request, timeout=DEADLINE))
        if leaves_after is not None:
            await asyncio.wait([asked], timeout=leaves_after)
            asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


def counted(router: ServedRouter, upstream: str) -> float | None:
    """What the metric says of one provider."""
    name = "imagegate_duplicate_charge_risk_total"
    return router.metrics.registry.get_sample_value(name, {"provider": upstream})


def check(played: Script, attempts: Sequence[Attempt], risks: Sequence[str]) -> None:
    """Everything that is promised of one request."""
    paying = [attempt for attempt in attempts if attempt.upstream != WEBUI]
    for attempt in paying:
        assert attempt.made <= played.count, f"{attempt} was asked for twice"
        assert not (attempt.is_free and attempt.made), f"{attempt} was charged"
    for attempt in attempts:
        assert attempt.failure is not None or attempt.made, f"{attempt} delivered what nobody made"
    for attempt in paying[:-1]:
        may_follow = attempt.is_unusable or not pays_once(played, attempt.upstream)
        assert may_follow or not attempt.made, f"another one followed {attempt}"
    followed = [attempt for attempt in attempts[:-1] if attempt.upstream != WEBUI]
    for attempt in followed:
        assert (attempt.upstream in risks) >= bool(attempt.made), f"{attempt} was not counted"
    assert all(not attempt.is_free for attempt in followed if attempt.upstream in risks), "what was free was counted"
    assert len(risks) <= len(followed)


def pays_once(played: Script, upstream: str) -> bool:
    """Whether an attempt of which nobody knows the charge stays the last: the request's word, else the model's."""
    return played.payment == "PAY_ONCE" or (played.payment == "UNSPECIFIED" and upstream == FAL)
