"""webuiapi, the client that people use for AUTOMATIC1111, passes against the stand-in."""

import asyncio
import io

import pytest
from PIL import Image, ImageChops
from webuiapi import ControlNetUnit, WebUIApi, raw_b64_img

from imagegate.sandbox.app import Pace, serving
from imagegate.testing import picture
from imagegate.testing.fronts import rewriting

SLOW = Pace(automatic1111_step=0.05)


def connect(sandbox, **options):
    return WebUIApi(baseurl=f"{sandbox.url}/automatic1111/sdapi/v1", **options)


async def test_txt2img(sandbox):
    """A batch comes as pictures of the size asked for, seed by seed, with the real sampler in `info`."""
    api = await asyncio.to_thread(connect, sandbox)
    result = await asyncio.to_thread(
        api.txt2img, prompt="a fox", seed=7, width=256, height=320, batch_size=2, n_iter=2, sampler_name="nonsense"
    )
    assert [image.size for image in result.images] == [(256, 320)] * 4
    assert result.info["all_seeds"] == [7, 8, 9, 10]
    assert result.info["sampler_name"] == "DPM++ 2M"
    assert result.parameters["steps"] == 20


async def test_lists(sandbox):
    """What is installed can be asked for by the client's own methods."""
    api = await asyncio.to_thread(connect, sandbox)
    assert "Euler a" in [sampler["name"] for sampler in await asyncio.to_thread(api.get_samplers)]
    assert "karras" in [scheduler["name"] for scheduler in await asyncio.to_thread(api.get_schedulers)]
    titles = [model["title"] for model in await asyncio.to_thread(api.get_sd_models)]
    assert "v1-5-pruned-emaonly.safetensors [6ce0161689]" in titles
    assert (await asyncio.to_thread(api.get_options))["sd_model_checkpoint"] in titles
    assert "pixel-art-v2" in [lora["name"] for lora in await asyncio.to_thread(api.get_loras)]


async def test_progress_and_interrupt():
    """Progress goes up while a picture is made; an interrupt gives 200 with what there is, and is not billed."""
    async with serving(pace=SLOW) as sandbox:
        api = await asyncio.to_thread(connect, sandbox)
        running = asyncio.create_task(asyncio.to_thread(api.txt2img, prompt="a fox", steps=1000))
        async with asyncio.timeout(10):
            while (report := await asyncio.to_thread(api.get_progress))["state"]["sampling_step"] < 2:
                assert report["progress"] < 1
        assert report["state"]["job_count"] == 1
        assert report["current_image"]
        await asyncio.to_thread(api.interrupt)
        assert len((await running).images) == 1
        assert (await asyncio.to_thread(api.get_progress))["progress"] == 0
        (entry,) = sandbox.billing()
        assert (entry["state"], entry["billed"]) == ("cancelled", False)


async def test_auth():
    """With --api-auth a wrong password is the client's RuntimeError with the webui's 401, the right one works."""
    async with serving(webui_auth="me:secret") as sandbox:
        for options, words in (
            ({}, "Not authenticated"),
            ({"username": "me", "password": "wrong"}, "Incorrect username or password"),
        ):
            api = await asyncio.to_thread(connect, sandbox, **options)
            with pytest.raises(RuntimeError, match=words):
                await asyncio.to_thread(api.txt2img, prompt="a fox")
        api = await asyncio.to_thread(connect, sandbox, username="me", password="secret")
        assert (await asyncio.to_thread(api.txt2img, prompt="a fox")).image.size == (512, 512)
        assert "secret" not in str(sandbox.requests())


async def test_unknown_script():
    """A script that is not installed is refused with 422, not ignored."""
    async with serving(webui_controlnet=False) as sandbox:
        api = await asyncio.to_thread(connect, sandbox)
        with pytest.raises(RuntimeError, match="always on script controlnet not found"):
            await asyncio.to_thread(api.txt2img, prompt="a fox", alwayson_scripts={"controlnet": {"args": []}})


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def photo(width=256, height=256, seed=0):
    return Image.open(io.BytesIO(picture(width, height, seed=seed))).convert("RGB")


def same(one, other, box=None):
    return ImageChops.difference(one.convert("RGB").crop(box), other.convert("RGB").crop(box)).getbbox() is None


@pytest.mark.parametrize(("strength", "is_same"), [(0.0, True), (0.5, False), (1.0, False)])
async def test_img2img(sandbox, strength, is_same):
    """U3: the picture stays at strength 0, and the less of it the more there is."""
    api = await asyncio.to_thread(connect, sandbox)
    made = await asyncio.to_thread(
        api.img2img, images=[photo()], prompt="a fox", seed=7, width=256, height=256, denoising_strength=strength
    )
    assert same(made.image, photo()) is is_same
    assert made.info["denoising_strength"] == strength
    assert made.parameters["init_images"] is None


async def test_inpainting(sandbox):
    """U3: what the mask has black stays pixel by pixel, what it has white is made anew."""
    api = await asyncio.to_thread(connect, sandbox)
    mask = Image.new("L", (256, 256))
    mask.paste(255, (0, 0, 128, 256))
    made = await asyncio.to_thread(
        api.img2img,
        images=[photo()],
        mask_image=mask,
        mask_blur=0,
        inpainting_fill=1,
        inpaint_full_res=False,
        width=256,
        height=256,
        prompt="a fox",
    )
    assert same(made.image, photo(), (128, 0, 256, 256))
    assert not same(made.image, photo(), (0, 0, 128, 256))


