"""Hostile pictures, sent over sockets to a router that is a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from PIL import Image, ImageChops

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Reason
from imagegate.testing import SCRIPTED_FOR_EVERYTHING, ScriptedProvider, serving_provider, told
from imagegate.testing.system import Member, router_alone
from imagegate.v1 import generation_pb2, generation_pb2_grpc

from .good import Good, good
from .made import MASK, SIZE, encoded, noise, opened
from .poisoned import Poison, poisoned

Request = generation_pb2.GenerateRequest
Input = generation_pb2.InputImage
MOST_MEMORY = 512e6
AT_ONCE = 4
PHOTO, WHITE = encoded(noise(1)), encoded(Image.new("L", SIZE, 255))
CONFIGURATION = """
providers:
  scripted: {{target: "{target}"}}
routes:
  default: [scripted/model]
"""

Case = TypeVar("Case")


def as_picture(data: bytes) -> Request:
    return Request(image_to_image=generation_pb2.ImageToImage(image=Input(data=data)))


def as_pose(data: bytes) -> Request:
    return Request(pose_extraction=generation_pb2.PoseExtraction(image=Input(data=data)))


def as_control(data: bytes) -> Request:
    request = as_picture(PHOTO)
    for image in (PHOTO, data):
        request.controls.add(type=generation_pb2.CONTROL_TYPE_OPENPOSE, image=Input(data=image))
    return request


def as_person(data: bytes) -> Request:
    return Request(identity=[generation_pb2.Identity(image=Input(data=data))])


def as_repaired(data: bytes) -> Request:
    return Request(inpainting=generation_pb2.Inpainting(image=Input(data=data), mask=Input(data=WHITE)))


def as_mask(data: bytes) -> Request:
    return Request(inpainting=generation_pb2.Inpainting(image=Input(data=PHOTO), mask=Input(data=data)))


# Where a picture may be, and what makes a request of it.
PLACES: dict[str, Callable[[bytes], Request]] = {
    "image_to_image.image": as_picture,
    "controls[1].image": as_control,
    "identity[0].image": as_person,
    "inpainting.image": as_repaired,
    "inpainting.mask": as_mask,
    "pose_extraction.image": as_pose,
}


@asynccontextmanager
async def running(
    folder: Path, provider: ScriptedProvider, environ: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Member, Any]]:
    """A router's process in front of `provider`, and a caller's stub."""
    async with serving_provider(provider) as served:
        file = folder / "imagegate.yaml"
        file.write_text(CONFIGURATION.format(target=served.target))
        async with (
            router_alone(file, environ) as router,
            grpc.aio.insecure_channel(router.address, options=MESSAGE_OPTIONS) as channel,
        ):
            yield router, generation_pb2_grpc.GenerationServiceStub(channel)


async def for_each(cases: Iterable[Case], work: Callable[[int, Case], Awaitable[None]]) -> None:
    """Do the work for all of these, a few at a time."""
    left = iter(enumerate(cases))

    async def some() -> None:
        for number, case in left:
            await work(number, case)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(models=(SCRIPTED_FOR_EVERYTHING,))


async def test_three_hundred_poisoned_inputs_are_refused_by_name(tmp_path: Path, provider: ScriptedProvider) -> None:
    """P3, P12: bombs, halves, polyglots, animations, giant profiles and wrong masks are each refused with the field and
    what is there instead; no provider hears of them, and the router stays under 512 MB and goes on serving.
    """
    cases, places = poisoned(), list(PLACES)
    assert len({(case.data, case.is_mask) for case in cases}) >= 300

    async def send(number: int, case: Poison) -> None:
        place = "inpainting.mask" if case.is_mask else places[number % len(places)]
        request = PLACES[place](case.data)
        request.prompt = "x"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Generate(request, timeout=60)
        failure = told(caught.value)
        assert (caught.value.code(), failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_REQUEST), (
            case.name
        )
        (violation,) = failure.violations
        assert violation.field == place, case.name
        assert case.words in violation.description, (case.name, violation.description)

    async with running(tmp_path, provider) as (router, stub):
        await for_each(cases, send)
        assert not provider.orders
        assert (await stub.Generate(as_pose(PHOTO), timeout=20)).images
        assert router.peak_memory() < MOST_MEMORY
        assert not router.events("a call failed by a bug")


async def test_a_hundred_odd_but_good_inputs_pass(tmp_path: Path, provider: ScriptedProvider) -> None:
    """P3, P12: every kind of picture reaches the provider as it looks, equal in every pixel where nothing had to go,
    upright, and without what came along with it; the router stays under 512 MB.
    """
    cases = good()
    assert len({case.data for case in cases}) >= 100

    async def send(number: int, case: Good) -> None:
        request = as_control(case.data)
        request.prompt, request.seed = "x", number
        assert (await stub.Generate(request, timeout=60)).images, case.name

    async with running(tmp_path, provider) as (router, stub):
        await for_each(cases, send)
        assert router.peak_memory() < MOST_MEMORY
    assert len(provider.orders) == len(cases)
    for order in provider.orders:
        case, got = cases[order.seed() or 0], order.inputs.controls[1].picture
        arrived = opened(got.data)
        assert arrived.mode in ("L", "RGB", "RGBA"), case.name
        assert (got.width, got.height) == arrived.size == case.expected.size, case.name
        assert b"SECRET" not in got.data, case.name
        assert not arrived.getexif(), case.name
        assert apart(arrived, case.expected) <= case.apart, case.name


@pytest.mark.parametrize(("allowed", "words"), [("", "IMAGEGATE_INPUT_URIS=true"), ("true", "cannot be fetched")])
async def test_addresses_lead_nowhere_inside(
    tmp_path: Path, provider: ScriptedProvider, allowed: str, words: str
) -> None:
    """P3, P12: an input by address is off unless the operator switches it on, and then leads to public places only."""
    async with running(tmp_path, provider, {"IMAGEGATE_INPUT_URIS": allowed}) as (router, stub):
        inside = f"https://{router.http.removeprefix('http://')}/metrics"
        for uri in (inside, router.http, "https://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):
            request = as_control(PHOTO)
            request.prompt, request.controls[1].image.uri = "x", uri
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Generate(request, timeout=20)
            (violation,) = told(caught.value).violations
            assert violation.field == "controls[1].image"
            assert words in violation.description
    assert not provider.orders


async def test_masks_arrive_in_grey(tmp_path: Path, provider: ScriptedProvider) -> None:
    """P3: a mask of any kind is the same mask to a provider: white is made anew."""
    async with running(tmp_path, provider) as (_, stub):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
            request = as_mask(encoded(MASK.convert("RGB").convert(mode)))
            request.prompt = "x"
            await stub.Generate(request, timeout=20)
    for order in provider.orders:
        assert order.inputs.mask is not None
        assert opened(order.inputs.mask.data).mode == "L"
        assert opened(order.inputs.mask.data).tobytes() == MASK.tobytes()


def apart(one: Image.Image, other: Image.Image) -> float:
    """How far the mean pixel of one is from that of the other; what is transparent counts as well."""
    mode = "RGBA" if "RGBA" in (one.mode, other.mode) else "RGB"
    difference = ImageChops.difference(one.convert(mode), other.convert(mode))
    counts = difference.histogram()
    return sum(value % 256 * count for value, count in enumerate(counts)) / sum(counts)
