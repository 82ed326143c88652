"""What Hugging Face is sent, and what each of its answers means."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from multidict import CIMultiDict

from imagegate.providers.huggingface import hub, loras, wire
from imagegate.providers.huggingface.endpoints import Endpoint, with_endpoints
from imagegate.providers.huggingface.loras import Adapter
from imagegate.providers.huggingface.shapes import (
    BY_ROUTER,
    WITH_LORA,
    endpoint,
    fal,
    handled,
    hf_inference,
    nscale,
    replicate,
    together,
)
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit, forbidden
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Order
from imagegate.runtime.words import MAX_WORDS_BYTES
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

CATALOGUE = load_catalogue("huggingface", Path(wire.__file__).with_name("models.yaml"))
DEV = "black-forest-labs/FLUX.1-dev"
LEGACY = (
    "https://api-inference.huggingface.co is no longer supported. Please use https://router.huggingface.co instead."
)
NO_CREDIT = (
    "You have exceeded your monthly included credits for Inference Providers. "
    "Subscribe to PRO to get 20x more monthly included credits."
)
NO_SCOPE = (
    "This authentication method does not have sufficient permissions to call Inference Providers on behalf of user x"
)
GATED = f"Access to model {DEV} is restricted and you are not in the authorized list."


def order_for(name: str = "", *, kept: frozenset[str] | None = frozenset(), **fields) -> Order:
    request = generation_pb2.GenerateRequest(**{"prompt": "a fox", **fields})
    model = CATALOGUE.find(name) or CATALOGUE.find_outside(name)
    fitted = fit(request, model, 7)
    order = Order(model, request.prompt, fitted.parameters, Deadline.after(20), asked=asked_fields(request), kept=kept)
    order.inputs = to_inputs(request, fitted.inputs)
    order.adjustments.extend(fitted.adjustments)
    return order


def sent(shape, order: Order, model: str = "x/y", index: int = 0) -> dict:
    """The payload of an order that was brought to the shape."""
    shape.fit(order, model)
    return shape.to_payload(order, index, model)


def told(order: Order) -> set[tuple[str, str, str, str]]:
    """The changes that the caller is told of."""
    return {
        (each.parameter, each.requested, each.applied, generation_pb2.Action.Name(each.action).removeprefix("ACTION_"))
        for each in order.adjustments
    }


def answer(status, body=b"", **headers) -> Answer:
    """An answer whose body is bytes, or is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if content.startswith(b"<") else "application/json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, CIMultiDict({"Content-Type": kind, **named}), content)


# ── The catalogue ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_model_is_the_fast_one():
    """R3: what is asked for without a model is FLUX.1-schnell, with its 4 steps, guidance 0 and no negative prompt."""
    request = generation_pb2.GenerateRequest(prompt="a fox", guidance_scale=7.5, steps=50, negative_prompt="cats")
    model = CATALOGUE.find("")
    fitted = fit(request, model, 7)
    assert model.upstream_model == "black-forest-labs/FLUX.1-schnell"
    assert fitted.parameters == {"width": 1024, "height": 1024, "steps": 4, "guidance_scale": 0, "seed": 7}
    assert {(each.parameter, each.applied) for each in fitted.adjustments} == {
        ("negative_prompt", ""),
        ("steps", "4"),
        ("guidance_scale", "0"),
    }


@pytest.mark.parametrize("name", ["../../api/x", "a/..", "a/.b", ".a/b", "a/b/c", "a b/c", "a/b?c", "flux", "a/"])
def test_a_name_that_is_no_hub_id_never_becomes_a_path(name):
    """R7: only `owner/name` is taken for a model of the Hub."""
    assert CATALOGUE.find_outside(name) is None


def test_sd15_is_found_by_the_name_it_had_before_it_moved():
    """U1: old configurations keep working."""
    found = CATALOGUE.find("runwayml/stable-diffusion-v1-5")
    assert found.upstream_model == "stable-diffusion-v1-5/stable-diffusion-v1-5"


# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hf_inference_is_sent_what_the_model_takes_and_nothing_else():
    """R1, R2: only declared parameters leave, whatever a caller asks for, under the upstream's names; 0 is a value."""
    order = order_for("flux-dev", guidance_scale=0.0, negative_prompt="cats", sampler="LMS", steps=30)
    assert sent(hf_inference, order) == {
        "inputs": "a fox",
        "parameters": {"width": 1024, "height": 1024, "num_inference_steps": 30, "guidance_scale": 0, "seed": 7},
    }


def test_nothing_is_sent_that_nobody_asked_for():
    """R2: a model of which nothing is known gets the prompt and a seed, nothing empty."""
    assert sent(hf_inference, order_for("a/b", negative_prompt="")) == {
        "inputs": "a fox",
        "parameters": {"seed": 7},
    }


def test_each_picture_has_its_own_seed():
    """R2: picture i is made with seed + i, which is sent and returned."""
    order = order_for("sdxl", seed=2**32 - 1)
    payloads = [sent(hf_inference, order, index=index) for index in (0, 1)]
    assert [payload["parameters"]["seed"] for payload in payloads] == [2**32 - 1, 0]


def test_fal_is_sent_its_own_words():
    """U1: through fal-ai the payload is flat and sizes stand together."""
    order = order_for("sdxl", width=512, negative_prompt="cats")
    assert sent(fal, order) == {
        "prompt": "a fox",
        "negative_prompt": "cats",
        "num_inference_steps": 30,
        "guidance_scale": 7.5,
        "seed": 7,
        "image_size": {"width": 512, "height": 1024},
    }


