"""One caller's flood and another's request, from the router to the provider where they wait (S32)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import grpc
import pytest

from bench import fairness
from imagegate.router.config import CallerConfig
from imagegate.router.events import AttemptStarted
from imagegate.runtime.bearer import hashed, header_of
from imagegate.runtime.errors import Reason
from imagegate.runtime.limits import Limits
from imagegate.runtime.metadata import CALLER, CALLER_WEIGHT
from imagegate.runtime.order import Delivery, Order
from imagegate.testing import ScriptedProvider, serving_provider, serving_router
from imagegate.testing.house import told
from imagegate.testing.serving import ServedRouter
from imagegate.v1 import generation_pb2, generation_pb2_grpc

KEYS = {"web": "ig_web_EXAMPLE", "batch": "ig_batch_EXAMPLE"}
WEB = CallerConfig(keys=[hashed(KEYS["web"])], weight=2)
BATCH = CallerConfig(keys=[hashed(KEYS["batch"])])
QUEUED = generation_pb2.PHASE_QUEUED
WAIT = 1.0  # seconds for which one stands behind another


@dataclass(slots=True)
class Doorkeeper(ScriptedProvider):
    """Delivers one order for each time that it is let; `prompts` are those of the orders that had their turn."""

    prompts: list[str] = field(default_factory=list)
    let: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def generate(self, order: Order) -> Delivery:
        self.prompts.append(order.prompt)
        await self.let.acquire()
        return await ScriptedProvider.generate(self, order)


@dataclass(slots=True)
class Floor:
    """Routers that share one provider with a slot, or several, and calls under way."""

    provider: Doorkeeper
    limits: Limits
    routers: Sequence[ServedRouter]
    stack: AsyncExitStack

    def waiting(self) -> int:
        """How many wait in the provider."""
        return len(self.limits._slots._queue)

    async def stub(self, router: int = 0) -> "generation_pb2_grpc.GenerationServiceAsyncStub":
        channel = await self.stack.enter_async_context(grpc.aio.insecure_channel(self.routers[router].target))
        return generation_pb2_grpc.GenerationServiceStub(channel)

    async def ask(self, caller: str, number: int, router: int = 0) -> "list[Any]":
        """So many requests, which wait in the provider one behind the other."""
        stub, calls, waited = await self.stub(router), [], self.waiting()
        for index in range(number):
            request = generation_pb2.GenerateRequest(prompt=f"{caller}{index}")
            calls.append(stub.Generate(request, timeout=60, metadata=key(caller)))
            await until(lambda wanted=index + 1: self.waiting() - waited + self._began(caller) >= wanted)
        return calls

    def _began(self, caller: str) -> int:
        return sum(prompt.startswith(caller) for prompt in self.provider.prompts)


async def until(condition: Callable[[], bool]) -> None:
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def key(caller: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", header_of(KEYS[caller])),)


async def a_floor(stack: AsyncExitStack, *, slots: int = 1, routers: int = 1, **callers: CallerConfig) -> Floor:
    provider, limits = Doorkeeper("a"), Limits(concurrency=slots)
    served = await stack.enter_async_context(serving_provider(provider, limits=limits))
    made = [
        await stack.enter_async_context(
            serving_router(
                {"a": served.target}, {"default": ["a/model"]}, callers={"web": WEB, "batch": BATCH} | callers
            )
        )
        for _ in range(routers)
    ]
    return Floor(provider, limits, made, stack)


@pytest.mark.parametrize("routers", [1, 2])
async def test_waiting_requests_are_served_by_weight_then_age(stack: AsyncExitStack, routers: int) -> None:
    """S32: behind a flood of one caller another's requests have their turns by its weight, and each caller's own by
    age; also where they come through different replicas of the router.
    """
    floor = await a_floor(stack, routers=routers)
    calls = await floor.ask("batch", 20)
    calls += await floor.ask("web", 6, router=routers - 1)
    for _ in calls:
        floor.provider.let.release()
    await asyncio.gather(*calls)
    served = floor.provider.prompts
    assert served[:10] == ["batch0", "web0", "web1", "batch1", "web2", "web3", "batch2", "web4", "web5", "batch3"]
    assert [each for each in served if each.startswith("batch")] == [f"batch{number}" for number in range(20)]


async def test_a_caller_waits_behind_its_own(stack: AsyncExitStack) -> None:
    """S32: beyond `max_inflight` a caller's request waits in the router and hears its place; others have their turns,
    and one that gives up makes room.
    """
    floor = await a_floor(stack, slots=9, batch=BATCH.model_copy(update={"max_inflight": 2}))
    first = await floor.ask("batch", 2)
    stub = await floor.stub()
    stream = stub.GenerateStream(generation_pb2.GenerateRequest(prompt="third"), timeout=60, metadata=key("batch"))
    assert (await stream.read()).progress == generation_pb2.Progress(phase=QUEUED, queue_position=0)
    web = await floor.ask("web", 3)
    assert floor.provider.prompts == ["batch0", "batch1", "web0", "web1", "web2"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Generate(generation_pb2.GenerateRequest(prompt="x"), timeout=1, metadata=key("batch"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    busy = told(caught.value)
    assert (busy.reason, busy.retry_after) == (Reason.BUSY, 1.0)
    assert busy.message.startswith("2 requests of batch are under way, and no more may be")
    first[0].cancel()
    assert (await stream.read()).HasField("attempt_started")
    for _ in range(9):
        floor.provider.let.release()
    await asyncio.gather(first[1], *web)
    event = await stream.read()
    while not event.HasField("completed"):
        event = await stream.read()
    assert "third" in floor.provider.prompts


@pytest.mark.parametrize("streams", [False, True])
async def test_a_flood_makes_no_model_look_slow(stack: AsyncExitStack, streams: bool) -> None:
    """S32: a router learns from the provider how long a request waited there, which is none of the model's time."""
    floor = await a_floor(stack)
    stub = await floor.stub()
    request = generation_pb2.GenerateRequest(prompt="batch0")
    if streams:
        calls = [stub.GenerateStream(request, timeout=60, metadata=key("batch")) for _ in range(2)]
    else:
        calls = [stub.Generate(request, timeout=60, metadata=key("batch")) for _ in range(2)]
    waiting = [asyncio.create_task(ended(call)) for call in calls]
    await until(lambda: floor.waiting() == 1)
    began = monotonic()
    await until(lambda: monotonic() - began > WAIT)
    for _ in calls:
        floor.provider.let.release()
    await asyncio.gather(*waiting)
    window = floor.routers[0].router.admission._models["a", "model"].latency
    lengths = sorted(seconds for _, seconds in window._recent)
    assert len(lengths) == 2
    assert lengths[0] < WAIT < lengths[1]


