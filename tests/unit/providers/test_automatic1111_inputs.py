"""What the webui is sent besides words, and what it says that it has for it."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from multidict import CIMultiDict

from imagegate.providers.automatic1111 import extensions, installed, settling, wire
from imagegate.providers.automatic1111.extensions import ControlNet, Extensions, Loras
from imagegate.providers.automatic1111.installed import Checkpoint
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Order
from imagegate.runtime.tasks import FittedLora, inability
from imagegate.sandbox import webui_prompt
from imagegate.sandbox.webui_request import read_img2img
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

PACKAGED = load_catalogue("automatic1111", Path(wire.__file__).with_name("models.yaml"))
LOCAL = PACKAGED.find("")
SD15, SDXL = "v1-5-pruned-emaonly.safetensors [6ce0161689]", "sd_xl_base_1.0.safetensors [31e35c80fc]"
OPENPOSE, CANNY = generation_pb2.CONTROL_TYPE_OPENPOSE, generation_pb2.CONTROL_TYPE_CANNY
PHOTO, MASK, POSE = picture(320, 256), picture(320, 256, seed=1), picture(64, 64, seed=2)


def an_order(count=1, **fields) -> Order:
    request = generation_pb2.GenerateRequest(prompt="a fox", **fields)
    fitted = fit(request, LOCAL, 7)
    return Order(
        LOCAL,
        request.prompt,
        fitted.parameters,
        Deadline.after(20),
        count=count,
        inputs=to_inputs(request, fitted.inputs),
        asked=asked_fields(request),
        adjustments=list(fitted.adjustments),
    )


def image(data=PHOTO):
    return generation_pb2.InputImage(data=data)


def a_control(type=OPENPOSE, data=POSE, **fields):
    return generation_pb2.Control(type=type, image=image(data), **fields)


def answer(body) -> Answer:
    return Answer(200, CIMultiDict(), body if isinstance(body, bytes) else json.dumps(body).encode())


# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_to_begin_with():
    """U3, P3: img2img gets our own bytes, how much may change, and the picture's own size where none is asked for."""
    order = an_order(image_to_image={"image": image(), "strength": 0.4})
    payload = wire.to_payload(order)
    assert wire.path(order) == "/sdapi/v1/img2img"
    assert [b64decode(each) for each in payload["init_images"]] == [PHOTO]
    assert (payload["denoising_strength"], payload["resize_mode"]) == (0.4, 0)
    assert (payload["width"], payload["height"]) == (320, 256)
    assert payload.keys().isdisjoint({"mask", "mask_blur", "alwayson_scripts"})
    assert read_img2img(payload).denoising_strength == 0.4


@pytest.mark.parametrize(("asked", "sent"), [(None, 0.75), (0.0, 0.0), (1.0, 1.0)])
def test_strength_has_a_default_and_zero_is_a_value(asked, sent):
    """R2, P4: how much may change is 0.75 unless the caller says otherwise."""
    payload = wire.to_payload(an_order(image_to_image={"image": image(), "strength": asked}))
    assert payload["denoising_strength"] == sent


def test_a_masked_picture_keeps_its_place():
    """U3, P3: white is repainted from what is there, in its own place, and the edge fades as asked."""
    order = an_order(inpainting={"image": image(), "mask": image(MASK), "mask_blur": 9})
    payload = wire.to_payload(order)
    assert (b64decode(payload["init_images"][0]), b64decode(payload["mask"])) == (PHOTO, MASK)
    told = {"mask_blur": 9, "inpainting_fill": 1, "inpaint_full_res": False, "inpainting_mask_invert": 0}
    assert {name: payload[name] for name in told} == told
    assert wire.to_payload(an_order(inpainting={"image": image(), "mask": image(MASK)}))["mask_blur"] == 4


