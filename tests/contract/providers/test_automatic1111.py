"""The AUTOMATIC1111 provider over real sockets, against the sandbox: what it asks for, what it makes of every fault."""

import asyncio
import json
from base64 import b64encode
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from imagegate.providers.automatic1111.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import fit
from imagegate.runtime.order import Order
from imagegate.runtime.samplers import Sampling
from imagegate.runtime.settings import SettingsError
from imagegate.sandbox.app import Pace, serving
from imagegate.v1 import generation_pb2

SD15 = "v1-5-pruned-emaonly.safetensors [6ce0161689]"
SDXL = "sd_xl_base_1.0.safetensors [31e35c80fc]"
SUBMISSION = {"upstream": "automatic1111", "method": "POST", "path": "*/txt2img"}
CHECKPOINTS = {"upstream": "automatic1111", "path": "*/sd-models"}
EVERYTHING = {"upstream": "automatic1111"}
NOT_FOUND = {"fault": "status", "code": 404, "body": {"detail": "Not Found"}}


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@asynccontextmanager
async def a_provider(environment, clock=monotonic, **changes):
    provider = create({**environment, **changes}, lambda _: None, clock=clock)
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(sandbox):
    async with a_provider(sandbox.environment) as running:
        yield running


def an_order(provider, name="", prompt="a fox", count=1, **fields):
    model = provider.catalogue.find(name)
    small = {"width": 256, "height": 256, "steps": 10, "seed": 7}
    request = generation_pb2.GenerateRequest(prompt=prompt, **{**small, **fields})
    fitted = fit(request, model, drawn_seed=1)
    return Order(model, prompt, fitted.parameters, Deadline.after(20), count=count, options=fitted.options)


async def generate(provider, order):
    async with asyncio.timeout(20):
        return await provider.generate(order)


async def the_failure(provider, order=None):
    with pytest.raises(Failure) as caught:
        await generate(provider, order or an_order(provider))
    return caught.value


def asked(sandbox, part="/txt2img"):
    return [each for each in sandbox.requests() if part in each["path"]]


async def until(condition):
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pictures_by_txt2img(sandbox, provider):
    """U3, R2, R4: all pictures of an order in one call that asks for an image type, each with its own seed."""
    order = an_order(provider, count=2, negative_prompt="cats")
    delivery = await generate(provider, order)
    assert [picture.seed for picture in delivery.pictures] == [7, 8]
    assert {images.inspect(picture.data).width for picture in delivery.pictures} == {256}
    assert delivery.sandbox
    assert order.dispatch is Dispatch.ACCEPTED
    (submission,) = asked(sandbox)
    assert submission["headers"]["accept"] == "image/png"
    assert submission["body"] == {
        "prompt": "a fox",
        "negative_prompt": "cats",
        "n_iter": 2,
        "batch_size": 1,
        "width": 256,
        "height": 256,
        "steps": 10,
        "cfg_scale": 7,
        "sampler_name": "Euler a",
        "seed": 7,
        "send_images": True,
        "save_images": False,
        "do_not_save_samples": True,
        "do_not_save_grid": True,
    }


async def test_a_callers_tags_never_arrive(sandbox, provider):
    """U3: what the webui would take for an instruction arrives as words, and the change is told."""
    order = an_order(provider, prompt="a fox <lora:x:1>", negative_prompt="<hypernet:y:1>")
    await generate(provider, order)
    (submission,) = asked(sandbox)
    assert "<" not in submission["body"]["prompt"] + submission["body"]["negative_prompt"]
    told = [(each.parameter, each.requested, each.action) for each in order.adjustments]
    assert told == [
        ("prompt", "<lora:x:1>", generation_pb2.ACTION_TRANSLATED),
        ("negative_prompt", "<hypernet:y:1>", generation_pb2.ACTION_TRANSLATED),
    ]


