"""The promises of the documents, kept by the whole system: real processes, real sockets, strict stand-ins."""

import asyncio
import json
import re

import pytest

from imagegate.client import GenerationError
from imagegate.testing.system import System, system
from imagegate.v1 import catalog_pb2


def record(attempts) -> list[str]:
    """Each attempt as `provider/model REASON`; OK for the one that delivered, brackets for a skipped one."""
    shown = []
    for attempt in attempts:
        who = f"{attempt.provider}/{attempt.model}"
        if attempt.skipped:
            shown.append(f"[{who} {attempt.skipped.reason}]")
        else:
            shown.append(f"{who} {attempt.reason or 'OK'}")
    return shown


def posts(running: System, upstream: str) -> list[dict]:
    """The requests for pictures that reached an upstream."""
    return [r for r in running.sandbox.requests() if r["upstream"] == upstream and r["method"] == "POST"]


class TestTheGuidesFourScenarios:
    """R10: works; rate limited; timed out; all down: with the packaged configuration and route `web`."""

    async def test_it_works(self) -> None:
        """R10, U1: Hugging Face delivers by route `web`, at the first attempt, and says that a stand-in did."""
        async with system() as running, running.client() as client:
            result = await client.generate("a lighthouse", model="web")
        assert record(result.attempts) == ["huggingface/flux-schnell OK"]
        assert result.images[0].pil().size == (1024, 1024)
        assert result.sandbox

    async def test_rate_limited_goes_to_the_local_engine(self) -> None:
        """R10, U3: 429 at Hugging Face, and AUTOMATIC1111 delivers with the guide's defaults."""
        async with system() as running, running.client() as client:
            limited = {"upstream": "huggingface", "fault": "status", "code": 429, "headers": {"Retry-After": "7"}}
            running.sandbox.faults([limited])
            result = await client.generate("a lighthouse", model="web")
            sent = posts(running, "automatic1111")[0]["body"]
        assert record(result.attempts) == ["huggingface/flux-schnell RATE_LIMITED", "automatic1111/local OK"]
        assert result.images[0].pil().size == (512, 512)
        assert (sent["steps"], sent["cfg_scale"], sent["sampler_name"]) == (20, 7, "Euler a")

    async def test_timed_out_goes_to_the_local_engine(self) -> None:
        """R10: Hugging Face hangs, and AUTOMATIC1111 delivers within the caller's time."""
        async with (
            system({"IMAGEGATE_PROVIDERS__HUGGINGFACE__ATTEMPT_TIMEOUT": "2s"}) as running,
            running.client() as client,
        ):
            running.sandbox.faults([{"upstream": "huggingface", "fault": "hang"}])
            result = await client.generate("a lighthouse", model="web")
        assert record(result.attempts) == ["huggingface/flux-schnell TIMEOUT", "automatic1111/local OK"]

    async def test_all_down_names_each_attempt_and_the_remedies(self) -> None:
        """R10, R5: with all down the error names every attempt, the upstream's words and what to do."""
        async with system({"SD_API_URL": "http://127.0.0.1:9"}) as running, running.client() as client:
            down = {
                "upstream": "huggingface",
                "fault": "status",
                "code": 503,
                "body": "Service Temporarily Unavailable",
            }
            running.sandbox.faults([down])
            with pytest.raises(GenerationError) as caught:
                await client.generate("a lighthouse", model="web")
        assert record(caught.value.attempts) == [
            "huggingface/flux-schnell OVERLOADED", "automatic1111/local UNREACHABLE",
        ]  # fmt: skip
        assert "503 'Service Temporarily Unavailable'" in str(caught.value)
        assert "--api" in str(caught.value)