async def test_controlnet(sandbox):
    """U3: a unit changes the picture, what it found comes behind it, and the word on the picture has its model."""
    api = await asyncio.to_thread(connect, sandbox)
    assert api.has_controlnet
    unit = ControlNetUnit(image=photo(seed=1), module="canny", model="control_v11p_sd15_canny [d14c016b]")
    plain = await asyncio.to_thread(api.txt2img, prompt="a fox", seed=7, width=256, height=256)
    for units, pictures in (([unit], 2), ([unit, unit], 3)):
        made = await asyncio.to_thread(
            api.txt2img, prompt="a fox", seed=7, width=256, height=256, controlnet_units=units
        )
        assert len(made.images) == pictures
        assert not same(made.image, plain.image)
        assert "control_v11p_sd15_canny" in made.info["extra_generation_params"]["ControlNet 0"]
    of_photo = await asyncio.to_thread(
        api.img2img, images=[photo()], prompt="a fox", width=256, height=256, controlnet_units=[unit]
    )
    assert len(of_photo.images) == 2


async def test_a_control_of_another_family_is_left_out(sandbox):
    """U3: a model that does not fit the checkpoint changes nothing, and nobody says so."""
    api = await asyncio.to_thread(connect, sandbox)
    unit = ControlNetUnit(image=photo(seed=1), model="thibaud_xl_openpose [c7b9cadd]")
    plain = await asyncio.to_thread(api.txt2img, prompt="a fox", seed=7, width=256, height=256)
    made = await asyncio.to_thread(api.txt2img, prompt="a fox", seed=7, width=256, height=256, controlnet_units=[unit])
    assert len(made.images) == 1
    assert same(made.image, plain.image)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "nothing"}, r"model\(nothing\) not found in supported models"),
        ({"module": "nothing"}, r"module\(nothing\) not found in supported modules"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "guidance_start"),
        ({"image": None}, "no input image is given"),
    ],
)
async def test_a_unit_that_is_none(sandbox, fields, words):
    """R5: what is wrong with a unit nobody catches: 500, with the exception's class."""
    api = await asyncio.to_thread(connect, sandbox)
    unit = ControlNetUnit(**{"image": photo(), **fields})
    with pytest.raises(RuntimeError, match=words) as caught:
        await asyncio.to_thread(api.txt2img, prompt="a fox", controlnet_units=[unit])
    assert caught.value.args[0] == 500
    assert '"error": "ValueError"' in caught.value.args[1]


async def test_detect(sandbox):
    """U3: the client looks for ControlNet at the root of its host, and finds its lists and the pose in a photo.

    Its own `controlnet_detect` names the pictures as they were named once: the extension says that there is none.
    """
    async with rewriting(f"{sandbox.url}/automatic1111", lambda told: told) as front:
        api = await asyncio.to_thread(WebUIApi, baseurl=f"{front.url}/sdapi/v1")
        assert "control_v11p_sd15_openpose [cab727d4]" in await asyncio.to_thread(api.controlnet_model_list)
        assert "openpose_full" in await asyncio.to_thread(api.controlnet_module_list)
        assert await asyncio.to_thread(api.controlnet_version) == 3
        with pytest.raises(RuntimeError, match="No image selected"):
            await asyncio.to_thread(api.controlnet_detect, images=[photo()], module="openpose_full")
        encoded = raw_b64_img(photo(256, 384))
        found = await asyncio.to_thread(
            api.custom_post,
            "controlnet/detect",
            {"controlnet_module": "openpose_full", "controlnet_input_images": [encoded]},
        )
    assert found.image.size == (512, 768)
    assert found.json["poses"][0]["canvas_width"] == 512


@pytest.mark.parametrize(
    ("module", "words"), [("nothing", "Module not available"), ("clip_vision", "Module not supported")]
)
async def test_what_cannot_be_detected(sandbox, module, words):
    """R5: the extension refuses with 422 and says why."""
    api = await asyncio.to_thread(connect, sandbox)
    with pytest.raises(RuntimeError, match=words) as caught:
        await asyncio.to_thread(
            api.custom_post,
            "automatic1111/controlnet/detect",
            {"controlnet_module": module, "controlnet_input_images": ["x"]},
        )
    assert caught.value.args[0] == 422


async def test_a_lora_by_its_tag(sandbox):
    """U3: a LoRA that is there is loaded by name or alias, and named afterwards; another is left out silently."""
    api = await asyncio.to_thread(connect, sandbox)
    hashes = {}
    for tag in ("", "<lora:pixel-art-v2:0.8>", "<lora:pixel-art:1>", "<lora:nothing:1>"):
        made = await asyncio.to_thread(api.txt2img, prompt=f"a fox {tag}", width=256, height=256, seed=7)
        hashes[tag] = made.info["extra_generation_params"].get("Lora hashes", "").partition(":")[0]
    assert list(hashes.values()) == ["", "pixel-art-v2", "pixel-art-v2", ""]
    assert [entry["instructions"] for entry in sandbox.billing()] == [
        (), ("lora:pixel-art-v2:0.8",), ("lora:pixel-art:1",), ("lora:nothing:1",),
    ]  # fmt: skip