async def test_options_arrive(sandbox, provider):
    """R1: what the model lets through arrives under the webui's own names, for a checkpoint as for what is loaded."""
    await provider.refresh()
    request = generation_pb2.GenerateRequest()
    request.provider_options["automatic1111"].update({"tiling": True, "eta": 0.25, "restore_faces": False})
    for name in ("local", SDXL):
        order = an_order(provider, name, provider_options=request.provider_options)
        await generate(provider, order)
        body = asked(sandbox)[-1]["body"]
        assert (body["tiling"], body["eta"], body["restore_faces"]) == (True, 0.25, False)


# ── Whether a model works ────────────────────────────────────────────────────────────────────────────────────────────


async def checked(provider, name=""):
    async with asyncio.timeout(5):
        return await provider.check(provider.catalogue.find(name))


async def test_what_the_webui_has_and_has_loaded(sandbox, provider):
    """R7: a checkpoint that is there and one that is loaded are told apart; `local` is whatever is loaded."""
    await provider.refresh()
    for name, loaded in (("", True), (SD15, True), (SDXL, False)):
        check = await checked(provider, name)
        assert (check.exists, check.loaded, check.key_accepted, check.failure) == (True, loaded, None, None)
        assert SD15 in check.message
    assert not asked(sandbox)


async def test_a_check_asks_again_every_time(sandbox, provider):
    """R7: a file that was taken away a moment ago is told, and what is in the catalogue with it."""
    await provider.refresh()
    model = provider.catalogue.find(SDXL)
    sandbox.faults([{**CHECKPOINTS, "fault": "status", "code": 200, "body": []}])
    check = await provider.check(model)
    assert (check.exists, check.failure.reason) == (False, Reason.MODEL_NOT_FOUND)
    assert provider.catalogue.find(SDXL) is None


@pytest.mark.parametrize(("auth", "accepted"), [("user:password", True), ("user:wrong", False), ("", False)])
async def test_its_user_and_password_are_checked(auth, accepted):
    """R7: a webui that wants user and password says whether it takes ours."""
    async with (
        serving(webui_auth="user:password") as sandbox,
        a_provider(sandbox.environment, SD_API_AUTH=auth) as provider,
    ):
        check = await checked(provider)
    assert check.key_accepted is accepted
    if not accepted:
        assert (check.failure.reason, check.failure.upstream_status) == (Reason.CREDENTIALS_REJECTED, 401)
        assert "SD_API_AUTH" in check.failure.remedy


async def test_a_check_of_a_webui_without_an_api_or_not_there(sandbox, provider, unused_tcp_port):
    """R7: both are UNREACHABLE, with the remedy."""
    sandbox.faults([{**EVERYTHING, **NOT_FOUND}])
    async with a_provider({"SD_API_URL": f"http://127.0.0.1:{unused_tcp_port}"}) as nobody:
        for each in (provider, nobody):
            with pytest.raises(Failure) as caught:
                await checked(each)
            assert (caught.value.reason, "--api" in caught.value.remedy) == (Reason.UNREACHABLE, True)


# ── What is told, and stopped ────────────────────────────────────────────────────────────────────────────────────────

SLOW = Pace(automatic1111_step=0.1)
OURS = {"SD_EXCLUSIVE": "true"}


async def watched(provider, order):
    """Everything that is told of an order until its pictures are there."""
    told = []
    order.watch = told.append
    await generate(provider, order)
    return told


async def test_a_webui_of_ours_tells_its_steps_and_previews():
    """R9: where nobody else uses the webui its progress is ours: the steps of all pictures, and a preview."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment, **OURS) as provider:
        told = await watched(provider, an_order(provider, count=2))
        assert not asked(sandbox, "/interrupt")
    assert {each.phase for each in told} == {generation_pb2.PHASE_RUNNING}
    steps = [each.step for each in told if each.HasField("step")]
    assert (steps == sorted(steps), len(steps) >= 3) == (True, True)
    assert steps[-1] > 10  # of the second picture
    assert {each.steps for each in told if each.HasField("steps")} == {20}
    previews = [each.preview for each in told if each.HasField("preview")]
    assert previews
    assert all(images.inspect(each.data).mime_type == each.mime_type == "image/jpeg" for each in previews)


async def test_a_webui_that_others_use_tells_only_that_it_runs():
    """R9: another one's steps and pictures are never told as ours, and not even asked for."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        told = await watched(provider, an_order(provider))
        assert not asked(sandbox, "/progress")
    assert told == [generation_pb2.Progress(phase=generation_pb2.PHASE_RUNNING)]