@pytest.mark.parametrize("shape", [fal, together, replicate, nscale], ids=lambda shape: shape.NAME)
def test_no_guidance_is_sent_for_a_model_without(shape):
    """R1: FLUX.1-schnell has no guidance, and only hf-inference takes the 0 that says so: told as it is sent."""
    order = order_for("flux-schnell", guidance_scale=7.5)
    assert "guidance" not in str(sent(shape, order))
    assert ("guidance_scale", "7.5", "", "DROPPED") in told(order)
    unasked = order_for("flux-schnell")
    sent(shape, unasked)
    assert told(unasked) == set()


def test_no_guidance_is_the_same_as_a_guidance_of_0():
    """R1: a request that insists on the guidance of 0 of FLUX.1-schnell is not refused for leaving it out."""
    order = order_for("flux-schnell", guidance_scale=0, kept=None)
    assert "guidance_scale" not in sent(fal, order)
    assert told(order) == {("guidance_scale", "0", "", "DROPPED")}


@pytest.mark.parametrize("shape", [fal, nscale], ids=lambda shape: shape.NAME)
def test_some_take_both_sides_or_none(shape):
    """R1: the side that a caller left open is as long as the one that was asked for."""
    assert "size" not in str(sent(shape, order_for("a/b")))
    order = order_for("a/b", height=640)
    payload = sent(shape, order)
    assert payload.get("image_size") == {"width": 640, "height": 640} or payload["size"] == "640x640"
    assert told(order) == set()


def test_together_is_sent_its_own_words():
    """U1, R1: through together steps have another name, and the model stands in the payload."""
    order = order_for("sdxl", width=512, negative_prompt="cats", steps=20)
    assert sent(together, order, "stabilityai/sdxl") == {
        "prompt": "a fox",
        "model": "stabilityai/sdxl",
        "response_format": "base64",
        "negative_prompt": "cats",
        "steps": 20,
        "guidance_scale": 7.5,
        "seed": 7,
        "width": 512,
        "height": 1024,
    }
    assert told(order) == set()


def test_nscale_is_sent_what_it_takes_and_the_rest_is_told():
    """U1, R1, R2: nscale takes a prompt and a size; what a caller asked for beyond that is told, the seed too."""
    order = order_for("sdxl", width=512, height=768, negative_prompt="cats", steps=20, seed=3)
    payload = sent(nscale, order, "x")
    assert payload == {"prompt": "a fox", "model": "x", "response_format": "b64_json", "size": "512x768"}
    assert told(order) == {
        ("negative_prompt", "cats", "", "DROPPED"),
        ("steps", "20", "", "DROPPED"),
        ("seed", "3", "", "DROPPED"),
    }
    assert order.seed(0) is None


