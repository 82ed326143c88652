"""Everything but pictures from words alone, by Hugging Face, over real sockets against the sandbox: endpoints that run
our handler, and LoRAs of the Hub.
"""

import asyncio
import io
from contextlib import asynccontextmanager

import pytest
from PIL import Image

from imagegate.providers.huggingface.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit, forbidden
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.order import Order
from imagegate.runtime.tasks import inability
from imagegate.runtime.validation import violations
from imagegate.sandbox.app import serving
from imagegate.v1 import generation_pb2

KEY = "hf_pro_test0123456789"
ENDPOINT = {"upstream": "huggingface-endpoint", "method": "POST"}
LORA_PAGE = {"upstream": "huggingface-hub", "path": "/api/models/*"}
REALISM, SCHNELLS, PIXELS = "XLabs-AI/flux-RealismLora", "hugovntr/flux-schnell-realism", "nerijs/pixel-art-xl"


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@asynccontextmanager
async def a_provider(sandbox, **changes):
    provider = create({**sandbox.environment, "HUGGINGFACE_API_KEY": KEY, **changes}, lambda _: None)
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def with_endpoint(sandbox, key, name="handler"):
    """A provider whose model has an endpoint that runs our handler."""
    address = f"{sandbox.url}/huggingface-endpoint/{name}"
    async with a_provider(sandbox, HUGGINGFACE_ENDPOINTS=f"{key}={address}") as provider:
        yield provider


def an_order(provider, key="", **fields):
    request = generation_pb2.GenerateRequest(**{"prompt": "a fox", "seed": 7, **fields})
    model = provider.catalogue.find(key)
    assert violations(request) == []
    assert inability(request, model) == ""
    fitted = fit(request, model, drawn_seed=1)
    assert forbidden(request, fitted.adjustments) == []
    order = Order(model, request.prompt, fitted.parameters, Deadline.after(20), asked=asked_fields(request))
    order.inputs = to_inputs(request, fitted.inputs)
    order.adjustments.extend(fitted.adjustments)
    return order


async def generate(provider, order):
    async with asyncio.timeout(20):
        return await provider.generate(order)


async def made(provider, order):
    """The one picture of an order, decoded."""
    (picture,) = (await generate(provider, order)).pictures
    assert images.inspect(picture.data).mime_type == "image/png"
    return Image.open(io.BytesIO(picture.data)).convert("RGB")


async def the_failure(provider, order):
    with pytest.raises(Failure) as caught:
        await generate(provider, order)
    assert KEY not in repr(caught.value.as_attempt("huggingface", "x"))
    return caught.value


def posted(sandbox, part="/huggingface"):
    return [each for each in sandbox.requests() if part in each["path"] and each["method"] == "POST"]