async def test_nobody_is_told_what_nobody_wants_to_know():
    """R9: without somebody who watches the webui is not asked how far it is."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment, **OURS) as provider:
        await generate(provider, an_order(provider, steps=10))
        assert not asked(sandbox, "/progress")


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "status", "code": 500},
        {"fault": "html"},
        {"fault": "hang"},
        {"fault": "status", "code": 200, "body": {"state": {"job_count": 1, "sampling_steps": 10**30}}},
        {
            "fault": "status",
            "code": 200,
            "body": {
                "state": {"job_count": 1, "job_no": 0, "sampling_step": 3, "sampling_steps": 10},
                "current_image": b64encode(b"<html>").decode(),
            },
        },
    ],
)
async def test_progress_that_is_none_costs_no_picture(fault):
    """R9, R14: whatever the webui answers to the question how far it is, the picture is delivered."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment, **OURS) as provider:
        sandbox.faults([{"upstream": "automatic1111", "path": "*/progress", **fault}])
        told = await watched(provider, an_order(provider))
    assert not any(each.HasField("preview") for each in told)


@pytest.mark.parametrize(("exclusive", "states"), [("true", ["cancelled"]), ("false", [])])
async def test_leaving_interrupts_only_what_is_ours(exclusive, states):
    """R8, U3: leaving stops the webui where nobody else uses it, and never otherwise."""
    async with (
        serving(pace=SLOW) as sandbox,
        a_provider(sandbox.environment, SD_EXCLUSIVE=exclusive) as provider,
    ):
        task = asyncio.create_task(provider.generate(an_order(provider)))
        await until(lambda: asked(sandbox))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bool(asked(sandbox, "/interrupt")) is (exclusive == "true")
        assert [bill["state"] for bill in sandbox.billing()] == states
        # The next order does not stop what it would only have to wait for.
        if states:
            await generate(provider, an_order(provider, seed=8))
            assert [bill["state"] for bill in sandbox.billing()] == ["cancelled", "finished"]


@pytest.mark.parametrize("fault", [{"fault": "hang"}, {"fault": "status", "code": 500}, {"fault": "reset"}])
async def test_a_webui_that_does_not_stop_is_left(sandbox, fault):
    """R8: an interrupt that fails is no reason to keep the caller, who has left, for longer than two seconds."""
    async with serving(pace=SLOW) as slow, a_provider(slow.environment, **OURS) as provider:
        slow.faults([{"upstream": "automatic1111", "path": "*/interrupt", **fault}])
        task = asyncio.create_task(provider.generate(an_order(provider, steps=50)))
        await until(lambda: asked(slow))
        began = monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert monotonic() - began < 3


# ── Samplers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sampler", "sent", "scheduler", "action"),
    [
        ("EULER A", "Euler a", None, None),
        ("k_euler_ancestral", "Euler a", None, None),
        ("LMS", "LMS", None, None),
        ("DPM++ 2M Karras", "DPM++ 2M", "karras", generation_pb2.ACTION_TRANSLATED),
    ],
)
async def test_only_samplers_that_it_has_are_sent(sandbox, provider, sampler, sent, scheduler, action):
    """U3: the caller's spelling becomes the webui's, and what becomes another sampler is told."""
    order = an_order(provider, sampler=sampler)
    await generate(provider, order)
    (submission,) = asked(sandbox)
    assert submission["body"]["sampler_name"] == sent
    assert submission["body"].get("scheduler") == scheduler
    assert [each.action for each in order.adjustments] == ([action] if action else [])
    assert order.parameters["sampler"] == sent