async def test_flux_dev_refused_becomes_flux_schnell_with_its_own_parameters() -> None:
    """R3, R2: a free key gets FLUX.1-schnell with schnell's 4 steps and guidance 0, and no negative prompt."""
    async with system(world="2025") as running, running.client() as client:
        result = await client.generate("a portrait", model="avatar", negative_prompt="blur", seed=11)
        sent = [request["body"] for request in posts(running, "huggingface")]
    assert record(result.attempts) == ["huggingface/flux-dev MODEL_ACCESS_DENIED", "huggingface/flux-schnell OK"]
    assert "PRO" in result.attempts[0].upstream_message
    assert sent[1]["parameters"] == {
        "width": 1024, "height": 1024, "num_inference_steps": 4, "guidance_scale": 0, "seed": 11,
    }  # fmt: skip
    assert ("negative_prompt", "DROPPED") in [(a.parameter, a.action) for a in result.adjustments]


async def test_what_a_model_does_not_take_never_reaches_it() -> None:
    """R1: a sampler and a negative prompt that FLUX does not take are dropped and said; the strict upstream accepts."""
    async with system(world="2025") as running, running.client() as client:
        result = await client.generate(
            "a cat", model="huggingface/flux-schnell", sampler="Euler a", negative_prompt="dog", steps=30, width=1001
        )
        sent = posts(running, "huggingface")[0]["body"]["parameters"]
    assert set(sent) == {"width", "height", "num_inference_steps", "guidance_scale", "seed"}
    assert sent["width"] % 8 == 0
    changed = {a.parameter: a.action for a in result.adjustments}
    assert changed == {"negative_prompt": "DROPPED", "width": "ROUNDED", "steps": "TRANSLATED", "sampler": "DROPPED"}


async def test_every_image_call_of_every_provider_asks_for_an_image() -> None:
    """R4: whatever call made or fetched a picture asked for an image type; found from the record, not from a list."""
    async with system(world="2025") as running, running.client() as client:
        offered = (await client.models()).models
        of_words = [m for m in offered if m.enabled and catalog_pb2.TASK_TEXT_TO_IMAGE in m.tasks]
        models = [f"{m.provider}/{m.key}" for m in of_words]
        for model in models:
            outcome = "".join(await told(client, model))
            assert "Error" not in outcome or "MODEL_ACCESS_DENIED" in outcome, outcome
        seen = running.sandbox.requests()
    assert len(models) >= 10
    about = re.compile(
        r"/fal/queue/.*/(status|cancel)$|/sdapi/v1/(samplers|schedulers|sd-models|options|loras)$"
        r"|/controlnet/(model_list|module_list|settings)$"
    )
    image_calls = [r for r in seen if r["upstream"] != "huggingface-hub" and not about.search(r["path"])]
    assert {r["upstream"] for r in image_calls} == {"huggingface", "fal", "automatic1111"}
    for request in image_calls:
        assert request["headers"]["accept"].startswith("image/"), request["path"]


async def test_one_line_per_attempt_says_what_was_sent_and_what_came_back() -> None:
    """R5, R6: the attempt's line has ids, parameters as sent, outcome, the upstream's words, bytes and duration."""
    async with system(world="2025") as running, running.client() as client:
        result = await client.generate("p" * 300, model="avatar", request_id="r-77")
        lines = running.members["huggingface"].events("attempt")
        summary = running.members["router"].events("request")
    refused, delivered = lines
    assert [line["request_id"] for line in lines] == ["r-77", "r-77"]
    assert [line["attempt"] for line in lines] == ["1", "2"]
    assert (refused["model"], refused["outcome"], refused["upstream_status"]) == (
        "flux-dev",
        "MODEL_ACCESS_DENIED",
        400,
    )
    assert "PRO" in refused["upstream_message"]
    assert delivered["prompt"] == "p" * 100
    assert delivered["parameters"]["steps"] == 4
    assert delivered["bytes"] == len(result.images[0].data)
    assert delivered["duration_ms"] >= 0
    assert summary[0]["attempts"] == ["huggingface/flux-dev MODEL_ACCESS_DENIED", "huggingface/flux-schnell ok"]