def test_words_alone_bring_nothing_of_a_picture_along():
    """R1, R2: what belongs to a picture is never sent without one."""
    order = an_order()
    assert wire.path(order) == "/sdapi/v1/txt2img"
    assert wire.to_payload(order).keys().isdisjoint({"init_images", "denoising_strength", "mask_blur", "resize_mode"})


def test_a_control_is_one_unit():
    """U3, P3, P4: ControlNet gets the picture as it is drawn, how closely and how long; its maps do not come back."""
    order = an_order(controls=[a_control(conditioning_scale=0.5, start=0.1, end=0.9), a_control(CANNY)])
    pose, edges = order.inputs.controls
    units = [wire.Unit(pose, "pose [1]"), wire.Unit(edges, "canny [2]", "canny")]
    payload = wire.to_payload(order, units=units)
    assert wire.path(order) == "/sdapi/v1/txt2img"
    assert payload["alwayson_scripts"] == {
        "controlnet": {
            "args": [
                {
                    "enabled": True,
                    "module": "none",
                    "model": "pose [1]",
                    "image": b64encode(POSE).decode(),
                    "weight": 0.5,
                    "guidance_start": 0.1,
                    "guidance_end": 0.9,
                    "pixel_perfect": True,
                    "save_detected_map": False,
                },
                {
                    "enabled": True,
                    "module": "canny",
                    "model": "canny [2]",
                    "image": b64encode(POSE).decode(),
                    "weight": 1.0,
                    "pixel_perfect": True,
                    "save_detected_map": False,
                },
            ]
        }
    }


def test_a_photo_together_with_a_pose():
    """P3: both go in one request."""
    order = an_order(image_to_image={"image": image()}, controls=[a_control()])
    payload = wire.to_payload(order, units=[wire.Unit(order.inputs.controls[0], "pose [1]")])
    assert wire.path(order) == "/sdapi/v1/img2img"
    (unit,) = payload["alwayson_scripts"]["controlnet"]["args"]
    assert (b64decode(payload["init_images"][0]), b64decode(unit["image"])) == (PHOTO, POSE)


@pytest.mark.parametrize(
    ("hands", "face", "detector"),
    [
        (None, None, "openpose_full"),
        (True, False, "openpose_hand"),
        (False, True, "openpose_face"),
        (False, False, "openpose"),
    ],
)
def test_a_pose_is_found_by_the_detector_that_looks_for_it(hands, face, detector):
    """U3, P3: hands and face as asked, at the photo's own size; nothing else is sent."""
    order = an_order(pose_extraction={"image": image(), "detect_hands": hands, "detect_face": face})
    found = settling.settled_detector(order, ControlNet(modules=frozenset(extensions.POSE_DETECTORS.values())))
    assert wire.to_detection(order, found) == {
        "controlnet_module": detector,
        "controlnet_input_images": [b64encode(PHOTO).decode()],
        "controlnet_processor_res": 256,
    }


def test_what_finding_a_pose_does_not_look_at_is_told():
    """R1: a size or a seed that was asked for is dropped and told; what nobody asked for is not."""
    order = an_order(pose_extraction={"image": image()}, width=512, seed=3)
    settling.settled_detector(order, ControlNet(modules=frozenset(extensions.POSE_DETECTORS.values())))
    assert order.parameters == {}
    told = {(each.parameter, each.requested, each.applied) for each in order.adjustments}
    assert told == {("width", "512", ""), ("seed", "3", "")}


