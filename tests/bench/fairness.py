"""What one caller's flood costs others: the p99 of quiet ones beside a caller who asks 100 times as often, and alone.

`make fairness`. A router and a provider of 1, 4 and 16 slots on real sockets of this process, all callers of weight 1.
Pictures take a random time, the same for the same request in every round; rounds with and without the flood alternate.
"""

import asyncio
import logging
import math
import random
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

import grpc
import structlog

from imagegate.router.config import CallerConfig
from imagegate.router.overrides import Mode, Override
from imagegate.runtime.bearer import hashed, header_of
from imagegate.runtime.limits import Limits
from imagegate.runtime.order import Delivery, Order
from imagegate.testing import ScriptedProvider, serving_provider, serving_router
from imagegate.v1 import generation_pb2, generation_pb2_grpc

QUIET = ("web", "app", "shop", "desk")
KEYS = {caller: f"ig_{caller}_EXAMPLE" for caller in (*QUIET, "flood")}
PER_SECOND = 0.5  # of each quiet caller
TIMES = 100
# What all slots together make in a second: a quiet caller asks for a sixteenth of it, the flood for six times it.
PICTURES_PER_SECOND = 8.0
ROUNDS = 3
QUIET_PER_ROUND = 50
FLOOD_PATIENCE_SECONDS = 10.0

if TYPE_CHECKING:  # of the generated code's types only
    Stub: TypeAlias = generation_pb2_grpc.GenerationServiceAsyncStub


@dataclass(slots=True)
class TimedProvider(ScriptedProvider):
    """Takes a lognormal time for each picture, by its seed; of `mean` seconds."""

    mean: float = 0.1

    async def generate(self, order: Order) -> Delivery:
        await asyncio.sleep(chance(order.seed(0)).lognormvariate(-0.125, 0.5) * self.mean)
        return await ScriptedProvider.generate(self, order)


@dataclass(frozen=True, slots=True)
class Figures:
    """The quiet callers' seconds, alone and beside the flood, and what became of the flood's requests."""

    slots: int
    most: int | None
    alone: list[float]
    beside: list[float]
    delivered: int
    turned_away: int

    @property
    def ratio(self) -> float:
        """How many times as long the p99 is beside the flood."""
        return p99(self.beside) / p99(self.alone)

    def __str__(self) -> str:
        limit = "" if self.most is None else f", max_inflight {self.most}"
        return (
            f"{self.slots:>2} slots{limit:<18} median {statistics.median(self.alone) * 1000:6.0f} → "
            f"{statistics.median(self.beside) * 1000:6.0f} ms   p99 {p99(self.alone) * 1000:6.0f} → "
            f"{p99(self.beside) * 1000:6.0f} ms   × {self.ratio:.2f}   "
            f"(flood: {self.delivered} delivered, {self.turned_away} not)"
        )


def chance(seed: int | None) -> random.Random:
    """The same in every run."""
    return random.Random(seed)  # noqa: S311 nothing here is secret


def p99(taken: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(taken, n=100, method="inclusive")[98]


@asynccontextmanager
async def a_router(slots: int, most: int | None) -> AsyncIterator[str]:
    """The address of a router over a provider of so many slots; `most` is the flood's `max_inflight`."""
    provider = TimedProvider("a", mean=slots / PICTURES_PER_SECOND)
    callers = {name: CallerConfig(keys=[hashed(key)]) for name, key in KEYS.items()}
    callers["flood"] = callers["flood"].model_copy(update={"max_inflight": most})
    async with (
        serving_provider(provider, limits=Limits(concurrency=slots)) as served,
        serving_router({"a": served.target}, {"default": ["a/model"]}, callers=callers) as router,
    ):
        # Pictures take a tenth of what they take: whatever holds up this process for a second looks like a hang.
        watching = Override(Mode.OBSERVE_ONLY, "a benchmark", "make fairness", math.inf)
        for scope in (("a", ""), ("a", "model")):
            router.router.admission.decide(scope, watching, router.router.clock())
        yield router.target


async def ask(stub: "Stub", caller: str, seed: int, timeout: float) -> float:
    """The seconds that one request took. Raises AioRpcError."""
    began = perf_counter()
    request = generation_pb2.GenerateRequest(prompt="x", seed=seed)
    await stub.Generate(request, timeout=timeout, metadata=(("authorization", header_of(KEYS[caller])),))
    return perf_counter() - began


async def quiet(stub: "Stub", seed: int) -> list[float]:
    """The seconds of each of a round's quiet requests, which come at random, and the same for the same `seed`."""
    rng, calls = chance(seed), []
    for number in range(QUIET_PER_ROUND):
        await asyncio.sleep(rng.expovariate(PER_SECOND * len(QUIET)))
        calls.append(asyncio.create_task(ask(stub, rng.choice(QUIET), seed * 1000 + number, 60)))
    return await asyncio.gather(*calls)


async def flood(target: str, outcomes: list[bool]) -> None:
    """Ask 100 times as often as each of them until cancelled; `outcomes` hears whether each was delivered."""
    rng, calls, number = chance(0), set[asyncio.Task[None]](), 0

    async def one(stub: "Stub", seed: int) -> None:
        try:
            await ask(stub, "flood", seed, FLOOD_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with grpc.aio.insecure_channel(target) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        try:
            while True:
                await asyncio.sleep(rng.expovariate(PER_SECOND * TIMES))
                number += 1
                calls.add(task := asyncio.create_task(one(stub, number)))
                task.add_done_callback(calls.discard)
        finally:
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


async def measure(slots: int, most: int | None = None) -> Figures:
    """Rounds with and without the flood, in turn."""
    alone, beside, outcomes = list[float](), list[float](), list[bool]()
    async with a_router(slots, most) as target, grpc.aio.insecure_channel(target) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        await ask(stub, QUIET[0], 0, 60)
        for number in range(1, ROUNDS + 1):
            alone += await quiet(stub, number)
            flooding = asyncio.create_task(flood(target, outcomes))
            beside += await quiet(stub, number)
            flooding.cancel()
            with suppress(asyncio.CancelledError):
                await flooding
    return Figures(slots, most, alone, beside, outcomes.count(True), outcomes.count(False))


async def main() -> None:
    """Measure and print."""
    for slots, most in ((1, None), (4, None), (4, 3), (16, None), (16, 15)):
        sys.stdout.write(f"{await measure(slots, most)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(main())