@pytest.mark.parametrize("kept", [frozenset(), frozenset({"sampler"}), None], ids=["adjust", "must_keep", "refuse"])
async def test_an_unknown_sampler_is_refused_with_the_three_nearest(sandbox, provider, kept):
    """U3, R1: whatever changes a request allows, another sampler is another picture: nothing is sent."""
    order = an_order(provider, sampler="Euler b")
    order.kept = kept
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert "no sampler 'Euler b'" in failure.message
    assert failure.remedy == "one of Euler a, Euler, Heun"
    assert order.adjustments == []
    assert not asked(sandbox)


@pytest.mark.parametrize("sampler", ["x\n" * 128, "\x1b[31m", "🎨" * 200, "<script>"])
async def test_a_hostile_name_of_a_sampler_is_told_in_one_short_line(provider, sampler):
    """U3, R14: what a caller calls a sampler is repeated cut, and cannot forge a line."""
    failure = await the_failure(provider, an_order(provider, sampler=sampler))
    assert failure.reason is Reason.UNSUPPORTED
    assert failure.message.isprintable()
    assert len(failure.message.encode()) < 256


async def test_a_webui_without_the_usual_sampler_takes_its_own(sandbox, provider):
    """U3, R1: who names no sampler is not refused for one that the catalogue names, whatever is forbidden, and is told;
    who names that one may forbid it.
    """
    sandbox.faults([{**EVERYTHING, "path": "*/samplers", "fault": "json_200", "body": [{"name": "Heun"}]}])
    order = an_order(provider)
    order.kept = None
    await generate(provider, order)
    assert "sampler_name" not in asked(sandbox)[0]["body"]
    told = [(each.parameter, each.requested, each.applied, each.action) for each in order.adjustments]
    assert told == [("sampler", "Euler a", "", generation_pb2.ACTION_DROPPED)]
    order = an_order(provider, sampler="Euler a")
    order.kept, order.asked = frozenset({"sampler"}), frozenset({"sampler"})
    assert (await the_failure(provider, order)).reason is Reason.UNSUPPORTED
    assert len(asked(sandbox)) == 1


async def test_the_catalogue_tells_the_samplers(sandbox):
    """U3, P1: once the webui answers every model tells its samplers; one that does not tell them is offered all the
    same, and what it had told is not forgotten.
    """
    now = [0.0]
    not_told = {**EVERYTHING, "path": "*/samplers", **NOT_FOUND}
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        told = []
        for faults in ([not_told], [], [not_told]):
            sandbox.faults(faults)
            await provider.refresh()
            told.append([model.samplers.find("DPM++ 2M Karras") for model in provider.catalogue.models])
            now[0] += 61.0
    found = Sampling("DPM++ 2M", "karras")
    assert told == [[None] * 3, [found] * 3, [found] * 3]


async def test_what_was_told_already_is_not_told_again(sandbox, provider):
    """U3, R1: an order in the webui's own words, as its catalogue makes it, changes no more."""
    await provider.check(provider.catalogue.find(""))
    order = an_order(provider, sampler="DPM++ 2M Karras")
    await generate(provider, order)
    (submission,) = asked(sandbox)
    assert (submission["body"]["sampler_name"], submission["body"]["scheduler"]) == ("DPM++ 2M", "karras")
    assert order.adjustments == []


