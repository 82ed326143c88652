"""What the entrance lets in, and how it says what it does not."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from PIL import Image

from imagegate.runtime.entrance import Entrance
from imagegate.runtime.errors import Failure, Reason, Violation
from imagegate.runtime.images import inspect
from imagegate.runtime.tasks import pictures
from imagegate.runtime.validation import MAX_INPUT_BYTES, violations
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest
Input = generation_pb2.InputImage
OPENPOSE = generation_pb2.CONTROL_TYPE_OPENPOSE
PNG, JPEG = picture(48, 32), picture(48, 32, "JPEG")


@dataclass
class FakePoses:
    """Poses by name, and the threads that asked for them."""

    found: dict[str, bytes] = field(default_factory=dict)
    threads: set[int] = field(default_factory=set)

    def names(self) -> Sequence[str]:
        return list(self.found)

    def get(self, name: str) -> bytes | None:
        self.threads.add(threading.get_ident())
        return self.found.get(name)


@asynccontextmanager
async def entrance(poses: FakePoses | None = None) -> AsyncIterator[Entrance]:
    opened = Entrance(poses)
    try:
        yield opened
    finally:
        await opened.close()


def encoded(draw: Callable[[], Image.Image], kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    draw().save(file, kind, **options)
    return file.getvalue()


def mask(width: int = 48, height: int = 32, colour: str = "white") -> bytes:
    return encoded(lambda: Image.new("L", (width, height), colour))


def posed(*images: Input) -> Request:
    """A photo and these controls."""
    return Request(
        prompt="x",
        image_to_image=generation_pb2.ImageToImage(image=Input(data=PNG)),
        controls=[generation_pb2.Control(type=OPENPOSE, image=image) for image in images],
    )


def inpainting(image: bytes, mask: bytes) -> Request:
    part = generation_pb2.Inpainting(image=Input(data=image), mask=Input(data=mask))
    return Request(prompt="x", inpainting=part)


async def refused(request: Request, poses: FakePoses | None = None) -> dict[str, str]:
    """What is said of each field."""
    async with entrance(poses) as opened:
        with pytest.raises(Failure) as caught:
            await opened.admit(request, violations(request))
    assert caught.value.reason is Reason.INVALID_REQUEST
    return {violation.field: violation.description for violation in caught.value.violations}


async def test_a_request_without_pictures_goes_on_as_it_is() -> None:
    """Words need no thread."""
    request = Request(prompt="a lighthouse")
    async with entrance() as opened:
        assert await opened.admit(request) is request


async def test_clean_pictures_go_on_as_they_are() -> None:
    """Nothing is copied without need: the request itself goes on."""
    request = posed(Input(data=JPEG))
    async with entrance() as opened:
        assert await opened.admit(request) is request


async def test_what_is_made_clean_takes_its_place() -> None:
    """P3: each place gets its own picture, clean; the rest of the request, and the one that was given, stay."""
    secret = encoded(lambda: Image.new("RGB", (8, 4)), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0SECRET")
    request = posed(Input(data=JPEG), Input(data=secret))
    given = request.SerializeToString()
    async with entrance() as opened:
        admitted = await opened.admit(request)
    assert [image.data for _, image in pictures(admitted)][:2] == [PNG, JPEG]
    assert b"SECRET" not in admitted.SerializeToString()
    assert inspect(admitted.controls[1].image.data).width == 8
    assert request.SerializeToString() == given
    for image in admitted.controls:
        image.ClearField("image")
    for image in request.controls:
        image.ClearField("image")
    assert admitted == request


async def test_every_bad_picture_is_named_at_once() -> None:
    """P3: the field and what is there instead, beside everything else that is wrong with the request."""
    request = posed(Input(data=b"<html><body>404</body></html>"), Input(data=JPEG), Input(data=PNG[:-9]), Input())
    request.prompt = ""
    request.steps = 1000
    assert await refused(request) == {
        "prompt": "is empty; say what to draw",
        "steps": "is 1000; allowed is 1 to 150",
        "controls[3].image": "has no picture: give data, template or uri",
        "controls[0].image": "is an HTML page; expected one whole PNG, JPEG or WEBP",
        "controls[2].image": "is half a PNG: it ends inside a chunk; expected one whole PNG, JPEG or WEBP",
    }


async def test_a_declared_giant_is_refused_by_its_header() -> None:
    """50,000 × 50,000 pixels are never decoded."""
    giant = PNG[:16] + (50_000).to_bytes(4, "big") * 2 + PNG[24:]
    said = await refused(posed(Input(data=giant)))
    assert "a PNG that declares 50000 × 50000 pixels" in said["controls[0].image"]


async def test_too_much_in_all_is_not_looked_at() -> None:
    """24 MiB are the limit of all pictures together; beyond it, and beyond the number of each, nothing is decoded."""
    half = b"GIF8" + bytes(MAX_INPUT_BYTES // 2)
    assert list(await refused(posed(Input(data=half), Input(data=half)))) == ["task"]
    assert list(await refused(posed(*[Input(data=b"GIF8")] * 5))) == ["controls"]


async def test_a_template_is_the_picture_of_its_name() -> None:
    """P5: what a template's name stands for goes on as data; it is asked for in a thread."""
    poses = FakePoses({"arms-up": PNG})
    async with entrance(poses) as opened:
        admitted = await opened.admit(posed(Input(template="arms-up")))
    assert admitted.controls[0].image == Input(data=PNG)
    assert threading.get_ident() not in poses.threads


