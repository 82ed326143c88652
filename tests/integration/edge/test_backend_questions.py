"""What web backends ask besides: how everything is doing, which models there are, what they cost and which to use."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imagegate.testing.fronted import ALICE, BOB, ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import ServedRouter, serving_router

WEB = ["huggingface/flux-schnell", "automatic1111/local"]
RATE_LIMITED = {"upstream": "huggingface", "fault": "status", "code": 429, "headers": {"Retry-After": "30"}}
WEBUI = "http://webui.example:7860"


async def get(edge: ServedEdge, path: str, *, status: int = 200, key: str = ALICE) -> Any:
    """The answer to a question, which has this status."""
    async with edge.session(key) as session, session.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def post(edge: ServedEdge, path: str, body: object, *, status: int = 200, key: str = ALICE) -> Any:
    """The answer to a question with a body, which has this status."""
    async with edge.session(key) as session, session.post(path, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


@pytest.fixture
async def edge(router: ServedRouter, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge that was told where the webui is."""
    async with serving_edge(router.target, tmp_path, settings={"webui_url": WEBUI}) as served:
        yield served


async def test_the_status_says_that_all_is_well(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9, R11: both parts of the guide's status, every provider and model beside them, none of our own addresses."""
    told = await get(edge, "/api/ai/image-status")
    assert list(told) == ["huggingface", "stableDiffusion", "providers"]
    assert told["huggingface"] == {
        "enabled": True,
        "available": True,
        "model": "black-forest-labs/FLUX.1-schnell",
        "reason": None,
    }
    assert told["stableDiffusion"] == {"enabled": True, "available": True, "url": WEBUI, "reason": None}
    assert [each["name"] for each in told["providers"]] == ["huggingface", "fal", "stable-diffusion"]
    assert all(each["breaker"] == "CLOSED" and each["available"] for each in told["providers"])
    local = next(each for each in told["providers"][2]["models"] if each["key"] == "automatic1111/local")
    assert (local["warming"], local["failureRate"], local["lastError"]) == (False, None, None)
    assert not any(target in str(told) for target in upstreams.targets.values())


async def test_the_status_says_what_is_wrong_in_the_upstream_s_words(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R11, P9: who is held back, until when, why, and what the last error was."""
    upstreams.sandbox.faults([RATE_LIMITED])
    await post(edge, "/api/ai/generate-image", {"prompt": "a"})
    told = await get(edge, "/api/ai/image-status")
    assert told["huggingface"]["available"] is False
    assert told["huggingface"]["reason"].startswith("BACKING_OFF until ")
    provider = told["providers"][0]
    assert (provider["enabled"], provider["available"], provider["heldBack"]) == (True, False, "BACKING_OFF")
    assert provider["lastError"]["upstreamStatus"] == 429
    assert provider["lastError"]["upstreamMessage"] == "the sandbox plays status 429"
    assert told["stableDiffusion"]["available"] is True


async def standing_of_schnell(edge: ServedEdge) -> Any:
    """What the status says of one model."""
    models = (await get(edge, "/api/ai/image-status"))["providers"][0]["models"]
    return next(each for each in models if each["key"] == "huggingface/flux-schnell")


async def test_a_breaker_that_opens_is_in_the_status(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R11: breaker and failure rate of a model whose upstream fails again and again."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "status", "code": 500}])
    await post(edge, "/api/ai/generate-image", {"prompt": "a"})
    schnell = await standing_of_schnell(edge)
    assert (schnell["breaker"], schnell["available"], schnell["failureRate"]) == ("CLOSED", True, 1.0)
    for _ in range(4):
        await post(edge, "/api/ai/generate-image", {"prompt": "a"})
    schnell = await standing_of_schnell(edge)
    assert (schnell["breaker"], schnell["available"], schnell["failed"]) == ("OPEN", False, 5)
    assert schnell["reason"].startswith("CIRCUIT_OPEN until ")
    alone = await get(edge, "/api/ai/models/huggingface/flux-schnell/status")
    assert (alone["available"], alone["standing"]["breaker"]) == (False, "OPEN")


async def test_a_model_that_is_being_loaded_is_shown_as_warming(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R8, R11: warming, and until when, to whoever asks for the status."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "loading", "seconds": 40}])
    assert (await post(edge, "/api/ai/generate-image", {"prompt": "a"}))["provider"] == "stable-diffusion"
    schnell = await standing_of_schnell(edge)
    assert (schnell["warming"], schnell["available"], schnell["heldBack"]) == (True, False, "WARMING")
    assert schnell["until"]
    assert (await get(edge, "/api/ai/models/huggingface/flux-schnell/status"))["warming"] is True


async def test_who_is_off_or_away_says_why(tmp_path: Path) -> None:
    """R10, R11, P9: without a key the variable is named; a webui that does not answer is not called available."""
    environ = {"HUGGINGFACE_API_KEY": "", "SD_API_URL": "http://127.0.0.1:9"}
    async with (
        serving_sandboxed(("huggingface", "automatic1111"), environ=environ) as upstreams,
        serving_router(upstreams.targets, {"default": WEB, "web": WEB}) as router,
        serving_edge(router.target, tmp_path) as edge,
    ):
        told = await get(edge, "/api/ai/image-status")
        assert (told["huggingface"]["enabled"], told["huggingface"]["available"]) == (False, False)
        assert "HUGGINGFACE_API_KEY" in told["huggingface"]["reason"]
        local = told["stableDiffusion"]
        assert (local["enabled"], local["available"], local["url"]) == (True, False, None)
        assert "start the webui with --api" in local["reason"]
        alone = await get(edge, "/api/ai/models/stable-diffusion-local/status")
        assert (alone["key"], alone["available"]) == ("automatic1111/local", False)
        assert alone["reason"].startswith("UNREACHABLE: ")


async def test_a_status_that_is_asked_for_again_and_again_asks_the_upstreams_once(
    edge: ServedEdge, upstreams: Sandboxed
) -> None:
    """R11: ten looks at the status within five seconds are one free question to each upstream."""
    await get(edge, "/api/ai/image-status")
    asked = len(upstreams.sandbox.requests())
    for _ in range(9):
        await get(edge, "/api/ai/image-status")
    again = [each["path"] for each in upstreams.sandbox.requests()[asked:]]
    assert again == []


async def test_the_models_are_listed_with_what_they_cost_and_take(edge: ServedEdge) -> None:
    """P8, P1: each model with its price, tier, time, tasks and parameters, by the names that requests use."""
    told = await get(edge, "/api/ai/models")
    by_key = {each["key"]: each for each in told["models"]}
    schnell = by_key["huggingface/flux-schnell"]
    shown = {name: schnell[name] for name in ("provider", "tier", "credits", "quality", "seconds", "width", "enabled")}
    assert shown == {
        "provider": "huggingface",
        "tier": "free",
        "credits": 3,
        "quality": "hd",
        "seconds": [3.0, 15.0],
        "width": 1024,
        "enabled": True,
    }
    assert "text_to_image" in schnell["tasks"]
    local = by_key["automatic1111/local"]
    assert (local["provider"], local["credits"]) == ("stable-diffusion", 0)
    parameters = {each["name"]: each for each in local["parameters"]}
    assert (parameters["cfgScale"]["minimum"], parameters["cfgScale"]["maximum"]) == (1.0, 20.0)
    assert parameters["steps"]["default"] == "20"
    assert [each["name"] for each in told["providers"]] == ["huggingface", "fal", "stable-diffusion"]


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("provider=fal", lambda model: model["provider"] == "fal"),
        ("provider=stable-diffusion", lambda model: model["provider"] == "stable-diffusion"),
        ("task=inpainting", lambda model: "inpainting" in model["tasks"]),
        ("task=Text-to-Image&tier=free", lambda model: model["tier"] == "free" and "text_to_image" in model["tasks"]),
        ("useCase=fast+drafts", lambda model: "fast drafts" in model["useCase"]),
        ("tier=", lambda model: True),
    ],
)
async def test_the_list_is_filtered(edge: ServedEdge, query: str, holds: Any) -> None:
    """P8: by task, tier, provider and use case; what is empty is no filter."""
    told = await get(edge, f"/api/ai/models?{query}")
    assert told["models"]
    assert all(holds(model) for model in told["models"])
    assert told["warnings"] == []


async def test_a_filter_that_is_none_is_refused_or_said(edge: ServedEdge) -> None:
    """P12: a wrong value lists the right ones, an unknown filter is a warning, twice the same is refused."""
    told = await get(edge, "/api/ai/models?tier=gold&task=paint", status=400)
    assert [each["field"] for each in told["fields"]] == ["task", "tier"]
    assert "free, basic, pro, enterprise" in told["message"]
    assert "did you mean 'useCase'" in (await get(edge, "/api/ai/models?use_case=x"))["warnings"][0]
    assert (await get(edge, "/api/ai/models?tier=free&tier=pro", status=400))["fields"][0]["field"] == "tier"
    assert (await get(edge, "/api/ai/models?provider=nobody", status=404))["error"] == "Not found"


@pytest.mark.parametrize("key", ["fal/flux-schnell", "fal%2Fflux-schnell", "fal-ai/flux/schnell"])
async def test_a_model_is_asked_after_by_any_of_its_names(edge: ServedEdge, key: str) -> None:
    """P8: a key has a slash, an upstream's id two; the upstream is asked, for free."""
    told = await get(edge, f"/api/ai/models/{key}/status")
    assert (told["key"], told["provider"], told["available"]) == ("fal/flux-schnell", "fal", True)
    assert (told["reason"], told["keyAccepted"], told["standing"]["breaker"]) == (None, True, "CLOSED")


async def test_a_model_that_is_not_there_has_no_status(edge: ServedEdge) -> None:
    """P8, R7: 404 with the nearest names."""
    assert "fal/flux-schnell" in (await get(edge, "/api/ai/models/fal/flux-schnel/status", status=404))["message"]


async def test_the_cost_is_told_before(edge: ServedEdge) -> None:
    """P8: the least and the most, whoever delivers, and each candidate's."""
    told = await post(edge, "/api/ai/estimate", {"count": 2})
    assert (told["low"], told["high"], told["certainty"]) == (0, 6, "exact")
    assert [(each["key"], each["provider"], each["credits"]) for each in told["candidates"]] == [
        ("huggingface/flux-schnell", "huggingface", 6),
        ("automatic1111/local", "stable-diffusion", 0),
    ]
    assert told["warnings"] == []
    refused = await post(edge, "/api/ai/estimate", {"count": 9, "width": 1}, status=400)
    assert {each["field"] for each in refused["fields"]} == {"count", "width"}


async def test_the_cost_is_told_as_this_key_would_be_charged(edge: ServedEdge) -> None:
    """P8, P12: what a key's tier forbids is not estimated for it."""
    dear = {"model": "huggingface/flux-dev"}
    assert (await post(edge, "/api/ai/estimate", dear))["high"] == 8
    assert (await post(edge, "/api/ai/estimate", dear, status=403, key=BOB))["error"] == "Not allowed"


async def test_a_model_is_recommended_with_the_reason(edge: ServedEdge) -> None:
    """P8: by task, budget, speed and quality; where none fits it says what is in the way."""
    told = await post(edge, "/api/ai/recommend", {"maxCredits": 5, "minQuality": "HD", "limit": 2})
    assert 1 <= len(told["recommendations"]) <= 2
    assert all(each["cost"] <= 5 and each["why"] and each["available"] for each in told["recommendations"])
    nothing = await post(edge, "/api/ai/recommend", {"maxCredits": 0, "minQuality": "premium", "colour": "red"})
    assert nothing["recommendations"] == []
    assert nothing["message"]
    assert "'colour'" in nothing["warnings"][0]
    wrong = {"maxCredits": -1, "limit": 51, "task": "x", "tier": "gold", "minQuality": 3}
    refused = await post(edge, "/api/ai/recommend", wrong, status=400)
    assert {each["field"] for each in refused["fields"]} == wrong.keys()


async def test_nothing_is_recommended_above_the_key_s_tier(edge: ServedEdge) -> None:
    """P8, P12: whatever the request says about tiers, the key's own is the limit."""
    told = await post(edge, "/api/ai/recommend", {"tier": "enterprise", "limit": 50}, key=BOB)
    assert told["recommendations"]
    assert {each["tier"] for each in told["recommendations"]} == {"free"}
    own = await post(edge, "/api/ai/recommend", {"tier": "basic", "limit": 50})
    assert {each["tier"] for each in own["recommendations"]} <= {"free", "basic"}