def image(colour="white", width=256, height=192, half=None):
    """An input picture of one colour, its right half perhaps of another."""
    drawn = Image.new("RGB", (width, height), colour)
    if half is not None:
        drawn.paste(half, (width // 2, 0, width, height))
    data = io.BytesIO()
    drawn.save(data, "PNG")
    return generation_pb2.InputImage(data=data.getvalue())


def a_pose(picture, **how):
    return [generation_pb2.Control(type=generation_pb2.CONTROL_TYPE_OPENPOSE, image=picture, **how)]


# ── Tasks, by an endpoint with our handler ───────────────────────────────────────────────────────────────────────────

BLUE = (0, 0, 255)
FROM_A_PHOTO = generation_pb2.ImageToImage(image=image("blue"), strength=0.25)
REPAINTED = generation_pb2.Inpainting(image=image("blue"), mask=image("black", half="white"))
A_PERSON = [generation_pb2.Identity(image=image("blue", 64, 64))] * 2

TASKS = {
    "text_to_image": ("sdxl+handler", "handler", {"width": 320, "height": 256}),
    "image_to_image": ("sdxl+handler", "handler", {"image_to_image": FROM_A_PHOTO}),
    "inpainting": ("sd15+handler", "handler", {"inpainting": REPAINTED}),
    "control_openpose": (
        "controlnet-openpose-sdxl-ultra", "handler-openpose", {"controls": a_pose(image("blue")), "width": 256}),
    "a photo and a pose": (
        "controlnet-openpose-sd15", "handler-openpose", {"image_to_image": FROM_A_PHOTO, "controls": a_pose(image())}),
    "identity": ("photomaker-v2", "handler-photomaker", {"identity": A_PERSON}),
    "pose_extraction": (
        "openpose-annotator", "handler-annotator",
        {"prompt": "", "seed": None, "pose_extraction": generation_pb2.PoseExtraction(image=image())}),
    "lora": ("sdxl+handler", "handler", {"loras": [generation_pb2.Lora(name="a/b", weight=-0.5)]}),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
async def test_every_task_by_an_endpoint(sandbox, task):
    """U1, U6, P3, R4, R14: each task is one call, with the key, that asks for an image and is answered with one."""
    entry, name, fields = TASKS[task]
    async with with_endpoint(sandbox, entry, name) as provider:
        order = an_order(provider, entry.removesuffix("+handler"), **fields)
        delivery = await generate(provider, order)
    (picture,) = delivery.pictures
    seen = images.inspect(picture.data)
    wanted = (order.parameters.get("width", 256), order.parameters.get("height", 192))
    assert (seen.width, seen.height) == wanted
    assert (delivery.upstream_provider, delivery.sandbox) == ("endpoint", True)
    assert picture.seed == (None if task == "pose_extraction" else 7)
    (submission,) = sandbox.requests()
    assert submission["path"] == f"/huggingface-endpoint/{name}"
    assert submission["headers"]["accept"] == "image/png"
    assert submission["headers"]["authorization"] == "Bearer ***"
    assert order.adjustments == []


async def test_a_photo_shines_through(sandbox):
    """P3: the less strength, the nearer the new picture is to the photo."""
    async with with_endpoint(sandbox, "sdxl+handler") as provider:
        blues = []
        for strength in (0.1, 0.9):
            task = generation_pb2.ImageToImage(image=image("blue"), strength=strength)
            drawn = await made(provider, an_order(provider, "sdxl", image_to_image=task))
            blues.append(drawn.resize((1, 1)).getpixel((0, 0))[2])
    assert blues[0] > 200 > blues[1]


async def test_only_the_white_of_a_mask_is_repainted(sandbox):
    """P3: what is black in the mask stays as it was."""
    async with with_endpoint(sandbox, "sdxl+handler") as provider:
        drawn = await made(provider, an_order(provider, "sdxl", inpainting=REPAINTED))
    left, right = drawn.crop((0, 0, 128, 192)), drawn.crop((128, 0, 256, 192))
    assert left.getcolors() == [(128 * 192, BLUE)]
    assert right.getcolors() != [(128 * 192, BLUE)]


async def test_a_pose_is_kept_to(sandbox):
    """P3: the pose is on the picture, beside a photo too."""
    pose = image("black", 256, 256, half="white")
    fields = {"controls": a_pose(pose), "width": 256, "height": 256}
    async with with_endpoint(sandbox, "controlnet-openpose-sdxl", "handler-openpose") as provider:
        for task in ({}, {"image_to_image": FROM_A_PHOTO}):
            drawn = await made(provider, an_order(provider, "controlnet-openpose-sdxl", **fields, **task))
            assert drawn.getpixel((250, 100)) == (255, 255, 255)
            assert drawn.getpixel((5, 100)) != (255, 255, 255)


async def test_an_extracted_pose_can_be_kept_to(sandbox):
    """P3: what the annotator draws of a photo is of its size, and a control for the next request."""
    name = f"{sandbox.url}/huggingface-endpoint/handler"
    ends = f"openpose-annotator={name}-annotator,controlnet-openpose-sd15={name}-openpose"
    async with a_provider(sandbox, HUGGINGFACE_ENDPOINTS=ends) as provider:
        task = generation_pb2.PoseExtraction(image=image("green", 320, 200))
        delivery = await generate(provider, an_order(provider, "openpose-annotator", prompt="", pose_extraction=task))
        pose = delivery.pictures[0].data
        assert (images.inspect(pose).width, images.inspect(pose).height) == (320, 200)
        controls = a_pose(generation_pb2.InputImage(data=pose), preprocess=False)
        assert await made(provider, an_order(provider, "controlnet-openpose-sd15", controls=controls, width=256))


async def test_what_the_handler_finds_wrong(sandbox):
    """R5, U6: its words about the request reach the caller; nothing is tried again."""
    async with with_endpoint(sandbox, "sdxl+handler", "handler-photomaker") as provider:
        failure = await the_failure(provider, an_order(provider, "sdxl"))
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED)
    assert "this endpoint does identity, not 'text_to_image'" in failure.upstream_message
    assert len(posted(sandbox)) == 1


async def test_a_handler_that_fails(sandbox):
    """R5, U6: what breaks in the handler is the endpoint's failure, although the container says 400 to everything."""
    told = {"error": "the handler failed: RuntimeError: cublas is not to be found"}
    sandbox.faults([{**ENDPOINT, "fault": "status", "code": 400, "body": told}])
    async with with_endpoint(sandbox, "sdxl+handler") as provider:
        failure = await the_failure(provider, an_order(provider, "sdxl"))
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.REFUSED)
    assert "cublas" in failure.upstream_message
    assert "https://endpoints.huggingface.co" in failure.remedy


async def test_the_standard_container_does_words_only(sandbox):
    """U6: without our handler the entry claims nothing else, and its payload is the container's own."""
    async with with_endpoint(sandbox, "sdxl", "mine") as provider:
        request = generation_pb2.GenerateRequest(prompt="a fox", image_to_image=FROM_A_PHOTO)
        assert "does not do image to image" in inability(request, provider.catalogue.find("sdxl"))
        await generate(provider, an_order(provider, "sdxl", width=256, height=256))
    (submission,) = posted(sandbox)
    assert submission["body"]["inputs"] == "a fox"


async def test_an_entry_that_claims_too_much(sandbox, tmp_path):
    """R1: an operator's entry may claim a task that nobody does through the router; a picture that would be made
    without the photo is not asked for, and of several LoRAs no entry takes more than one.
    """
    entry = "models: {flux-schnell: {tasks: [text_to_image, image_to_image], max_loras: 4}}"
    (tmp_path / "huggingface.yaml").write_text(entry)
    async with a_provider(sandbox, IMAGEGATE_MODELS=str(tmp_path)) as provider:
        assert provider.catalogue.find("flux-schnell").max_loras == 1
        failure = await the_failure(provider, an_order(provider, image_to_image=FROM_A_PHOTO))
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert "+handler" in failure.remedy
    assert posted(sandbox) == []


@pytest.mark.parametrize("key", ["sdxl+handler", "openpose-annotator"])
async def test_an_endpoint_with_our_handler_is_checked_for_free(sandbox, key):
    """U6, R12: its health is asked, with the key; nothing is made."""
    async with with_endpoint(sandbox, key) as provider:
        check = await provider.check(provider.catalogue.find(key.removesuffix("+handler")))
    assert (check.failure, check.exists, check.loaded, check.key_accepted) == (None, True, True, True)
    assert (posted(sandbox), sandbox.billing()) == ([], [])


# ── LoRAs, through the router ────────────────────────────────────────────────────────────────────────────────────────


def a_lora(name, weight=None):
    return [generation_pb2.Lora(name=name, weight=weight)]


def looked_up(sandbox, name):
    return [each for each in sandbox.requests() if each["path"].endswith(f"/api/models/{name}")]


async def test_a_lora_by_a_header(sandbox):
    """U1, R1, R4: what no inference provider has as a model of its own goes to hf-inference by name, in a header."""
    async with a_provider(sandbox) as provider:
        plain = await made(provider, an_order(provider, width=256, height=256))
        order = an_order(provider, loras=a_lora(SCHNELLS, 0.5), width=256, height=256)
        delivery = await generate(provider, order)
    assert delivery.upstream_provider == "hf-inference"
    assert Image.open(io.BytesIO(delivery.pictures[0].data)).tobytes() != plain.tobytes()
    without, submission = posted(sandbox)
    assert (submission["headers"]["lora"], submission["headers"]["accept"]) == (SCHNELLS, "image/png")
    assert "lora" not in without["headers"]
    assert submission["body"] == without["body"]
    assert [(each.parameter, each.applied) for each in order.adjustments] == [("loras[0].weight", "")]


async def test_a_lora_by_replicate(sandbox):
    """U1, R4: Replicate, where it is set, lays it over by its page's address and weight; the Hub is asked once."""
    async with a_provider(sandbox, HUGGINGFACE_INFERENCE_PROVIDER="replicate") as provider:
        order = an_order(provider, "flux-dev", loras=a_lora(REALISM, 0.5), width=512, height=512)
        for _ in range(2):
            assert (await generate(provider, order)).upstream_provider == "replicate"
    submission, _ = posted(sandbox)
    assert submission["path"].endswith("/replicate/v1/models/black-forest-labs/flux-dev-lora/predictions")
    words = submission["body"]["input"]
    assert (words["lora_weights"], words["lora_scale"]) == (f"https://huggingface.co/{REALISM}", 0.5)
    assert submission["headers"]["accept"] == "image/png"
    assert order.adjustments == []
    assert len(looked_up(sandbox, REALISM)) == 1


async def test_a_lora_by_fal(sandbox):
    """U1, R4: fal-ai is preferred: it lays a LoRA over by its file's address and with its weight."""
    async with a_provider(sandbox) as provider:
        order = an_order(provider, "flux-dev", loras=a_lora(REALISM, 0.5), width=512, height=512)
        assert (await generate(provider, order)).upstream_provider == "fal-ai"
    (submission,) = posted(sandbox)
    assert submission["path"] == "/huggingface/fal-ai/fal-ai/flux-lora"
    path = f"https://huggingface.co/{REALISM}/resolve/main/lora.safetensors"
    assert submission["body"]["loras"] == [{"path": path, "scale": 0.5}]
    assert submission["headers"]["accept"] == "image/png"
    assert order.adjustments == []


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        ("", "add_detail", "is no LoRA of the Hub"),
        ("", "nobody/nothing", "does not have the LoRA nobody/nothing"),
        ("", REALISM, "is not a LoRA of black-forest-labs/FLUX.1-schnell, but of black-forest-labs/FLUX.1-dev"),
        ("", "black-forest-labs/FLUX.1-dev", "but of none that its page names"),
        ("sdxl", PIXELS, "nobody who serves stabilityai/stable-diffusion-xl-base-1.0 here lays"),
    ],
)
async def test_a_lora_that_cannot_be_had(sandbox, key, name, words):
    """R1, R7: nothing is submitted, another candidate may have it, and the model is not blamed."""
    async with a_provider(sandbox) as provider:
        failure = await the_failure(provider, an_order(provider, key, loras=a_lora(name)))
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert words in failure.message
    assert posted(sandbox) == []