async def test_an_unknown_template_is_refused_with_the_nearest_names() -> None:
    """P5: a name that is not there is refused with those that look like it; without any templates there are none."""
    poses = FakePoses({"arms-up": PNG, "sitting": PNG})
    said = await refused(posed(Input(template="arms-upp")), poses)
    told = "there is no pose template 'arms-upp' (the nearest: arms-up, sitting); see ListPoseTemplates"
    assert said == {"controls[0].image": told}
    said = await refused(posed(Input(template="x" * 2000)))
    assert said["controls[0].image"].endswith("…'; see ListPoseTemplates")
    assert len(said["controls[0].image"]) < 150


async def test_a_template_is_looked_at_like_everything_else() -> None:
    """An operator's folder may hold anything; all of it counts for the limit of bytes."""
    poses = FakePoses({"gif": b"GIF89a", "large": bytes(MAX_INPUT_BYTES + 1)})
    said = await refused(posed(Input(template="gif")), poses)
    assert said == {"controls[0].image": "the pose template 'gif' is a GIF; expected one whole PNG, JPEG or WEBP"}
    said = await refused(posed(Input(template="large")), poses)
    assert said == {"task": "all pictures together have more than 25,165,824 bytes; at most 24 MiB are allowed"}


async def test_a_uri_is_refused_by_the_name_of_its_switch() -> None:
    """Pictures by address are off by default, and whoever sends one learns what would allow it."""
    said = await refused(posed(Input(uri="https://example.com/a.png")))
    assert "IMAGEGATE_INPUT_URIS=true" in said["controls[0].image"]


async def test_a_mask_is_as_large_as_its_picture() -> None:
    """P3: both sizes are named; what counts is how the picture is after it was turned."""
    assert await refused(inpainting(PNG, mask(32, 48))) == {
        "inpainting.mask": "has 32 × 48 pixels and the picture 48 × 32; they have to be the same"
    }
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(lambda: Image.open(io.BytesIO(PNG)), exif=exif)
    assert list(await refused(inpainting(turned, mask()))) == ["inpainting.mask"]
    async with entrance() as opened:
        admitted = await opened.admit(inpainting(turned, mask(32, 48)))
    assert inspect(admitted.inpainting.image.data).height == 48


async def test_a_mask_with_nothing_white_is_refused() -> None:
    """P3: nothing would be made anew, and paid for."""
    said = await refused(inpainting(PNG, mask(colour="black")))
    assert said == {"inpainting.mask": "is black throughout: white is what is made anew"}


async def test_a_mask_becomes_grey() -> None:
    """P3: whatever a mask was, a provider gets L."""
    async with entrance() as opened:
        admitted = await opened.admit(inpainting(PNG, PNG))
    assert Image.open(io.BytesIO(admitted.inpainting.mask.data)).mode == "L"
    assert admitted.inpainting.image.data == PNG


async def test_what_is_known_to_be_wrong_is_told_though_all_pictures_are_good() -> None:
    """What `validation` has found is never forgotten."""
    async with entrance() as opened:
        with pytest.raises(Failure, match="steps: is 0"):
            await opened.admit(posed(), [Violation("steps", "is 0")])


async def test_pictures_are_decoded_one_at_a_time_also_when_callers_leave() -> None:
    """However many requests come in together, one picture is decoded; a caller who leaves frees no second place."""
    busy, most, go_on = 0, 0, threading.Event()

    class Slow(FakePoses):
        def get(self, name: str) -> bytes | None:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            go_on.wait(10)
            busy -= 1
            return PNG

    async with entrance(Slow()) as opened:
        calls = [asyncio.create_task(opened.admit(posed(Input(template="x")))) for _ in range(8)]
        async with asyncio.timeout(10):
            while not busy:
                await asyncio.sleep(0.01)
        for call in calls[:4]:
            call.cancel()
        await asyncio.gather(*calls[:4], return_exceptions=True)
        go_on.set()
        assert len(await asyncio.gather(*calls[4:])) == 4
    assert most == 1