async def test_samplers_are_asked_for_once_in_a_minute(sandbox):
    """U3: the lists are believed for 60 s."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        for now[0] in (0.0, 59.0, 61.0):
            await generate(provider, an_order(provider))
    assert (len(asked(sandbox, "/samplers")), len(asked(sandbox, "/schedulers"))) == (2, 2)


async def test_a_webui_of_before_1_9(sandbox, provider):
    """U3: a webui that has no schedulers still works."""
    sandbox.faults([{**EVERYTHING, "path": "*/schedulers", **NOT_FOUND}])
    assert (await generate(provider, an_order(provider, sampler="lms"))).pictures


# ── Checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_checkpoint_is_a_model(sandbox, provider):
    """U3: after a refresh `local` says what is loaded, and each checkpoint is a model that selects it."""
    await provider.refresh()
    assert [model.key for model in provider.catalogue.models] == ["local", "v1-5-pruned-emaonly", "sd_xl_base_1.0"]
    assert provider.catalogue.find("").display_name == "v1-5-pruned-emaonly (loaded in the local webui)"
    await generate(provider, an_order(provider, SDXL))
    (submission,) = asked(sandbox)
    assert submission["body"]["override_settings"] == {"sd_model_checkpoint": SDXL}
    assert sandbox.billing()[0]["model"] == SDXL


async def test_local_selects_nothing(sandbox, provider):
    """U3: `local` is whatever is loaded."""
    await provider.refresh()
    await generate(provider, an_order(provider, "local"))
    assert "override_settings" not in asked(sandbox)[0]["body"]
    assert sandbox.billing()[0]["model"] == SD15


async def test_a_checkpoint_that_is_gone_is_not_found(sandbox):
    """U3, R7: a checkpoint that the webui no longer lists is never sent, since it would use another one silently."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        await provider.refresh()
        order = an_order(provider, SDXL)
        sandbox.faults([{**CHECKPOINTS, "fault": "json_200", "body": []}])
        now[0] = 31.0
        failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch) == (Reason.MODEL_NOT_FOUND, Dispatch.NOT_SENT)
    assert not asked(sandbox)


async def test_another_checkpoint_than_asked_is_bad_output(sandbox, provider):
    """U3: where the webui says that another checkpoint made the picture, it is not delivered."""
    await provider.refresh()
    info = json.dumps({"sd_model_hash": "6ce0161689", "all_seeds": [7]})
    body = {"images": [b64encode(b"picture").decode()], "info": info}
    sandbox.faults([{**SUBMISSION, "fault": "json_200", "body": body}])
    failure = await the_failure(provider, an_order(provider, SDXL))
    assert (failure.reason, failure.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED)


async def test_the_catalogue_is_read_every_half_minute(sandbox):
    """U3: a refresh within 30 s of the last one asks nothing."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        for now[0] in (0.0, 29.0, 31.0):
            await provider.refresh()
    assert len(asked(sandbox, "/sd-models")) == len(asked(sandbox, "/options")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "hang"},
        {"fault": "reset"},
        {"fault": "html"},
        {"fault": "status", "code": 500},
        {"fault": "json_200"},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_a_refresh_never_fails(sandbox, fault):
    """U3: a webui that does not tell leaves the catalogue as it was, within two seconds."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        await provider.refresh()
        known = provider.catalogue.models
        sandbox.faults([{**EVERYTHING, **fault}])
        now[0] = 31.0
        async with asyncio.timeout(5):
            await provider.refresh()
        assert provider.catalogue.models == known
        sandbox.faults([])
        await provider.refresh()
        assert (await generate(provider, an_order(provider))).pictures


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "reason", "dispatch"),
    [
        (NOT_FOUND, Reason.UNREACHABLE, Dispatch.REFUSED),
        ({"fault": "status", "code": 401}, Reason.CREDENTIALS_REJECTED, Dispatch.REFUSED),
        ({"fault": "status", "code": 422}, Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED),
        ({"fault": "status", "code": 500}, Reason.UPSTREAM_ERROR, Dispatch.REFUSED),
        ({"fault": "html", "code": 502}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "status", "code": 503}, Reason.OVERLOADED, Dispatch.REFUSED),
        ({"fault": "html"}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "json_200"}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "json_200", "body": {"images": [], "info": ""}}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "reset"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "reset_mid_body"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
    ],
    ids=lambda value: f"{value['fault']} {value.get('code', '')}" if isinstance(value, dict) else None,
)
async def test_every_fault_is_reported_once(sandbox, provider, fault, reason, dispatch):
    """R5, R10: one submission, one reason, how far it got and the webui's words; nothing is tried again."""
    sandbox.faults([{**SUBMISSION, **fault}])
    order = an_order(provider)
    failure = await the_failure(provider, order)
    assert failure.reason is reason
    assert dispatch in (failure.dispatch, order.dispatch)
    assert len(asked(sandbox)) == 1
    if failure.dispatch is Dispatch.REFUSED:
        assert failure.upstream_message
        assert failure.remedy