@pytest.mark.parametrize("insists", [frozenset({"seed"}), None])
def test_a_change_that_is_forbidden_is_refused(insists):
    """R1: where the request forbids it, nothing is sent and the parameter is named; defaults were not asked for."""
    with pytest.raises(Failure, match="seed") as failed:
        nscale.fit(order_for("sdxl", seed=3, kept=insists), "x")
    assert (failed.value.reason, failed.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    nscale.fit(order_for("sdxl", kept=insists), "x")


SCHNELL_AT_REPLICATE, DEV_AT_REPLICATE = "black-forest-labs/flux-schnell", "black-forest-labs/flux-dev"


def test_replicates_flux_is_sent_a_ratio():
    """U1, R1: in place of a size an aspect ratio and megapixels, and the size that comes of it is told."""
    order = order_for("flux-dev", width=1280, height=720, guidance_scale=15)
    assert sent(replicate, order, DEV_AT_REPLICATE) == {
        "input": {
            "prompt": "a fox",
            "num_inference_steps": 30,
            "guidance": 10,
            "seed": 7,
            "aspect_ratio": "16:9",
            "megapixels": "1",
            "output_format": "png",
        }
    }
    assert told(order) == {
        ("width", "1280", "1344", "TRANSLATED"),
        ("height", "720", "768", "TRANSLATED"),
        ("guidance_scale", "15", "10", "CLAMPED"),
    }
    assert wire.sides(order) == {"width": 1344, "height": 768}


@pytest.mark.parametrize(
    ("asked", "ratio", "megapixels", "made"),
    [
        ((1024, 1024), "1:1", "1", (1024, 1024)),
        ((512, 512), "1:1", "0.25", (512, 512)),
        ((2048, 2048), "1:1", "1", (1024, 1024)),
        ((256, 256), "1:1", "0.25", (512, 512)),
        ((768, 1344), "9:16", "1", (768, 1344)),
        ((600, 400), "3:2", "0.25", (608, 416)),
        ((2048, 256), "21:9", "1", (1536, 640)),
        ((256, 1024), "9:21", "0.25", (320, 768)),
    ],
)
def test_the_ratio_comes_before_the_pixels(asked, ratio, megapixels, made):
    """R1: of the sizes that replicate's FLUX makes the nearest by shape is taken, then the nearest by pixels."""
    order = order_for("flux-schnell", width=asked[0], height=asked[1])
    payload = sent(replicate, order, SCHNELL_AT_REPLICATE)["input"]
    assert (payload["aspect_ratio"], payload["megapixels"]) == (ratio, megapixels)
    assert tuple(wire.sides(order).values()) == made
    assert {name for name, *_ in told(order)} == {
        name for name, was, now in zip(("width", "height"), asked, made, strict=True) if was != now
    }


def test_replicates_other_models_are_sent_the_clients_words():
    """U1: a model of which nothing is known is sent the words of Hugging Face's own client, by its version."""
    payload = sent(replicate, order_for("a/b", width=512, height=768, steps=20), "owner/name:0123abcd")
    assert payload == {
        "version": "0123abcd",
        "input": {"prompt": "a fox", "num_inference_steps": 20, "seed": 7, "width": 512, "height": 768},
    }
    assert replicate.url("https://r", "owner/name:0123abcd") == "https://r/replicate/v1/predictions"
    assert replicate.url("https://r", "owner/name") == "https://r/replicate/v1/models/owner/name/predictions"
    assert replicate.headers(order_for()) == {"Prefer": "wait"}


@pytest.mark.parametrize(
    ("asked", "side", "changes"),
    [
        ({}, 1024, set()),
        ({"width": 512}, 512, set()),
        ({"width": 512, "height": 512}, 512, set()),
        ({"width": 512, "height": 2048}, 1024, {("width", "512"), ("height", "2048")}),
        ({"width": 512, "height": 600}, 552, {("width", "512"), ("height", "600")}),
    ],
)
def test_an_endpoint_makes_squares(asked, side, changes):
    """U6, R1: the standard container wants both sides equal; what a caller asked for otherwise is told."""
    order = order_for("sdxl", **asked)
    payload = sent(endpoint, order)
    assert payload["parameters"]["width"] == payload["parameters"]["height"] == side
    assert {(name, requested) for name, requested, *_ in told(order)} == changes


def test_an_endpoint_holds_a_request_as_long_as_there_is_time_for_a_picture():
    """U6, R8: the proxy is asked to wait for a replica, and not beyond the time in which a picture can be made."""
    order = order_for("flux-schnell")  # its usual time begins at 3 s
    order.deadline = Deadline.after(60)
    assert endpoint.headers(order) == {"X-Scale-Up-Timeout": "56"}
    order.deadline = Deadline.after(3.5)
    assert endpoint.headers(order) == {}


# ── LoRAs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

REALISM = "XLabs-AI/flux-RealismLora"
AT_FAL = Adapter("fal-ai/flux-lora", "lora v1.safetensors")


def a_lora(weight=None, name=REALISM):
    return [generation_pb2.Lora(name=name, weight=weight)]


def with_lora(shape, order: Order, adapter: Adapter) -> dict:
    """The payload of an order whose LoRA the shape lays over the model."""
    return WITH_LORA[shape.NAME](sent(shape, order, adapter.model), order, adapter)


@pytest.mark.parametrize("shape", [*BY_ROUTER.values(), endpoint], ids=lambda shape: shape.NAME)
def test_a_lora_is_never_a_parameter(shape):
    """R1: the incident cannot come back: whoever serves a model, no payload of its own says anything of a LoRA."""
    order = order_for("sdxl", loras=a_lora(0.5))
    assert "lora" not in json.dumps(sent(shape, order)).lower()


def test_hf_inference_hears_of_a_lora_by_a_header():
    """U1, R1: the header holds its name; its weight cannot be said, which is told, and is no change where it is 1."""
    for weight, changes in ((None, set()), (0.5, {("loras[0].weight", "0.5", "", "DROPPED")})):
        order = order_for("flux-dev", loras=a_lora(weight))
        sent(hf_inference, order)
        assert hf_inference.headers(order) == {"lora": REALISM}
        assert told(order) == changes
    assert hf_inference.headers(order_for("flux-dev")) == {}


@pytest.mark.parametrize("kept", [None, frozenset({"loras"})])
def test_a_weight_that_is_insisted_on(kept):
    """R1: a request that insists on its LoRAs is refused for a weight that cannot be said, not for the usual one."""
    with pytest.raises(Failure, match="weight") as failed:
        sent(hf_inference, order_for("flux-dev", loras=a_lora(0.5), kept=kept))
    assert (failed.value.reason, failed.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    order = order_for("flux-dev", loras=a_lora(1), kept=kept)
    sent(hf_inference, order)
    assert told(order) == {("loras[0].weight", "1", "", "DROPPED")}


def test_a_weight_is_told_once():
    """R1: one that was clamped before it was left out leads from what was asked to nothing."""
    order = order_for("flux-dev", loras=a_lora(4))
    sent(hf_inference, order)
    assert told(order) == {("loras[0].weight", "4", "", "DROPPED")}


@pytest.mark.parametrize(("weight", "scale"), [(None, {}), (0.5, {"scale": 0.5}), (0, {"scale": 0})])
def test_fal_is_told_where_a_lora_lies(weight, scale):
    """U1, R2: the address is made of the LoRA's name and the Hub's word; the weight is sent where it was asked for."""
    order = order_for("flux-dev", loras=a_lora(weight))
    payload = with_lora(fal, order, AT_FAL)
    path = f"https://huggingface.co/{REALISM}/resolve/main/lora%20v1.safetensors"
    assert payload["loras"] == [{"path": path, **scale}]
    assert (payload["prompt"], "model_name" in payload, told(order)) == ("a fox", False, set())


def test_fals_app_for_many_models_is_told_which():
    """U1: `fal-ai/lora` alone takes the name of the model that the LoRA is laid over."""
    payload = with_lora(fal, order_for("sdxl", loras=a_lora()), Adapter("fal-ai/lora", "x.safetensors"))
    assert payload["model_name"] == "stabilityai/stable-diffusion-xl-base-1.0"


def test_replicate_is_told_the_page_of_a_lora():
    """U1, R1: FLUX takes a LoRA's weight there; of any other model nobody documents it, which is told."""
    order = order_for("flux-dev", loras=a_lora(0.5), width=512, height=512)
    words = with_lora(replicate, order, Adapter("black-forest-labs/flux-dev-lora", "x"))["input"]
    assert (words["lora_weights"], words["lora_scale"]) == (f"https://huggingface.co/{REALISM}", 0.5)
    assert (words["aspect_ratio"], told(order)) == ("1:1", set())
    order = order_for("sdxl", loras=a_lora(0.5))
    payload = with_lora(replicate, order, Adapter("someone/sdxl:0123abcd", "x"))
    assert (payload["version"], "lora_scale" in payload["input"]) == ("0123abcd", False)
    assert payload["input"]["lora_weights"].endswith(REALISM)
    assert told(order) == {("loras[0].weight", "0.5", "", "DROPPED")}


NO_LORA = ["add_detail", "https://x/y", "../../etc", "a/.b", ".a/b", "a/b/c", "a b/c", "a/b?x", "a/b\r\nHost: x", "a/"]


@pytest.mark.parametrize("name", NO_LORA)
def test_a_lora_that_is_no_repository(name):
    """R1, R14: the caller names a repository of the Hub, never an address or a file; all else is refused."""
    with pytest.raises(Failure) as failed:
        loras.check_names(order_for("flux-dev", loras=a_lora(name=name)).inputs.loras)
    assert (failed.value.reason, failed.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)


def read_lora(mapping=None, base=DEV, status=200):
    body = {"id": REALISM, "cardData": {"base_model": base}, "inferenceProviderMapping": mapping}
    return loras.to_lora(answer(status, body), REALISM)


AS_ADAPTER = {"status": "live", "task": "text-to-image", "adapter": "lora", "adapterWeightsPath": "x.safetensors"}


@pytest.mark.parametrize("as_list", [False, True])
def test_a_loras_mapping(as_list):
    """U1: who has a LoRA, and under which name, in both shapes of the mapping; fal-ai is preferred to replicate."""
    mapping = {name: {**AS_ADAPTER, "providerId": f"{name}/app"} for name in ("replicate", "fal-ai", "wavespeed")}
    told = [{"provider": name, **entry} for name, entry in mapping.items()] if as_list else mapping
    found = read_lora(told)
    at_fal = Adapter("fal-ai/app", "x.safetensors")
    assert hub.choose_adapter(found) == hub.Served("fal-ai", "fal-ai/app", at_fal)
    assert hub.choose_adapter(found, "replicate").inference_provider == "replicate"
    assert hub.choose_adapter(found, "wavespeed") is hub.choose_adapter(found, "together") is None


@pytest.mark.parametrize(
    "useless",
    [
        {"status": "staging"},
        {"task": "text-to-video"},
        {"adapter": None},
        {"adapterWeightsPath": None},
        {"adapterWeightsPath": "../x"},
        {"adapterWeightsPath": "a/../x"},
        {"adapterWeightsPath": "x?y"},
        {"providerId": "../whoami-v2"},
        {"providerId": None},
    ],
)
def test_a_loras_mapping_that_is_of_no_use(useless):
    """R14: what is not live, no LoRA, or could steer a key or an address elsewhere is passed over."""
    found = read_lora({"fal-ai": {**AS_ADAPTER, "providerId": "fal-ai/app", **useless}})
    assert hub.choose_adapter(found) is None


@pytest.mark.parametrize(
    "base", [["x/y", "runwayml/stable-diffusion-v1-5"], "stable-diffusion-v1-5/stable-diffusion-v1-5"]
)
def test_a_lora_is_for_its_model(base):
    """R1: it is laid over a model that its page names, by any of its names, and over no other."""
    found = read_lora(base=base)
    loras.check_base(found, REALISM, CATALOGUE.find("sd15"))
    with pytest.raises(Failure, match="is not a LoRA of stabilityai") as failed:
        loras.check_base(found, REALISM, CATALOGUE.find("sdxl"))
    assert (failed.value.reason, failed.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    with pytest.raises(Failure, match="none that its page names"):
        loras.check_base(read_lora(base=None), REALISM, CATALOGUE.find("sd15"))


@pytest.mark.parametrize(("status", "reason"), [(404, Reason.UNSUPPORTED), (500, Reason.UPSTREAM_ERROR)])
def test_a_lora_that_is_not_there_is_not_the_models_fault(status, reason):
    """R7: a LoRA that the Hub does not have takes no model out."""
    with pytest.raises(Failure) as failed:
        read_lora(status=status)
    assert (failed.value.reason, failed.value.dispatch) == (reason, Dispatch.NOT_SENT)


# ── An endpoint with our handler ─────────────────────────────────────────────────────────────────────────────────────

PHOTO, POSE, MASK, FACE = picture(64, 48), picture(32, 32), picture(64, 48), picture(16, 16)


def image(data=PHOTO):
    return generation_pb2.InputImage(data=data)


def b64(data):
    return b64encode(data).decode()


def handled_order(key, **fields) -> Order:
    """An order of a model whose endpoint runs our handler."""
    at = {key: Endpoint(url="https://x", has_handler=True)}
    request = generation_pb2.GenerateRequest(**{"prompt": "a fox", "width": 512, "height": 768, "seed": 3, **fields})
    model = with_endpoints(CATALOGUE, at).find(key)
    fitted = fit(request, model, 7)
    assert forbidden(request, fitted.adjustments) == []
    order = Order(model, request.prompt, fitted.parameters, Deadline.after(20), asked=asked_fields(request))
    order.inputs = to_inputs(request, fitted.inputs)
    return order


def handled_inputs(key, **fields) -> dict:
    payload = sent(handled, handled_order(key, **fields), "https://x")
    assert payload.keys() == {"inputs"}
    return payload["inputs"]


WORDS = {"prompt": "a fox", "seed": 3, "width": 512, "height": 768, "num_inference_steps": 30, "guidance_scale": 7.5}


def a_pose(**how):
    return [generation_pb2.Control(type=generation_pb2.CONTROL_TYPE_OPENPOSE, image=image(POSE), **how)]


def test_a_handler_is_sent_words():
    """U6, R1, R2: what the model takes, and sides that are no square; LoRAs with the weights that were asked for."""
    given = handled_inputs("sdxl", negative_prompt="cats", loras=[*a_lora(0.5), *a_lora(name="a/b")])
    assert given == {
        **WORDS,
        "task": "text_to_image",
        "negative_prompt": "cats",
        "loras": [{"name": REALISM, "weight": 0.5}, {"name": "a/b"}],
    }


def test_a_handler_is_sent_a_pose():
    """P3, U1, P4: as the old documents' payload, in `image`, with a scale of 1 unless asked otherwise."""
    given = handled_inputs("controlnet-openpose-sd15", controls=a_pose(start=0.1, end=0.5, preprocess=True))
    assert given == {
        **WORDS,
        "task": "control_openpose",
        "image": b64(POSE),
        "controlnet_conditioning_scale": 1.0,
        "control_guidance_start": 0.1,
        "control_guidance_end": 0.5,
        "preprocess": True,
    }


def test_a_handler_is_sent_a_photo_and_a_pose():
    """P3: a photo together with a pose in one request."""
    task = generation_pb2.ImageToImage(image=image(), strength=0.5)
    given = handled_inputs("controlnet-openpose-sd15", image_to_image=task, controls=a_pose(conditioning_scale=0))
    assert (given["task"], given["image"], given["control_image"]) == ("image_to_image", b64(PHOTO), b64(POSE))
    assert (given["strength"], given["controlnet_conditioning_scale"]) == (0.5, 0)


def test_a_handler_is_sent_a_mask():
    """P3: photo and mask, with what was asked for and nothing that was not."""
    task = generation_pb2.Inpainting(image=image(), mask=image(MASK), mask_blur=4)
    given = handled_inputs("sdxl", inpainting=task)
    expected = {"task": "inpainting", "image": b64(PHOTO), "mask_image": b64(MASK), "mask_blur": 4}
    assert given == {**WORDS, **expected}


def test_a_handler_is_sent_a_person():
    """P3, U1: every picture of the person, in order."""
    people = [generation_pb2.Identity(image=image(FACE)), generation_pb2.Identity(image=image(PHOTO))]
    given = handled_inputs("photomaker-v2", identity=people)
    assert (given["task"], given["input_id_images"]) == ("identity", [b64(FACE), b64(PHOTO)])


def test_a_handler_is_sent_a_photo_to_take_the_pose_from():
    """P3: without any words, which pose extraction does not need."""
    task = generation_pb2.PoseExtraction(image=image(), detect_face=False)
    expected = {"task": "pose_extraction", "image": b64(PHOTO), "detect_hands": True, "detect_face": False}
    assert handled_inputs("openpose-annotator", prompt="", pose_extraction=task) == expected


def test_an_endpoints_entry_claims_what_is_done_there():
    """P1, U6: the handler adds tasks and LoRAs to a model; the standard container takes LoRAs away."""

    def at(key, has_handler):
        return with_endpoints(CATALOGUE, {key: Endpoint(url="https://x", has_handler=has_handler)}).find(key)

    plain, more = at("sdxl", False), at("sdxl", True)
    assert (plain.tasks, plain.max_loras, "lora_weight" in plain.parameters) == (("text_to_image",), 0, False)
    assert more.tasks == ("text_to_image", "image_to_image", "inpainting")
    assert {"strength", "mask_blur", "lora_weight"} <= more.parameters.keys()
    assert more.max_loras > 1
    pose = at("controlnet-openpose-sdxl", False)  # nothing else could run there
    assert pose.tasks == ("control_openpose", "image_to_image", "inpainting")
    assert (at("photomaker-v2", False).tasks, at("openpose-annotator", True).tasks) == (
        ("identity",),
        ("pose_extraction",),
    )


# ── Who serves a model ───────────────────────────────────────────────────────────────────────────────────────────────

LIVE = {"status": "live", "task": "text-to-image"}


def served(mapping, wanted=hub.AUTO) -> hub.Served:
    seen = answer(200, {"id": DEV, "inferenceProviderMapping": mapping})
    return hub.choose(hub.to_mapping(seen, DEV), DEV, wanted)


@pytest.mark.parametrize("as_list", [False, True])
def test_the_mapping_is_read_in_both_of_its_shapes(as_list):
    """U1: an object by provider and a list of the same say the same; hf-inference is preferred."""
    mapping = {"fal-ai": {**LIVE, "providerId": "fal-ai/flux/dev"}, "hf-inference": {**LIVE, "providerId": DEV}}
    told = [{"provider": name, **entry} for name, entry in mapping.items()] if as_list else mapping
    assert served(told) == hub.Served("hf-inference", DEV)
    assert served(told, "fal-ai") == hub.Served("fal-ai", "fal-ai/flux/dev")


@pytest.mark.parametrize(
    "useless",
    [
        {"status": "staging"},
        {"status": "error"},
        {"task": "image-to-image"},
        {"adapter": "lora", "adapterWeightsPath": "x.safetensors"},
    ],
)
def test_only_what_is_live_for_the_task_is_asked(useless):
    """U1: a mapping that is not live, for another task or an adapter's is passed over."""
    mapping = {
        "hf-inference": {**LIVE, "providerId": DEV, **useless},
        "fal-ai": {**LIVE, "providerId": "fal-ai/flux/dev"},
    }
    assert served(mapping).inference_provider == "fal-ai"


@pytest.mark.parametrize("foreign", ["../whoami-v2", "fal-ai/flux?x=1", "a//b", "/etc", "", None, ["x"], "a:b/c", "a:"])
def test_a_foreign_name_that_is_no_path_is_not_asked(foreign):
    """R14: what the Hub calls a model elsewhere can steer the key to no other path."""
    with pytest.raises(Failure) as failed:
        served({"fal-ai": {**LIVE, "providerId": foreign}})
    assert failed.value.reason is Reason.MODEL_NOT_FOUND


def test_who_serves_it_instead_is_told():
    """R7, R10: a model that nobody serves whom we can ask is not found, and the error says where it is."""
    with pytest.raises(Failure) as failed:
        served({"wavespeed": {**LIVE, "providerId": "x"}, "novita": {**LIVE, "providerId": "y"}})
    failure = failed.value
    assert (failure.reason, failure.dispatch) == (Reason.MODEL_NOT_FOUND, Dispatch.NOT_SENT)
    assert "novita, wavespeed" in failure.message
    assert "dedicated endpoint" in failure.remedy


def test_who_could_be_asked_instead_is_the_remedy():
    """R12: where another one that is spoken serves the model, the remedy names the variable and that one."""
    with pytest.raises(Failure) as failed:
        served({"replicate": {**LIVE, "providerId": "x"}, "together": {**LIVE, "providerId": "y"}}, "fal-ai")
    assert "replicate, together" in failed.value.message
    assert "HUGGINGFACE_INFERENCE_PROVIDER=together" in failed.value.remedy


def test_the_first_that_is_spoken_is_taken():
    """U1: hf-inference before fal-ai, together, replicate and nscale, whatever the Hub's order."""
    left = {name: {**LIVE, "providerId": f"{name}/x"} for name in reversed(BY_ROUTER)}
    for name in ("hf-inference", "fal-ai", "together", "replicate", "nscale"):
        assert served(left).inference_provider == name
        del left[name]


@pytest.mark.parametrize("mapping", [{}, [], None, "x", {"fal-ai": "x"}, [None, 3]])
def test_a_mapping_of_any_other_shape_names_nobody(mapping):
    """R7: nonsense from the Hub is nobody, never a crash."""
    with pytest.raises(Failure) as failed:
        served(mapping)
    assert failed.value.reason is Reason.MODEL_NOT_FOUND


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_seed_that_was_sent_is_returned():
    """R2: hf-inference reports no seed, so the picture carries the one that was sent."""
    picture = hf_inference.to_output(answer(200, b"\x89PNG...", Content_Type="image/png"), order_for(), 1)
    assert (picture.data, picture.seed) == (b"\x89PNG...", 8)


@pytest.mark.parametrize(("reported", "seed"), [(5, 5), (None, 7), (True, 7), (2**63, 7), (-1, 7)])
def test_fals_picture_is_at_a_url(reported, seed):
    """U1, R2: fal names a URL, the seed where it reports one, and whether its safety check blanked the picture."""
    body = {"images": [{"url": "https://v3.fal.media/x.png"}], "seed": reported, "has_nsfw_concepts": [True]}
    output = fal.to_output(answer(200, body), order_for(), 0)
    assert (output.url, output.seed, output.filtered) == ("https://v3.fal.media/x.png", seed, True)


@pytest.mark.parametrize("body", [b"", b"null", {"images": []}, {"images": [{"url": 3}]}, {"images": "x"}, [1]])
def test_an_answer_of_fals_without_a_picture_is_bad_output(body):
    """A success that names no picture was taken, and may have to be paid."""
    with pytest.raises(Failure) as failed:
        fal.to_output(answer(200, body), order_for(), 0)
    failure = failed.value
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, True)


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        (answer(200, b"<html><title>x</title><body>Sorry</body></html>"), Reason.BAD_OUTPUT, "Sorry"),
        (answer(200, b"<html>Sorry</html>", Content_Type="image/png"), Reason.BAD_OUTPUT, "Sorry"),
        (answer(200, b"", Content_Type="image/png"), Reason.BAD_OUTPUT, ""),
        (answer(200, {"error": "who knows"}), Reason.BAD_OUTPUT, "who knows"),
        (answer(200, {"error": "Model requires PRO subscription"}), Reason.MODEL_ACCESS_DENIED, "PRO"),
        (answer(200, {"error": "Model x is currently loading", "estimated_time": 9}), Reason.MODEL_LOADING, "loading"),
        (answer(200, {"error": NO_CREDIT}), Reason.OUT_OF_CREDIT, "credits"),
    ],
)
def test_a_success_without_a_picture_is_read_by_its_words(seen, reason, words):
    """R5: text in the place of a picture is an error that says so, else bad output."""
    with pytest.raises(Failure) as failed:
        hf_inference.to_output(seen, order_for(), 0)
    failure = failed.value
    assert (failure.reason, failure.dispatch) == (reason, Dispatch.ACCEPTED)
    assert words in failure.upstream_message
    assert failure.billed is (reason is Reason.BAD_OUTPUT)