async def test_prompts_can_be_kept_out_of_the_log() -> None:
    """R6: with IMAGEGATE_LOG_PROMPTS=false no line has the prompt."""
    environ = {"IMAGEGATE_LOG_PROMPTS": "false"}
    async with system(environ) as running, running.client() as client:
        await client.generate("a-secret-plan", model="web")
        written = [line for member in running.members.values() for line in member.lines]
    assert written
    assert not any("a-secret-plan" in line for line in written)


async def test_the_well_known_variables_choose_the_models() -> None:
    """R13: HF_IMAGE_MODEL, FLUX_MODEL, SD_ENABLED mean what they meant, besides the configuration."""
    environ = {
        "HF_IMAGE_MODEL": "stabilityai/stable-diffusion-xl-base-1.0",
        "FLUX_MODEL": "stabilityai/stable-diffusion-3-medium-diffusers",
        "SD_ENABLED": "false",
    }
    async with system(environ) as running, running.client() as client:
        status = {p.name: p for p in (await client.status()).providers}
        with pytest.raises(GenerationError) as caught:
            await client.generate("x", model="automatic1111/local")
        avatar = await client.generate("a portrait", model="avatar")
        web = await client.generate("a portrait", model="web")
    assert not status["automatic1111"].enabled
    assert "SD_ENABLED" in status["automatic1111"].disabled_reason
    assert caught.value.reason == "NO_CANDIDATE"
    assert caught.value.attempts[0].reason == "DISABLED"
    assert avatar.upstream_model == "stabilityai/stable-diffusion-3-medium-diffusers"
    assert web.upstream_model == "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("huggingface", "HUGGINGFACE_API_KEY"),
        ("fal", "FAL_KEY"),
    ],
)
async def test_a_provider_without_its_key_is_off_and_says_which_variable_switches_it_on(
    name: str, switches: str
) -> None:
    """R10, R13: without its key a provider is off, passed over, and its reason names variable and source."""
    async with system({switches: ""}) as running, running.client() as client:
        status = {p.name: p for p in (await client.status()).providers}
        assert not status[name].enabled
        assert switches in status[name].disabled_reason
        assert "https://" in status[name].disabled_reason
        result = await client.generate("x", model="default")
        assert result.provider != name or name == "fal"
        with pytest.raises(GenerationError, match=switches):
            await client.generate("x", model=f"{name}/flux-schnell")


async def test_fal_and_its_result_come_without_the_key_at_the_cdn() -> None:
    """U2, R14: fal's queue delivers; the key goes to the queue and not to where the picture lies."""
    async with system() as running, running.client() as client:
        result = await client.generate("a fox", model="fal/flux-schnell", seed=3)
        seen = running.sandbox.requests()
    assert (result.provider, result.upstream_model, result.images[0].seed) == ("fal", "fal-ai/flux/schnell", 3)
    queue = [r for r in seen if r["path"].startswith("/fal/queue")]
    cdn = [r for r in seen if r["path"].startswith("/fal/cdn")]
    assert queue
    assert cdn
    assert all("authorization" in r["headers"] for r in queue)
    assert not any("authorization" in r["headers"] for r in cdn)


async def test_an_unknown_model_is_refused_with_names_and_a_404_takes_out_the_model_only() -> None:
    """R7: nobody guesses ids; an upstream's 404 opens the model's breaker, not the provider's."""
    async with system() as running, running.client() as client:
        with pytest.raises(GenerationError, match="flux-dev") as caught:
            await client.generate("x", model="fal-ai/flux-dev")
        assert caught.value.reason == "MODEL_NOT_FOUND"
        gone = {"upstream": "fal", "method": "POST", "model": "*dev*", "fault": "status", "code": 404,
                "body": '{"detail": "Application \\"flux\\" not found"}'}  # fmt: skip
        running.sandbox.faults([gone])
        with pytest.raises(GenerationError) as caught:
            await client.generate("x", model="fal/flux-dev")
        assert caught.value.reason == "MODEL_NOT_FOUND"
        assert (await client.generate("x", model="fal/flux-schnell")).images