@pytest.mark.parametrize("who", ["together", "nscale"])
async def test_whoever_lays_no_loras_does_not_claim_to(sandbox, who):
    """P1, R1: where such a one is set, the entries take no LoRA."""
    async with a_provider(sandbox, HUGGINGFACE_INFERENCE_PROVIDER=who) as provider:
        assert {model.max_loras for model in provider.catalogue.models if model.tasks == ("text_to_image",)} == {0}


async def test_hf_inference_checks_a_lora_itself(sandbox):
    """R5: while the Hub does not tell, the name goes along, and what the machine says of it reaches the caller."""
    sandbox.faults([{**LORA_PAGE, "fault": "status", "code": 500}])
    async with a_provider(sandbox) as provider:
        assert (await generate(provider, an_order(provider, loras=a_lora(SCHNELLS)))).pictures
        failure = await the_failure(provider, an_order(provider, loras=a_lora(PIXELS)))
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED)
    words = f"Requested adapter {PIXELS} is not a LoRA adapter for base model black-forest-labs/FLUX.1-schnell"
    assert words in failure.upstream_message


async def test_one_that_needs_the_hub_for_a_lora(sandbox):
    """U1: without its mapping nobody knows how Replicate lays a LoRA over a model; nothing is submitted then."""
    sandbox.faults([{**LORA_PAGE, "fault": "status", "code": 500}])
    async with a_provider(sandbox, HUGGINGFACE_INFERENCE_PROVIDER="replicate") as provider:
        failure = await the_failure(provider, an_order(provider, "flux-dev", loras=a_lora(REALISM)))
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT)
    assert posted(sandbox) == []


