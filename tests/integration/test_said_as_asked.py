"""What a caller says reaches each upstream as it was said, over the sockets of everything in between."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from imagegate.sandbox.app import Pace, Sandbox
from imagegate.testing import ServedRouter, serving_router
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest
QUICK = Pace(fal_queue=0.0, fal_run=0.0, automatic1111_step=0.0)
# One of each provider that takes a negative prompt, too; who serves it is Hugging Face's own choice.
MODELS = ("huggingface/sdxl", "huggingface/flux-schnell", "fal/stable-cascade", "fal/flux-pro", "automatic1111/local")
PROMPTS = {
    "Indonesian": "Seekor kucing oranye duduk di beranda rumah joglo, sinar matahari pagi",
    "Arabic": "قطة برتقالية تجلس على شرفة قديمة، ضوء الصباح",
    "Japanese": "縁側に座るオレンジ色の猫、朝の光、浮世絵風",
    "emoji": "🐈‍⬛ on a 🏠 under 🌈, 👩🏽‍🚀",
    "quotes": """a sign that says "it's open", `now`, «ici», „hier“""",
    "angle brackets": "a < b > c, <b>bold</b>, <3, </script>",
    "newlines": "first line\nsecond line\r\nthird\tline\n",
    "composed and decomposed": "caf\u00e9 cafe\u0301 \u200bzero-width\u00a0blank",
    "backslashes and braces": r"C:\new\table {a: 1} %s $HOME \u0041 \n",
    "weights": "(masterpiece:1.3), [cat|dog], a AND b BREAK c",
}


@asynccontextmanager
async def everything() -> AsyncIterator[tuple[Sandbox, ServedRouter]]:
    async with (
        serving_sandboxed(pace=QUICK) as served,
        serving_router(served.targets, {"default": list(MODELS)}) as router,
    ):
        yield served.sandbox, router


def sent(sandbox: Sandbox) -> Mapping[str, Any]:
    """The body of the last request for a picture."""
    bodies = [asked["body"] for asked in sandbox.requests() if asked["method"] == "POST"]
    last = bodies[-1]
    assert isinstance(last, dict)
    return last


def changes(answer: generation_pb2.GenerateResponse) -> list[tuple[str, str, str, str]]:
    return [
        (a.parameter, a.requested, a.applied, generation_pb2.Action.Name(a.action).removeprefix("ACTION_"))
        for a in answer.adjustments
    ]


@pytest.mark.parametrize("model", MODELS)
async def test_prompts_arrive_byte_for_byte(model: str) -> None:
    """P4, R1: prompts in any language, with emoji, quotes, angle brackets and newlines arrive as they were written."""
    async with everything() as (sandbox, router), router.stubs() as (face, _):
        for kind, prompt in PROMPTS.items():
            answer = await face.Generate(Request(model=model, prompt=prompt, negative_prompt=prompt), timeout=60)
            body = sent(sandbox)
            assert body.get("prompt", body.get("inputs")) == prompt, kind
            negative = {**body, **body.get("parameters", {})}.get("negative_prompt")
            dropped = ("negative_prompt", prompt, "", "DROPPED")
            assert negative == prompt or dropped in changes(answer), kind


async def test_a_webui_takes_no_orders_from_a_prompt() -> None:
    """R1, U3: what a webui would take for an instruction loses the bracket that makes it one, and the answer says so;
    every other upstream gets it as it was written.
    """
    prompt = "a cat <lora:style:0.8> <3"
    async with everything() as (sandbox, router), router.stubs() as (face, _):
        answer = await face.Generate(Request(model="automatic1111/local", prompt=prompt), timeout=60)
        assert sent(sandbox)["prompt"] == "a cat  lora:style:0.8> <3"
        assert changes(answer) == [("prompt", "<lora:style:0.8>", "lora:style:0.8>", "TRANSLATED")]
        answer = await face.Generate(Request(model="fal/flux-pro", prompt=prompt), timeout=60)
        assert (sent(sandbox)["prompt"], changes(answer)) == (prompt, [])


async def test_flux_pro_as_it_was_documented_once_is_delivered() -> None:
    """U2, R1: flux-pro with 28 steps and guidance 3.5 is delivered, with two adjustments; neither reaches fal."""
    async with everything() as (sandbox, router), router.stubs() as (face, _):
        request = Request(model="fal/flux-pro", prompt="a cat", steps=28, guidance_scale=3.5)
        answer = await face.Generate(request, timeout=60)
        assert changes(answer) == [("steps", "28", "", "DROPPED"), ("guidance_scale", "3.5", "", "DROPPED")]
        assert sent(sandbox).keys() == {"prompt", "num_images", "output_format", "image_size", "seed"}
        assert (answer.images[0].width, answer.images[0].height) == (1024, 1024)


async def test_a_fallback_to_another_family_takes_its_terms_and_the_same_seed() -> None:
    """R3, R2: what FLUX.1 [dev] refuses a free key FLUX.1 [schnell] makes with 4 steps, guidance 0 and no negative
    prompt, each told; then with the seed that was drawn for the first.
    """
    async with serving_sandboxed(("huggingface",), pace=QUICK) as served:
        routes = {"default": ["huggingface/flux-dev", "huggingface/flux-schnell"]}
        async with serving_router(served.targets, routes) as router, router.stubs() as (face, _):
            request = Request(prompt="a cat", steps=30, guidance_scale=3.5, negative_prompt="dog")
            answer = await face.Generate(request, timeout=300)
        dev, schnell = (
            asked["body"]["parameters"]  # type: ignore[index]
            for asked in served.sandbox.requests()
            if asked["method"] == "POST"
        )
    assert (answer.model, len(answer.attempts)) == ("flux-schnell", 2)
    assert changes(answer) == [
        ("negative_prompt", "dog", "", "DROPPED"),
        ("steps", "30", "4", "TRANSLATED"),
        ("guidance_scale", "3.5", "0", "TRANSLATED"),
    ]
    assert (dev["num_inference_steps"], dev["guidance_scale"]) == (30, 3.5)
    assert (schnell["num_inference_steps"], schnell["guidance_scale"]) == (4, 0)
    assert "negative_prompt" not in schnell
    assert dev["seed"] == schnell["seed"] == answer.images[0].seed
