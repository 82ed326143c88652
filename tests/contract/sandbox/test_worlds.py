"""Which models Hugging Face serves today, which it served in 2025, and what it demanded then."""

import io

import aiohttp
import pytest
from PIL import Image

from imagegate.sandbox.app import Pace, serving

SCHNELL = "black-forest-labs/FLUX.1-schnell"
DEV = "black-forest-labs/FLUX.1-dev"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SD15 = "runwayml/stable-diffusion-v1-5"
SD3 = "stabilityai/stable-diffusion-3-medium-diffusers"


async def post(sandbox, model=SCHNELL, parameters=None, accept="image/png", key="hf_pro"):
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{sandbox.url}/huggingface/hf-inference/models/{model}",
            json={"inputs": "a fox", "parameters": parameters or {}},
            headers={"Authorization": f"Bearer {key}", "Accept": accept},
        ) as answer,
    ):
        return answer.status, answer.content_type, await answer.read()


async def get(sandbox, path):
    async with aiohttp.ClientSession() as http, http.get(sandbox.url + path) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("world", "statuses"),
    [
        ("today", {SCHNELL: 200, DEV: 200, SD3: 200, SDXL: 410, SD15: 404}),
        ("2025", {SCHNELL: 200, DEV: 200, SD3: 200, SDXL: 200, SD15: 200}),
    ],
)
async def test_served(world, statuses):
    """R7: each world serves its models, and the Hub says the same of them."""
    async with serving(world) as sandbox:
        assert {model: (await post(sandbox, model))[0] for model in statuses} == statuses
        for model, status in statuses.items():
            _, about = await get(sandbox, f"/huggingface-hub/api/models/{model}?expand[]=inferenceProviderMapping")
            assert ("hf-inference" in about["inferenceProviderMapping"]) is (status == 200)


@pytest.mark.parametrize("world", ["today", "2025"])
async def test_flux_dev_refuses_free_keys(world):
    """R3: in both worlds, with the incident's own words."""
    async with serving(world) as sandbox:
        assert (await post(sandbox, DEV, key="hf_free"))[2] == b'{"error": "Model requires PRO subscription"}'


async def test_inference_is_absent_when_nobody_serves(sandbox):
    """The Hub's `inference` is warm, or not there at all."""
    _, warm = await get(sandbox, f"/huggingface-hub/api/models/{SDXL}?expand=inference")
    _, cold = await get(sandbox, f"/huggingface-hub/api/models/{SD15}?expand=inference")
    assert (warm["inference"], "inference" in cold) == ("warm", False)


@pytest.mark.parametrize(
    ("accept", "today", "then"),
    [
        ("image/png", (200, "image/png"), (200, "image/png")),
        ("image/webp;q=0.9, image/png", (200, "image/webp"), (200, "image/webp")),
        ("*/*", (200, "image/jpeg"), (400, "application/json")),
        ("application/json", (200, "image/jpeg"), (400, "application/json")),
    ],
)
async def test_accept(sandbox, accept, today, then):
    """R4: today a missing image type means JPEG; in 2025 it meant 400."""
    assert (await post(sandbox, accept=accept))[:2] == today
    async with serving("2025") as past:
        assert (await post(past, accept=accept))[:2] == then


async def test_accept_says_the_format(sandbox):
    """The bytes are of the format that the header says."""
    _, _, data = await post(sandbox, accept="image/webp", parameters={"width": 64, "height": 128})
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("WEBP", (64, 128))


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"lora": "x"}, 400, '"error": "FluxPipeline.__call__() got an unexpected keyword argument \'lora\'"'),
        ({"width": 1020, "height": 512}, 400, "`height` and `width` have to be divisible by 8 but are 512 and 1020."),
        ({"width": "512"}, 400, '"error": ["Error in `parameters.width`: '),
        ({"num_inference_steps": 0}, 400, '"error": ["Error in `parameters.num_inference_steps`: '),
        ({"width": 8192}, 500, '"error": "unknown error", "warnings": ['),
    ],
)
async def test_parameters(sandbox, parameters, status, words):
    """R1: what the pipeline does not take is refused, in the backend's words; nothing is billed for it."""
    answered, _, data = await post(sandbox, parameters=parameters)
    assert (answered, words in data.decode()) == (status, True), data
    assert sandbox.billing() == []


