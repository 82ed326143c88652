"""Batches and tasks through the SDK, against a scripted router on a real socket."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from imagegate.client import AsyncClient, BatchItem, Client, GenerationError
from imagegate.client.batch import to_batch_request
from imagegate.runtime.errors import Reason
from imagegate.runtime.validation import MAX_INPUT_BYTES

REQUESTS = [
    {"prompt": "a cat", "model": "avatar", "width": 512},
    {"prompt": "fail RATE_LIMITED", "request_id": "mine", "idempotency_key": "key"},
    {"prompt": "a dog", "controls": [{"type": "openpose", "image": "template:standing"}]},
]


async def test_each_item_has_its_place_and_its_result_or_its_error(router: Any) -> None:
    """P8: items come as the router tells them; what failed is the error that `generate` would have raised."""
    async with AsyncClient(router.address) as client:
        items = [item async for item in client.generate_batch(REQUESTS, concurrency=2)]
    assert [item.index for item in items] == [2, 1, 0]
    dog, failed, cat = items
    assert cat.result is not None
    assert dog.result is not None
    assert cat.result.images[0].data
    assert cat.error is None is failed.result
    error = failed.error
    assert error is not None
    assert (error.reason, error.code) == (Reason.RATE_LIMITED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert (error.retry_after, error.request_id, error.attempts[0].provider) == (7.0, "mine", "huggingface")
    (sent,) = router.batches
    assert sent.concurrency == 2
    assert (sent.requests[0].prompt, sent.requests[0].model) == ("a cat", "avatar")
    assert all(each.request_id and each.idempotency_key for each in sent.requests)
    assert sent.requests[1].idempotency_key == "key"
    assert sent.requests[2].controls[0].image.template == "standing"
    assert failed.to_dict()["error"]["reason"] == "RATE_LIMITED"
    assert "data" not in cat.to_dict()["images"][0]


async def test_leaving_a_batch_cancels_it(router: Any) -> None:
    """P8: whoever leaves the loop, with or without `await`, pays for nothing more."""
    requests = [{"prompt": "a cat"}, {"prompt": "a dog", "request_id": "hang"}]
    async with AsyncClient(router.address) as client:
        items = client.generate_batch(requests)
        assert (await anext(items)).request_id == "hang"
        await items.aclose()
        async with asyncio.timeout(5):
            await router.cancelled.wait()

    router.cancelled.clear()

    def first() -> BatchItem:
        with Client(router.address) as client:
            for item in client.generate_batch(iter(requests)):
                return item
        raise AssertionError("nothing came")

    assert (await asyncio.to_thread(first)).request_id == "hang"
    async with asyncio.timeout(5):
        await router.cancelled.wait()


async def test_a_batch_that_ends_too_early_is_an_error(router: Any) -> None:
    """What a router forgets is not forgotten here."""
    router.batch_events = lambda _: []
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError, match="without an answer"):
            async for _ in client.generate_batch(REQUESTS):
                pass


def test_everything_that_is_wrong_with_any_request_is_told_at_once(tmp_path: Path) -> None:
    """P12: each bad item is named by its place, before anything is sent."""
    wrong: list[Any] = [
        {"prompt": "good"},
        {"prompt": "x", "widht": 1},
        {"prompt": "x", "seed": 2**70},
        {"prompt": "x", "controls": [{"type": "OPENPOSE"}, {"type": "JUGGLING"}]},
        {"prompt": "x", "identity": [{"image": tmp_path / "nobody.png"}]},
        "a cat",
        {"prompt": "x", "image_to_image": {"image": b"x"}, "inpainting": {"image": b"x"}},
        {"prompt": "x", "loras": {"name": "style"}},
        {"prompt": "x", "image_to_image": {"image": "cat.png"}},
        {1: 2},
    ]
    with pytest.raises(GenerationError) as caught:
        to_batch_request(wrong, 4)
    told = [(each.field, each.description) for each in caught.value.violations]
    assert [field for field, _ in told] == [
        "requests[1]",
        "requests[2].seed",
        "requests[3].controls[1].type",
        "requests[4]",
        "requests[5]",
        "requests[6].inpainting",
        "requests[7]",
        "requests[8]",
        "requests[9]",
    ]
    words = dict(told)
    assert "did you mean 'width'" in words["requests[1]"]
    assert "OPENPOSE, CANNY" in words["requests[3].controls[1].type"]
    assert "nobody.png" in words["requests[4]"]
    assert "template:NAME" in words["requests[8]"]
    with pytest.raises(GenerationError, match="concurrency"):
        to_batch_request([{"prompt": "x"}], 2**40)


def test_what_no_router_takes_is_not_sent() -> None:
    """P12: more than 24 MiB of pictures, in one request or in all, are refused before they are on their way."""
    third = {"prompt": "x", "image_to_image": {"image": bytes(MAX_INPUT_BYTES // 3 + 1)}}
    to_batch_request([third] * 2, 4)
    with pytest.raises(GenerationError, match="24 MiB"):
        to_batch_request([third] * 3, 4)
    identity = [{"image": third["image_to_image"]["image"]}] * 3  # type: ignore[index]
    with pytest.raises(GenerationError, match="24 MiB"):
        to_batch_request([{"prompt": "x", "identity": identity}], 4)


async def test_poses_are_listed(router: Any) -> None:
    """P5: names and descriptions; pictures where they are asked for."""
    async with AsyncClient(router.address) as client:
        listed = await client.poses()
    assert [(each.name, each.own) for each in listed.templates] == [("jumping", True), ("standing", False)]
    assert not listed.templates[0].image

    def with_images() -> bytes:
        with Client(router.address) as client:
            return client.poses(include_images=True).templates[0].image

    assert await asyncio.to_thread(with_images)
