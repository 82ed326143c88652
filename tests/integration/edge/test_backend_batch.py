"""Several pictures for web backends in one call, over a router, the providers and the sandbox."""

import asyncio
from typing import Any

from imagegate.testing.fronted import ServedEdge
from imagegate.testing.sandboxed import Sandboxed

BATCH = "/api/ai/generate-batch"


async def ask(edge: ServedEdge, body: object, status: int = 200) -> Any:
    """The answer, which has this status."""
    async with edge.session() as alice, alice.post(BATCH, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def pictures_asked_for(upstreams: Sandboxed) -> list[Any]:
    """The requests for pictures that reached Hugging Face."""
    return [each for each in upstreams.sandbox.requests() if each["upstream"] == "huggingface"]


async def test_each_of_a_batch_is_answered_and_kept_like_one_alone(edge: ServedEdge) -> None:
    """P8, P9: several pictures in one call, in the order they were asked for, each in the gallery by its link."""
    prompts = [f"a lighthouse, {number}" for number in range(6)]
    told = await ask(edge, {"requests": [{"prompt": prompt} for prompt in prompts]})
    assert (told["success"], told["succeeded"], told["failed"], told["warnings"]) == (True, 6, 0, [])
    assert [each["prompt"] for each in told["results"]] == prompts
    assert [each["index"] for each in told["results"]] == list(range(6))
    assert len({each["filename"] for each in told["results"]}) == 6
    assert {each.id for each in await edge.house.gallery.page("alice")} == {each["id"] for each in told["results"]}
    async with edge.session("") as browser:
        for each in told["results"]:
            async with browser.get(each["imageUrl"]) as picture:
                assert picture.status == 200


async def test_one_that_fails_does_not_end_the_others(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P8: an item has its own error, as it would have been answered with by itself."""
    wanted = [{"prompt": "a", "model": "no-such"}, {"prompt": "b"}, {"prompt": "c", "model": "fal/flux-schnell"}]
    upstreams.sandbox.faults([{"upstream": "fal", "fault": "status", "code": 500}])
    told = await ask(edge, {"requests": wanted})
    assert (told["success"], told["succeeded"], told["failed"]) == (False, 1, 2)
    unknown, made, down = told["results"]
    assert (unknown["success"], unknown["index"], unknown["status"], unknown["error"]) == (False, 0, 404, "Not found")
    assert (made["success"], made["provider"]) == (True, "huggingface")
    assert (down["status"], down["error"], down["retryAfter"]) == (503, "Image generation failed", 1)
    assert down["message"].startswith("Image generation failed with all providers. Last error: fal/flux-schnell ")
    assert len({each["requestId"] for each in told["results"]}) == 3


async def test_every_bad_field_of_every_item_is_named_at_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12, P8: nothing is made where anything is wrong; too many, and none, are too."""
    wrong = [{"prompt": "a"}, {"prompt": "", "width": 1}, {"cfgScale": 0}]
    told = await ask(edge, {"requests": wrong}, 400)
    assert {each["field"] for each in told["fields"]} == {
        "requests[1].prompt",
        "requests[1].width",
        "requests[2].cfgScale",
        "requests[2].prompt",
    }
    assert (await ask(edge, {"requests": [{"prompt": "a"}] * 21}, 400))["fields"][0]["field"] == "requests"
    assert (await ask(edge, {"requests": []}, 400))["fields"][0]["field"] == "requests"
    assert (await ask(edge, {}, 400))["fields"] == [{"field": "requests", "message": "field required"}]
    assert upstreams.sandbox.billing() == []


async def test_leaving_ends_all_of_a_batch(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P8: nobody is worked for who has gone; four at a time were under way."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "hang"}])
    async with edge.session() as alice:
        asking = asyncio.ensure_future(alice.post(BATCH, json={"requests": [{"prompt": "a"}] * 10}))
        async with asyncio.timeout(10):
            while len(pictures_asked_for(upstreams)) < 4:
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            while upstreams.sandbox.at_work:
                await asyncio.sleep(0.01)
    assert len(pictures_asked_for(upstreams)) == 4


async def test_a_batch_that_is_repeated_with_its_key_is_paid_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P8: the same batch again finds each of its pictures, also two that are alike; another key orders them anew."""
    body = {"requests": [{"prompt": "a"}, {"prompt": "a"}]}
    told = []
    for key in ("batch 7", "batch 7", "batch 8"):
        async with edge.session() as alice, alice.post(BATCH, json=body, headers={"Idempotency-Key": key}) as answer:
            told.append([each["id"] for each in (await answer.json())["results"]])
    assert told[0] == told[1]
    assert len({*told[0], *told[2]}) == 4
    assert len(pictures_asked_for(upstreams)) == 4


async def test_what_is_no_key_is_refused_before_anything_is_made(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12: a key that cannot be one is said at its header, by every route that takes one."""
    headers = {"Idempotency-Key": "k" * 256}
    for path, body in ((BATCH, {"requests": [{"prompt": "a"}]}), ("/api/ai/generate-image", {"prompt": "a"})):
        async with edge.session() as alice, alice.post(path, json=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["fields"][0]["field"]) == (400, "Idempotency-Key")
    assert pictures_asked_for(upstreams) == []