async def test_a_lora_that_is_gone_takes_no_model_out(sandbox):
    """R7: where the one that lays it over does not have it any more, it is the request that fails, and the Hub is asked
    again.
    """
    sandbox.faults([{"upstream": "huggingface", "method": "POST", "fault": "status", "code": 404, "times": 1}])
    async with a_provider(sandbox, HUGGINGFACE_INFERENCE_PROVIDER="replicate") as provider:
        order = an_order(provider, "flux-dev", loras=a_lora(REALISM), width=512, height=512)
        assert (await the_failure(provider, order)).reason is Reason.UPSTREAM_REJECTED_INPUT
        await generate(provider, order)
    assert len(looked_up(sandbox, REALISM)) == 2


async def test_a_lora_as_an_option_is_dropped(sandbox):
    """R1: the incident's parameters, sent as provider_options, are left out and told; the picture is made."""
    request = generation_pb2.GenerateRequest(prompt="a fox", width=256, height=256)
    request.provider_options["huggingface"].update({"lora": "a/b", "lora_scale": 0.8})
    async with a_provider(sandbox) as provider:
        model = provider.catalogue.find("")
        fitted = fit(request, model, drawn_seed=1)
        order = Order(model, "a fox", fitted.parameters, Deadline.after(20), options=fitted.options)
        await generate(provider, order)
    (submission,) = posted(sandbox)
    assert "lora" not in str(submission["body"]) + str(submission["headers"].get("lora", ""))
    assert {each.parameter for each in fitted.adjustments} == {
        "provider_options.huggingface.lora",
        "provider_options.huggingface.lora_scale",
    }