def test_a_pose_is_found_in_a_photo_as_it_is():
    """R1: with controls or LoRAs, or without the extension, nothing is sent."""
    everything = ControlNet(modules=frozenset(extensions.POSE_DETECTORS.values()))
    for more, has in (
        ({"controls": [a_control()]}, everything),
        ({"loras": [{"name": "x"}]}, everything),
        ({}, ControlNet(modules=frozenset({"openpose"}))),
    ):
        with pytest.raises(Failure) as caught:
            settling.settled_detector(an_order(pose_extraction={"image": image()}, **more), has)
        assert (caught.value.reason, caught.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_detected_is_no_picture_of_ours():
    """U3: maps behind the pictures and a grid before them are left out, with controls as without."""
    images = [b64encode(each).decode() for each in (b"grid", b"one", b"two", b"map", b"map")]
    told = answer({"images": images, "info": json.dumps({"index_of_first_image": 1, "all_seeds": [5, 6]})})
    order = an_order(count=2, controls=[a_control(), a_control(CANNY)])
    assert [each.data for each in wire.to_pictures(told, order)] == [b"one", b"two"]


def test_a_pose_is_the_first_picture_and_has_no_seed():
    """U3, R2: what was found in a photo was not drawn by chance."""
    found = wire.to_pose(answer({"info": "Success", "images": [b64encode(b"pose").decode()], "poses": [{}]}))
    assert (found.data, found.seed) == (b"pose", None)


@pytest.mark.parametrize("body", [{}, [], {"images": []}, {"images": [3]}, {"images": ["data:,"]}, {"tensor": ["x"]}])
def test_a_success_without_a_pose_is_bad_output(body):
    """R5: nothing that is not base64 of a picture is taken for one."""
    with pytest.raises(Failure) as caught:
        wire.to_pose(answer(body))
    assert caught.value.reason is Reason.BAD_OUTPUT


def test_an_extension_that_is_gone_is_no_api_that_is_off():
    """U3, R5: 404 where a pose is looked for says that ControlNet is missing; anywhere else, that the API is off."""
    gone = Answer(404, CIMultiDict(), b'{"detail": "Not Found"}')
    assert wire.to_error(gone, wire.DETECT).reason is Reason.UNSUPPORTED
    assert wire.to_error(gone, wire.IMG2IMG).reason is Reason.UNREACHABLE


# ── LoRAs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_lora(name, alias=None, **metadata):
    return {"name": name, "alias": alias, "path": f"/models/{name}", "metadata": metadata}


def test_loras_stand_on_a_line_of_their_own():
    """U3: behind the caller's words, where no comment of theirs hides them, with the weight that was asked for."""
    asked = [FittedLora("pixel-art-v2", 0.8), FittedLora("line_drawing", -1.0), FittedLora("more details")]
    prompt = wire.to_payload(an_order(), loras=asked)["prompt"]
    assert prompt == "a fox\n<lora:pixel-art-v2:0.8> <lora:line_drawing:-1> <lora:more details:1>"
    assert webui_prompt.read(f"a poster # 1{prompt}").loras == webui_prompt.read(prompt).loras
    assert len(webui_prompt.read(prompt).loras) == 3


def test_only_loras_that_it_has_are_named():
    """U3, R1: by exact name or alias; what it does not have is refused with the three nearest, and nothing is sent."""
    known = extensions.to_loras(answer([a_lora("pixel-art-v2", "pixel-art"), a_lora("line"), a_lora("linear", "x")]))
    order = an_order(loras=[{"name": "pixel-art"}, {"name": "line", "weight": 0.5}])
    assert settling.settled_loras(order, known) == [FittedLora("pixel-art-v2", 1.0), FittedLora("line", 0.5)]
    assert [(each.parameter, each.applied) for each in order.adjustments] == [("loras[0].name", "pixel-art-v2")]
    with pytest.raises(Failure) as caught:
        settling.settled_loras(an_order(loras=[{"name": "Line\x1b"}]), known)
    assert (caught.value.reason, caught.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert caught.value.remedy.startswith("one of line, linear, ")
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("name", ["a<b", "a>b", "a:1", "a=b", "a#b", "a\nb", "", "x" * 300, "x\u0000"])
def test_a_name_that_would_say_something_else_in_a_tag_is_none(name):
    """U3: whatever files are called, a tag of ours says what we mean; nobody can order them by such a name."""
    assert extensions.to_loras(answer([a_lora(name), a_lora("good", name)])).names == ("good",)


def test_two_of_one_alias_have_none():
    """U3: the webui itself takes such an alias for neither."""
    known = extensions.to_loras(answer([a_lora("a", "same"), a_lora("b", "same"), a_lora("same-name", "a")]))
    assert (known.find("same"), known.find("a"), known.find("b")) == (None, "a", "b")


def test_what_they_were_trained_on_is_not_read():
    """U3: a hundred LoRAs with thousands of words each are as many LoRAs; nonsense in the place of a list is none."""
    words = {"ss_tag_frequency": {"folder": {f'tag "{n}"': n for n in range(3000)}, "title": "no"}}
    many = answer([a_lora(f"lora {n} ß", None, **words) for n in range(100)])
    assert extensions.to_loras(many).names == tuple(f"lora {n} ß" for n in range(100))
    for nonsense in (b"", b"[]", b"<html>", b'[{"name": "' + b"x" * 100_000, b'{"name":1,"alias":2,"path":3}'):
        assert extensions.to_loras(answer(nonsense)) == Loras()


def test_nobody_knows_which_loras_there_are():
    """R5: where the webui does not tell, nothing is sent, and the caller is not to blame."""
    with pytest.raises(Failure) as caught:
        settling.settled_loras(an_order(loras=[{"name": "x"}]), None)
    assert (caught.value.reason, caught.value.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT)


# ── ControlNet ───────────────────────────────────────────────────────────────────────────────────────────────────────

MODELS = (
    "control_sd15_animal_openpose_fp16 [11a8f86f]",
    "control_v11f1e_sd15_tile [a371b31b]",
    "control_v11f1p_sd15_depth [cfd03158]",
    "control_v11p_sd15_openpose [cab727d4]",
    "diffusers_xl_canny_full [2b69fca4]",
    "thibaud_xl_openpose [c7b9cadd]",
    "somebodys_depth [00000000]",
)
MODULES = frozenset({"none", "canny", "depth_midas", "openpose_full", "openpose_hand", "openpose_face", "openpose"})


@pytest.mark.parametrize(
    ("kind", "checkpoint", "model"),
    [
        ("openpose", SD15, "control_v11p_sd15_openpose [cab727d4]"),
        ("openpose", SDXL, "thibaud_xl_openpose [c7b9cadd]"),
        ("openpose", "juggernautXL_v9.safetensors", "thibaud_xl_openpose [c7b9cadd]"),
        ("openpose", "dreamshaper_8.safetensors", "control_v11p_sd15_openpose [cab727d4]"),
        ("openpose", "flux1-dev.safetensors", None),
        ("canny", SD15, None),
        ("canny", SDXL, "diffusers_xl_canny_full [2b69fca4]"),
        ("depth", SD15, "control_v11f1p_sd15_depth [cfd03158]"),
        ("depth", SDXL, "somebodys_depth [00000000]"),
        ("blur", SD15, "control_v11f1e_sd15_tile [a371b31b]"),
        ("blur", SDXL, None),
    ],
)
def test_a_model_that_fits_the_checkpoint(kind, checkpoint, model):
    """U3, P3: one of the checkpoint's own family, else one whose family its name does not tell; never another's."""
    assert ControlNet(MODELS, MODULES, 3).model(kind, checkpoint) == model


def test_what_cannot_be_told_by_a_name_is_warned_of():
    """R1: the webui leaves out a control that does not fit without a word, so the caller hears that it might."""
    has = ControlNet(MODELS, MODULES, 3)
    for checkpoint, warnings in ((SD15, 0), ("dreamshaper_8", 1)):
        order = an_order(controls=[a_control()])
        settling.settled_controls(order, has, checkpoint)
        assert len(order.warnings) == warnings


def test_a_photo_needs_somebody_who_finds_what_it_shows():
    """U3: a preprocessor only where the caller brings a photo; where it is not installed nothing is sent."""
    has = ControlNet(MODELS, frozenset({"openpose"}), 3)
    (drawn,) = settling.settled_controls(an_order(controls=[a_control()]), has, SD15)
    (photo,) = settling.settled_controls(an_order(controls=[a_control(preprocess=True)]), has, SD15)
    assert (drawn.module, photo.module) == ("none", "openpose")
    for control, checkpoint in (
        (a_control(generation_pb2.CONTROL_TYPE_DEPTH, preprocess=True), SD15),
        (a_control(), "flux"),
    ):
        with pytest.raises(Failure) as caught:
            settling.settled_controls(an_order(controls=[control]), has, checkpoint)
        assert (caught.value.reason, caught.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)


@pytest.mark.parametrize(
    ("models", "modules", "settings", "found"),
    [
        ([], [], [], ControlNet((), frozenset(), 1)),
        ({"model_list": ["a", 3, "", "x" * 999]}, {"module_list": ["none"]}, {"control_net_unit_count": 3},
         ControlNet(("a",), frozenset({"none"}), 3)),
        ({"model_list": "a"}, {"module_list": None}, {"control_net_unit_count": True}, ControlNet((), frozenset(), 1)),
        ({}, {}, {"control_net_unit_count": -1}, ControlNet((), frozenset(), 0)),
        ({}, {}, {"control_net_unit_count": 10**30}, ControlNet((), frozenset(), extensions.MAX_UNITS)),
    ],
)  # fmt: skip
def test_whatever_is_listed_is_bounded(models, modules, settings, found):
    """U3: a webui may list anything; what is no name is left out."""
    assert extensions.to_controlnet(answer(models), answer(modules), answer(settings)) == found


# ── The catalogue ────────────────────────────────────────────────────────────────────────────────────────────────────

CORE = ("text_to_image", "image_to_image", "inpainting")


def test_the_catalogue_tells_what_is_there():
    """U3, P1, P3: controls, poses and LoRAs of each checkpoint by what is installed; before that the core."""
    checkpoints = [Checkpoint(SD15, "v1-5", "6ce0161689"), Checkpoint(SDXL, "sd_xl_base_1.0", "31e35c80fc")]
    has = Extensions(Loras(("x",)), ControlNet(MODELS, MODULES, 3))
    local, sd15, sdxl = installed.to_catalogue(PACKAGED, checkpoints, SDXL, has).models
    more = ("control_openpose", "control_depth", "control_blur", "pose_extraction")
    assert (sd15.tasks, sd15.max_controls, sd15.max_loras) == ((*CORE, *more), 3, 8)
    assert local.tasks == sdxl.tasks
    assert sdxl.tasks == (*CORE, "control_openpose", "control_canny", "control_depth", "pose_extraction")
    (bare,) = installed.to_catalogue(PACKAGED, [], "").models
    assert (bare.tasks, bare.max_controls, bare.max_loras) == (CORE, 0, 8)
    (without,) = installed.to_catalogue(PACKAGED, [], "", Extensions(Loras(), ControlNet())).models
    assert (without.tasks, without.max_controls, without.max_loras) == (CORE, 0, 0)
    request = generation_pb2.GenerateRequest(prompt="x", controls=[a_control()], loras=[{"name": "x"}])
    assert (inability(request, sd15), "openpose" in inability(request, without)) == ("", True)


def test_an_operator_may_offer_less():
    """P1: what the catalogue's file does not declare is not offered, whatever the webui has."""
    less = LOCAL.model_copy(update={"tasks": ("text_to_image", "control_openpose"), "max_controls": 1, "max_loras": 0})
    has = Extensions(Loras(("x",)), ControlNet(MODELS, MODULES, 3))
    told = has.offered(less, SD15)
    assert (told.tasks, told.max_controls, told.max_loras) == (less.tasks, 1, 0)
