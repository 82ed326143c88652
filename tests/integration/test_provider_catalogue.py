"""A provider's CatalogService over a real socket, around a scripted provider."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason, from_status
from imagegate.runtime.limits import DailyQuota, Limits
from imagegate.runtime.models import Model
from imagegate.runtime.redaction import Redactor
from imagegate.testing import SCRIPTED_MODEL, Hang, ScriptedProvider, ServedProvider, serving_provider
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, error_pb2, generation_pb2, generation_pb2_grpc

KEY = "key-0123456789abcdef"
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
OFF = SCRIPTED_MODEL.model_copy(
    update={
        "key": "other",
        "upstream_model": "scripted/other",
        "enabled": False,
        "disabled_reason": "it is too good for you",
    }
)


class House:
    """A served provider, and a client's stubs."""

    def __init__(self, served: ServedProvider, channel: grpc.aio.Channel) -> None:
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        self._generation = generation_pb2_grpc.GenerationServiceStub(channel)
        self._served = served

    async def check(self, name: str = "", timeout: float = 20.0) -> catalog_pb2.ModelCheck:
        """What the provider says of a model now."""
        answer: catalog_pb2.ModelCheck = await self.catalog.CheckModel(
            catalog_pb2.CheckModelRequest(name=name), timeout=timeout
        )
        return answer

    async def provider(self) -> catalog_pb2.Provider:
        """The provider as its catalogue tells of it."""
        (told,) = (await self.catalog.ListModels(catalog_pb2.ListModelsRequest(), timeout=20)).providers
        assert isinstance(told, catalog_pb2.Provider)
        return told

    async def generate(self) -> Any:
        """One picture."""
        return await self._generation.Generate(generation_pb2.GenerateRequest(prompt="a fox"), timeout=20)

    def gauge(self, name: str) -> float | None:
        """What Prometheus would see."""
        labels = {"provider": "scripted", "window": "day"}
        return self._served.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def a_house(provider: ScriptedProvider, limits: Limits | None = None) -> AsyncIterator[House]:
    redactor = Redactor()
    redactor.add(KEY)
    async with (
        serving_provider(provider, limits=limits, redactor=redactor) as served,
        grpc.aio.insecure_channel(served.target) as channel,
    ):
        yield House(served, channel)


async def the_failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    failure = from_status(status) if status is not None else None
    assert failure is not None, caught.value
    return failure


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_catalogue_and_what_it_does_not_have() -> None:
    """R7, R10: a model is found by any of its names; what is not there is named, with what is."""
    async with a_house(ScriptedProvider()) as house:
        stub = house.catalog
        for name in ("", "model", "scripted/model", "scripted/scripted/model"):
            assert (await stub.GetModel(catalog_pb2.GetModelRequest(name=name))).key == "model"
        missing = await the_failure(stub.GetModel(catalog_pb2.GetModelRequest(name="modal")))
        assert (missing.reason, "'modal'" in missing.message) == (Reason.MODEL_NOT_FOUND, True)
        assert "model" in missing.message.partition("; try: ")[2] + missing.remedy
        listed = await stub.ListModels(catalog_pb2.ListModelsRequest(provider="scripted"))
        assert [model.key for model in listed.models] == ["model"]
        other = await the_failure(stub.ListModels(catalog_pb2.ListModelsRequest(provider="other\n")))
        assert other.reason is Reason.MODEL_NOT_FOUND
        assert "scripted" in f"{other.message} {other.remedy}"


async def test_a_provider_that_is_off() -> None:
    """R10: it says so in the catalogue, and to whoever asks it for a picture, with what switches it on."""
    async with a_house(ScriptedProvider(disabled_reason="set THE_KEY")) as house:
        told = await house.provider()
        assert (told.enabled, told.disabled_reason) == (False, "set THE_KEY")
        failure = await the_failure(house.generate())
    assert failure.reason is Reason.DISABLED
    assert "set THE_KEY" in f"{failure.message} {failure.remedy}"
    assert failure.attempts[0].dispatch == Dispatch.NOT_SENT.to_proto()


async def test_the_catalogue_tells_of_a_new_key() -> None:
    """R10: whoever was refused for the key learns that there is another one, and nothing of the key itself."""
    provider = ScriptedProvider(key_revision="a")
    async with a_house(provider) as house:
        assert (await house.provider()).key_revision == "a"
        provider.key_revision = "b"
        assert (await house.provider()).key_revision == "b"


async def test_the_catalogue_names_the_variable_of_the_key() -> None:
    """R12, R14: which variable the key is set by, and nothing of the key; empty where none is needed."""
    for variable in ("THE_KEY", ""):
        async with a_house(ScriptedProvider(key_variable=variable)) as house:
            assert (await house.provider()).key_variable == variable


async def test_the_quota_that_is_left() -> None:
    """R9: what is left of the day is in the catalogue and the metrics, before the first picture and after midnight."""
    now = [NOON]
    limits = Limits(concurrency=1, quota=DailyQuota(5), today=lambda: now[0])
    async with a_house(ScriptedProvider(), limits) as house:
        for left in (5, 4):
            assert (await house.provider()).quota_left == left
            assert house.gauge("imagegate_quota_used") == 5 - left
            assert house.gauge("imagegate_quota_limit") == 5
            await house.generate()
        now[0] += timedelta(days=1)
        assert (await house.provider()).quota_left == 5
        assert house.gauge("imagegate_quota_used") == 0
    async with a_house(ScriptedProvider()) as house:
        assert not (await house.provider()).HasField("quota_left")
        assert house.gauge("imagegate_quota_limit") is None


