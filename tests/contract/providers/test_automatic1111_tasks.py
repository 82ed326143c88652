"""The AUTOMATIC1111 provider and pictures that come with a request, over real sockets against the sandbox."""

import asyncio
import io
import json
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic

import pytest
from PIL import Image, ImageChops

from imagegate.providers.automatic1111.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.order import Order
from imagegate.sandbox.app import Pace, serving
from imagegate.testing.fronts import rewriting
from imagegate.v1 import generation_pb2

SD15 = "v1-5-pruned-emaonly.safetensors [6ce0161689]"
SDXL = "sd_xl_base_1.0.safetensors [31e35c80fc]"
OPENPOSE, CANNY = generation_pb2.CONTROL_TYPE_OPENPOSE, generation_pb2.CONTROL_TYPE_CANNY
EVERYTHING = {"upstream": "automatic1111"}
MAKING = ("/txt2img", "/img2img", "/detect")
CORE = {"text_to_image", "image_to_image", "inpainting"}
CONTROLLED = {"control_openpose", "control_canny", "control_depth", "control_blur", "pose_extraction"}
NOT_FOUND = {"fault": "status", "code": 404, "body": {"detail": "Not Found"}}


def drawn(colours, size=(320, 256)):
    """A small file with a large picture in it: a gradient between two colours."""
    ramp = Image.linear_gradient("L").resize(size)
    start, end = (Image.new("RGB", size, colour) for colour in colours)
    encoded = io.BytesIO()
    Image.composite(start, end, ramp).save(encoded, "PNG")
    return encoded.getvalue()


PHOTO, POSE = drawn(("red", "blue")), drawn(("white", "black"), (256, 256))