@pytest.mark.parametrize("shape", [together, nscale], ids=lambda shape: shape.NAME)
def test_a_picture_in_base64(shape):
    """U1, R2: together and nscale answer with the picture itself; only where a seed was sent there is one."""
    output = shape.to_output(answer(200, {"data": [{"b64_json": "iVBORw=="}]}), order_for(), 1)
    assert (output.data, output.seed) == (b"\x89PNG", 8 if shape is together else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        [],
        {"data": {}},
        {"data": []},
        {"data": ["x"]},
        {"data": [{}]},
        {"data": [{"b64_json": 3}]},
        {"data": [{"b64_json": ""}]},
        {"data": [{"b64_json": "not base64!"}]},
        {"data": [{"b64_json": "aé=="}]},
    ],
)
def test_an_answer_without_a_picture_in_base64_is_bad_output(body):
    """A success that holds no picture was taken, and may have to be paid; none of the base64 is told on."""
    with pytest.raises(Failure) as failed:
        together.to_output(answer(200, body), order_for(), 0)
    failure = failed.value
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, True)


@pytest.mark.parametrize("output", ["https://replicate.delivery/x.png", ["https://replicate.delivery/x.png", "y"]])
@pytest.mark.parametrize("status", ["succeeded", "processing"])
def test_a_predictions_picture_is_at_a_url(output, status):
    """U1: the output is a URL or a list of them, and may be there before the state says so."""
    found = replicate.to_output(answer(201, {"status": status, "output": output}), order_for(), 1)
    assert (found.url, found.seed) == ("https://replicate.delivery/x.png", 8)


