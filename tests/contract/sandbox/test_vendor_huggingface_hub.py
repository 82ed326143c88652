"""Hugging Face's own client passes against the stand-in, over a real socket."""

import asyncio
import json

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

SCHNELL = "black-forest-labs/FLUX.1-schnell"

FULL_PATH = """
import json, sys
from huggingface_hub import constants
constants.INFERENCE_PROXY_TEMPLATE = sys.argv[1] + "/huggingface/{provider}"  # before the client captures it
from huggingface_hub import InferenceClient, whoami
from huggingface_hub.errors import HfHubHTTPError

def outcome(provider, model, token="hf_free", **parameters):
    try:
        return InferenceClient(provider=provider, token=token).text_to_image("a fox", model=model, **parameters).size
    except HfHubHTTPError as error:
        return [type(error).__name__, error.response.status_code, error.server_message]
    except ValueError as error:  # the Hub's mapping does not name it
        return type(error).__name__

schnell, dev, sdxl = (
    "black-forest-labs/FLUX.1-schnell", "black-forest-labs/FLUX.1-dev", "stabilityai/stable-diffusion-xl-base-1.0"
)
print(json.dumps({
    "hf-inference": outcome("hf-inference", schnell, width=512, height=256, seed=1),
    "fal-ai": outcome("fal-ai", schnell, width=512, height=256),
    "fal-ai sdxl": outcome("fal-ai", sdxl),
    "auto": outcome("auto", sdxl),
    "together": outcome("together", schnell, width=512, height=256, num_inference_steps=4, seed=1),
    "nscale": outcome("nscale", schnell, width=512, height=256, num_inference_steps=4),
    "replicate": outcome("replicate", schnell, num_inference_steps=4, seed=1),
    "replicate bad field": outcome("replicate", schnell, width=512),
    "replicate by version": outcome("auto", "playgroundai/playground-v2.5-1024px-aesthetic", width=512, height=256),
    "replicate lora": outcome("replicate", "XLabs-AI/flux-RealismLora"),
    "fal-ai lora": outcome("fal-ai", "XLabs-AI/flux-RealismLora", width=512, height=256),
    "not there": outcome("together", "stabilityai/stable-diffusion-xl-base-1.0"),
    "fal-ai bad field": outcome("fal-ai", schnell, scheduler="Euler"),
    "free": outcome("hf-inference", dev),
    "pro": outcome("hf-inference", dev, token="hf_pro"),
    "deprecated": outcome("hf-inference", sdxl),
    "unknown": outcome("hf-inference", "nobody/nothing"),
    "is pro": whoami(token="hf_pro")["isPro"],
}))
"""


def client(sandbox, key="hf_free", model=SCHNELL):
    return InferenceClient(f"{sandbox.url}/huggingface/hf-inference/models/{model}", token=key)


async def generate(sandbox, key="hf_free", model=SCHNELL, **parameters):
    return await asyncio.to_thread(client(sandbox, key, model).text_to_image, "a fox", **parameters)


async def test_model_url(sandbox):
    """R4: the client gets a picture of the size asked for, with one POST that names an image type."""
    image = await generate(sandbox, width=512, height=768, seed=1)
    assert image.size == (512, 768)
    (asked,) = sandbox.requests()
    assert asked["method"] == "POST"
    assert asked["headers"]["accept"] == "image/png"
    assert asked["body"] == {"inputs": "a fox", "parameters": {"width": 512, "height": 768, "seed": 1}}


async def test_unknown_parameter(sandbox):
    """R1: a parameter that the pipeline does not have is the client's documented BadRequestError, with the reason."""
    with pytest.raises(BadRequestError, match="unexpected keyword argument 'lora'"):
        await generate(sandbox, extra_body={"lora": "x"})


async def test_pro_model(sandbox):
    """R3: FLUX.1-dev refuses a free key with 400 and gives a PRO key its picture."""
    with pytest.raises(BadRequestError, match="Model requires PRO subscription"):
        await generate(sandbox, model="black-forest-labs/FLUX.1-dev")
    assert (await generate(sandbox, key="hf_pro", model="black-forest-labs/FLUX.1-dev")).size == (1024, 1024)


