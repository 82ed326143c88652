"""The catalogue over sockets: chosen from by filters, changed by overlays, and what its models cannot do (P1, R7)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import (
    SCRIPTED_MODEL,
    House,
    ScriptedProvider,
    outcomes,
    serving_provider,
    serving_router,
    told,
)
from imagegate.testing.pictures import picture
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc

Request = generation_pb2.GenerateRequest
List = catalog_pb2.ListModelsRequest

POSE = SCRIPTED_MODEL.model_copy(
    update={
        "key": "pose",
        "upstream_model": "u/pose",
        "tasks": ("control_openpose",),
        "tier": "pro",
        "use_case": "poses",
    }
)
# Seconds: a router asks every ten.
HEARD_OF = 20.0


class Catalogue:
    """What one address says of its models."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = catalog_pb2_grpc.CatalogServiceStub(channel)

    async def keys(self, **asked: object) -> list[str]:
        """The keys of the models that have what is asked for."""
        listed = await self._stub.ListModels(List(**asked), timeout=20)  # type: ignore[arg-type]
        return [model.key for model in listed.models]

    async def model(self, key: str) -> catalog_pb2.Model:
        """One model."""
        listed = await self._stub.ListModels(List(), timeout=20)
        return next(model for model in listed.models if model.key == key)

    async def revision(self) -> str:
        """The one provider's revision."""
        return str((await self._stub.ListModels(List(), timeout=20)).providers[0].catalogue_revision)


@asynccontextmanager
async def catalogue_at(target: str) -> AsyncIterator[Catalogue]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield Catalogue(channel)