FLAGGED = "All generated images contained NSFW content. Try running it again with a different prompt."


@pytest.mark.parametrize(
    ("body", "reason", "billed"),
    [
        ({"status": "failed", "error": "CUDA error"}, Reason.UPSTREAM_ERROR, False),
        ({"status": "failed", "error": FLAGGED, "output": []}, Reason.CONTENT_REJECTED, False),
        ({"status": "canceled", "output": ["https://x/y.png"]}, Reason.UPSTREAM_ERROR, None),
        ({"status": "aborted", "error": None}, Reason.UPSTREAM_ERROR, False),
        ({"status": "starting", "output": None}, Reason.TIMEOUT, None),
        ({"status": "processing"}, Reason.TIMEOUT, None),
        ({"status": "succeeded", "output": None}, Reason.BAD_OUTPUT, True),
        ({"status": "succeeded", "output": []}, Reason.BAD_OUTPUT, True),
        ({"status": {}, "output": {"a": 1}}, Reason.BAD_OUTPUT, True),
        ([], Reason.BAD_OUTPUT, True),
        (b"<html>Sorry</html>", Reason.BAD_OUTPUT, True),
    ],
)
def test_a_prediction_without_a_picture(body, reason, billed):
    """R5: how a prediction ended, or that its model starts or works yet, by its own word."""
    with pytest.raises(Failure) as failed:
        replicate.to_output(answer(201, body), order_for(), 0)
    failure = failed.value
    assert (failure.reason, failure.dispatch, failure.billed) == (reason, Dispatch.ACCEPTED, billed)
    assert failure.remedy
    assert "{" not in failure.message + failure.remedy