def a_mask(size=(320, 256)):
    """White on the left half."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    encoded = io.BytesIO()
    mask.save(encoded, "PNG")
    return encoded.getvalue()


def image(data=PHOTO):
    return generation_pb2.InputImage(data=data)


def a_control(type=OPENPOSE, data=POSE, **fields):
    return generation_pb2.Control(type=type, image=image(data), **fields)


IMAGE_TO_IMAGE = {"image_to_image": {"image": image()}}
INPAINTING = {"inpainting": {"image": image(), "mask": image(a_mask()), "mask_blur": 0}}
EXTRACTION = {"pose_extraction": {"image": image()}}


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@asynccontextmanager
async def a_provider(environment, clock=monotonic, **changes):
    provider = create({**environment, **changes}, lambda _: None, clock=clock)
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(sandbox):
    async with a_provider(sandbox.environment) as running:
        await running.refresh()
        yield running


def an_order(provider, name="", prompt="a fox", count=1, **fields):
    model = provider.catalogue.find(name)
    request = generation_pb2.GenerateRequest(prompt=prompt, **{"steps": 10, "seed": 7, **fields})
    fitted = fit(request, model, drawn_seed=1)
    return Order(
        model,
        prompt,
        fitted.parameters,
        Deadline.after(20),
        count=count,
        inputs=to_inputs(request, fitted.inputs),
        options=fitted.options,
        asked=asked_fields(request),
        adjustments=list(fitted.adjustments),
    )


async def generate(provider, order):
    async with asyncio.timeout(20):
        return await provider.generate(order)


async def the_failure(provider, order):
    with pytest.raises(Failure) as caught:
        await generate(provider, order)
    return caught.value


def submissions(sandbox):
    return [each for each in sandbox.requests() if each["path"].endswith(MAKING)]


def opened(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def same(one, other, box=None):
    return ImageChops.difference(opened(one).crop(box), opened(other).crop(box)).getbbox() is None


async def until(condition):
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# ── Every task ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/sdapi/v1/txt2img"),
        (IMAGE_TO_IMAGE, "/sdapi/v1/img2img"),
        (INPAINTING, "/sdapi/v1/img2img"),
        ({"controls": [a_control()]}, "/sdapi/v1/txt2img"),
        ({**IMAGE_TO_IMAGE, "controls": [a_control()]}, "/sdapi/v1/img2img"),
        ({"loras": [{"name": "pixel-art-v2"}]}, "/sdapi/v1/txt2img"),
        (EXTRACTION, "/controlnet/detect"),
    ],
    ids=["text", "image", "inpainting", "pose", "photo and pose", "LoRA", "extraction"],
)
async def test_every_task_asks_once_for_an_image_type(sandbox, provider, fields, path):
    """U3, P3, R4: each task is one call that asks for an image type, and delivers a picture."""
    order = an_order(provider, **fields)
    delivery = await generate(provider, order)
    (submission,) = submissions(sandbox)
    assert (submission["path"], submission["headers"]["accept"]) == (f"/automatic1111{path}", "image/png")
    assert images.inspect(delivery.pictures[0].data).format == "PNG"
    assert delivery.sandbox
    assert (order.dispatch, len(sandbox.billing())) == (Dispatch.ACCEPTED, 1)


async def test_a_picture_from_a_picture(sandbox, provider):
    """U3, P3, R2: as large as the one to begin with, more of which stays the less may change; each with its seed."""
    for strength, is_same in ((0.0, True), (1.0, False)):
        order = an_order(provider, image_to_image={"image": image(), "strength": strength}, count=2)
        pictures = (await generate(provider, order)).pictures
        assert [each.seed for each in pictures] == [7, 8]
        assert opened(pictures[0].data).size == (320, 256)
        assert same(pictures[0].data, PHOTO) is is_same


async def test_white_is_repainted_and_black_stays(provider):
    """U3, P3: pixel by pixel, in the place where it was."""
    (made,) = (await generate(provider, an_order(provider, **INPAINTING))).pictures
    assert same(made.data, PHOTO, (160, 0, 320, 256))
    assert not same(made.data, PHOTO, (0, 0, 160, 256))


async def test_a_pose_is_kept_to(sandbox, provider):
    """U3, P3: the control changes the picture, by the model that fits the checkpoint; its map is no picture of ours."""
    plain = await generate(provider, an_order(provider, width=256, height=256, count=2))
    for name, model in (("", "control_v11p_sd15_openpose [cab727d4]"), (SDXL, "thibaud_xl_openpose [c7b9cadd]")):
        order = an_order(provider, name, width=256, height=256, count=2, controls=[a_control()])
        made = await generate(provider, order)
        (unit,) = submissions(sandbox)[-1]["body"]["alwayson_scripts"]["controlnet"]["args"]
        assert (unit["model"], unit["module"], b64decode(unit["image"])) == (model, "none", POSE)
        assert len(made.pictures) == 2
        assert not same(made.pictures[0].data, plain.pictures[0].data)
        assert order.warnings == []


async def test_a_photo_together_with_a_pose(sandbox, provider):
    """P3: both reach the webui in one request, and both are seen in the picture."""
    request = {**IMAGE_TO_IMAGE, "controls": [a_control(CANNY, preprocess=True, conditioning_scale=0.5)]}
    both = await generate(provider, an_order(provider, **request))
    photo = await generate(provider, an_order(provider, **IMAGE_TO_IMAGE))
    (unit,) = submissions(sandbox)[0]["body"]["alwayson_scripts"]["controlnet"]["args"]
    assert (unit["module"], unit["weight"]) == ("canny", 0.5)
    assert not same(both.pictures[0].data, photo.pictures[0].data)


def with_maps(told):
    """The answer of a webui whose ControlNet shows what it has found, behind the pictures."""
    if not told.path.endswith(MAKING):
        return told
    body = json.loads(told.body)
    return replace(told, body=json.dumps(body | {"images": [*body["images"], *body["images"]]}).encode())


async def test_detected_maps_are_never_taken_for_pictures(sandbox):
    """U3: where an extension appends its maps all the same, only what was ordered is delivered."""
    async with (
        rewriting(sandbox.url, with_maps) as front,
        a_provider({"SD_API_URL": f"{front.url}/automatic1111"}) as provider,
    ):
        await provider.refresh()
        order = an_order(provider, controls=[a_control()], count=2, width=256, height=256)
        assert [each.seed for each in (await generate(provider, order)).pictures] == [7, 8]


async def test_a_pose_from_a_photo(sandbox, provider):
    """U3, P3, R2: drawn as large as the photo and without a seed, with hands and face as asked."""
    drawings = set()
    for hands, face in ((True, True), (True, False), (False, True), (False, False)):
        asked = {"image": image(), "detect_hands": hands, "detect_face": face}
        (found,) = (await generate(provider, an_order(provider, pose_extraction=asked))).pictures
        assert opened(found.data).size == (320, 256)
        assert found.seed is None
        drawings.add(found.data)
    assert len(drawings) == 4
    assert {each["body"]["controlnet_module"] for each in submissions(sandbox)} == {
        "openpose_full", "openpose_hand", "openpose_face", "openpose",
    }  # fmt: skip


async def test_a_pose_that_was_found_is_a_pose_to_keep_to(provider):
    """P3: what extraction delivers goes into the next request as it is."""
    (found,) = (await generate(provider, an_order(provider, **EXTRACTION))).pictures
    order = an_order(provider, controls=[a_control(data=found.data)])
    assert (await generate(provider, order)).pictures


async def test_a_lora_is_loaded(sandbox, provider):
    """U3: by a tag of ours behind the caller's words, by name or alias, with its weight."""
    order = an_order(
        provider, prompt="poster #1", loras=[{"name": "pixel-art", "weight": -0.5}, {"name": "line_drawing"}]
    )
    await generate(provider, order)
    (entry,) = sandbox.billing()
    assert entry["instructions"] == ("lora:pixel-art-v2:-0.5", "lora:line_drawing:1")
    assert submissions(sandbox)[0]["body"]["prompt"].startswith("poster #1\n")


async def test_an_unknown_lora_is_refused_with_the_three_nearest(sandbox, provider):
    """U3, R1: the webui would leave it out without a word: nothing is sent."""
    failure = await the_failure(provider, an_order(provider, loras=[{"name": "line-drawing"}]))
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert failure.remedy == "one of line_drawing, pixel-art-v2, more details"
    assert not submissions(sandbox)