async def refused(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return told(caught.value)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(HEARD_OF):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_provider_and_router_choose_alike(house: House) -> None:
    """P1: task, tier and use case choose the same models at either, and what there is not is refused at either."""
    await house.build([], models=(SCRIPTED_MODEL, POSE))
    provider = house.router.router.configured().providers["a"].target
    for target in (provider, house.router.target):
        async with catalogue_at(target) as catalogue:
            assert await catalogue.keys() == ["model", "pose"]
            assert await catalogue.keys(task=catalog_pb2.TASK_CONTROL_OPENPOSE) == ["pose"]
            assert await catalogue.keys(tier="pro", use_case="Poses", provider="a") == ["pose"]
            assert await catalogue.keys(tier="enterprise") == []
            failure = await refused(catalogue.keys(tier="gold"))
            assert failure.reason is Reason.INVALID_REQUEST
            assert "free, basic, pro, enterprise" in failure.message


async def test_a_model_that_makes_no_pictures_from_words_is_not_asked_for_one(house: House) -> None:
    """R1, P3: the router passes it over as UNSUPPORTED, the provider refuses it; nothing reaches an upstream."""
    await house.build([], [], models=(SCRIPTED_MODEL, POSE))
    _, alone = await house.fail(Request(prompt="x", model="a/pose"))
    assert outcomes(alone.attempts) == ["[a UNSUPPORTED]"]
    assert "it does not do text to image, but control openpose" in alone.message
    target = house.router.router.configured().providers["a"].target
    async with grpc.aio.insecure_channel(target) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        failure = await refused(stub.Generate(Request(prompt="x", model="pose"), timeout=20))
    assert failure.reason is Reason.UNSUPPORTED
    assert house.providers["a"].orders == []


async def test_the_error_names_the_routes_that_can(house: House) -> None:
    """P3: where no candidate can do it, the remedy is a route that has one which can, now and for this request."""
    posing = POSE.model_copy(update={"max_controls": 1})
    is_off = {"key": "off", "upstream_model": "u/off", "enabled": False, "disabled_reason": "not yet"}
    off = posing.model_copy(update=is_off)
    await house.build([], [], models=(SCRIPTED_MODEL, posing, off))
    config = house.router.router.configured()
    routes = {**config.routes, "posed": ["b/pose"], "later": ["a/off"], "plain": ["b/model"]}
    await house.router.router.configure(config.model_copy(update={"routes": routes}))
    request = Request(prompt="x")
    request.controls.add(type=generation_pb2.CONTROL_TYPE_OPENPOSE).image.data = picture()
    error, failure = await house.fail(request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert {attempt.remedy for attempt in failure.attempts} == {"ask for model posed"}
    assert (error.details() or "").endswith("try: ask for model posed")
    request.routing.deny_providers.append("b")
    _, failure = await house.fail(request)
    assert "posed" not in str(failure)
    request.routing.ClearField("deny_providers")
    request.model = "posed"
    assert (await house.generate(request)).model == "pose"


async def test_an_id_that_the_operator_does_not_let_in() -> None:
    """R7, R13: fal:<app> is refused with the variable that lets it in, by the router and by the provider."""
    async with (
        serving_sandboxed(("fal",)) as behind,
        serving_router(behind.targets, {"default": ["fal/flux-schnell"]}) as router,
    ):
        for target, name in ((router.target, "fal:fal-ai/fast-sdxl"), (behind.targets["fal"], "fal-ai/fast-sdxl")):
            async with grpc.aio.insecure_channel(target) as channel:
                stub = generation_pb2_grpc.GenerationServiceStub(channel)
                failure = await refused(stub.Generate(Request(prompt="x", model=name), timeout=20))
            assert failure.reason is Reason.MODEL_NOT_FOUND
            assert "IMAGEGATE_FAL_ANY_MODEL=true" in f"{failure.message} {failure.remedy}"
        assert not [each for each in behind.sandbox.requests() if each["method"] == "POST"]


async def test_any_app_of_fal_that_the_operator_lets_in() -> None:
    """P1, R13: with IMAGEGATE_FAL_ANY_MODEL=true an app outside the catalogue delivers, at an unknown cost."""
    async with (
        serving_sandboxed(("fal",), environ={"IMAGEGATE_FAL_ANY_MODEL": "true"}) as behind,
        serving_router(behind.targets, {"default": ["fal/flux-schnell"]}) as router,
        grpc.aio.insecure_channel(router.target, options=MESSAGE_OPTIONS) as channel,
    ):
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        answer = await stub.Generate(Request(prompt="x", model="fal:fal-ai/fast-sdxl", steps=5), timeout=20)
    assert (answer.upstream_model, len(answer.images), answer.HasField("cost")) == ("fal-ai/fast-sdxl", 1, False)
    assert not answer.adjustments


async def test_an_overlay_that_changes_while_serving_reaches_the_router(tmp_path: Path) -> None:
    """P1, S2: a new price is in force without a restart; a bad file keeps the old one and lowers the gauge."""
    overlay = tmp_path / "fal.yaml"
    overlay.write_text("models: {flux-dev: {credits: 11}}")
    async with (
        serving_sandboxed(("fal",), environ={"IMAGEGATE_MODELS": str(tmp_path)}) as behind,
        serving_router(behind.targets, {"default": ["fal/flux-dev"]}) as router,
        catalogue_at(behind.targets["fal"]) as provider,
        catalogue_at(router.target) as all_of_them,
    ):
        registry = behind.providers["fal"].metrics.registry

        def is_well() -> bool:
            return registry.get_sample_value("imagegate_config_last_reload_ok") == 1

        revision = await all_of_them.revision()
        assert ((await all_of_them.model("flux-dev")).credits, is_well()) == (11, True)
        overlay.write_text("models: {flux-dev: {credits: many}}")
        assert ((await provider.model("flux-dev")).credits, is_well()) == (11, False)
        overlay.write_text("models: {flux-dev: {credits: 12}, flux-pro: {enabled: false, disabled_reason: too dear}}")
        assert ((await provider.model("flux-dev")).credits, is_well()) == (12, True)
        assert await provider.revision() != revision

        async def has_heard() -> bool:
            return (await all_of_them.model("flux-dev")).credits == 12

        await until(has_heard)
        assert await all_of_them.revision() == await provider.revision()
        async with router.stubs() as (generation, _):
            failure = await refused(generation.Generate(Request(prompt="x", model="fal/flux-pro"), timeout=20))
    assert outcomes(failure.attempts) == ["[fal DISABLED]"]
    assert "too dear" in failure.message


async def test_an_overlay_and_what_is_installed_lie_on_top_of_one_another(tmp_path: Path) -> None:
    """U3, P1: an overlay that changes after the webui was asked changes its checkpoints, which take from `local`."""
    overlay = tmp_path / "automatic1111.yaml"
    async with (
        serving_sandboxed(("automatic1111",), environ={"IMAGEGATE_MODELS": str(tmp_path)}) as behind,
        catalogue_at(behind.targets["automatic1111"]) as catalogue,
    ):
        checkpoints = (await catalogue.keys())[1:]
        assert checkpoints
        overlay.write_text("models: {local: {credits: 2}}")
        assert [(await catalogue.model(key)).credits for key in ("local", *checkpoints)] == [2] * (1 + len(checkpoints))
        overlay.unlink()
        assert (await catalogue.model(checkpoints[0])).credits == 0


async def test_a_provider_that_returns_is_heard_of() -> None:
    """P1: a provider that is away is asked again every second, and its models are there once it is."""
    async with serving_provider(ScriptedProvider("a")) as gone:
        port, target = gone.running.grpc_port, gone.target
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(serving_router({"a": target}, {"default": ["a/model"]}))
        catalogue = await stack.enter_async_context(catalogue_at(router.target))
        assert await catalogue.keys() == []
        await stack.enter_async_context(serving_provider(ScriptedProvider("a"), port=port))

        async def has_heard() -> bool:
            return await catalogue.keys() == ["model"]

        await until(has_heard)