# ── What an error means ──────────────────────────────────────────────────────────────────────────────────────────────

UNEXPECTED = "FluxPipeline.__call__() got an unexpected keyword argument 'lora'"
FAL_422 = {"detail": [{"loc": ["body", "prompt"], "msg": "field required", "type": "missing"}]}
FAL_POLICY = {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}
FAL_TGI = {"error": "Input validation error", "error_type": "validation"}
NO_PROVIDER = {"error": "The requested model 'X' is not supported by any provider you have enabled."}
DEPRECATED = {"error": "The requested model is deprecated and no longer supported by provider hf-inference"}
BAD_GATEWAY = b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"
PIPELINE = {"error": "unknown error", "warnings": ["There was an inference error: CUDA out of memory."]}


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (400, {"error": "Model requires PRO subscription"}, Reason.MODEL_ACCESS_DENIED, "Model requires PRO"),
        (400, {"error": "Model access denied. Upgrade to PRO."}, Reason.MODEL_ACCESS_DENIED, "Upgrade to PRO."),
        (400, {"error": UNEXPECTED, "warnings": ["w"]}, Reason.UPSTREAM_REJECTED_INPUT, f"{UNEXPECTED}; w"),
        (400, {"error": ["Error in `inputs`", "and more"]}, Reason.UPSTREAM_REJECTED_INPUT, "Error in `inputs`; and"),
        (400, {"error": {"message": "no"}}, Reason.UPSTREAM_REJECTED_INPUT, "no"),
        (400, NO_PROVIDER, Reason.MODEL_NOT_FOUND, "not supported"),
        (401, {"error": "Invalid username or password."}, Reason.CREDENTIALS_REJECTED, "Invalid username"),
        (401, {"error": "Invalid credentials in Authorization header"}, Reason.CREDENTIALS_REJECTED, "Invalid cred"),
        (402, {"error": NO_CREDIT}, Reason.OUT_OF_CREDIT, NO_CREDIT),
        (403, {"error": NO_SCOPE}, Reason.CREDENTIALS_REJECTED, "sufficient permissions"),
        (403, {"error": GATED}, Reason.MODEL_ACCESS_DENIED, "restricted"),
        (404, {"error": "Model X does not exist"}, Reason.MODEL_NOT_FOUND, "Model X does not exist"),
        (404, b"Not Found", Reason.MODEL_NOT_FOUND, "Not Found"),
        (410, DEPRECATED, Reason.MODEL_NOT_FOUND, "deprecated"),
        (410, {"error": LEGACY}, Reason.MODEL_NOT_FOUND, LEGACY),
        (413, b"", Reason.UPSTREAM_REJECTED_INPUT, ""),
        (422, FAL_422, Reason.UPSTREAM_REJECTED_INPUT, "prompt: field required"),
        (422, FAL_POLICY, Reason.CONTENT_REJECTED, "flagged"),
        (422, FAL_TGI, Reason.UPSTREAM_REJECTED_INPUT, "Input validation error"),
        (429, {"error": "Rate limit reached. Please log in or use a HF access token"}, Reason.RATE_LIMITED, "Rate"),
        (429, {"error": NO_CREDIT}, Reason.OUT_OF_CREDIT, "monthly"),
        (451, b"", Reason.CONTENT_REJECTED, ""),
        (500, PIPELINE, Reason.UPSTREAM_ERROR, "unknown error; There was an inference error: CUDA out of memory."),
        (500, {"error": f"403 Client Error: Forbidden for url x. {GATED}"}, Reason.MODEL_ACCESS_DENIED, "403"),
        (502, BAD_GATEWAY, Reason.UPSTREAM_ERROR, "Bad Gateway"),
        (503, {"error": "Model X is currently loading", "estimated_time": 20.5}, Reason.MODEL_LOADING, "loading"),
        (503, b"<html>Service Temporarily Unavailable</html>", Reason.OVERLOADED, "Service Temporarily Unavailable"),
        (504, b"", Reason.UPSTREAM_ERROR, ""),
        (307, b"", Reason.UPSTREAM_ERROR, ""),
        (418, b"\xff\xfe\x00teapot", Reason.UPSTREAM_ERROR, "teapot"),
    ],
)
def test_every_error_has_one_reason(status, body, reason, words):
    """R3, R5: status and words together say why, and the upstream's own words are kept, whatever shape they come in."""
    failure = wire.to_error(answer(status, body, X_Request_Id="r-1"), DEV)
    assert failure.reason is reason
    assert words in failure.upstream_message
    assert "<" not in failure.upstream_message
    assert (failure.upstream_status, failure.upstream_id, failure.phase) == (status, "r-1", "submit")
    assert failure.dispatch is (Dispatch.UNKNOWN if status in (502, 504) else Dispatch.REFUSED)
    assert failure.remedy
    assert "{" not in failure.message + failure.remedy