async def test_deterministic(sandbox):
    """The same request gives the same bytes, with a seed and without."""
    for parameters in ({}, {"seed": 3}, {"seed": 0}):
        assert await post(sandbox, parameters=parameters) == await post(sandbox, parameters=parameters)
    assert await post(sandbox, parameters={"seed": 0}) != await post(sandbox, parameters={"seed": 1})


async def test_other_inference_providers(sandbox):
    """An inference provider that is not played answers an error, never a picture."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer hf_pro"}) as http:
        for path, status in (
            ("replicate/v1/models/x/predictions", 400),
            ("replicate/v1/predictions", 400),
            ("together/v1/images/generations", 400),
            ("wavespeed/x", 400),
            ("nobody/x", 404),
            ("fal-ai/fal-ai/flux/dev/image-to-image", 400),
        ):
            async with http.post(f"{sandbox.url}/huggingface/{path}", json={"prompt": "a fox"}) as answer:
                assert answer.status == status


async def test_endpoint(sandbox):
    """A dedicated endpoint answers bytes to an image type, and without one JSON that holds them as base64."""
    url = f"{sandbox.url}/huggingface-endpoint/mine"
    body = {"inputs": "a fox", "parameters": {"width": 64, "height": 64, "seed": 1}}
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer hf_free"}) as http:
        async with http.get(f"{url}/health") as answer:
            assert await answer.text() == "Ok"
        async with http.post(url, json=body, headers={"Accept": "image/png"}) as answer:
            assert (answer.status, answer.content_type) == (200, "image/png")
        async with http.post(url, json=body) as answer:
            assert (await answer.json()).startswith("iVBOR")
        async with http.post(url, json={"inputs": "a fox", "parameters": {"width": 64}}) as answer:
            assert answer.status == 400
    assert {entry["model"] for entry in sandbox.billing()} == {"mine"}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("replicate/v1/models/black-forest-labs/flux-schnell/predictions", {"input": {}}, 422, "input.prompt"),
        (
            "replicate/v1/models/black-forest-labs/flux-schnell/predictions",
            {"input": {"prompt": "a fox", "width": 512}},
            422,
            "additional_property_not_allowed",
        ),
        (
            "replicate/v1/models/black-forest-labs/flux-schnell/predictions",
            {"input": {"prompt": "a fox"}},
            201,
            '"starting"',  # nobody asked it to wait
        ),
        (
            "together/v1/images/generations",
            {"model": SCHNELL, "prompt": "a fox", "response_format": "base64", "num_inference_steps": 4},
            400,
            "num_inference_steps",
        ),
        (
            "nscale/v1/images/generations",
            {"model": SCHNELL, "prompt": "a fox", "response_format": "b64_json", "seed": 1},
            400,
            "seed",
        ),
    ],
)
async def test_the_others_are_strict(sandbox, path, body, status, words):
    """R1: what one of the others does not take is refused with the field's name, and nothing is made."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer hf_free"}) as http,
        http.post(f"{sandbox.url}/huggingface/{path}", json=body) as answer,
    ):
        assert (answer.status, words in await answer.text()) == (status, True)
    assert sandbox.billing() == []


async def test_an_endpoint_that_sleeps():
    """R8, U6: asleep it answers 503 to everybody until it has started, but to who asks the proxy to wait for that."""
    async with serving(pace=Pace(huggingface_start=0.3)) as sandbox:
        url = f"{sandbox.url}/huggingface-endpoint/cold"
        key = {"Authorization": "Bearer hf_free", "Accept": "image/png"}
        async with aiohttp.ClientSession(headers=key) as http:
            body = {"inputs": "a fox", "parameters": {"width": 64, "height": 64}}
            async with http.get(f"{url}/health") as answer:
                assert answer.status == 503
            async with http.post(url, json=body) as answer:
                assert answer.status == 503
            async with http.post(url, json=body, headers={"X-Scale-Up-Timeout": "30"}) as answer:
                assert (answer.status, answer.content_type) == (200, "image/png")
            async with http.get(f"{url}/health") as answer:
                assert answer.status == 200
