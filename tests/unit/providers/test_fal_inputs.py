"""What an order brings along besides words, in fal's fields: whole payloads, and what is refused or changed."""

import io
import json
import zipfile

import pytest

from imagegate.providers.fal import errors, inputs_wire, wire
from imagegate.providers.fal.dialects import path_of
from imagegate.providers.fal.provider import create
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.order import Order
from imagegate.runtime.tasks import inability
from imagegate.sandbox.fal_inputs import read_input
from imagegate.testing import picture
from imagegate.v1 import generation_pb2
from imagegate.v1.generation_pb2 import (
    CONTROL_TYPE_CANNY,
    CONTROL_TYPE_DEPTH,
    CONTROL_TYPE_OPENPOSE,
    Control,
    Identity,
    ImageToImage,
    Inpainting,
    InputImage,
    Lora,
    PoseExtraction,
)

CATALOGUE = create({"FAL_KEY": "id:secret"}, lambda _: None).catalogue
PHOTO = InputImage(data=picture(320, 240, "JPEG"))
MASK = InputImage(data=picture(320, 240))
POSE = InputImage(data=picture(64, 96))
BEGIN = ImageToImage(image=PHOTO)
PAINT = Inpainting(image=PHOTO, mask=MASK)
KEEP = generation_pb2.ON_UNSUPPORTED_REFUSE


def order_of(key, prompt="a fox", **fields):
    model = CATALOGUE.find(key)
    request = generation_pb2.GenerateRequest(prompt=prompt, seed=7, **fields)
    assert inability(request, model) == ""
    fitted = fit(request, model, drawn_seed=1)
    return Order(
        model=model,
        prompt=prompt,
        parameters=fitted.parameters,
        options=fitted.options,
        inputs=to_inputs(request, fitted.inputs),
        deadline=Deadline.after(20),
        asked=asked_fields(request),
        kept=None if request.on_unsupported == KEEP else frozenset(request.must_keep),
        adjustments=list(fitted.adjustments),
    )


def said(order):
    """The app that is asked, and its input, which a strict one takes; addresses are the files' names."""
    inputs_wire.fit(order)
    files = inputs_wire.files_of(order)
    payload = wire.to_payload(order, 0, {field: file.name for field, file in files.items()})
    read_input(path_of(order), payload)
    assert json.loads(json.dumps(payload)) == payload
    return path_of(order), payload


def told(order):
    return [(each.parameter, each.requested, each.applied) for each in order.adjustments]


WORDS = {"prompt": "a fox", "num_images": 1, "seed": 7}
FLUX = {**WORDS, "output_format": "png", "num_inference_steps": 28, "guidance_scale": 3.5}
UNION = {**WORDS, "format": "png", "num_inference_steps": 35, "guidance_scale": 7.5}
WIDE, SQUARE = {"width": 336, "height": 256}, {"width": 1024, "height": 1024}