@pytest.mark.parametrize(
    ("key", "model", "status", "words"),
    [
        ("hf_revoked", SCHNELL, 401, "Invalid credentials in Authorization header"),
        ("wrong", SCHNELL, 401, "Invalid credentials in Authorization header"),
        ("hf_broke", SCHNELL, 402, "exceeded your monthly included credits"),
        ("hf_unscoped", SCHNELL, 403, "does not have sufficient permissions"),
        ("hf_free", "nobody/nothing", 404, "Model nobody/nothing does not exist"),
        ("hf_free", "stabilityai/stable-diffusion-xl-base-1.0", 410, "no longer supported by provider hf-inference"),
        ("hf_free", "runwayml/stable-diffusion-v1-5", 404, "Not Found"),
    ],
)
async def test_refusals(sandbox, key, model, status, words):
    """R5, R7: a wrong key, an empty account and a model that is not there are refused in the upstream's own words."""
    with pytest.raises(HfHubHTTPError) as refusal:
        await generate(sandbox, key, model)
    assert refusal.value.response.status_code == status
    assert words in refusal.value.server_message


async def test_full_path(sandbox, run_script):
    """The client finds models through the Hub and inference providers through its mapping."""
    output = await run_script(FULL_PATH, sandbox.url, HF_ENDPOINT=f"{sandbox.url}/huggingface-hub", HF_TOKEN="hf_free")
    outcomes = json.loads(output)
    assert outcomes.pop("fal-ai bad field")[:2] == ["HfHubHTTPError", 422]
    assert outcomes.pop("replicate bad field")[:2] == ["HfHubHTTPError", 422]
    assert outcomes.pop("free") == ["BadRequestError", 400, "Model requires PRO subscription"]
    assert outcomes.pop("deprecated")[:2] == ["HfHubHTTPError", 410]
    assert outcomes.pop("unknown")[1] in (401, 404)
    assert outcomes == {
        "hf-inference": [512, 256],
        "fal-ai": [512, 256],
        "fal-ai sdxl": [1024, 1024],
        "auto": [1024, 1024],
        "together": [512, 256],
        "nscale": [512, 256],
        "replicate": [1024, 1024],
        "replicate by version": [512, 256],
        "replicate lora": [1024, 1024],
        "fal-ai lora": [512, 256],
        "not there": "ValueError",
        "pro": [1024, 1024],
        "is pro": True,
    }


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        ("nerijs/pixel-art-xl", "is not a LoRA adapter for base model black-forest-labs/FLUX.1-schnell"),
        (SCHNELL, "is not a LoRA adapter"),
    ],
)
async def test_a_lora_by_a_header(sandbox, lora, words):
    """U1, R1: the client's own headers reach the machine; a LoRA of another model is refused in the backend's words."""
    url = f"{sandbox.url}/huggingface/hf-inference/models/{SCHNELL}"
    wrong = InferenceClient(url, token="hf_free", headers={"lora": lora})
    with pytest.raises(BadRequestError, match=words):
        await asyncio.to_thread(wrong.text_to_image, "a fox")
    right = InferenceClient(url, token="hf_free", headers={"lora": "hugovntr/flux-schnell-realism"})
    assert (await asyncio.to_thread(right.text_to_image, "a fox", width=512, height=256)).size == (512, 256)


async def test_an_endpoint(sandbox):
    """U6: the same client against an endpoint's address; what is no square is refused in the container's words."""
    at = InferenceClient(f"{sandbox.url}/huggingface-endpoint/mine", token="hf_free")
    assert (await asyncio.to_thread(at.text_to_image, "a fox", width=512, height=512, seed=1)).size == (512, 512)
    with pytest.raises(BadRequestError, match="either both must have a value or both must be None"):
        await asyncio.to_thread(at.text_to_image, "a fox", width=512, height=256)
