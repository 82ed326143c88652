"""Pictures that come with a request, through a router to a webui: who is asked, what arrives and what is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from imagegate.runtime.errors import Failure, Reason
from imagegate.sandbox.app import Pace, Sandbox, serving
from imagegate.testing import ServedRouter, outcomes, picture, serving_router, told
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2

QUICK = Pace(automatic1111_step=0.0)
# The first makes pictures from words alone.
ROUTES = {"default": ["huggingface/flux-schnell", "automatic1111/local"]}
POSE = generation_pb2.Control(
    type=generation_pb2.CONTROL_TYPE_OPENPOSE, image=generation_pb2.InputImage(data=picture(seed=1))
)
PHOTO = generation_pb2.InputImage(data=picture(320, 256))


@dataclass(frozen=True)
class Stage:
    """A sandbox, Hugging Face and a webui behind their providers, and a router in front."""

    sandbox: Sandbox
    router: ServedRouter

    async def generate(self, **fields: Any) -> generation_pb2.GenerateResponse:
        """The router's answer."""
        async with self.router.stubs() as (generation, _):
            request = generation_pb2.GenerateRequest(prompt="a fox", **fields)
            answer: generation_pb2.GenerateResponse = await generation.Generate(request, timeout=60)
            return answer

    async def fail(self, **fields: Any) -> Failure:
        """The router's error."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.generate(**fields)
        return told(caught.value)

    @property
    def asked(self) -> list[str]:
        """Where a picture was asked for."""
        return [each["path"] for each in self.sandbox.requests() if each["method"] == "POST"]  # type: ignore[misc]


@asynccontextmanager
async def a_stage(*, has_controlnet: bool = True) -> AsyncIterator[Stage]:
    async with (
        serving(pace=QUICK, webui_controlnet=has_controlnet) as sandbox,
        serving_sandboxed(("huggingface", "automatic1111"), sandbox=sandbox) as served,
        serving_router(served.targets, ROUTES) as router,
    ):
        yield Stage(sandbox, router)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"image_to_image": {"image": PHOTO}}, "/sdapi/v1/img2img"),
        ({"inpainting": {"image": PHOTO, "mask": generation_pb2.InputImage(data=picture(320, 256, seed=2))}},
         "/sdapi/v1/img2img"),
        ({"controls": [POSE]}, "/sdapi/v1/txt2img"),
        ({"image_to_image": {"image": PHOTO}, "controls": [POSE]}, "/sdapi/v1/img2img"),
        ({"pose_extraction": {"image": PHOTO}}, "/controlnet/detect"),
    ],
    ids=["image", "inpainting", "pose", "photo and pose", "extraction"],
)  # fmt: skip
async def test_a_task_goes_to_whoever_does_it(fields: dict[str, Any], path: str) -> None:
    """U3, P3: a candidate that cannot take it is passed over with the reason and never asked; the webui delivers."""
    async with a_stage() as stage:
        answer = await stage.generate(**fields)
        assert outcomes(answer.attempts) == ["[huggingface UNSUPPORTED]", "automatic1111 OK"]
        assert stage.asked == [f"/automatic1111{path}"]
        is_of_photo = path != "/sdapi/v1/txt2img"
        assert (answer.images[0].width, answer.images[0].height) == ((320, 256) if is_of_photo else (512, 512))
        assert answer.images[0].HasField("seed") is (path != "/controlnet/detect")


async def test_a_lora_goes_to_whoever_has_it() -> None:
    """U3, P3: a name that is none of the Hub is refused by Hugging Face before anything is sent; the webui delivers."""
    async with a_stage() as stage:
        answer = await stage.generate(loras=[{"name": "line_drawing"}])
        assert outcomes(answer.attempts) == ["huggingface UNSUPPORTED", "automatic1111 OK"]
        assert stage.asked == ["/automatic1111/sdapi/v1/txt2img"]


async def test_what_no_webui_has_is_nobodys_fault() -> None:
    """U3, R1, R10: without ControlNet a pose is passed over everywhere; an unknown LoRA names the three nearest."""
    async with a_stage(has_controlnet=False) as stage:
        failure = await stage.fail(controls=[POSE])
        assert outcomes(failure.attempts) == ["[huggingface UNSUPPORTED]", "[automatic1111 UNSUPPORTED]"]
        failure = await stage.fail(loras=[{"name": "line drawing"}])
        assert failure.reason is Reason.UNSUPPORTED
        assert "line_drawing" in failure.remedy + failure.message
        assert stage.asked == []
        router = stage.router.router
        assert router.admission.refusal("automatic1111", "local", router.clock()) is None


async def test_a_request_may_forbid_what_a_pose_does_not_look_at() -> None:
    """R1: a size for a pose in a photo is dropped and told, or refused."""
    async with a_stage() as stage:
        answer = await stage.generate(pose_extraction={"image": PHOTO}, width=512)
        assert {(each.parameter, each.applied) for each in answer.adjustments} == {("width", ""), ("prompt", "")}
        failure = await stage.fail(pose_extraction={"image": PHOTO}, width=512, must_keep=["width"])
        assert failure.reason is Reason.UNSUPPORTED