def test_remedies_say_where_to_go():
    """R10: where to get a key, whose conditions to accept, and what to set instead of a host that is gone."""
    assert "HUGGINGFACE_API_KEY" in wire.to_error(answer(401), DEV).remedy
    assert f"https://huggingface.co/{DEV}" in wire.to_error(answer(400, {"error": "Upgrade to PRO"}), DEV).remedy
    assert wire.to_error(answer(410, {"error": LEGACY}), DEV).remedy.startswith("set HUGGINGFACE_BASE_URL=")


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (429, {}, {"Retry_After": "7"}, 7),
        (429, {}, {"RateLimit": '"api";r=0;t=123'}, 123),
        (429, {}, {"RateLimit": '"api";r=0;t=99999'}, 600),
        (429, {}, {"Retry_After": "7", "RateLimit": '"api";r=0;t=123'}, 7),
        (429, {}, {}, None),
        (503, {"error": "loading", "estimated_time": 20.5}, {"Retry_After": "7"}, 20.5),
        (503, {"error": "loading", "estimated_time": 1e9}, {}, 600),
        (503, b'{"error": "loading", "estimated_time": 1' + b"0" * 400 + b"}", {}, 600),
        (503, {"error": "loading", "estimated_time": "soon"}, {"Retry_After": "7"}, 7),
        (503, b'{"error": "loading", "estimated_time": NaN}', {}, None),
        (503, {}, {"Retry_After": "3"}, 3),
        (500, {}, {"Retry_After": "3"}, None),
    ],
)
def test_how_long_to_wait(status, body, headers, seconds):
    """R8, R9: the estimate of a model that loads, or the time that a limit asks for, in seconds and bounded."""
    assert wire.to_error(answer(status, body, **headers), DEV).retry_after == seconds


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b'{"error":' * 300 + b"1" + b"}" * 300, b"\x00" * 9000])
def test_hostile_bodies_are_only_words(body):
    """R5: no body breaks the reading of it, and what is kept of it is bounded."""
    failure = wire.to_error(answer(500, body), DEV)
    assert failure.reason is Reason.UPSTREAM_ERROR
    assert len(failure.upstream_message.encode()) <= MAX_WORDS_BYTES


