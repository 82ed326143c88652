"""What becomes of checked pictures before they are handed over, and what is told of it."""

import asyncio
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.handover import Handover
from imagegate.runtime.order import Order
from imagegate.testing import SCRIPTED_MODEL, HeldThreads, picture
from imagegate.v1 import generation_pb2

Output = generation_pb2.Output
JPEG, PNG, WEBP = generation_pb2.FORMAT_JPEG, generation_pb2.FORMAT_PNG, generation_pb2.FORMAT_WEBP
NONE = generation_pb2.DELIVERY_NONE


def an_order(seconds: float = 20.0, **output: Any) -> Order:
    return Order(
        model=SCRIPTED_MODEL,
        prompt="x",
        parameters={},
        deadline=Deadline.after(seconds),
        kept=None,  # no change is allowed before anything is paid for
        output=Output(**output),
    )


def checked(data: bytes) -> generation_pb2.Image:
    seen = images.inspect(data)
    return generation_pb2.Image(
        data=data,
        mime_type=seen.mime_type,
        width=seen.width,
        height=seen.height,
        seed=7,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def is_true(image: generation_pb2.Image) -> bool:
    """Whether what is said of a picture is so."""
    seen = images.inspect(image.data)
    return (image.mime_type, image.width, image.height, image.size_bytes, image.sha256, image.seed) == (
        seen.mime_type, seen.width, seen.height, len(image.data), hashlib.sha256(image.data).hexdigest(), 7,
    )  # fmt: skip


def told(order: Order) -> list[tuple[str, str, str]]:
    assert all(each.action == generation_pb2.ACTION_SUBSTITUTED for each in order.adjustments)
    return [(each.parameter, each.requested, each.applied) for each in order.adjustments]


def undecodable() -> bytes:
    """A whole JPEG by its markers, with a table that no decoder takes."""
    data = bytearray(picture(64, 64, "JPEG"))
    at = data.index(b"\xff\xc4")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 5 : at + 2 + length] = b"\xff" * (length - 3)
    images.inspect(bytes(data))
    return bytes(data)


@pytest.mark.parametrize("asked", [None, PNG])
async def test_what_is_as_asked_is_passed_on_byte_for_byte(asked: int | None) -> None:
    """S1: a picture that is in the format and fits is not touched, and nothing is told."""
    order, image = an_order(format=asked), checked(picture(64, 64))
    (packed,) = await Handover().pack(order, [image])
    assert packed.data == picture(64, 64)
    assert (told(order), order.recoded) == ([], 0)


@pytest.mark.parametrize("asked", [JPEG, PNG, WEBP])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_format_that_was_asked_for_is_no_change(asked: int, kind: str) -> None:
    """S1: every format can be had from every other; that is what was asked for, so no adjustment tells of it."""
    order = an_order(format=asked)
    (packed,) = await Handover().pack(order, [checked(picture(64, 48, kind))])
    assert packed.mime_type == f"image/{generation_pb2.Format.Name(asked).removeprefix('FORMAT_').lower()}"  # type: ignore[arg-type]
    assert is_true(packed)
    assert told(order) == []
    assert (packed.data == picture(64, 48, kind)) is (order.recoded == 0)


async def test_what_is_too_large_is_made_to_fit_and_told() -> None:
    """S1: without a format a PNG becomes a JPEG that fits, and the adjustment says from what to what; REFUSE comes too
    late for what is paid for.
    """
    order, data = an_order(max_bytes=100_000), picture(200, 200)
    (packed,) = await Handover().pack(order, [checked(data)])
    assert packed.size_bytes <= 100_000
    assert is_true(packed)
    assert told(order) == [
        ("output.max_bytes", f"PNG, {len(data):,} bytes", f"JPEG quality 95, {packed.size_bytes:,} bytes")
    ]
    assert "100,000" in order.adjustments[0].why
    assert order.recoded == 1


async def test_a_smaller_picture_is_told_too() -> None:
    """S1: where lower quality is not enough the picture gets smaller, and width and height say so."""
    order = an_order(max_bytes=16_384)
    (packed,) = await Handover().pack(order, [checked(picture(400, 300))])
    assert is_true(packed)
    changed = {each.parameter: each.applied for each in order.adjustments}
    assert changed.keys() == {"output.max_bytes", "width", "height"}
    assert (changed["width"], changed["height"]) == (str(packed.width), str(packed.height))


async def test_a_png_that_cannot_fit() -> None:
    """S1: a PNG that was asked for and is too large is told as another format: the upstream's own file where that
    fits, since encoding it once more gains nothing, else a JPEG.
    """
    order, data = an_order(format=PNG, max_bytes=70_000), picture(200, 200, "JPEG")
    (packed,) = await Handover().pack(order, [checked(data)])
    assert packed.data == data
    assert told(order) == [("output.format", "PNG", f"JPEG, {len(data):,} bytes")]
    order = an_order(format=PNG, max_bytes=30_000)
    (packed,) = await Handover().pack(order, [checked(picture(200, 200))])
    ((name, requested, applied),) = told(order)
    assert (name, requested) == ("output.format", f"PNG, {len(picture(200, 200)):,} bytes")
    assert applied == f"JPEG quality 70, {packed.size_bytes:,} bytes"
    assert is_true(packed)