async def test_a_new_lora_is_found_within_half_a_minute(sandbox):
    """U3: what is installed is asked for again, when it is needed."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        sandbox.faults([{**EVERYTHING, "path": "*/loras", "fault": "json_200", "body": []}])
        await provider.refresh()
        assert provider.catalogue.find("").max_loras == 0
        sandbox.faults([])
        order = an_order(provider, loras=[{"name": "line_drawing"}])
        assert (await the_failure(provider, order)).reason is Reason.UNSUPPORTED
        now[0] = 31.0
        assert (await generate(provider, order)).pictures
        assert provider.catalogue.find("").max_loras == 8


# ── What is there ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_catalogue_tells_what_is_installed(sandbox, provider):
    """U3, P1, P3: controls by the models that fit each checkpoint, as many at once as ControlNet is set to."""
    local, sd15, sdxl = provider.catalogue.models
    assert set(local.tasks) == set(sd15.tasks) == CORE | CONTROLLED
    assert set(sdxl.tasks) == CORE | {"control_openpose", "pose_extraction"}
    assert (local.max_controls, local.max_loras, local.max_identity) == (3, 8, 0)


async def test_a_webui_without_controlnet():
    """U3, P3: it offers neither controls nor poses; a model that had them before refuses, and nothing is sent."""
    async with serving(webui_controlnet=False) as sandbox, a_provider(sandbox.environment) as provider:
        await provider.refresh()
        assert set(provider.catalogue.find("").tasks) == CORE
        assert provider.catalogue.find("").max_controls == 0
        for fields in ({"controls": [a_control()]}, EXTRACTION):
            failure = await the_failure(provider, an_order(provider, **fields))
            assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
        assert not submissions(sandbox)
        assert (await generate(provider, an_order(provider, **IMAGE_TO_IMAGE))).pictures


@pytest.mark.parametrize(
    "fault", [{"fault": "status", "code": 500}, {"fault": "html"}, {"fault": "hang"}], ids=lambda each: each["fault"]
)
async def test_an_extension_that_does_not_tell_is_as_it_was(sandbox, fault):
    """U3: checkpoints are told all the same, within two seconds; what is known of the extension stays."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        sandbox.faults([{**EVERYTHING, "path": "/controlnet/*", **fault}])
        async with asyncio.timeout(5):
            await provider.refresh()
        assert len(provider.catalogue.models) == 3
        assert set(provider.catalogue.find("").tasks) == CORE
        sandbox.faults([])
        now[0] = 31.0
        await provider.refresh()
        known = provider.catalogue.models
        sandbox.faults([{**EVERYTHING, "path": "/controlnet/*", **fault}])
        now[0] = 62.0
        async with asyncio.timeout(5):
            await provider.refresh()
        assert provider.catalogue.models == known


async def test_an_extension_that_was_taken_away(sandbox, provider):
    """U3, R5: what answers 404 at its own path is gone; the API is not off, and the provider not to be left alone."""
    order = an_order(provider, **EXTRACTION)
    sandbox.faults([{**EVERYTHING, "path": "/controlnet/detect", **NOT_FOUND}])
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.REFUSED)
    assert "ControlNet" in failure.message


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fields", [IMAGE_TO_IMAGE, INPAINTING, EXTRACTION], ids=["image", "inpainting", "extraction"])
@pytest.mark.parametrize(
    ("fault", "reason", "dispatch"),
    [
        ({"fault": "status", "code": 422}, Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED),
        ({"fault": "status", "code": 500}, Reason.UPSTREAM_ERROR, Dispatch.REFUSED),
        ({"fault": "html", "code": 502}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "html"}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "json_200", "body": {"info": "Success"}}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "reset"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "reset_mid_body"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
    ],
    ids=lambda value: f"{value['fault']} {value.get('code', '')}" if isinstance(value, dict) else None,
)
async def test_every_fault_is_reported_once(sandbox, provider, fields, fault, reason, dispatch):
    """R5, R10: of every task: one submission, one reason, how far it got; nothing is tried again."""
    order = an_order(provider, **fields)
    sandbox.faults([{**EVERYTHING, "method": "POST", **fault}])
    failure = await the_failure(provider, order)
    assert failure.reason is reason
    assert dispatch in (failure.dispatch, order.dispatch)
    assert len(submissions(sandbox)) == 1


async def test_progress_and_leaving_are_the_same_for_a_picture_from_a_picture():
    """R8, R9, U3: where the webui is ours its steps and previews are told, and leaving interrupts it."""
    async with (
        serving(pace=Pace(automatic1111_step=0.1)) as sandbox,
        a_provider(sandbox.environment, SD_EXCLUSIVE="true") as provider,
    ):
        told = []
        order = an_order(provider, image_to_image={"image": image(), "strength": 1.0}, steps=50)
        order.watch = told.append
        task = asyncio.create_task(provider.generate(order))
        await until(lambda: any(each.HasField("preview") for each in told))
        assert {each.steps for each in told if each.HasField("steps")} == {50}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [bill["state"] for bill in sandbox.billing()] == ["cancelled"]