UNEQUAL = "Provided `height=512` and `width=1024`, but either both must have a value or both must be None."


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"error": UNEQUAL}, Reason.UPSTREAM_REJECTED_INPUT),
        (400, {"error": UNEXPECTED}, Reason.UPSTREAM_REJECTED_INPUT),
        (400, {"error": "CUDA out of memory. Tried to allocate 20.00 MiB"}, Reason.UPSTREAM_ERROR),
        (400, {"error": "Bad Request: Invalid state"}, Reason.MODEL_NOT_FOUND),
        (400, {"error": "the handler failed: KeyError: 'x'"}, Reason.UPSTREAM_ERROR),
        (400, {"error": "identity needs 1 to 4 pictures in input_id_images"}, Reason.UPSTREAM_REJECTED_INPUT),
        (400, {"error": "the safety checker found NSFW content in the picture"}, Reason.CONTENT_REJECTED),
        (401, b"Unauthorized", Reason.CREDENTIALS_REJECTED),
        (404, b"Not Found", Reason.MODEL_NOT_FOUND),
        (429, b"", Reason.RATE_LIMITED),
        (500, b"Internal Server Error", Reason.UPSTREAM_ERROR),
        (502, BAD_GATEWAY, Reason.UPSTREAM_ERROR),
        (503, b"503 Service Unavailable", Reason.MODEL_LOADING),
    ],
)
def test_what_an_endpoint_refuses(status, body, reason):
    """U6, R5, R8: every exception of the container comes as 400, so its words count; 503 is a replica that starts."""
    failure = endpoint.to_error(answer(status, body), DEV)
    assert failure.reason is reason
    assert failure.message.startswith("the dedicated endpoint ")
    assert failure.remedy
    assert failure.dispatch is (Dispatch.UNKNOWN if status == 502 else Dispatch.REFUSED)
    assert failure.retry_after is None


def test_a_picture_that_came_as_json_is_no_picture():
    """R4, U6: what the container answers to a forgotten image type is not taken for a picture."""
    with pytest.raises(Failure) as failed:
        endpoint.to_output(answer(200, "iVBORw0KGgo="), order_for(), 0)
    assert (failed.value.reason, failed.value.billed) == (Reason.BAD_OUTPUT, True)
