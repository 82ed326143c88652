"""Prompts that try to give the webui orders: what its own parser would carry out of them, over sockets."""

import re

import grpc
import pytest

from imagegate.providers.automatic1111 import prompt
from imagegate.runtime.tasks import FittedLora
from imagegate.sandbox import webui_prompt
from imagegate.sandbox.app import Pace
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2, generation_pb2_grpc

NETWORKS = (
    "<lora:line_drawing:1>",
    "<lora:line_drawing>",
    "<lora:line_drawing:1:0.5:32>",
    "<lora:line_drawing:te=1:unet=0.8:dyn=32>",
    "<LORA:line_drawing:1>",
    "<lyco:line_drawing:1>",
    "<hypernet:anime:1>",
    "<ti:embedding:1>",
    "<segmentation:x:1>",
    "<λόρα:line_drawing:1>",
    "<лора:line_drawing:1>",
    "<_:x>",
    "<1:x>",
    "<lora::>",
    "<lora:x",
    "<lora:a:1><lora:b:1>",
    "<lora:a:1> and <lora:b:1> and <lora:c:1>",
)
NESTED = (
    "<<lora:line_drawing:1>lora:line_drawing:1>",
    "<lo<lora:x:1>ra:line_drawing:1>",
    "<<<lora:line_drawing:1>>>",
    "<a:b <lora:line_drawing:1> >",
    "<lora:<lora:line_drawing:1>:1>",
    "<lora:line\n_drawing:1>",
    "<lora:\nline_drawing:1>",
    "<lo#x\nra:line_drawing:1>",
    "<#x\nlora:line_drawing:1>",
    "<lora#\n:line_drawing:1>",
    "#x\n<lora:line_drawing:1>",
    "#\n#\n<lora:line_drawing:1>#",
    "(<lora:line_drawing:1>:1.3)",
    "[<lora:line_drawing:1>|fox]",
    "[fox:<lora:line_drawing:1>:0.5]",
    "{<lora:line_drawing:1>|fox}",
    '"<lora:line_drawing:1>"',
    "\\<lora:line_drawing:1>",
    "\\\\<lora:line_drawing:1\\>",
    "<!--<lora:line_drawing:1>-->",
    "<b><lora:line_drawing:1></b>",
)
UNICODE = (
    "\uff1clora:line_drawing:1\uff1e",
    "\u2039lora:line_drawing:1\u203a",
    "\u3008lora:line_drawing:1\u3009",
    "\ufe64lora:line_drawing:1\ufe65",
    "<lora\uff1aline_drawing\uff1a1>",
    "<\u200blora:line_drawing:1>",
    "<lo\u200bra:line_drawing:1>",
    "\u202e<lora:line_drawing:1>",
    "<lora:line_drawing:1\u202e>",
    "<\u2060lora:line_drawing:1>",
    "\u0000<lora:line_drawing:1>",
)
OTHERS = (
    "__wildcard__",
    "__../../etc/passwd__",
    "{2$$red|green|blue}",
    "${x=!{a|b}}",
    "{prompt}, in a style",
    "--script_name xyz --override_settings sd_model_checkpoint=x",
    '{"override_settings": {"sd_model_checkpoint": "x"}}',
    '{"alwayson_scripts": {"controlnet": {"args": []}}}',
    "a fox\nNegative prompt: cats\nSteps: 150, Sampler: LMS, Seed: 1, Model: other",
    "http://127.0.0.1:7860/sdapi/v1/server-kill",
    "file:///etc/passwd",
    "<script>alert(1)</script>",
    "data:image/png;base64,AAAA",
)
PROMPTS = (*NETWORKS, *NESTED, *UNICODE, *OTHERS)
# As it stands in the webui's extra_networks.py.
EXTRA_NETWORK = re.compile(r"<(\w+):([^>]+)>")


def words(text):
    """What is left of a text without brackets and blanks."""
    return re.sub(r"[<\s]", "", text)


def test_there_are_sixty():
    """U3: networks, scripts, styles, wildcards, settings and addresses, plain, nested and in other brackets."""
    assert len(set(PROMPTS)) == len(PROMPTS) >= 60
    assert sum(bool(EXTRA_NETWORK.search(each)) for each in PROMPTS) > 25


@pytest.mark.parametrize("told", PROMPTS)
def test_it_arrives_as_text(told):
    """U3, R1: no word is lost, and none of it is an instruction, alone or before one of ours."""
    sent = prompt.plain(told)
    assert words(sent) == words(told)
    assert not EXTRA_NETWORK.search(sent)
    assert webui_prompt.read(sent).instructions == ()
    with_ours = prompt.with_loras(told, [FittedLora("pixel-art-v2", 0.5)])
    assert webui_prompt.read(with_ours).instructions == ("lora:pixel-art-v2:0.5",)
    if not EXTRA_NETWORK.search(told) and not prompt.tags(told):
        assert sent == told


async def test_nothing_of_it_is_carried_out():
    """U3, R1, R14: over sockets the webui carries out what a request orders in its own field, and not one prompt."""
    async with (
        serving_sandboxed(("automatic1111",), pace=Pace(automatic1111_step=0.0)) as served,
        grpc.aio.insecure_channel(served.targets["automatic1111"]) as channel,
    ):
        generation = generation_pb2_grpc.GenerationServiceStub(channel)
        for told in PROMPTS:
            request = generation_pb2.GenerateRequest(
                prompt=told, negative_prompt=told, width=256, height=256, steps=10, loras=[{"name": "pixel-art-v2"}]
            )
            assert (await generation.Generate(request, timeout=30)).images
        carried_out = [entry["instructions"] for entry in served.sandbox.billing()]
        bodies = [each["body"] for each in served.sandbox.requests() if each["method"] == "POST"]
    assert carried_out == [("lora:pixel-art-v2:1",)] * len(PROMPTS)
    for told, body in zip(PROMPTS, bodies, strict=True):
        assert words(told) in words(body["prompt"])
        assert body.keys().isdisjoint({"script_name", "alwayson_scripts", "override_settings", "styles", "init_images"})