async def test_pngs_that_fit_one_by_one_but_not_together() -> None:
    """S1: the upstream's own files are handed over where those fit, and not encoded once more for nothing."""
    data = [picture(200, 200, "JPEG"), picture(200, 200, "JPEG", seed=1)]
    order = an_order(format=PNG, max_bytes=150_000)
    packed = await Handover().pack(order, [checked(each) for each in data])
    assert [image.data for image in packed] == data
    assert [(name, asked.partition(",")[0]) for name, asked, _ in told(order)] == [("output.format", "PNG")] * 2
    assert order.recoded == 0


async def test_the_small_ones_keep_their_bytes() -> None:
    """S1: of several pictures only those that are larger than a fair share are touched, each with an adjustment that
    names it.
    """
    order = an_order(max_bytes=100_000)
    given = [checked(picture(200, 200)), checked(picture(64, 64)), checked(picture(200, 200, seed=1))]
    packed = await Handover().pack(order, given)
    assert [image.mime_type for image in packed] == ["image/jpeg", "image/png", "image/jpeg"]
    assert packed[1].data == picture(64, 64)
    assert sum(image.size_bytes for image in packed) <= 100_000
    assert [each.why.rpartition(" (")[2] for each in order.adjustments] == ["picture 1 of 3)", "picture 3 of 3)"]


async def test_only_what_is_known_of_them() -> None:
    """S1: with NONE an answer differs from one with its pictures in nothing but the pictures."""
    given = [picture(100, 100), picture(64, 64, "JPEG")]
    inline = await Handover().pack(an_order(format=JPEG, max_bytes=40_000), [checked(data) for data in given])
    without = await Handover().pack(
        an_order(format=JPEG, max_bytes=40_000, delivery=NONE), [checked(data) for data in given]
    )
    assert [image.data for image in without] == [b"", b""]
    for image in inline:
        image.ClearField("data")
    assert without == inline
    assert all(image.size_bytes and image.sha256 for image in without)


async def test_another_format_rather_than_none_at_all() -> None:
    """S1: a conversion that there is no time for is not waited for: the picture is handed over as it is."""
    threads = HeldThreads()
    asyncio.get_running_loop().set_default_executor(threads)
    order = an_order(seconds=0.05, format=WEBP)
    order.reserve = 0.0
    try:
        (packed,) = await Handover().pack(order, [checked(picture(64, 64))])
    finally:
        threads.go.set()
    assert packed.data == picture(64, 64)
    assert told(order) == [("output.format", "WEBP", f"PNG, {packed.size_bytes:,} bytes")]
    assert "no time" in order.adjustments[0].why


async def test_one_picture_is_decoded_at_a_time() -> None:
    """Decoded pictures are large: one at a time, also after somebody left whose picture was being worked on."""
    threads, handover = HeldThreads(), Handover()
    asyncio.get_running_loop().set_default_executor(threads)
    left, *waiting = [
        asyncio.create_task(handover.pack(an_order(format=JPEG), [checked(picture(64, 64))])) for _ in range(4)
    ]
    async with asyncio.timeout(10):
        while not threads.submitted:
            await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait((left,))
        await asyncio.sleep(0)
        assert threads.submitted == 1
        threads.go.set()
        packed = await asyncio.gather(*waiting)
    assert [image.mime_type for (image,) in packed] == ["image/jpeg"] * 3
    assert (threads.submitted, threads.most) == (4, 1)


async def test_what_does_not_decode_is_no_picture() -> None:
    """R14: a picture that turns out to be none is left out and counted; where none is left the order has failed."""
    order = an_order(format=PNG)
    (packed,) = await Handover().pack(order, [checked(undecodable()), checked(picture(64, 64))])
    assert packed.data == picture(64, 64)
    ((name, requested, applied),) = [(a.parameter, a.requested, a.applied) for a in order.adjustments]
    assert (name, requested, applied) == ("count", "2", "1")
    with pytest.raises(Failure) as caught:
        await Handover().pack(an_order(format=PNG), [checked(undecodable())])
    assert (caught.value.reason, caught.value.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED)


PICTURES = st.tuples(
    st.integers(1, 250), st.integers(1, 250), st.sampled_from(["PNG", "JPEG", "WEBP"]), st.integers(0, 3)
)


@given(st.lists(PICTURES, min_size=1, max_size=4), st.sampled_from([0, PNG, JPEG, WEBP]), st.integers(0, 200_000))
@settings(max_examples=40)
def test_any_pictures_fit_into_any_legal_number_of_bytes(
    drawn: list[tuple[int, int, str, int]], asked: int, more: int
) -> None:
    """S1: whatever comes, all pictures are handed over, whole, within `max_bytes`, and every change is told."""
    given_images = [checked(picture(*each)) for each in drawn]
    before = [(image.data, image.mime_type) for image in given_images]
    order = an_order(format=asked, max_bytes=16_384 * len(drawn) + more)
    packed = asyncio.run(Handover().pack(order, given_images))
    assert len(packed) == len(drawn)
    assert all(is_true(image) for image in packed)
    assert sum(image.size_bytes for image in packed) <= order.output.max_bytes
    wanted = {0: None, PNG: "image/png", JPEG: "image/jpeg", WEBP: "image/webp"}[asked]
    others = sum(image.mime_type != (wanted or mime) for image, (_, mime) in zip(packed, before, strict=True))
    formats = [each for each in order.adjustments if each.parameter == "output.format"]
    assert len(formats) == (others if asked else 0)
    if asked in (JPEG, WEBP):
        assert others == 0
    if not order.adjustments and not asked:
        assert [image.data for image in packed] == [data for data, _ in before]