# ── CheckModel ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_upstream_says_is_told() -> None:
    """R7: what is known is told, what is not known is absent, and no picture was ordered."""
    provider = ScriptedProvider(
        checks=[
            Check("all is well", exists=True, loaded=False, ready_in=12.5, key_accepted=True),
            Check(),
        ]
    )
    async with a_house(provider) as house:
        known, unknown = await house.check("scripted/model"), await house.check()
    assert known == catalog_pb2.ModelCheck(
        provider="scripted",
        model="model",
        upstream_model="scripted/model",
        message="all is well",
        exists=True,
        loaded=False,
        ready_in={"seconds": 12, "nanos": 500_000_000},
        key_accepted=True,
    )
    for name in ("reason", "exists", "loaded", "ready_in", "key_accepted"):
        assert name not in [field.name for field, _ in unknown.ListFields()]
    assert provider.orders == []


async def test_a_name_that_means_nothing() -> None:
    """R7: of a model that is not in the catalogue the nearest names are told, as an error."""
    async with a_house(ScriptedProvider()) as house:
        failure = await the_failure(house.check("modal"))
    assert failure.reason is Reason.MODEL_NOT_FOUND
    assert "model" in f"{failure.message} {failure.remedy}"


async def test_a_model_that_has_just_appeared() -> None:
    """R7: before a name is said to mean nothing, the catalogue is brought up to date."""

    class Growing(ScriptedProvider):
        async def refresh(self) -> None:
            self.models = (SCRIPTED_MODEL, OFF.model_copy(update={"enabled": True}))

    async with a_house(Growing()) as house:
        assert (await house.check("other")).exists


async def test_what_is_switched_off_is_not_asked_about() -> None:
    """R10: a provider or a model that is off is DISABLED, with what switches it on, in an answer."""

    class Untouched(ScriptedProvider):
        async def check(self, model: Model) -> Check:
            raise AssertionError("nobody is asked")

    async with a_house(Untouched(disabled_reason="set THE_KEY")) as house:
        check = await house.check()
        assert (check.reason, check.remedy) == (error_pb2.ERROR_REASON_DISABLED, "set THE_KEY")
        assert check.message == "scripted is off"
    async with a_house(Untouched(models=(SCRIPTED_MODEL, OFF))) as house:
        check = await house.check("other")
        assert check.reason == error_pb2.ERROR_REASON_DISABLED
        assert "too good for you" in check.message


@pytest.mark.parametrize("is_raised", [True, False])
async def test_trouble_is_told_in_the_answer(is_raised: bool) -> None:
    """R7, R14: what the upstream refuses is told with its status and words, a remedy, and without the key."""
    trouble = Failure(
        Reason.CREDENTIALS_REJECTED,
        f"it does not like {KEY}",
        upstream_status=401,
        upstream_message=f"{'x' * 600} {KEY}",
        remedy=f"do not use {KEY}",
    )
    checks = [trouble] if is_raised else [Check(key_accepted=False, failure=trouble)]
    async with a_house(ScriptedProvider(checks=checks)) as house:
        check = await house.check()
    assert check.reason == error_pb2.ERROR_REASON_CREDENTIALS_REJECTED
    assert (check.message, check.remedy, check.upstream_status) == ("it does not like ***", "do not use ***", 401)
    assert len(check.upstream_message.encode()) <= 512
    assert KEY[:8] not in str(check)
    assert check.HasField("key_accepted") is not is_raised


async def test_a_remedy_is_always_named() -> None:
    """R7: trouble that names no remedy of its own gets the usual one."""
    async with a_house(ScriptedProvider(checks=[Failure(Reason.UNREACHABLE, "nobody is there")])) as house:
        assert "network" in (await house.check()).remedy


@pytest.mark.parametrize("timeout", [0.5, 20.0])
async def test_an_upstream_that_hangs_is_told_in_time(timeout: float) -> None:
    """R8: the answer comes within 5 s, and before a shorter deadline; the question is cancelled."""
    provider = ScriptedProvider(checks=[Hang()])
    async with a_house(provider) as house:
        began = monotonic()
        check = await house.check(timeout=timeout)
        assert monotonic() - began < min(timeout, 5.5)
    assert (check.reason, provider.cancelled) == (error_pb2.ERROR_REASON_TIMEOUT, 1)


async def test_a_bug_in_a_check_is_internal() -> None:
    """M3: a stray exception is not told as the upstream's trouble, and its text stays here."""

    class Broken(ScriptedProvider):
        async def check(self, model: Model) -> Check:
            raise TimeoutError("nobody has thought of this")

    async with a_house(Broken()) as house:
        failure = await the_failure(house.check())
    assert failure.reason is Reason.INTERNAL
    assert "thought" not in failure.message


async def test_who_leaves_a_check_ends_it() -> None:
    """R10: a question that nobody waits for any more is not asked on."""
    provider = ScriptedProvider(checks=[Hang()])
    async with a_house(provider) as house:
        task = asyncio.ensure_future(house.check())
        await until(lambda: provider.checked)
        task.cancel()
        await until(lambda: provider.cancelled)
