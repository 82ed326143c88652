"""The pictures of a request on their way: through the router, or straight to a provider, and on to its adapter."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from aiohttp import web
from PIL import Image
from structlog.testing import capture_logs

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.metadata import INPUTS_ADMITTED
from imagegate.runtime.uri_inputs import UriInputs
from imagegate.testing import (
    SCRIPTED_FOR_EVERYTHING,
    SCRIPTED_MODEL,
    House,
    ScriptedProvider,
    ServedRouter,
    outcomes,
    picture,
    serving_provider,
    serving_router,
    told,
)
from imagegate.v1 import catalog_pb2_grpc, generation_pb2, generation_pb2_grpc, router_pb2, router_pb2_grpc

Request = generation_pb2.GenerateRequest
Input = generation_pb2.InputImage
PNG, JPEG = picture(64, 48), picture(64, 48, "JPEG")
POSE = picture(40, 80, seed=1)
SECRET = b"SECRET of the camera"


@dataclass(frozen=True)
class FakePoses:
    """One pose, called `arms-up`."""

    def names(self) -> Sequence[str]:
        return ["arms-up"]

    def get(self, name: str) -> bytes | None:
        return POSE if name == "arms-up" else None


def photo() -> bytes:
    """A JPEG that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, SECRET.decode()
    file = io.BytesIO()
    Image.open(io.BytesIO(PNG)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def with_a_pose(pose: Input, photo: bytes = JPEG, **fields: object) -> Request:
    """A photo together with a pose."""
    return Request(
        prompt="a dancer",
        image_to_image=generation_pb2.ImageToImage(image=Input(data=photo)),
        controls=[generation_pb2.Control(type=generation_pb2.CONTROL_TYPE_OPENPOSE, image=pose)],
        **fields,
    )


@asynccontextmanager
async def running(
    *providers: ScriptedProvider, entrance: Entrance | None = None
) -> AsyncIterator[tuple[ServedRouter, Mapping[str, str]]]:
    """A router over these, in this order, and where each of them is."""
    async with AsyncExitStack() as stack:
        targets = {each.name: (await stack.enter_async_context(serving_provider(each))).target for each in providers}
        routes = {"default": [f"{name}/model" for name in targets]}
        yield await stack.enter_async_context(serving_router(targets, routes, entrance=entrance)), targets


def able(name: str = "able", *replies: Failure) -> ScriptedProvider:
    return ScriptedProvider(name, replies, models=(SCRIPTED_FOR_EVERYTHING,))


async def generate(target: str, request: Request, **metadata: str) -> generation_pb2.GenerateResponse:
    async with grpc.aio.insecure_channel(target, options=MESSAGE_OPTIONS) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        sent = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return await stub.Generate(request, timeout=20, metadata=sent)


async def refused(target: str, request: Request, **metadata: str) -> dict[str, str]:
    """What is said of each field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await generate(target, request, **metadata)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    failure = told(caught.value)
    assert failure.reason is Reason.INVALID_REQUEST
    return {violation.field: violation.description for violation in failure.violations}


ADMITTED = {INPUTS_ADMITTED.replace("-", "_"): "true"}


class TestFallback:
    """What the next candidate gets."""

    async def test_the_next_candidate_gets_the_same_pose(self) -> None:
        """R10, P3: a pose request whose first candidate fails is answered by the next with the same pictures; a
        candidate that cannot take a pose is passed over and never tried.
        """
        first = able("first", Failure(Reason.UPSTREAM_ERROR, "it broke"))
        words, last = ScriptedProvider("words", models=(SCRIPTED_MODEL,)), able("last")
        async with running(first, words, last, entrance=Entrance(FakePoses())) as (router, _):
            answer = await generate(router.target, with_a_pose(Input(template="arms-up"), photo()))
        assert outcomes(answer.attempts) == ["first UPSTREAM_ERROR", "[words UNSUPPORTED]", "last OK"]
        assert "it does not do image to image" in answer.attempts[1].message
        assert not words.orders
        (one,), (other,) = first.orders, last.orders
        assert one.inputs == other.inputs
        assert one.inputs.controls[0].picture.data == POSE
        assert one.inputs.image is not None
        assert (one.inputs.image.width, one.inputs.image.height) == (48, 64)
        assert SECRET not in one.inputs.image.data

    async def test_where_nobody_can_the_reason_is_told(self) -> None:
        """P3: a model for words alone is no candidate for a pose, and says what it does instead."""
        words = ScriptedProvider("words", models=(SCRIPTED_MODEL,))
        async with running(words) as (router, _):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await generate(router.target, with_a_pose(Input(data=POSE)))
        assert outcomes(told(caught.value).attempts) == ["[words UNSUPPORTED]"]
        assert not words.orders


class TestTheRouter:
    """It looks at every picture once."""

    async def test_every_call_with_pictures_refuses_bad_ones_by_name(self) -> None:
        """P3: Generate, GenerateStream, Explain and EstimateCost say the same of the same request."""
        request = with_a_pose(Input(data=b"GIF89a"), PNG[:100])
        fields = {"image_to_image.image", "controls[0].image"}
        provider = able()
        async with (
            running(provider) as (router, _),
            grpc.aio.insecure_channel(router.target, options=MESSAGE_OPTIONS) as channel,
        ):
            calls = [
                generation_pb2_grpc.GenerationServiceStub(channel).Generate,
                router_pb2_grpc.RouterServiceStub(channel).Explain,
                catalog_pb2_grpc.CatalogServiceStub(channel).EstimateCost,
            ]
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(request, timeout=20)
                assert {each.field for each in told(caught.value).violations} == fields
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in generation_pb2_grpc.GenerationServiceStub(channel).GenerateStream(request, timeout=20):
                    pass
            assert {each.field for each in told(caught.value).violations} == fields
        assert not provider.orders

    async def test_explaining_and_estimating_take_pictures(self) -> None:
        """P3, P8: asking what would become of a request with a pose template costs nothing and makes nothing."""
        provider = able()
        async with (
            running(provider, entrance=Entrance(FakePoses())) as (router, _),
            grpc.aio.insecure_channel(router.target, options=MESSAGE_OPTIONS) as channel,
        ):
            request = with_a_pose(Input(template="arms-up"))
            explained = await router_pb2_grpc.RouterServiceStub(channel).Explain(request, timeout=20)
            cost = await catalog_pb2_grpc.CatalogServiceStub(channel).EstimateCost(request, timeout=20)
        assert [(each.provider, each.turn) for each in explained.candidates] == [("able", 1)]
        assert cost.candidates[0].credits == 3
        assert not provider.orders

    async def test_a_provider_is_sent_data_only(self) -> None:
        """P3: what a template or an address stands for travels as data; neither goes any further than the router."""
        provider = able()
        async with AsyncExitStack() as stack:
            serving = await stack.enter_async_context(a_place(PNG))
            entrance = Entrance(FakePoses(), UriInputs((serving,)))
            router, _ = await stack.enter_async_context(running(provider, entrance=entrance))
            request = with_a_pose(Input(uri=f"{serving}/any"))
            request.controls.add(type=generation_pb2.CONTROL_TYPE_CANNY, image=Input(template="arms-up"))
            await generate(router.target, request)
        assert [control.picture.data for control in provider.orders[0].inputs.controls] == [PNG, POSE]

    async def test_one_key_is_one_request_with_its_pictures(self) -> None:
        """R14: the same key with the same pictures is made once; with another picture it is another request."""
        provider = able()
        async with running(provider) as (router, _):
            for _ in range(2):
                await generate(router.target, with_a_pose(Input(data=POSE), idempotency_key="k"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await generate(router.target, with_a_pose(Input(data=PNG), idempotency_key="k"))
            bad = with_a_pose(Input(data=b"GIF89a"), idempotency_key="k", steps=0)
            said = await refused(router.target, bad)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert list(said) == ["steps", "controls[0].image"]
        assert len(provider.orders) == 1

    async def test_neither_the_log_nor_the_record_has_pictures(self) -> None:
        """The bytes of a request's pictures stay out of what is kept of it."""
        async with running(able("able", Failure(Reason.UPSTREAM_ERROR, "it broke"))) as (router, _):
            with capture_logs() as logs:
                with pytest.raises(grpc.aio.AioRpcError):
                    await generate(router.target, with_a_pose(Input(data=picture(256, 256))))
                with pytest.raises(grpc.aio.AioRpcError):
                    await generate(router.target, with_a_pose(Input(data=b"<html>" + bytes(100_000))))
            async with router.stubs() as (_, service):
                record = await service.ListRequests(router_pb2.ListRequestsRequest(), timeout=10)
        assert len([each for each in logs if each["event"] == "request"]) == 2
        assert max(len(str(each)) for each in logs) < 2000
        assert record.ByteSize() < 3000


class TestAProviderAskedDirectly:
    """It is an entrance too, unless a router says that it has been one."""

    async def test_it_lets_pictures_in_as_a_router_does(self) -> None:
        """P3: the same rules, and the same words."""
        provider = able()
        async with running(provider) as (_, targets):
            await generate(targets["able"], with_a_pose(Input(data=POSE), photo()))
            said = await refused(targets["able"], with_a_pose(Input(data=b"GIF89a")))
        (order,) = provider.orders
        assert order.inputs.image is not None
        assert SECRET not in order.inputs.image.data
        assert order.inputs.image.height == 64
        assert said == {"controls[0].image": "is a GIF; expected one whole PNG, JPEG or WEBP"}

    async def test_what_a_router_has_seen_to_is_not_decoded_again(self) -> None:
        """With the router's mark pictures are only walked: they arrive as they were sent."""
        provider = able()
        async with running(provider) as (_, targets):
            await generate(targets["able"], with_a_pose(Input(data=POSE), photo()), **ADMITTED)
        assert provider.orders[0].inputs.image is not None
        assert provider.orders[0].inputs.image.data == photo()

    @pytest.mark.parametrize(
        "pose",
        [Input(data=b"GIF89a"), Input(data=PNG[:99]), Input(template="arms-up"), Input(uri="https://example.com")],
    )
    async def test_a_forged_mark_harms_only_whoever_forges_it(self, pose: Input) -> None:
        """What is no picture is INVALID_REQUEST with a mark as well, and never a bug of ours."""
        provider = able()
        async with running(provider) as (_, targets):
            assert list(await refused(targets["able"], with_a_pose(pose), **ADMITTED)) == ["controls[0].image"]
        assert not provider.orders


@asynccontextmanager
async def a_place(body: bytes) -> AsyncIterator[str]:
    """Where this lies, whatever is asked for."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_six_megabytes_of_picture_pass(house: House) -> None:
    """A request with large pictures goes all the way, within our limits of messages."""
    await house.build([], models=(SCRIPTED_FOR_EVERYTHING,))
    large = picture(1400, 1400)
    await house.generate(with_a_pose(Input(data=large), large))
    order = house.providers["a"].orders[0]
    assert order.inputs.controls[0].picture.data == large
    assert len(large) > 5_000_000
