"""How pictures are handed over, over real sockets: by a provider, and through the router."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from imagegate.client import AsyncClient, GenerationError
from imagegate.runtime import images
from imagegate.runtime.order import Delivery, Picture
from imagegate.testing import HeldThreads, House, ScriptedProvider, picture, serving_provider, serving_router
from imagegate.v1 import generation_pb2, generation_pb2_grpc

Request = generation_pb2.GenerateRequest
Response = generation_pb2.GenerateResponse
Output = generation_pb2.Output
# gRPC's own limit, which no client here raises.
UNTUNED = 4 * 1024 * 1024
THREE = [picture(683, 683, seed=seed) for seed in range(3)]
LARGE = picture(1415, 1415)


@asynccontextmanager
async def targets(pictures: list[bytes], **more: Any) -> AsyncIterator[dict[str, str]]:
    """A provider that delivers these pictures, and a router over it."""
    provider = ScriptedProvider("a", [Delivery([Picture(data, 7) for data in pictures]) for _ in range(4)], **more)
    async with (
        serving_provider(provider) as served,
        serving_router({"a": served.target}, {"default": ["a/model"]}) as router,
    ):
        yield {"provider": served.target, "router": router.target}


def ask(target: str, request: Request) -> Response:
    """As a client asks that knows nothing of us."""
    with grpc.insecure_channel(target) as channel:
        return generation_pb2_grpc.GenerationServiceStub(channel).Generate(request, timeout=60)


def are_whole(response: Response) -> bool:
    for image in response.images:
        seen = images.inspect(image.data)
        told = (image.mime_type, image.width, image.height, image.size_bytes)
        if told != (seen.mime_type, seen.width, seen.height, len(image.data)):
            return False
    return all(hashlib.sha256(image.data).hexdigest() == image.sha256 for image in response.images)


@pytest.mark.parametrize("to", ["provider", "router"])
async def test_three_large_pictures_reach_an_untuned_client(to: str) -> None:
    """S1: three pictures of 1.4 MB in one answer reach a grpcio client that raised no limit, each told as changed."""
    assert sum(map(len, THREE)) > UNTUNED
    async with targets(THREE) as target:
        answer = await asyncio.to_thread(ask, target[to], Request(prompt="x", count=3))
    assert len(answer.images) == 3
    assert are_whole(answer)
    assert sum(image.size_bytes for image in answer.images) <= 4_000_000
    assert answer.ByteSize() < UNTUNED
    changes = [each for each in answer.adjustments if each.parameter == "output.max_bytes"]
    assert [each.requested for each in changes] == [f"PNG, {len(data):,} bytes" for data in THREE]
    assert [each.applied for each in changes] == [f"JPEG quality 95, {i.size_bytes:,} bytes" for i in answer.images]
    assert [image.seed for image in answer.images] == [7, 7, 7]


@pytest.mark.parametrize("to", ["provider", "router"])
async def test_one_large_picture_reaches_an_untuned_client(to: str) -> None:
    """S1: so does one of 6 MB, by a stream as well."""
    assert len(LARGE) > 6_000_000
    async with targets([LARGE]) as target:
        answer = await asyncio.to_thread(ask, target[to], Request(prompt="x"))
        async with grpc.aio.insecure_channel(target[to]) as channel:
            stub = generation_pb2_grpc.GenerationServiceStub(channel)
            events = [event async for event in stub.GenerateStream(Request(prompt="x"), timeout=60)]
    assert are_whole(answer)
    assert answer.images[0].size_bytes <= 4_000_000
    assert events[-1].completed.images == answer.images


@pytest.mark.parametrize("to", ["provider", "router"])
async def test_who_can_take_more_gets_the_bytes_as_they_are(to: str) -> None:
    """S1: the SDK asks for up to 56,000,000 bytes, so its pictures are those of the upstream, byte for byte."""
    for given in (THREE, [LARGE]):
        async with targets(given) as target, AsyncClient(target[to]) as client:
            result = await client.generate("x", count=len(given))
        assert [image.data for image in result.images] == given
        assert not [each for each in result.adjustments if each.parameter.startswith("output.")]


def undecodable() -> bytes:
    """A whole JPEG by its markers, with a table that no decoder takes."""
    data = bytearray(picture(64, 64, "JPEG"))
    at = data.index(b"\xff\xc4")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 5 : at + 2 + length] = b"\xff" * (length - 3)
    return bytes(data)


@pytest.mark.parametrize("to", ["provider", "router"])
async def test_a_picture_that_does_not_decode_is_left_out(to: str) -> None:
    """R14: of two pictures the one that turns out to be none is left out, the other handed over."""
    async with targets([undecodable(), picture(64, 64)]) as target:
        request = Request(prompt="x", count=2, output=Output(format=generation_pb2.FORMAT_PNG))
        answer = await asyncio.to_thread(ask, target[to], request)
    assert [image.data for image in answer.images] == [picture(64, 64)]
    assert ("count", "2", "1") in [(each.parameter, each.requested, each.applied) for each in answer.adjustments]


async def test_a_picture_that_was_paid_for_is_not_refused() -> None:
    """S1: REFUSE is about what is sent; of what came back nothing is withheld, and the change is told."""
    request = Request(
        prompt="x", output=Output(max_bytes=20_000), on_unsupported=generation_pb2.ON_UNSUPPORTED_REFUSE,
        must_keep=["width", "height"], width=1024, height=1024,
    )  # fmt: skip
    async with targets([picture(1024, 1024)]) as target:
        answer = await asyncio.to_thread(ask, target["router"], request)
    assert answer.images[0].size_bytes <= 20_000
    assert {each.parameter for each in answer.adjustments} == {"output.max_bytes", "width", "height"}


async def test_what_cannot_fit_is_refused_before_anything_is_paid(house: House) -> None:
    """P12: fewer bytes than a picture can have are refused by the router, and nobody is asked for a picture."""
    await house.build([])
    _, failure = await house.fail(Request(prompt="x", count=2, output=Output(max_bytes=32_767)))
    assert [each.field for each in failure.violations] == ["output.max_bytes"]
    assert house.providers["a"].orders == []


async def test_only_what_is_known_of_a_picture(house: House) -> None:
    """S1: with NONE the answer is the same without the bytes; a repetition joins it, and asking for the bytes by its
    key is another request.
    """
    await house.build([])
    seen = picture(64, 64)
    async with AsyncClient(house.router.target) as client:
        result, again = [
            await client.generate("x", delivery="NONE", idempotency_key="k", seed=7, request_id=f"r{number}")
            for number in range(2)
        ]
        with pytest.raises(GenerationError, match="belongs to another request"):
            await client.generate("x", idempotency_key="k", seed=7)
        record = await client.request("r0")
    (image,) = result.images
    assert (image.data, image.size_bytes, image.sha256) == (b"", len(seen), hashlib.sha256(seen).hexdigest())
    assert (image.mime_type, image.width, image.height, image.seed) == ("image/png", 64, 64, 7)
    assert again.images == result.images
    assert len(house.providers["a"].orders) == 1
    assert record.delivered_model == "model"


async def test_the_line_of_an_attempt_says_what_was_delivered() -> None:
    """S10: the bytes of the pictures, in the answer or not, and how many of them were encoded again."""
    output = Output(format=generation_pb2.FORMAT_JPEG, delivery=generation_pb2.DELIVERY_NONE)
    with capture_logs() as logs:
        async with targets([picture(64, 64), picture(64, 64, "JPEG")]) as target:
            answer = await asyncio.to_thread(ask, target["provider"], Request(prompt="x", count=2, output=output))
            await asyncio.to_thread(ask, target["provider"], Request(prompt="x", count=2))
    first, second = [line for line in logs if line["event"] == "attempt"]
    assert (first["bytes"], first["recoded"]) == (sum(image.size_bytes for image in answer.images), 1)
    assert "recoded" not in second


async def test_others_are_answered_while_a_picture_is_encoded_again(house: House) -> None:
    """A picture is encoded in a thread: as long as that takes, other calls of the same provider are answered."""
    await house.build([])
    threads = HeldThreads()
    asyncio.get_running_loop().set_default_executor(threads)
    jpeg = Request(prompt="x", output=Output(format=generation_pb2.FORMAT_JPEG))
    try:
        converting = asyncio.create_task(house.generate(jpeg))
        async with asyncio.timeout(10):
            while not threads.submitted:
                await asyncio.sleep(0.01)
        assert (await house.generate()).images[0].mime_type == "image/png"
        assert not converting.done()
    finally:
        threads.go.set()
    assert (await converting).images[0].mime_type == "image/jpeg"
