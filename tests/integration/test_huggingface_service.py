"""Hugging Face's service over gRPC, where another inference provider or an endpoint takes less than was asked for."""

import io
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_status import rpc_status
from PIL import Image

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Dispatch, Reason, from_status
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc

NAME = "huggingface"
REFUSE = generation_pb2.ON_UNSUPPORTED_REFUSE


@asynccontextmanager
async def stubs(**environ):
    """The sandbox, and both stubs of a service that `environ` configures."""
    async with serving_sandboxed([NAME], environ=environ) as served:
        target = served.targets[NAME]
        async with grpc.aio.insecure_channel(target, options=MESSAGE_OPTIONS) as channel:
            yield (
                served.sandbox,
                generation_pb2_grpc.GenerationServiceStub(channel),
                catalog_pb2_grpc.CatalogServiceStub(channel),
            )


def posts(sandbox):
    return [each for each in sandbox.requests() if each["method"] == "POST"]


async def test_what_replicate_changes_is_in_the_answer():
    """R1, U1: sizes that replicate's FLUX makes for those that were asked for, and no guidance for 7.5, are told."""
    async with stubs(HUGGINGFACE_INFERENCE_PROVIDER="replicate") as (_, generation, _catalogue):
        request = generation_pb2.GenerateRequest(prompt="a fox", width=600, height=400, guidance_scale=7.5)
        answer = await generation.Generate(request, timeout=20)
    assert answer.upstream_provider == "replicate"
    assert [(each.parameter, each.requested, each.applied) for each in answer.adjustments] == [
        ("guidance_scale", "7.5", ""),
        ("width", "600", "608"),
        ("height", "400", "416"),
    ]
    assert (answer.images[0].width, answer.images[0].height) == (608, 416)


async def test_a_request_that_forbids_changes():
    """R1: it is refused for what the caller asked for, before anything is sent, and not for a default."""
    async with stubs(HUGGINGFACE_INFERENCE_PROVIDER="nscale") as (sandbox, generation, _catalogue):
        insisting = generation_pb2.GenerateRequest(prompt="a fox", seed=3, on_unsupported=REFUSE)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await generation.Generate(insisting, timeout=20)
        failure = from_status(rpc_status.from_call(refused.value))
        assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
        assert posts(sandbox) == []
        insisting.ClearField("seed")
        answer = await generation.Generate(insisting, timeout=20)
    assert not answer.adjustments
    assert not answer.images[0].HasField("seed")


async def test_a_model_with_an_endpoint():
    """U6: its pictures say where they come from, and a square that was sent in the place of another size is told."""
    async with stubs() as (sandbox, _, _catalogue):
        environ = {**sandbox.environment, "HUGGINGFACE_ENDPOINTS": f"sdxl={sandbox.url}/huggingface-endpoint/mine"}
        async with stubs(**environ) as (_, generation, catalogue):
            request = generation_pb2.GenerateRequest(prompt="a fox", model="sdxl", width=512, height=1152)
            answer = await generation.Generate(request, timeout=30)
            check = await catalogue.CheckModel(catalog_pb2.CheckModelRequest(name="sdxl"), timeout=10)
    assert answer.upstream_provider == "endpoint"
    assert {(each.parameter, each.applied) for each in answer.adjustments} == {("width", "768"), ("height", "768")}
    assert (check.exists, check.loaded, check.key_accepted) == (True, True, True)


async def test_a_photo_and_a_mask_by_an_endpoint():
    """P3, U6: a model whose endpoint runs our handler repaints what is white, and its entry says so; without one it
    refuses.
    """
    photo, mask = (generation_pb2.InputImage(data=each) for each in (encoded("blue"), encoded("black", half="white")))
    request = generation_pb2.GenerateRequest(prompt="a fox", model="sdxl", seed=3)
    request.inpainting.CopyFrom(generation_pb2.Inpainting(image=photo, mask=mask))
    async with stubs() as (sandbox, _, _catalogue):
        at = f"sdxl+handler={sandbox.url}/huggingface-endpoint/handler"
        environ = {**sandbox.environment, "HUGGINGFACE_ENDPOINTS": at}
        async with stubs(**environ) as (_, generation, catalogue):
            answer = await generation.Generate(request, timeout=30)
            model = await catalogue.GetModel(catalog_pb2.GetModelRequest(name="sdxl"), timeout=10)
    assert answer.upstream_provider == "endpoint"
    assert (answer.images[0].width, answer.images[0].height, answer.images[0].seed) == (512, 384, 3)
    with Image.open(io.BytesIO(answer.images[0].data)) as drawn:
        kept, repainted = (drawn.convert("RGB").crop((x, 0, x + 256, 384)).getcolors() for x in (0, 256))
    assert kept == [(256 * 384, (0, 0, 255))] != repainted
    assert (catalog_pb2.TASK_INPAINTING in model.tasks, model.max_loras) == (True, 4)
    async with stubs() as (sandbox, generation, _catalogue):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await generation.Generate(request, timeout=20)
        assert from_status(rpc_status.from_call(refused.value)).reason is Reason.UNSUPPORTED
        assert posts(sandbox) == []


def encoded(colour, half=None):
    """A picture of one colour, 512 by 384 px, its right half perhaps of another."""
    data, drawn = io.BytesIO(), Image.new("RGB", (512, 384), colour)
    if half is not None:
        drawn.paste(half, (256, 0, 512, 384))
    drawn.save(data, "PNG")
    return data.getvalue()
