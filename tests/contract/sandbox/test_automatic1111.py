"""AUTOMATIC1111 beyond what its client shows: its error shapes, one generation at a time, its silent corrections."""

import asyncio
import json

import aiohttp
import pytest

from imagegate.sandbox.app import Pace, serving


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def call(sandbox, http, method, path, body=None):
    async with http.request(method, f"{sandbox.url}/automatic1111/sdapi/v1{path}", json=body) as answer:
        assert "X-Process-Time" in answer.headers
        return answer.status, await answer.json()


async def txt2img(sandbox, http, **fields):
    return await call(sandbox, http, "POST", "/txt2img", {"prompt": "a fox", "steps": 1, **fields})


async def test_errors(sandbox, http):
    """R5: every kind of error has the webui's own shape."""
    _, invalid = await txt2img(sandbox, http, steps="many", width=None)
    assert invalid["detail"] == [
        {"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "type_error.integer"},
        {"loc": ["body", "width"], "msg": "none is not an allowed value", "type": "type_error.none.not_allowed"},
    ]
    status, broken = await txt2img(sandbox, http, width=16384)
    assert (status, broken["error"]) == (500, "OutOfMemoryError")
    status, unknown = await call(sandbox, http, "POST", "/options", {"sd_model_checkpoint": "nothing"})
    assert (status, unknown["error"], unknown["errors"]) == (500, "RuntimeError", "model 'nothing' not found")
    assert await call(sandbox, http, "POST", "/png-info", {}) == (404, {"detail": "Not Found"})
    assert await call(sandbox, http, "GET", "/txt2img") == (405, {"detail": "Method Not Allowed"})


async def test_silent_corrections(sandbox, http):
    """Unknown fields and checkpoints are ignored, sizes rounded down to multiples of 8."""
    fields = {"lora": "x", "override_settings": {"sd_model_checkpoint": "nothing"}, "width": 261, "height": 127}
    status, answer = await txt2img(sandbox, http, **fields)
    info = json.loads(answer["info"])
    assert (status, info["width"], info["height"], info["sd_model_name"]) == (200, 256, 120, "v1-5-pruned-emaonly")
    assert "lora" not in answer["parameters"]


async def test_checkpoint_of_one_request(sandbox, http):
    """A checkpoint in override_settings makes this picture and is not kept."""
    _, answer = await txt2img(sandbox, http, override_settings={"sd_model_checkpoint": "sd_xl_base_1.0"})
    assert json.loads(answer["info"])["sd_model_hash"] == "31e35c80fc"
    assert sandbox.billing()[0]["model"] == "sd_xl_base_1.0.safetensors [31e35c80fc]"
    _, options = await call(sandbox, http, "GET", "/options")
    assert options["sd_model_checkpoint"].startswith("v1-5")


async def test_one_at_a_time(http):
    """Generations are made one after the other, in the order they came, and a client that leaves stops none."""
    async with serving(pace=Pace(automatic1111_step=0.01)) as sandbox:
        leaving = asyncio.create_task(txt2img(sandbox, http, prompt="first", steps=20))
        async with asyncio.timeout(10):
            while (await call(sandbox, http, "GET", "/progress"))[1]["state"]["job_count"] == 0:
                pass
        leaving.cancel()
        await asyncio.gather(*(txt2img(sandbox, http, prompt=prompt, steps=2) for prompt in ("second", "third")))
        made = [entry["prompt"] for entry in sandbox.billing()]
        assert made[0] == "first"
        assert sorted(made[1:]) == ["second", "third"]


async def test_deterministic(sandbox, http):
    """The same request gives the same pictures, with a seed and without."""
    for fields in ({"seed": 7}, {"seed": -1}):
        first, second = await txt2img(sandbox, http, **fields), await txt2img(sandbox, http, **fields)
        assert first[1]["images"] == second[1]["images"]
