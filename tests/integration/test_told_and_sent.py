"""What a request becomes at fal and in a webui, through a router and over sockets: told and received are the same."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from imagegate.runtime.errors import Failure, Reason
from imagegate.sandbox.app import Pace
from imagegate.testing import outcomes, picture, serving_router, told
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import ServedRouter
from imagegate.v1 import generation_pb2, router_pb2
from imagegate.v1.catalog_pb2_grpc import CatalogServiceStub

Request = generation_pb2.GenerateRequest
QUICK = Pace(fal_queue=0.01, fal_run=0.01)
ROUTES = {
    "default": ["automatic1111/local"],
    "falls-back": ["automatic1111/local", "fal/flux-schnell"],
}


@dataclass(frozen=True, slots=True)
class Stage:
    """The sandbox, fal and a webui behind their providers, and a router in front."""

    sandboxed: Sandboxed
    router: ServedRouter

    async def generate(self, **fields: Any) -> generation_pb2.GenerateResponse:
        """The router's answer."""
        async with self.router.stubs() as (generation, _):
            return await generation.Generate(Request(prompt="a fox", **fields), timeout=60)

    async def explain(self, **fields: Any) -> router_pb2.Prospect:
        """What the router says beforehand of the first candidate."""
        async with self.router.stubs() as (_, asking):
            explanation: router_pb2.Explanation = await asking.Explain(Request(prompt="a fox", **fields), timeout=60)
            return explanation.candidates[0]

    async def fail(self, **fields: Any) -> tuple[grpc.aio.AioRpcError, Failure]:
        """The router's error, as gRPC raises it and as we read it."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.generate(**fields)
        return caught.value, told(caught.value)

    def submitted(self, upstream: str) -> list[Mapping[str, Any]]:
        """The bodies of the requests for pictures that reached an upstream."""
        seen = self.sandboxed.sandbox.requests()
        return [each["body"] for each in seen if each["upstream"] == upstream and each["method"] == "POST"]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with a_stage() as running:
        yield running


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    names = ("fal", "automatic1111")
    async with (
        serving_sandboxed(names, pace=QUICK, environ={"IMAGEGATE_FAL_ANY_MODEL": "true"}) as sandboxed,
        serving_router(sandboxed.targets, ROUTES) as router,
    ):
        yield Stage(sandboxed, router)


def changes(adjustments: Sequence[generation_pb2.Adjustment]) -> list[tuple[str, str, str, str]]:
    """Each adjustment as parameter, requested, applied, action."""
    return [
        (each.parameter, each.requested, each.applied, generation_pb2.Action.Name(each.action).removeprefix("ACTION_"))
        for each in adjustments
    ]


async def test_flux_pro_as_it_was_documented_once(stage: Stage) -> None:
    """R1, U2: steps 28 and guidance 3.5, which flux-pro no longer takes: delivered, with two adjustments."""
    answer = await stage.generate(model="fal/flux-pro", steps=28, guidance_scale=3.5, seed=7)
    assert answer.images[0].seed == 7
    assert changes(answer.adjustments) == [("steps", "28", "", "DROPPED"), ("guidance_scale", "3.5", "", "DROPPED")]
    assert stage.submitted("fal") == [
        {
            "prompt": "a fox",
            "num_images": 1,
            "output_format": "png",
            "image_size": {"width": 1024, "height": 1024},
            "seed": 7,
        }
    ]


@pytest.mark.parametrize(
    ("sampler", "sent", "adjustments"),
    [
        ("Euler a", ("Euler a", None), []),
        ("LMS", ("LMS", None), []),
        (
            "DPM++ 2M Karras",
            ("DPM++ 2M", "karras"),
            [("sampler", "DPM++ 2M Karras", "DPM++ 2M, scheduler karras", "TRANSLATED")],
        ),
    ],
)
async def test_a_sampler_reaches_the_webui_as_it_names_it(
    stage: Stage, sampler: str, sent: tuple[str, str | None], adjustments: list[tuple[str, ...]]
) -> None:
    """U3, P4: samplers by the names that people know, old ones too, whatever a request forbids; what is told as
    applied, by Explain as well, is what arrived.
    """
    fields = {
        "model": "automatic1111/local",
        "sampler": sampler,
        "steps": 10,
        "on_unsupported": "ON_UNSUPPORTED_REFUSE",
    }
    explained = await stage.explain(**fields)
    answer = await stage.generate(**fields)
    assert (explained.turn, changes(explained.adjustments)) == (1, adjustments)
    (body,) = stage.submitted("automatic1111")
    assert (body["sampler_name"], body.get("scheduler")) == sent
    assert changes(answer.adjustments) == adjustments


@pytest.mark.parametrize("model", ["", "automatic1111/local", "local"])
async def test_an_unknown_sampler_is_the_callers_to_correct(stage: Stage, model: str) -> None:
    """U3, R1: where only a webui could deliver: INVALID_ARGUMENT, naming the three nearest, as Explain does; nobody is
    blamed.
    """
    explained = await stage.explain(model=model, sampler="Euler b")
    error, failure = await stage.fail(model=model, sampler="Euler b")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(failure.attempts) == ["[automatic1111 UNSUPPORTED]"]
    for words in ("'Euler b'", "Euler a, Euler, Heun"):
        assert words in (error.details() or "")
        assert words in explained.message
    assert Reason.from_proto(explained.skipped.reason) is Reason.UNSUPPORTED
    assert stage.submitted("automatic1111") == []
    router = stage.router.router
    assert router.admission.refusal("automatic1111", "local", router.clock()) is None
    assert (await stage.generate(model=model, sampler="Euler a", steps=10)).images


async def test_an_unknown_sampler_goes_to_whoever_takes_none(stage: Stage) -> None:
    """R1, U3: a webui without it is passed over; another candidate says itself what it did with the sampler."""
    answer = await stage.generate(model="falls-back", sampler="Euler b", seed=7)
    assert outcomes(answer.attempts) == ["[automatic1111 UNSUPPORTED]", "fal OK"]
    assert changes(answer.adjustments) == [("sampler", "Euler b", "", "DROPPED")]
    assert stage.submitted("automatic1111") == []
    assert answer.images[0].seed == 7


async def test_options_arrive_as_they_are_told(stage: Stage) -> None:
    """R1: options pass the router and the provider; what a model does not let through is dropped and told."""
    request = Request()
    request.provider_options["fal"].update({"acceleration": "high", "seed": 3, "sync_mode": True, "prompt": "a dog"})
    request.provider_options["automatic1111"].update({"tiling": True, "script_name": "x", "s_churn": 500})
    options = request.provider_options
    fal = await stage.generate(model="fal/flux-dev", seed=7, provider_options=options)
    webui = await stage.generate(model="automatic1111/local", steps=10, provider_options=options)
    (sent,), (filled,) = stage.submitted("fal"), stage.submitted("automatic1111")
    assert (sent["acceleration"], sent["seed"], sent["prompt"], "sync_mode" in sent) == ("high", 7, "a fox", False)
    assert (filled["tiling"], filled["s_churn"], "script_name" in filled) == (True, 100, False)
    assert {(name.partition(".")[2], action) for name, _, _, action in changes(fal.adjustments)} == {
        ("fal.seed", "DROPPED"), ("fal.sync_mode", "DROPPED"), ("fal.prompt", "DROPPED"),
    }  # fmt: skip
    assert {(name.partition(".")[2], applied, action) for name, _, applied, action in changes(webui.adjustments)} == {
        ("automatic1111.script_name", "", "DROPPED"), ("automatic1111.s_churn", "100", "CLAMPED"),
    }  # fmt: skip


async def test_any_app_by_its_id_and_a_missing_one_takes_out_itself(stage: Stage) -> None:
    """R7, U2: an app outside the catalogue delivers; `fal-ai/flux-dev`, which never existed, takes out only itself."""
    error, failure = await stage.fail(model="fal:fal-ai/flux-dev")
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert (failure.reason, failure.attempts[0].model) == (Reason.MODEL_NOT_FOUND, "fal-ai/flux-dev")
    assert 'Application "flux-dev" not found' in (error.details() or "")
    answer = await stage.generate(model="fal:fal-ai/fast-sdxl", steps=9, seed=7)
    assert (answer.upstream_model, answer.HasField("cost")) == ("fal-ai/fast-sdxl", False)
    assert stage.submitted("fal")[-1] == {"prompt": "a fox", "num_images": 1, "num_inference_steps": 9, "seed": 7}
    assert (await stage.generate(model="fal/flux-dev")).images
    error, _ = await stage.fail(model="fal:fal-ai/flux-dev")
    assert "CIRCUIT_OPEN" in (error.details() or "")
    assert len([path for path in paths(stage) if path.endswith("/fal-ai/flux-dev")]) == 1


async def test_a_pose_is_found_and_paid_for_once(stage: Stage) -> None:
    """R1, P3, P8: however many were asked for; that, and that no words are read, is told, by Explain as well, and
    estimated so before.
    """
    photo = generation_pb2.PoseExtraction(image=generation_pb2.InputImage(data=picture(320, 256)))
    fields = {"pose_extraction": photo, "model": "fal/dwpose", "count": 3}
    async with grpc.aio.insecure_channel(stage.router.target) as channel:
        estimate = await CatalogServiceStub(channel).EstimateCost(Request(**fields))
    answer = await stage.generate(**fields)
    assert (len(answer.images), answer.cost, estimate.high) == (1, 1, 1)
    assert len(stage.sandboxed.sandbox.billing()) == 1
    assert set(changes(answer.adjustments)) == {("count", "3", "1", "CLAMPED"), ("prompt", "a fox", "", "DROPPED")}
    assert list((await stage.explain(**fields)).adjustments) == list(answer.adjustments)
    _, failure = await stage.fail(**fields, must_keep=["count"])
    assert outcomes(failure.attempts) == ["[fal UNSUPPORTED]"]
    assert (
        await stage.generate(pose_extraction=photo, model="fal/dwpose", on_unsupported="ON_UNSUPPORTED_REFUSE")
    ).images


def paths(stage: Stage) -> list[str]:
    """Where the upstreams were asked."""
    return [each["path"] for each in stage.sandboxed.sandbox.requests()]


async def test_each_checkpoint_is_a_model_of_the_routers(stage: Stage) -> None:
    """U3, P1: every checkpoint of the webui is found by its title and makes the picture; `local` is the loaded one."""
    for model, made_by in (
        ("automatic1111/local", "v1-5-pruned-emaonly"),
        ("automatic1111/sd_xl_base_1.0", "sd_xl_base_1.0"),
        ("sd_xl_base_1.0.safetensors [31e35c80fc]", "sd_xl_base_1.0"),
    ):
        answer = await stage.generate(model=model)
        assert (answer.upstream_model, answer.cost, answer.HasField("cost")) == (made_by, 0, True)
    usual = {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7, "sampler_name": "Euler a"}
    for body in stage.submitted("automatic1111"):
        assert {name: body[name] for name in usual} == usual