async def test_what_is_no_picture_never_reaches_the_caller() -> None:
    """An upstream's 200 with HTML, JSON, half a PNG or a bomb is refused; the provider stays under 200 MB."""
    models = {"huggingface": "flux-schnell", "fal": "flux-schnell", "automatic1111": "local"}
    async with system() as running:
        for upstream, model in models.items():
            async with running.client(upstream) as client:
                for fault in ("html", "json_200", "truncate", "bomb", "huge"):
                    running.sandbox.faults([{"upstream": upstream, "fault": fault}])
                    with pytest.raises(GenerationError) as caught:
                        await client.generate("x", model=model)
                    assert caught.value.reason in ("BAD_OUTPUT", "UPSTREAM_ERROR"), (upstream, fault, caught.value)
            assert running.members[upstream].peak_memory() < 200e6, upstream


async def test_a_provider_killed_mid_request_leaves_the_router_serving() -> None:
    """F35: SIGKILL of a provider during its attempt: the request goes on elsewhere, and the router serves on."""
    async with system() as running, running.client() as client:
        running.sandbox.faults([{"upstream": "huggingface", "fault": "hang"}])
        waiting = asyncio.create_task(client.generate("x", model="web"))
        async with asyncio.timeout(10):
            while not posts(running, "huggingface"):
                await asyncio.sleep(0.01)
        running.kill("huggingface")
        result = await waiting
        assert record(result.attempts) == ["huggingface/flux-schnell UNREACHABLE", "automatic1111/local OK"]
        again = await client.generate("y", model="web")
    assert again.provider == "automatic1111"


MARKED = {
    "huggingface": {"HUGGINGFACE_API_KEY": "hf_QQzzMARKEDxxKEYqqzz1122wwVV"},
    "fal": {"FAL_KEY": "77aaMARKEDidQQ-77aa:99bbMARKEDxxSECRET99bb"},
    "automatic1111": {"SD_API_AUTH": "MARKEDxxUSER55:MARKEDyyPASSWORD55cc"},
}
STATUSES = (400, 401, 402, 403, 404, 410, 422, 429, 500, 503)
SPOILT = ("reset", "reset_mid_body", "html", "json_200", "truncate", "loading", "black", "blank")


def echoing(upstream: str) -> list[dict]:
    """Every fault of an upstream that repeats our key in what it says."""
    (key,) = MARKED[upstream].values()
    body = json.dumps({"error": f"the key {key} is wrong", "detail": f"{key[:-4]}… and {key[5:]}"})
    return [{"fault": "status", "code": code, "body": body} for code in STATUSES] + [{"fault": f} for f in SPOILT]


async def test_no_part_of_a_key_is_ever_shown() -> None:
    """R14: marked keys, every fault, upstreams that echo them: nothing of them in logs, metrics, errors or status."""
    shown: list[str] = []
    environ = {name: key for keys in MARKED.values() for name, key in keys.items()}
    async with system(environ) as running, running.client() as client:
        for upstream, model in (("huggingface", "flux-dev"), ("fal", "flux-dev"), ("automatic1111", "local")):
            for fault in echoing(upstream):
                running.sandbox.faults([{"upstream": upstream, **fault}])
                async with running.client(upstream) as provider:
                    shown += await told(provider, model)
                shown += await told(client, f"{upstream}/{model}")
        shown += [repr(await client.status()), repr(await client.models())]
        shown += [await running.metrics(name) for name in running.members]
        shown += [line for member in running.members.values() for line in member.lines]
    everything = "\n".join(shown)
    assert len(everything) > 20_000
    assert "***" in everything
    for secret in (part for key in environ.values() for part in [key, *key.split(":")]):
        for start in range(len(secret) - 7):
            assert secret[start : start + 8] not in everything


async def told(client, model: str) -> list[str]:
    """Everything that a caller hears."""
    try:
        return [repr(await client.generate("x", model=model))]
    except GenerationError as error:
        return [repr(error), str(error), repr(error.attempts)]
