"""webuiapi, the client that people use for AUTOMATIC1111, passes against the stand-in."""

import asyncio

import pytest
from webuiapi import WebUIApi

from imagegate.sandbox.app import Pace, serving

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
    assert await asyncio.to_thread(api.get_loras) == []


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


async def test_unknown_script(sandbox):
    """A script that is not installed is refused with 422, not ignored."""
    api = await asyncio.to_thread(connect, sandbox)
    with pytest.raises(RuntimeError, match="always on script controlnet not found"):
        await asyncio.to_thread(api.txt2img, prompt="a fox", alwayson_scripts={"controlnet": {"args": []}})
