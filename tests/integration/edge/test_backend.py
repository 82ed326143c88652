"""Pictures for web backends: the guide's requests, answers and errors, over a router, the providers and the sandbox."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imagegate.testing.fronted import ALICE, BOB, ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import serving_router

GENERATE = "/api/ai/generate-image"
ROUTES = {
    "default": ["fal/flux-schnell"],
    "web": ["huggingface/flux-schnell", "automatic1111/local"],
    "dear": ["huggingface/flux-dev"],
}
GUIDE = ["success", "imageUrl", "filename", "prompt", "userId", "provider", "model", "processingTime"]
RATE_LIMITED = {"upstream": "huggingface", "fault": "status", "code": 429, "headers": {"Retry-After": "7"}}
LOCAL_IS_DOWN = {"upstream": "automatic1111", "fault": "status", "code": 500}


@pytest.fixture
async def impatient(upstreams: Sandboxed, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge whose router lets an attempt take one second."""
    async with (
        serving_router(upstreams.targets, ROUTES, attempt_timeout=1.0) as router,
        serving_edge(router.target, tmp_path) as served,
    ):
        yield served


@pytest.fixture
async def edge(upstreams: Sandboxed, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge over a router with the guide's route."""
    async with serving_router(upstreams.targets, ROUTES) as router, serving_edge(router.target, tmp_path) as served:
        yield served


async def ask(edge: ServedEdge, wanted: Mapping[str, Any], *, status: int = 200, key: str = ALICE) -> Any:
    """The answer to a picture's JSON, which has this status."""
    async with edge.session(key) as session, session.post(GENERATE, json=wanted) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def sent_to(upstreams: Sandboxed, upstream: str) -> list[Any]:
    """The bodies of the pictures' requests that reached an upstream."""
    seen = upstreams.sandbox.requests()
    return [each["body"] for each in seen if each["upstream"] == upstream and each["method"] == "POST"]


async def test_a_picture_is_made_and_told_as_in_the_guide(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9, R10: it works: the guide's fields in its order, and beside them how it came about."""
    before = int(time.time() * 1000)
    told = await ask(edge, {"prompt": "a lighthouse"})
    assert list(told)[: len(GUIDE)] == GUIDE
    stamp = re.fullmatch(r"([0-9]{13})-generated\.png", told["filename"])
    assert stamp is not None
    assert before <= int(stamp[1]) <= int(time.time() * 1000)
    assert told["imageUrl"].startswith(f"/uploads/images/user-alice/{told['filename']}?")
    assert {name: told[name] for name in ("success", "prompt", "userId", "provider", "model")} == {
        "success": True,
        "prompt": "a lighthouse",
        "userId": "alice",
        "provider": "huggingface",
        "model": "black-forest-labs/FLUX.1-schnell",
    }
    assert isinstance(told["processingTime"], int)
    assert [each["reason"] for each in told["attempts"]] == [None]
    assert (told["width"], told["height"], told["cost"], told["sandbox"]) == (512, 512, 3, True)
    assert told["modelKey"] == "huggingface/flux-schnell"


async def test_what_was_left_out_changes_nothing_that_anybody_reads_of(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9, R1, R2: FLUX.1-schnell gets the guide's size and its own 4 steps, and nothing is told as changed."""
    told = await ask(edge, {"prompt": "a lighthouse", "negativePrompt": "", "sampler": None})
    assert told["adjustments"] == []
    [sent] = sent_to(upstreams, "huggingface")
    assert sent["parameters"] == {
        "width": 512,
        "height": 512,
        "num_inference_steps": 4,
        "guidance_scale": 0,
        "seed": told["seed"],
    }


async def test_the_local_engine_gets_the_guide_s_defaults(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9, U3: 512 × 512, 20 steps, cfg 7, Euler a; and it is called as the guide calls it, in both directions."""
    for model in ("stable-diffusion-local", "automatic1111/local", "stable-diffusion/local"):
        told = await ask(edge, {"prompt": "a lighthouse", "model": model})
        assert (told["provider"], told["model"]) == ("stable-diffusion", "stable-diffusion-local")
        assert (told["modelKey"], told["cost"], told["adjustments"]) == ("automatic1111/local", 0, [])
    sent = sent_to(upstreams, "automatic1111")[-1]
    shown = {name: sent[name] for name in ("width", "height", "steps", "cfg_scale", "sampler_name")}
    assert shown == {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7, "sampler_name": "Euler a"}


async def test_what_was_asked_is_sent_or_told_as_changed(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R1, P9: what a model takes otherwise, or not at all, stands in the answer by the names of the request."""
    wanted = {
        "prompt": "a lighthouse",
        "negativePrompt": "fog",
        "width": 640,
        "height": 384,
        "steps": 20,
        "cfgScale": 7,
        "sampler": "Euler a",
        "seed": 42,
    }
    told = await ask(edge, wanted)
    assert {each["parameter"] for each in told["adjustments"]} == {"negativePrompt", "steps", "cfgScale", "sampler"}
    assert (told["width"], told["height"], told["seed"]) == (640, 384, 42)
    told = await ask(edge, {**wanted, "model": "stable-diffusion-local", "steps": 30, "sampler": "DPM++ 2M Karras"})
    [translated] = told["adjustments"]
    assert (translated["parameter"], translated["requested"]) == ("sampler", "DPM++ 2M Karras")
    sent = sent_to(upstreams, "automatic1111")[-1]
    assert (sent["negative_prompt"], sent["width"], sent["height"], sent["steps"]) == ("fog", 640, 384, 30)
    assert (sent["cfg_scale"], sent["seed"]) == (7, 42)


async def test_a_model_of_another_provider_is_called_by_its_own_name(edge: ServedEdge) -> None:
    """P9: `provider` is otherwise the provider's name; what an answer calls a model finds it again."""
    told = await ask(edge, {"prompt": "a lighthouse", "model": "fal/flux-schnell"})
    assert (told["provider"], told["model"]) == ("fal", "fal-ai/flux/schnell")
    assert told["filename"].endswith("-generated.png")
    again = await ask(edge, {"prompt": "a lighthouse", "model": told["model"], "seed": told["seed"]})
    assert again["modelKey"] == told["modelKey"]


@pytest.mark.parametrize("kind", ["json", "urlencoded", "multipart"])
async def test_each_kind_of_body_asks_for_the_same(edge: ServedEdge, kind: str) -> None:
    """P9: JSON and both kinds of form say the same; what a form leaves empty was not said."""
    texts = {"prompt": "ein Leuchtturm, 灯台", "width": "640", "cfgScale": "7.5", "seed": "-1", "model": "local"}
    form: Any = {**texts, "steps": "", "sampler": "", "negativePrompt": ""}
    match kind:
        case "json":
            sent: dict[str, Any] = {"json": {**texts, "width": 640, "cfgScale": 7.5, "seed": -1}}
        case "urlencoded":
            sent = {"data": form}
        case _:
            parts = aiohttp.MultipartWriter("form-data")
            for name, text in form.items():
                parts.append(text).set_content_disposition("form-data", name=name)
            sent = {"data": parts}
    async with edge.session() as alice, alice.post(GENERATE, **sent) as answer:
        assert answer.status == 200, await answer.text()
        told = await answer.json()
    assert (told["prompt"], told["width"], told["height"]) == ("ein Leuchtturm, 灯台", 640, 512)
    assert (told["adjustments"], told["warnings"]) == ([], [])


async def test_the_picture_is_seen_by_its_link_and_by_its_owner_only(edge: ServedEdge) -> None:
    """P9: `<img src>` needs no key for 24 h; without the signature there is nothing to see but for its owner."""
    told = await ask(edge, {"prompt": "a lighthouse"})
    path = told["imageUrl"].partition("?")[0]
    expires = int(re.search(r"expires=([0-9]+)", told["imageUrl"])[1])  # type: ignore[index]
    assert 86_390 <= expires - time.time() <= 86_400
    async with edge.session("") as browser:
        async with browser.get(told["imageUrl"]) as picture:
            assert picture.status == 200
            assert picture.content_type == "image/png"
            assert (await picture.read()).startswith(b"\x89PNG")
        async with browser.get(path) as nothing:
            assert nothing.status == 404
    async with edge.session(BOB) as bob, bob.get(path) as nothing:
        assert nothing.status == 404
    async with edge.session() as alice, alice.get(path) as picture:
        assert picture.status == 200


async def test_a_rate_limited_provider_is_passed_over_for_the_local_engine(
    edge: ServedEdge, upstreams: Sandboxed
) -> None:
    """R10, P9: rate limited → local; the answer says who was tried and why it was not them."""
    upstreams.sandbox.faults([RATE_LIMITED])
    told = await ask(edge, {"prompt": "a lighthouse"})
    assert (told["provider"], told["model"]) == ("stable-diffusion", "stable-diffusion-local")
    assert [(each["provider"], each["reason"]) for each in told["attempts"]] == [
        ("huggingface", "RATE_LIMITED"),
        ("stable-diffusion", None),
    ]
    assert told["attempts"][0]["upstreamStatus"] == 429


async def test_a_provider_that_hangs_is_passed_over_for_the_local_engine(
    impatient: ServedEdge, upstreams: Sandboxed
) -> None:
    """R10, P9: timed out → local."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "hang"}])
    told = await ask(impatient, {"prompt": "a lighthouse"})
    assert told["provider"] == "stable-diffusion"
    assert [each["reason"] for each in told["attempts"]] == ["TIMEOUT", None]
    assert told["processingTime"] >= 500


async def test_where_all_are_down_the_error_says_what_to_do(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R10, R5, P9: all down → 503 with Retry-After and the guide's words, the attempts beside them."""
    upstreams.sandbox.faults([RATE_LIMITED, LOCAL_IS_DOWN])
    async with edge.session() as alice, alice.post(GENERATE, json={"prompt": "a lighthouse"}) as answer:
        assert answer.status == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        told = await answer.json()
    assert told["error"] == "Image generation failed"
    assert told["message"].startswith(
        "Image generation failed with all providers. Last error: stable-diffusion/local UPSTREAM_ERROR: "
    )
    assert ". Try: " in told["message"]
    assert [each["reason"] for each in told["attempts"]] == ["RATE_LIMITED", "UPSTREAM_ERROR"]
    assert told["attempts"][1]["upstreamMessage"] == "the sandbox plays status 500"
    assert told["requestId"] == answer.headers["X-Request-Id"]


async def test_where_all_are_held_back_it_is_unavailable_and_no_fault_of_the_caller(
    edge: ServedEdge, upstreams: Sandboxed
) -> None:
    """R9, R10, P9: rate limits of our keys are 503 with the time that they asked for, not 429."""
    upstreams.sandbox.faults([RATE_LIMITED, {**RATE_LIMITED, "upstream": "automatic1111"}])
    for _ in range(2):  # tried and refused, then not even tried
        async with edge.session() as alice, alice.post(GENERATE, json={"prompt": "a lighthouse"}) as answer:
            assert answer.status == 503
            assert 1 <= int(answer.headers["Retry-After"]) <= 7
            assert "Image generation failed with all providers" in (await answer.json())["message"]


async def test_where_nobody_is_switched_on_the_error_says_where_to_get_a_key(tmp_path: Path) -> None:
    """R10, P9: without any key and engine it is 503 as well, and names the variables and where to get what."""
    off = {"HUGGINGFACE_API_KEY": "", "SD_ENABLED": "", "SD_API_URL": ""}
    async with (
        serving_sandboxed(("huggingface", "automatic1111"), environ=off) as upstreams,
        serving_router(upstreams.targets, {**ROUTES, "default": ROUTES["web"]}) as router,
        serving_edge(router.target, tmp_path) as edge,
    ):
        told = await ask(edge, {"prompt": "a lighthouse"}, status=503)
    assert "HUGGINGFACE_API_KEY" in told["message"]
    assert "https://huggingface.co/settings/tokens" in told["message"]
    assert "SD_ENABLED=true" in told["message"]


async def test_every_bad_field_is_named_at_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12, P4, P9: 400 with each field, its value and what is allowed; nobody was asked."""
    wrong = {
        "prompt": " ",
        "width": 2049,
        "height": 128,
        "steps": 9,
        "cfgScale": 21.5,
        "seed": -2,
        "sampler": 7,
        "negativePrompt": "x" * 32_001,
    }
    told = await ask(edge, wrong, status=400)
    said = {each["field"]: each["message"] for each in told["fields"]}
    assert said.keys() == wrong.keys()
    assert said["prompt"] == "is empty; say what to draw"
    assert said["width"] == "is 2049; allowed is 256 to 2048 px"
    assert said["steps"] == "is 9; allowed is 10 to 50"
    assert said["cfgScale"] == "is 21.5; allowed is 1 to 20"
    assert said["seed"] == "is -2; allowed is -1 (random) to 9223372036854775807"
    assert told["error"] == "Invalid request"
    assert all(field in told["message"] for field in wrong)
    assert sent_to(upstreams, "huggingface") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"prompt": "a", "width": NaN}', 400),
        (b'{"prompt": "a", "cfgScale": 1e999}', 400),
        (b'{"prompt": "\\ud800"}', 400),
        (b'{"prompt": "a", "width": true}', 400),
        (b'{"prompt": "a", "width": "640"}', 400),
        (b'{"prompt": "' + b"x" * 600_000 + b'"}', 413),
    ],
)
async def test_what_is_no_request_is_refused_in_the_family_s_shape(edge: ServedEdge, body: bytes, status: int) -> None:
    """P12: whatever comes, the answer says in two fields what is wrong with it."""
    kind = {"Content-Type": "application/json"}
    async with edge.session() as alice, alice.post(GENERATE, data=body, headers=kind) as answer:
        assert answer.status == status
        told = await answer.json()
        assert told["error"]
        assert told["message"]


async def test_a_body_of_another_kind_and_a_file_are_refused(edge: ServedEdge) -> None:
    """P12: 415 names the three kinds; a picture that goes along is not left out without a word."""
    async with edge.session() as alice:
        async with alice.post(GENERATE, data=b"a", headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415
            assert "multipart/form-data" in (await answer.json())["message"]
        form = aiohttp.FormData()
        form.add_field("prompt", "a")
        form.add_field("image", b"\x89PNG", filename="a.png")
        async with alice.post(GENERATE, data=form) as answer:
            assert answer.status == 400
            assert (await answer.json())["fields"] == [{"field": "image", "message": "is a file; this takes none"}]


async def test_what_is_not_known_is_left_out_and_said(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9, S28: an unknown field changes nothing and is a warning with the nearest name; so are claims."""
    wanted = {"prompt": "a lighthouse", "negative_prompt": "fog", "userId": "bob", "cost": 0, "loras": [{"name": "x"}]}
    told = await ask(edge, wanted)
    assert told["userId"] == "alice"
    assert len(told["warnings"]) == 4
    assert "'negative_prompt' is not known here and was left out; did you mean 'negativePrompt'?" in told["warnings"][0]


async def test_an_unknown_model_is_refused_with_the_nearest_names(edge: ServedEdge) -> None:
    """R7, P9: 404 in the family's shape."""
    told = await ask(edge, {"prompt": "a", "model": "flux-schnel"}, status=404)
    assert told["error"] == "Not found"
    assert "flux-schnell" in told["message"]


async def test_a_key_s_tier_decides_what_may_be_used(edge: ServedEdge) -> None:
    """P12: a model above the key's tier is 403, says so, and does not tell the caller to claim another tier."""
    told = await ask(edge, {"prompt": "a", "model": "dear"}, status=403, key=BOB)
    assert "its tier is basic" in told["message"]
    assert "routing.tier" not in told["message"]
    assert "routing.tier" not in told["attempts"][0]["remedy"]
    assert (await ask(edge, {"prompt": "a"}, key=BOB))["provider"] == "huggingface"


async def test_without_a_key_nothing_is_told_in_the_family_s_shape(edge: ServedEdge) -> None:
    """P12, P9: 401 with the guide's two fields; a path that is not there as well."""
    assert (await ask(edge, {"prompt": "a"}, status=401, key=""))["error"] == "Not authenticated"
    async with edge.session() as alice, alice.get("/api/ai/nothing") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "Not found"


async def test_a_refused_prompt_is_the_caller_s_and_not_the_providers_doing(
    edge: ServedEdge, upstreams: Sandboxed
) -> None:
    """R5, P9: what both refuse is 400, with the upstream's own words."""
    refused = {"fault": "status", "code": 400, "body": {"error": "prompt not allowed here"}}
    upstreams.sandbox.faults([{**refused, "upstream": name} for name in ("huggingface", "automatic1111")])
    told = await ask(edge, {"prompt": "a"}, status=400)
    assert told["error"] == "Image generation failed"
    assert "prompt not allowed here" in told["message"]


async def test_a_key_of_the_caller_s_own_pays_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9: two requests with the same Idempotency-Key are one picture at the upstream."""
    async with edge.session() as alice:
        for _ in range(2):
            async with alice.post(GENERATE, json={"prompt": "a"}, headers={"Idempotency-Key": "order 7"}) as answer:
                assert answer.status == 200
    assert len(sent_to(upstreams, "huggingface")) == 1


async def test_leaving_stops_the_work(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9: a caller who has gone is not worked for."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "hang"}])
    async with edge.session() as alice:
        asking = asyncio.ensure_future(alice.post(GENERATE, json={"prompt": "a"}))
        await until(lambda: bool(sent_to(upstreams, "huggingface")))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: upstreams.sandbox.at_work == 0)


async def until(condition: Any) -> None:
    """Wait until it holds, for 10 s at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