SAID = {
    "image to image": (
        "flux-dev",
        {"image_to_image": BEGIN},
        "fal-ai/flux/dev/image-to-image",
        {**FLUX, "image_url": "image.jpg", "strength": 0.95},
    ),
    "image to image, of a strength": (
        "flux-dev",
        {"image_to_image": ImageToImage(image=PHOTO, strength=0.3), "steps": 12},
        "fal-ai/flux/dev/image-to-image",
        {**FLUX, "image_url": "image.jpg", "strength": 0.3, "num_inference_steps": 12},
    ),
    "inpainting": (
        "flux-lora",
        {"inpainting": PAINT},
        "fal-ai/flux-lora/inpainting",
        {**FLUX, "image_url": "image.jpg", "mask_url": "mask.png", "strength": 0.85, "image_size": WIDE},
    ),
    "a LoRA": (
        "flux-lora",
        {"loras": [Lora(name="owner/name"), Lora(name="owner/name/a/b.safetensors", weight=0.5)]},
        "fal-ai/flux-lora",
        {
            **FLUX,
            "image_size": SQUARE,
            "loras": [
                {"path": "owner/name", "scale": 1.0},
                {"path": "https://huggingface.co/owner/name/resolve/main/a/b.safetensors", "scale": 0.5},
            ],
        },
    ),
    "a LoRA upon a photo": (
        "flux-lora",
        {"loras": [Lora(name="owner/name")], "image_to_image": BEGIN},
        "fal-ai/flux-lora/image-to-image",
        {
            **FLUX,
            "image_size": WIDE,
            "image_url": "image.jpg",
            "strength": 0.85,
            "loras": [{"path": "owner/name", "scale": 1.0}],
        },
    ),
    "a pose": (
        "sdxl-controlnet-union",
        {"controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=POSE)]},
        "fal-ai/sdxl-controlnet-union",
        {
            **UNION,
            "image_size": SQUARE,
            "openpose_image_url": "openpose.png",
            "openpose_preprocess": False,
            "controlnet_conditioning_scale": 1.0,
        },
    ),
    "a photo to find outlines and depth in": (
        "sdxl-controlnet-union",
        {
            "controls": [
                Control(type=CONTROL_TYPE_CANNY, image=PHOTO, preprocess=True, conditioning_scale=0.5),
                Control(type=CONTROL_TYPE_DEPTH, image=PHOTO, preprocess=True, conditioning_scale=0.5),
            ],
            "negative_prompt": "rain",
        },
        "fal-ai/sdxl-controlnet-union",
        {
            **UNION,
            "negative_prompt": "rain",
            "image_size": SQUARE,
            "canny_image_url": "canny.jpg",
            "canny_preprocess": True,
            "depth_image_url": "depth.jpg",
            "depth_preprocess": True,
            "controlnet_conditioning_scale": 0.5,
        },
    ),
    "a photo with a pose": (
        "sdxl-controlnet-union",
        {"image_to_image": BEGIN, "controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=POSE)]},
        "fal-ai/sdxl-controlnet-union/image-to-image",
        {
            **UNION,
            "image_size": {"width": 344, "height": 256},
            "image_url": "image.jpg",
            "strength": 0.95,
            "openpose_image_url": "openpose.png",
            "openpose_preprocess": False,
            "controlnet_conditioning_scale": 1.0,
        },
    ),
    "inpainting with a pose": (
        "sdxl-controlnet-union",
        {"inpainting": PAINT, "controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=POSE)], "width": 512},
        "fal-ai/sdxl-controlnet-union/inpainting",
        {
            **UNION,
            "image_size": {"width": 512, "height": 1024},
            "image_url": "image.jpg",
            "mask_url": "mask.png",
            "strength": 0.95,
            "openpose_image_url": "openpose.png",
            "openpose_preprocess": False,
            "controlnet_conditioning_scale": 1.0,
        },
    ),
    "a person": (
        "photomaker",
        {"identity": [Identity(image=PHOTO), Identity(image=POSE)], "prompt": "a Man in armour"},
        "fal-ai/photomaker",
        {
            "prompt": "a Man img in armour",
            "num_images": 1,
            "style": "(No style)",
            "num_inference_steps": 50,
            "guidance_scale": 5.0,
            "seed": 7,
            "image_archive_url": "person.zip",
        },
    ),
    "the pose of a photo": (
        "dwpose",
        {"pose_extraction": PoseExtraction(image=PHOTO), "prompt": ""},
        "fal-ai/dwpose",
        {"image_url": "image.jpg", "draw_mode": "full-pose"},
    ),
    "the pose of a photo, without hands and face": (
        "dwpose",
        {"pose_extraction": PoseExtraction(image=PHOTO, detect_hands=False, detect_face=False)},
        "fal-ai/dwpose",
        {"image_url": "image.jpg", "draw_mode": "body-pose"},
    ),
}


@pytest.mark.parametrize(("key", "fields", "app", "payload"), SAID.values(), ids=SAID)
def test_what_each_task_is_sent(key, fields, app, payload):
    """U2, P3, R1, R2: each task by its own app, in fal's fields, with its model's defaults, and nothing else."""
    asked, sent = said(order_of(key, **fields))
    assert asked == app
    assert sent == payload


def test_a_size_that_is_not_taken_is_not_sent():
    """R1: an app that keeps the first picture's size is sent none; whoever asked for another is told, or refused."""
    order = order_of("flux-dev", image_to_image=BEGIN)
    assert "image_size" not in said(order)[1]
    assert told(order) == []
    assert {"width", "height"}.isdisjoint(order.parameters)  # what comes is not another size than was asked for
    assert order.fitted["width"] >= 256  # and still it has its price
    order = order_of("flux-dev", image_to_image=BEGIN, width=512, height=512)
    assert "image_size" not in said(order)[1]
    assert told(order) == [("width", "512", ""), ("height", "512", "")]
    with pytest.raises(Failure) as refused:
        inputs_wire.fit(order_of("flux-dev", image_to_image=BEGIN, width=512, height=512, must_keep=["height"]))
    assert (refused.value.reason, refused.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)


def test_a_picture_that_costs_more_than_was_told_is_not_sent():
    """P7, P8: an app that keeps a picture's size is not asked for a larger one than the price was told for."""
    large = ImageToImage(image=InputImage(data=picture(2304, 1024)))  # 3 megapixels have begun
    inputs_wire.fit(order_of("flux-dev", image_to_image=ImageToImage(image=InputImage(data=picture(2048, 1024)))))
    for asked in ({"width": 512, "height": 512}, {}):
        with pytest.raises(Failure, match="2304x1024, which costs more") as caught:
            inputs_wire.fit(order_of("flux-dev", image_to_image=large, **asked))
        assert (caught.value.reason, caught.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)


def test_the_size_that_it_has_is_no_change():
    """R1: whoever asks for the size that the first picture has gets what was asked for, though none is sent."""
    begin = ImageToImage(image=InputImage(data=picture(320, 256)))
    order = order_of("flux-dev", image_to_image=begin, width=320, height=256, on_unsupported=KEEP)
    assert "image_size" not in said(order)[1]
    assert told(order) == []
    assert (order.parameters["width"], order.parameters["height"]) == (320, 256)


def test_too_few_steps_for_a_picture():
    """R1: from a picture flux-dev takes ten steps or more, from words one: told where it changes anything."""
    order = order_of("flux-dev", image_to_image=BEGIN, steps=4)
    assert said(order)[1]["num_inference_steps"] == 10
    assert told(order) == [("steps", "4", "10")]
    assert said(order_of("flux-dev", steps=4))[1]["num_inference_steps"] == 4


@pytest.mark.parametrize(
    "name",
    [
        "https://evil.example/lora.safetensors",
        "http://169.254.169.254/x",
        "file:///etc/passwd",
        "owner",
        "owner/name/",
        "owner/../name",
        "owner/name/../../x.safetensors",
        "owner/name/weights.bin",
        "owner/name/x.safetensors?y",
        "data:,x",
        "/data/loras/x",
        "owner/na me",
    ],
)
def test_a_lora_is_named_by_the_hub(name):
    """R14: fal is never sent to an address that a caller gave; what is no name on the Hub is refused in plain words."""
    with pytest.raises(Failure) as refused:
        inputs_wire.fit(order_of("flux-lora", loras=[Lora(name=name)]))
    assert (refused.value.reason, refused.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert "owner/name/file.safetensors" in refused.value.message


def controls(*scales):
    kinds = (CONTROL_TYPE_OPENPOSE, CONTROL_TYPE_CANNY, CONTROL_TYPE_DEPTH)
    return [
        Control(type=kind, image=POSE, conditioning_scale=scale) for kind, scale in zip(kinds, scales, strict=False)
    ]


def test_one_scale_for_all_controls():
    """R1: the app has one scale, the first one's; another one is told, or refused."""
    order = order_of("sdxl-controlnet-union", controls=controls(0.5, 0.25, 0.5))
    assert said(order)[1]["controlnet_conditioning_scale"] == 0.5
    assert told(order) == [("controls[1].conditioning_scale", "0.25", "0.5")]
    with pytest.raises(Failure) as refused:
        inputs_wire.fit(order_of("sdxl-controlnet-union", controls=controls(0.5, 0.25), must_keep=["controls"]))
    assert refused.value.reason is Reason.UNSUPPORTED


def test_a_scale_that_is_out_of_fals_range():
    """P4: a scale of 0 to 2 is asked for; fal takes 0 to 1, and what is changed is told."""
    order = order_of("sdxl-controlnet-union", controls=controls(1.5))
    assert said(order)[1]["controlnet_conditioning_scale"] == 1
    assert told(order) == [("controls[0].conditioning_scale", "1.5", "1")]


def test_two_controls_of_one_kind():
    """P3: the app has one place for each kind, so a second one is refused, not forgotten."""
    with pytest.raises(Failure) as refused:
        inputs_wire.fit(order_of("sdxl-controlnet-union", controls=[*controls(0.5), *controls(0.5)]))
    assert refused.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("a woman reading", "a woman img reading"),
        ("portrait of a man img, smiling", "portrait of a man img, smiling"),
        ("Porträt im Regen", "a person img, Porträt im Regen"),
        ("a mango tree", "a person img, a mango tree"),
    ],
)
def test_the_person_is_named(prompt, sent):
    """P3: PhotoMaker needs the word img in its prompt, which callers need not know; that it was added is told."""
    order = order_of("photomaker", prompt, identity=[Identity(image=PHOTO)])
    assert said(order)[1]["prompt"] == sent
    assert [name for name, *_ in told(order)] == ([] if prompt == sent else ["prompt"])
    order = order_of("photomaker", prompt, identity=[Identity(image=PHOTO)], on_unsupported=KEEP)
    if prompt != sent:
        with pytest.raises(Failure, match="a man img"):
            inputs_wire.fit(order)


def test_a_person_is_one_archive():
    """P3: up to four photos go along in a zip, whole and in order; the same ones make the same bytes."""
    photos = [picture(64, 64, seed=n) for n in range(4)]
    order = order_of("photomaker", identity=[Identity(image=InputImage(data=data)) for data in photos])
    (archive,) = inputs_wire.files_of(order).values()
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert opened.namelist() == ["1.png", "2.png", "3.png", "4.png"]
        assert [opened.read(name) for name in opened.namelist()] == photos
    assert inputs_wire.files_of(order) == {"image_archive_url": archive}


@pytest.mark.parametrize(("hands", "face", "left_out"), [(True, False, "face"), (False, True, "hands")])
def test_hands_and_face_go_together(hands, face, left_out):
    """R1: fal draws both or neither; what is drawn unasked is told, or refused."""
    extraction = PoseExtraction(image=PHOTO, detect_hands=hands, detect_face=face)
    order = order_of("dwpose", pose_extraction=extraction)
    assert said(order)[1]["draw_mode"] == "full-pose"
    assert told(order)[-1] == (f"pose_extraction.detect_{left_out}", "false", "true")
    with pytest.raises(Failure, match="or neither"):
        inputs_wire.fit(order_of("dwpose", pose_extraction=extraction, on_unsupported=KEEP))


def test_a_pose_comes_alone():
    """U2: dwpose answers one picture, not a list, and no seed."""
    body = {"image": {"url": "https://v3.fal.media/x.png"}}
    output = wire.to_output(answer(200, body), wire.Status("completed"), None)
    assert (output.url, output.seed, output.filtered) == ("https://v3.fal.media/x.png", None, False)


# ── Storage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(status, body):
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body", "is_ours", "reason"),
    [
        (401, {"detail": "No user found for Key ID and Secret"}, True, Reason.CREDENTIALS_REJECTED),
        (403, {"detail": "User is locked. Reason: Exhausted balance."}, True, Reason.OUT_OF_CREDIT),
        (401, {"detail": "Invalid token"}, False, Reason.UPSTREAM_ERROR),
        (404, {"detail": "Not Found"}, True, Reason.UPSTREAM_ERROR),
        (413, b"<html>too large</html>", False, Reason.UPSTREAM_REJECTED_INPUT),
        (429, {"detail": "slow down"}, False, Reason.RATE_LIMITED),
        (503, {"detail": "busy"}, True, Reason.OVERLOADED),
        (502, b"<html>nginx</html>", False, Reason.UPSTREAM_ERROR),
    ],
)
def test_a_refused_file_means_that_nothing_was_asked_for(status, body, is_ours, reason):
    """R5, R10: whatever is wrong with an upload, nothing was submitted; a refused token is not a refused key."""
    failure = errors.to_upload_error(answer(status, body), is_ours=is_ours)
    assert (failure.reason, failure.dispatch, failure.billed, failure.phase) == (
        reason,
        Dispatch.NOT_SENT,
        False,
        "upload",
    )
    assert failure.upstream_status == status


@pytest.mark.parametrize("body", [b"", b"[]", {}, {"token": "t"}, {"token": "t\n", "token_type": "Bearer"}])
def test_a_token_that_is_none(body):
    """R14: an answer without a token is an error of fal's, of which nothing is quoted: it may hold one."""
    with pytest.raises(Failure) as caught:
        wire.to_token(answer(200, body))
    assert (caught.value.reason, caught.value.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT)
    assert caught.value.upstream_message == ""


@pytest.mark.parametrize("body", [b"<html>", {}, {"access_url": 7}, {"access_url": "javascript:x"}])
def test_an_address_that_is_none(body):
    """A file that lies nowhere cannot be worked with."""
    with pytest.raises(Failure) as caught:
        wire.to_address(answer(200, body))
    assert (caught.value.reason, caught.value.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT)