async def test_a_picture_too_large_for_the_machine(sandbox, provider):
    """R5, R10: out of memory is an overload, and a smaller picture is the remedy."""
    oom = {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of memory. Tried 20 GiB"}
    sandbox.faults([{**SUBMISSION, "fault": "status", "code": 500, "body": oom}])
    failure = await the_failure(provider)
    assert failure.reason is Reason.OVERLOADED
    assert "CUDA out of memory" in failure.upstream_message
    assert "smaller picture" in failure.remedy


async def test_its_api_is_off(sandbox, provider):
    """U3, R10: a 404 of its API means that it runs without --api; no model is missing."""
    sandbox.faults([{**EVERYTHING, **NOT_FOUND}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)
    assert failure.remedy == "start the webui with --api"
    assert not asked(sandbox)


async def test_a_webui_that_is_not_there(unused_tcp_port):
    """U3, R10: a refused connection says how to start it and where it is looked for; its catalogue stays."""
    async with a_provider({"SD_API_URL": f"http://127.0.0.1:{unused_tcp_port}"}) as provider:
        await provider.refresh()
        assert [model.key for model in provider.catalogue.models] == ["local"]
        failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)
    assert "start the webui with --api" in failure.remedy
    assert "SD_API_URL" in failure.remedy


async def test_its_user_and_password():
    """R13, R14: SD_API_AUTH is sent as Basic; a wrong one names the variable and shows up nowhere."""
    async with serving(webui_auth="me:right-password") as sandbox:
        async with a_provider(sandbox.environment, SD_API_AUTH="me:right-password") as provider:
            await provider.refresh()
            assert len(provider.catalogue.models) == 3
            assert (await generate(provider, an_order(provider))).pictures
        async with a_provider(sandbox.environment, SD_API_AUTH="me:wrong-password") as provider:
            failure = await the_failure(provider)
        async with a_provider(sandbox.environment) as provider:
            assert (await the_failure(provider)).upstream_message == "Not authenticated"
    assert failure.reason is Reason.CREDENTIALS_REJECTED
    assert "SD_API_AUTH" in failure.remedy
    assert "wrong-password" not in repr(failure.as_attempt("automatic1111", "local"))


async def test_leaving_interrupts_nobody():
    """U3: who leaves is gone at once; the webui is never interrupted, since it might be working for somebody else."""
    async with serving(pace=Pace(automatic1111_step=3.0)) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        running = asyncio.create_task(provider.generate(order))
        await until(lambda: asked(sandbox))
        assert (order.phase, order.dispatch) == ("run", Dispatch.UNKNOWN)
        running.cancel()
        async with asyncio.timeout(2):
            with pytest.raises(asyncio.CancelledError):
                await running
        paths = {(each["method"], each["path"].rpartition("/")[2]) for each in sandbox.requests()}
    assert paths == {("GET", "samplers"), ("GET", "schedulers"), ("POST", "txt2img")}


async def test_a_hang_lasts_until_the_caller_leaves(sandbox, provider):
    """R10: the provider has no time-out of its own; it stops when it is told to."""
    sandbox.faults([{**SUBMISSION, "fault": "hang"}])
    order = an_order(provider)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await provider.generate(order)
    assert order.dispatch is Dispatch.UNKNOWN


async def test_nothing_is_submitted_to_a_webui_that_is_still_at_work():
    """U3: what a caller left behind is waited for, as waiting in a queue, before the next order is submitted."""
    async with serving(pace=Pace(automatic1111_step=0.08)) as sandbox, a_provider(sandbox.environment) as provider:
        running = asyncio.create_task(provider.generate(an_order(provider)))
        await until(lambda: asked(sandbox))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        order = an_order(provider)
        following = asyncio.create_task(generate(provider, order))
        await until(lambda: asked(sandbox, "/progress"))
        assert order.phase == "queue"
        assert order.dispatch is Dispatch.NOT_SENT
        assert (await following).queue_seconds > 0
        assert [bill["state"] for bill in sandbox.billing()] == ["finished", "finished"]
        assert "/progress" in sandbox.requests()[-2]["path"]  # idle at last, then the submission
        before = len(asked(sandbox, "/progress"))
        assert (await generate(provider, an_order(provider))).queue_seconds is None
        assert len(asked(sandbox, "/progress")) == before


async def test_a_webui_that_stays_busy_is_left_alone():
    """U3: where the order's deadline comes first nothing was sent, so that another provider may follow."""
    async with serving(pace=Pace(automatic1111_step=3.0)) as sandbox, a_provider(sandbox.environment) as provider:
        running = asyncio.create_task(provider.generate(an_order(provider)))
        await until(lambda: asked(sandbox))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        order = an_order(provider)
        order.deadline = Deadline.after(0.5)
        failure = await the_failure(provider, order)
        assert (failure.reason, failure.phase, failure.dispatch) == (Reason.TIMEOUT, "queue", Dispatch.NOT_SENT)
        assert len(asked(sandbox)) == 1


@pytest.mark.parametrize("fault", [NOT_FOUND, {"fault": "json_200", "body": {"state": {"job_count": "x"}}}])
async def test_a_webui_that_does_not_say_whether_it_is_busy(sandbox, provider, fault):
    """U3: nonsense in the place of its progress keeps nobody waiting."""
    sandbox.faults([{**SUBMISSION, "fault": "reset", "times": 1}, {**EVERYTHING, "path": "*/progress", **fault}])
    assert (await the_failure(provider)).dispatch is Dispatch.UNKNOWN
    assert (await generate(provider, an_order(provider))).pictures
    assert asked(sandbox, "/progress")


# ── Switches ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "set SD_ENABLED=true (and SD_API_URL if it is not http://127.0.0.1:7860)"),
        ({"SD_ENABLED": "true"}, ""),
        ({"SD_API_URL": "http://sd:7860"}, ""),
        ({"SD_API_URL": "http://sd:7860", "SD_ENABLED": "false"}, "switched off by SD_ENABLED=false"),
        (
            {"SD_ENABLED": "true", "IMAGEGATE_AUTOMATIC1111_ENABLED": "false"},
            "switched off by IMAGEGATE_AUTOMATIC1111_ENABLED=false",
        ),
    ],
)
async def test_when_it_is_on(environment, reason):
    """R10, R13: it is on where SD_ENABLED says so or SD_API_URL is set; else it names what switches it on."""
    provider = create(environment, lambda _: None)
    assert provider.disabled_reason == reason
    if reason:
        await provider.refresh()  # asks nobody
        assert [model.key for model in provider.catalogue.models] == ["local"]


async def test_the_password_is_a_secret(tmp_path):
    """R14: whoever scrubs the logs hears the password, from the variable or from a mounted file."""
    secrets = []
    create({"SD_API_AUTH": "me:password"}, secrets.append)
    file = tmp_path / "auth"
    file.write_text("me:from-a-file\n")
    async with serving(webui_auth="me:from-a-file") as sandbox:
        provider = create({**sandbox.environment, "SD_API_AUTH_FILE": str(file)}, secrets.append)
        assert (await generate(provider, an_order(provider))).pictures
        await provider.close()
    assert secrets == ["me:password", "me:from-a-file"]


@pytest.mark.parametrize("wrong", [{"SD_API_URL": "localhost:7860"}, {"SD_API_URL": "http://me:pass@sd:7860"}])
def test_wrong_settings_are_named(wrong):
    """R13, R14: an address that cannot be used stops the start and is named, without repeating it."""
    with pytest.raises(SettingsError, match="SD_API_URL") as caught:
        create(wrong, lambda _: None)
    assert wrong["SD_API_URL"] not in str(caught.value)