async def ended(call: Any) -> None:
    """Read all that there is."""
    if hasattr(call, "read"):
        while await call.read() is not grpc.aio.EOF:
            pass
    else:
        await call


async def test_requests_of_one_key_are_one_request_under_way(stack: AsyncExitStack) -> None:
    """S32: who joins a request of its own with the same idempotency key takes no turn."""
    floor = await a_floor(stack, slots=9, batch=BATCH.model_copy(update={"max_inflight": 1}))
    stub = await floor.stub()
    request = generation_pb2.GenerateRequest(prompt="batch0", idempotency_key="once")
    calls = [stub.Generate(request, timeout=60, metadata=key("batch")) for _ in range(3)]
    await until(lambda: floor.provider.prompts == ["batch0"])
    floor.provider.let.release()
    assert len({answer.images[0].sha256 for answer in await asyncio.gather(*calls)}) == 1
    assert floor.provider.prompts == ["batch0"]


async def test_attempts_under_way_by_caller(stack: AsyncExitStack) -> None:
    """S32: `imagegate_inflight` tells of every provider and configured caller; whoever was taken out of the
    configuration is `_other` until its last attempt has ended.
    """
    floor = await a_floor(stack)
    served = floor.routers[0]

    def inflight() -> dict[str, float]:
        families = served.metrics.registry.collect()
        found = next(family for family in families if family.name == "imagegate_inflight")
        return {f"{each.labels['provider']} {each.labels['caller']}": each.value for each in found.samples}

    calls = [*await floor.ask("batch", 3), *await floor.ask("web", 1)]
    assert inflight() == {"a batch": 3, "a web": 1}
    config = served.router.configured()
    await served.router.configure(config.model_copy(update={"callers": {"web": WEB}}))
    assert inflight() == {"a _other": 3, "a web": 1}
    for _ in calls:
        floor.provider.let.release()
    await asyncio.gather(*calls)
    assert inflight() == {"a _other": 0, "a web": 0}
    assert inflight() == {"a web": 0}
    assert {event.caller for event in served.events if isinstance(event, AttemptStarted)} == {"batch", "web"}


@pytest.mark.nightly
async def test_a_flood_from_one_caller_hardly_delays_another(capsys: pytest.CaptureFixture[str]) -> None:
    """S32: one caller at 100 times another's rate raises the other's p99 by at most 25 %, here with 16 slots."""
    figures = await fairness.measure(16)
    with capsys.disabled():
        sys.stdout.write(f"{figures}\n")
    assert figures.ratio <= 1.25


@asynccontextmanager
async def a_provider(limits: Limits, provider: Doorkeeper) -> AsyncIterator[Any]:
    async with (
        serving_provider(provider, limits=limits) as served,
        grpc.aio.insecure_channel(served.target) as channel,
    ):
        yield generation_pb2_grpc.GenerationServiceStub(channel)


async def test_a_provider_is_told_who_asks() -> None:
    """S32: what a router tells of its callers is all that a provider knows of them; nonsense is as good as nothing."""
    provider, limits = Doorkeeper("a"), Limits(concurrency=1)
    async with a_provider(limits, provider) as stub:
        calls = []
        for number, (caller, weight) in enumerate(
            [("", ""), ("", ""), ("No Name", "9"), ("batch", "zero"), ("web", "2"), ("web", "2"), ("batch", "1")]
        ):
            metadata = [(name, value) for name, value in ((CALLER, caller), (CALLER_WEIGHT, weight)) if value]
            request = generation_pb2.GenerateRequest(prompt=str(number))
            calls.append(stub.Generate(request, timeout=60, metadata=metadata))
            await until(lambda wanted=number: len(limits._slots._queue) == wanted and bool(provider.prompts))
        for _ in calls:
            provider.let.release()
        await asyncio.gather(*calls)
    assert provider.prompts == ["0", "3", "4", "5", "1", "6", "2"]
