"""The fal provider over real sockets, against the sandbox: what it asks for, and what it makes of every fault."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import web

from imagegate.providers.fal.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import fit
from imagegate.runtime.order import Order
from imagegate.sandbox.app import Pace, serving
from imagegate.v1 import generation_pb2

SUBMISSION = {"upstream": "fal", "method": "POST"}
STATUS = {"upstream": "fal", "method": "GET", "path": "*/status"}
RESULT = {"upstream": "fal", "method": "GET", "path": "/fal-ai/*/requests/*[0-9a-f]"}  # …/status ends otherwise
PICTURE = {"upstream": "fal", "method": "GET", "path": "/fal/cdn/*"}
SLOW = Pace(fal_queue=0.05, fal_run=30.0)


class Heard(list):
    """What the caller is told early: the upstream's ids."""

    async def tell(self, upstream_id):
        self.append(upstream_id)


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@asynccontextmanager
async def a_provider(environment, **changes):
    provider = create({**environment, "FAL_KEY": "id:secret", **changes}, lambda _: None)
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(sandbox):
    async with a_provider(sandbox.environment) as running:
        yield running


def an_order(provider, key="flux-schnell", count=1, seconds=20.0, **fields):
    model = provider.catalogue.find(key)
    request = generation_pb2.GenerateRequest(prompt="a fox", **{"width": 256, "height": 256, "seed": 7, **fields})
    fitted = fit(request, model, drawn_seed=1)
    return Order(
        model=model,
        prompt="a fox",
        parameters=fitted.parameters,
        options=fitted.options,
        deadline=Deadline.after(seconds),
        count=count,
        tell_upstream_id=Heard().tell,
    )


async def the_failure(provider, order=None):
    with pytest.raises(Failure) as caught:
        await provider.generate(order or an_order(provider))
    return caught.value


def asked(sandbox, method, part):
    return [r for r in sandbox.requests() if r["method"] == method and part in r["path"]]


async def until(condition):
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# ── What works ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["flux-schnell", "flux-dev", "flux-pro", "stable-cascade", "aura-flow"])
async def test_every_model_delivers(sandbox, provider, key):
    """U2: each model of the catalogue is served under its id and delivers a picture with its seed."""
    order = an_order(provider, key)
    delivery = await provider.generate(order)
    assert [picture.seed for picture in delivery.pictures] == [7]
    seen = images.inspect(delivery.pictures[0].data)
    assert seen.format == ("PNG" if key.startswith("flux") else "JPEG")
    assert (seen.width, seen.height) == ((1024, 1024) if key == "aura-flow" else (256, 256))
    assert (order.dispatch, order.phase, delivery.sandbox) == (Dispatch.ACCEPTED, "download", True)
    assert [bill["id"] for bill in sandbox.billing()] == [order.upstream_id]


async def test_what_is_asked(sandbox, provider):
    """R1, R4: the submission holds what was asked and asks for an image type; so do the result and the picture."""
    await provider.generate(an_order(provider))
    submission = asked(sandbox, "POST", "/fal/queue/fal-ai/flux/schnell")[0]
    assert submission["body"] == {
        "prompt": "a fox",
        "num_images": 1,
        "output_format": "png",
        "num_inference_steps": 4,
        "image_size": {"width": 256, "height": 256},
        "seed": 7,
    }
    assert submission["headers"]["x-fal-no-retry"] == "1"
    assert submission["headers"]["authorization"] == "Key ***"
    accepts = {r["headers"]["accept"] for r in sandbox.requests() if not r["path"].endswith("/status")}
    assert accepts == {"image/png"}
    assert asked(sandbox, "GET", "/status")[0]["query"] == {"logs": "0"}


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("flux-dev", {"acceleration": "high", "enable_safety_checker": False}),
        ("flux-pro", {"safety_tolerance": "6", "enhance_prompt": True}),
        ("stable-cascade", {"second_stage_steps": 24, "second_stage_guidance_scale": 20.0}),
        ("aura-flow", {"expand_prompt": False}),
    ],
)
async def test_options_arrive(sandbox, provider, key, options):
    """R1, U2: what a model lets through arrives under fal's own names, and its strict app takes it."""
    request = generation_pb2.GenerateRequest()
    request.provider_options["fal"].update(options)
    assert (await provider.generate(an_order(provider, key, provider_options=request.provider_options))).pictures
    (submission,) = asked(sandbox, "POST", "/fal/queue")
    assert {name: submission["body"][name] for name in options} == options


async def test_the_key_stays_at_the_queue(sandbox, provider):
    """R14: the CDN, and whatever host an answer names, never sees the key."""
    await provider.generate(an_order(provider))
    assert asked(sandbox, "GET", "/fal/cdn")
    assert all("authorization" not in request["headers"] for request in asked(sandbox, "GET", "/fal/cdn"))


async def test_time_is_told_by_phase():
    """Waiting, working and fetching are measured apart, in seconds."""
    async with serving(pace=Pace(fal_queue=0.3, fal_run=0.5)) as sandbox, a_provider(sandbox.environment) as provider:
        delivery = await provider.generate(an_order(provider))
    assert 0.2 < delivery.queue_seconds < 2
    assert 0.2 < delivery.run_seconds < 2
    assert delivery.download_seconds < 1


async def test_pauses_grow():
    """A long job is not asked about ten times a second for ever."""
    async with serving(pace=Pace(fal_queue=0.0, fal_run=1.5)) as sandbox, a_provider(sandbox.environment) as provider:
        await provider.generate(an_order(provider))
        assert 3 <= len(asked(sandbox, "GET", "/status")) <= 8


async def test_the_id_is_told_at_once():
    """R5: the caller hears fal's id while the picture is still being made."""
    heard = Heard()
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        order.tell_upstream_id = heard.tell
        task = asyncio.create_task(provider.generate(order))
        await until(lambda: heard)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert heard == [order.upstream_id]


async def test_several_pictures(sandbox, provider):
    """R2: picture i is the one of seed + i, so each is a submission of its own."""
    delivery = await provider.generate(an_order(provider, count=3))
    assert [picture.seed for picture in delivery.pictures] == [7, 8, 9]
    assert len({picture.data for picture in delivery.pictures}) == 3
    submissions = asked(sandbox, "POST", "/fal/queue")
    assert sorted(r["body"]["seed"] for r in submissions) == [7, 8, 9]
    assert {r["body"]["num_images"] for r in submissions} == {1}


async def test_some_of_several(sandbox, provider):
    """What exists is delivered where only some pictures fail."""
    sandbox.faults([{**SUBMISSION, "fault": "status", "code": 503, "times": 1}])
    delivery = await provider.generate(an_order(provider, count=3))
    assert [picture.seed for picture in delivery.pictures] == [8, 9]


async def test_a_blanked_picture_is_marked(sandbox, provider):
    """fal's safety checker answers 200 with a black picture and a flag; the flag is handed on."""
    sandbox.faults([{**SUBMISSION, "fault": "black"}])
    delivery = await provider.generate(an_order(provider))
    assert delivery.pictures[0].filtered


# ── Off ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_off_without_a_key(tmp_path):
    """R10, R13: without its key it is off, and says which variable switches it on and where to get one; or a file."""
    file = tmp_path / "key"
    provider = create({"FAL_KEY_FILE": str(file)}, lambda _: None)
    assert "set FAL_KEY" in provider.disabled_reason
    assert "https://fal.ai/dashboard/keys" in provider.disabled_reason
    file.write_text("id:secret\n")
    assert provider.disabled_reason == ""
    await provider.close()


async def test_switched_off():
    """R10: it can be switched off, and says by what."""
    provider = create({"FAL_KEY": "id:secret", "IMAGEGATE_FAL_ENABLED": "false"}, lambda _: None)
    assert provider.disabled_reason == "switched off by IMAGEGATE_FAL_ENABLED=false"
    await provider.close()


# ── Whether a model works ───────────────────────────────────────────────────────────────────────────────────────────


async def checked(provider, key="flux-schnell"):
    async with asyncio.timeout(5):
        return await provider.check(provider.catalogue.find(key))


@pytest.mark.parametrize(
    ("key", "accepted", "reason"),
    [
        ("id:secret", True, None),
        ("id:broke", True, None),
        ("id:revoked", False, Reason.CREDENTIALS_REJECTED),
        ("nocolon", False, Reason.CREDENTIALS_REJECTED),
    ],
)
async def test_a_key_is_checked_for_free(sandbox, key, accepted, reason):
    """R7: the status of a request that never was tells whether fal takes the key, and nothing is submitted."""
    async with a_provider(sandbox.environment, FAL_KEY=key) as provider:
        check = await checked(provider)
    assert (check.key_accepted, check.failure and check.failure.reason) == (accepted, reason)
    assert (check.exists, check.loaded) == (None, None)
    (question,) = sandbox.requests()
    assert question["method"] == "GET"
    assert question["path"].startswith("/fal/queue/fal-ai/flux/requests/")
    assert sandbox.billing() == []


@pytest.mark.parametrize(
    ("fault", "reason", "accepted", "exists"),
    [
        ({"code": 404, "body": {"detail": 'Application "flux" not found'}}, Reason.MODEL_NOT_FOUND, True, False),
        (
            {"code": 403, "body": {"detail": "User is locked. Reason: Exhausted balance."}},
            Reason.OUT_OF_CREDIT,
            True,
            None,
        ),
        ({"code": 404, "body": "<html>nobody here"}, Reason.UPSTREAM_ERROR, None, None),
        ({"code": 200, "body": {"status": "IN_QUEUE"}}, Reason.UPSTREAM_ERROR, None, None),
        ({"code": 503, "body": {"detail": "busy"}}, Reason.OVERLOADED, None, None),
        ({"code": 429, "body": {"detail": "too many"}}, Reason.RATE_LIMITED, None, None),
    ],
)
async def test_what_fal_says_to_that(sandbox, provider, fault, reason, accepted, exists):
    """R7: only what fal's answer shows is claimed."""
    sandbox.faults([{**STATUS, "fault": "status", **fault}])
    check = await checked(provider)
    assert (check.failure.reason, check.key_accepted, check.exists) == (reason, accepted, exists)


@pytest.mark.parametrize("key", ["stable-cascade", "aura-flow", "flux-pro"])
async def test_every_model_can_be_checked(sandbox, provider, key):
    """R7: the other models, the budget and the artistic one among them, are asked after for free as well."""
    check = await checked(provider, key)
    assert (check.key_accepted, check.failure) == (True, None)
    assert sandbox.billing() == []


async def test_a_check_when_nobody_is_there(unused_tcp_port):
    """R7: nobody at fal's address is UNREACHABLE."""
    async with a_provider({"FAL_QUEUE_URL": f"http://127.0.0.1:{unused_tcp_port}"}) as provider:
        with pytest.raises(Failure) as caught:
            await checked(provider)
    assert caught.value.reason is Reason.UNREACHABLE


async def test_what_happens_is_told():
    """U2, R9: the place in fal's queue, the work and the way back are told, with the id under which fal has it."""
    async with (
        serving(pace=Pace(fal_queue=0.3, fal_run=0.6)) as sandbox,
        a_provider(sandbox.environment) as provider,
    ):
        told, order = [], an_order(provider)
        order.watch = told.append
        await provider.generate(order)
    phases = [generation_pb2.PHASE_QUEUED, generation_pb2.PHASE_RUNNING, generation_pb2.PHASE_DOWNLOADING]
    assert list(dict.fromkeys(each.phase for each in told)) == phases
    assert {each.upstream_id for each in told[1:]} == {order.upstream_id}
    assert [each.queue_position for each in told if each.HasField("queue_position")] == [0]


# ── Faults before fal has the work ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "reason", "status", "remedy"),
    [
        ("id:revoked", Reason.CREDENTIALS_REJECTED, 401, "set FAL_KEY"),
        ("nocolon", Reason.CREDENTIALS_REJECTED, 401, "set FAL_KEY"),
        ("id:broke", Reason.OUT_OF_CREDIT, 403, "top up"),
    ],
)
async def test_keys_that_do_not_work(sandbox, key, reason, status, remedy):
    """R5, R10, R14: a wrong key and an empty account are told apart, with fal's words and a remedy, without the key."""
    async with a_provider(sandbox.environment, FAL_KEY=key) as provider:
        failure = await the_failure(provider)
    assert (failure.reason, failure.upstream_status, failure.dispatch) == (reason, status, Dispatch.REFUSED)
    assert remedy in failure.remedy
    assert failure.upstream_message
    assert key not in f"{failure!r} {failure} {failure.upstream_message}"


@pytest.mark.parametrize("upstream_model", ["fal-ai/flux-dev", "fal-ai/flux-pro", "fal-ai/flux/pro"])
async def test_ids_that_do_not_exist(provider, upstream_model):
    """R7: an application that fal does not know is refused, an unknown path of a known one fails as a job."""
    order = an_order(provider)
    order.model = order.model.model_copy(update={"upstream_model": upstream_model})
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.upstream_status) == (Reason.MODEL_NOT_FOUND, 404)
    assert "not found" in failure.upstream_message


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"code": 410}, Reason.MODEL_NOT_FOUND),
        ({"code": 402}, Reason.OUT_OF_CREDIT),
        ({"code": 403}, Reason.CREDENTIALS_REJECTED),
        ({"code": 422, "body": {"detail": [{"loc": ["body", "prompt"], "msg": "no"}]}}, Reason.UPSTREAM_REJECTED_INPUT),
        ({"code": 429, "headers": {"Retry-After": "7"}}, Reason.RATE_LIMITED),
        ({"code": 503}, Reason.OVERLOADED),
        ({"code": 500}, Reason.UPSTREAM_ERROR),
    ],
)
async def test_refusals(sandbox, provider, rule, reason):
    """R5, R9: a refused submission is told with its reason and status, took nothing, and is not sent again."""
    sandbox.faults([{**SUBMISSION, "fault": "status", **rule}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.upstream_status, failure.dispatch) == (reason, rule["code"], Dispatch.REFUSED)
    assert failure.retry_after == (7 if reason is Reason.RATE_LIMITED else None)
    assert len(sandbox.requests()) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("reset", Reason.UPSTREAM_ERROR), ("html", Reason.BAD_OUTPUT), ("json_200", Reason.BAD_OUTPUT)],
)
async def test_submissions_whose_end_is_unknown(sandbox, provider, fault, reason):
    """Where no job was named nobody knows whether there is one: said so, and not sent again."""
    sandbox.faults([{**SUBMISSION, "fault": fault}])
    order = an_order(provider)
    failure = await the_failure(provider, order)
    assert failure.reason is reason
    assert order.dispatch is Dispatch.UNKNOWN
    assert failure.dispatch in (Dispatch.UNSPECIFIED, Dispatch.UNKNOWN)
    assert len(asked(sandbox, "POST", "/fal")) == 1


async def test_nobody_there():
    """R10: where nothing listens, nothing was sent."""
    async with a_provider({"FAL_QUEUE_URL": "http://127.0.0.1:9"}) as provider:
        failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)


async def test_a_submission_that_hangs(sandbox, provider):
    """A caller that leaves is let go at once, and whether fal has the work stays unknown."""
    sandbox.faults([{**SUBMISSION, "fault": "hang"}])
    order = an_order(provider)
    task = asyncio.create_task(provider.generate(order))
    await until(sandbox.requests)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1
    assert order.dispatch is Dispatch.UNKNOWN


# ── Faults once fal has it ──────────────────────────────────────────────────────────────────────────────────────────


async def test_asking_may_fail_for_a_while(sandbox, provider):
    """Asking how a job is doing costs nothing, so a few failures of it do not fail the job."""
    sandbox.faults([{**STATUS, "fault": "status", "code": 502, "times": 2}, {**STATUS, "fault": "html", "times": 1}])
    delivery = await provider.generate(an_order(provider))
    assert len(delivery.pictures) == 1


async def test_losing_track(sandbox, provider):
    """A job that cannot be asked about any more is accepted work of unknown cost, told with its id."""
    gone = {"upstream": "fal", "fault": "status", "code": 503, "body": {"detail": "gone fishing"}}
    sandbox.faults([{**gone, "method": "GET"}, {**gone, "method": "PUT"}])
    order = an_order(provider)
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, None)
    assert (failure.upstream_id, failure.upstream_status) == (order.upstream_id, 503)
    assert failure.upstream_message == "gone fishing"
    assert len(asked(sandbox, "POST", "/fal")) == 1


async def test_a_job_that_is_lost_and_found(sandbox, provider):
    """A job that nobody can follow is cancelled; where that came too late its picture is delivered: it was paid for."""
    sandbox.faults([{**STATUS, "fault": "status", "code": 503}])
    delivery = await provider.generate(an_order(provider))
    assert images.inspect(delivery.pictures[0].data).width == 256
    assert [r["status"] for r in asked(sandbox, "PUT", "/cancel")] == [400]


async def test_a_job_that_is_lost_is_cancelled():
    """A job that nobody can follow any more is not left running: it would be paid for."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        sandbox.faults([{**STATUS, "fault": "status", "code": 503}])
        failure = await the_failure(provider)
        assert (failure.reason, failure.dispatch, failure.billed) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, False)
        assert [bill["state"] for bill in sandbox.billing()] == ["cancelled"]


@pytest.mark.parametrize("fault", [None, {"fault": "hang"}, {"fault": "reset"}])
async def test_a_bug_after_the_submission_leaves_no_job_behind(fault):
    """Whatever goes wrong once fal has the work, it is told to stop, in bounded time, and the bug is not hidden."""

    async def tell(_upstream_id):
        raise RuntimeError("a bug")

    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        sandbox.faults([{"upstream": "fal", "method": "PUT", **fault}] if fault else [])
        order = an_order(provider)
        order.tell_upstream_id = tell
        with pytest.raises(ExceptionGroup) as caught:
            await provider.generate(order)
        assert caught.group_contains(RuntimeError, match="a bug")
        assert asked(sandbox, "PUT", "/cancel")
        if fault is None:
            assert [bill["state"] for bill in sandbox.billing()] == ["cancelled"]


async def test_losing_the_connection_after_the_submission(sandbox, provider):
    """Once fal has the work no later trouble is told as NOT_SENT or REFUSED."""
    sandbox.faults([{"upstream": "fal", "method": "GET", "fault": "reset"}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED)


@pytest.mark.parametrize("broken", [RESULT, PICTURE])
@pytest.mark.parametrize("fault", ["reset", "reset_mid_body"])
async def test_fetching_again(sandbox, provider, broken, fault):
    """What is finished is fetched up to three times, since that costs nothing; it is never made again."""
    sandbox.faults([{**broken, "fault": fault, "times": 2}])
    delivery = await provider.generate(an_order(provider))
    assert images.inspect(delivery.pictures[0].data).width == 256
    assert len(asked(sandbox, "POST", "/fal")) == 1


async def test_a_picture_that_does_not_arrive(sandbox, provider):
    """Three broken downloads fail the attempt, as accepted work."""
    sandbox.faults([{**PICTURE, "fault": "reset_mid_body"}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED)
    assert len(asked(sandbox, "GET", "/fal/cdn")) == 3


@pytest.mark.parametrize("missing", [RESULT, PICTURE])
async def test_a_result_that_is_gone(sandbox, provider, missing):
    """A 404 for a result or its picture says that the output is bad, not that there is no such model."""
    sandbox.faults([{**missing, "fault": "status", "code": 404}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch, failure.upstream_status) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, 404)


@pytest.mark.parametrize("fault", ["html", "json_200"])
async def test_a_result_that_is_none(sandbox, provider, fault):
    """A result of HTML, or of JSON without a picture, is bad output of accepted work."""
    sandbox.faults([{**RESULT, "fault": fault}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED)


@pytest.mark.parametrize("fault", ["truncate", "html"])
async def test_what_is_no_picture_is_fetched_again(sandbox, provider, fault):
    """F11, F12: what did not come whole may the next time; it is never made again."""
    sandbox.faults([{**PICTURE, "fault": fault, "times": 2}])
    delivery = await provider.generate(an_order(provider))
    assert images.inspect(delivery.pictures[0].data).width == 256
    assert len(asked(sandbox, "POST", "/fal")) == 1


@pytest.mark.parametrize("fault", ["truncate", "html"])
async def test_what_stays_no_picture_is_handed_on_as_it_is(sandbox, provider, fault):
    """The runtime's inspection judges what came the third time, and finds out what it is."""
    sandbox.faults([{**PICTURE, "fault": fault}])
    delivery = await provider.generate(an_order(provider))
    with pytest.raises(images.NotAPicture):
        images.inspect(delivery.pictures[0].data)
    assert len(asked(sandbox, "GET", "/fal/cdn")) == 3


async def test_a_failed_job(sandbox, provider):
    """R5: a job that failed tells the model's own words and status, through the result that replays them."""
    order = an_order(provider)
    order.parameters = {**order.parameters, "steps": 0}
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.upstream_status) == (Reason.UPSTREAM_REJECTED_INPUT, 422)
    assert "num_inference_steps" in failure.upstream_message
    assert (failure.dispatch, failure.billed, failure.upstream_id) == (Dispatch.ACCEPTED, False, order.upstream_id)


async def test_a_job_that_does_not_start_in_time():
    """The order's deadline is handed to fal, which does not start what nobody would wait for, and charges nothing."""
    async with serving(pace=Pace(fal_queue=30)) as sandbox, a_provider(sandbox.environment) as provider:
        failure = await the_failure(provider, an_order(provider, seconds=1.3))
        assert (failure.reason, failure.dispatch, failure.billed) == (Reason.TIMEOUT, Dispatch.ACCEPTED, False)


# ── Leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_cancels_once():
    """U2: a caller that leaves has the work cancelled, once and provably: nothing is billed."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        task = asyncio.create_task(provider.generate(order))
        await until(lambda: order.phase == "run")
        with structlog.testing.capture_logs() as logs:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert [r["status"] for r in asked(sandbox, "PUT", "/cancel")] == [202]
        assert [(bill["state"], bill["billed"]) for bill in sandbox.billing()] == [("cancelled", False)]
        assert [line["upstream_said"] for line in logs] == ["Request cancelled by the client."]
        assert logs[0]["upstream_id"] == order.upstream_id


async def test_leaving_twice():
    """A second cancellation does not keep the first one from cancelling upstream."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        task = asyncio.create_task(provider.generate(order))
        await until(lambda: order.phase == "run")
        sandbox.faults([{"upstream": "fal", "method": "PUT", "fault": "delay", "seconds": 0.3}])
        task.cancel()
        await until(lambda: asked(sandbox, "PUT", "/cancel"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [bill["state"] for bill in sandbox.billing()] == ["cancelled"]


async def test_leaving_when_fal_does_not_answer():
    """Cancelling takes two seconds at most."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        task = asyncio.create_task(provider.generate(order))
        await until(lambda: order.phase == "run")
        sandbox.faults([{"upstream": "fal", "method": "PUT", "fault": "hang"}])
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 4


async def test_leaving_too_late():
    """Work that is finished when it is cancelled was paid for: its picture is delivered, not thrown away."""
    async with serving() as sandbox, a_provider(sandbox.environment) as provider:
        sandbox.faults([{**STATUS, "fault": "hang"}])
        order = an_order(provider)
        task = asyncio.create_task(provider.generate(order))
        await until(sandbox.billing)
        task.cancel()
        delivery = await task
        assert [r["status"] for r in asked(sandbox, "PUT", "/cancel")] == [400]
        assert images.inspect(delivery.pictures[0].data).width == 256


async def test_the_deadline_passes():
    """An order whose time runs out is cancelled upstream and ends as a time-out, with the work known as accepted."""
    async with serving(pace=SLOW) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await provider.generate(order)
        assert order.dispatch is Dispatch.ACCEPTED
        assert [bill["state"] for bill in sandbox.billing()] == ["cancelled"]


async def test_the_deadline_passes_too_late():
    """A picture that was finished when its order's time ran out is delivered within the reserve, not reported lost."""
    async with serving() as sandbox, a_provider(sandbox.environment) as provider:
        sandbox.faults([{**STATUS, "fault": "hang"}])
        async with asyncio.timeout(2.0):
            delivery = await provider.generate(an_order(provider, count=2))
        assert [picture.seed for picture in delivery.pictures] == [7, 8]


# ── Hosts that an answer names ──────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def a_host(handler):
    """A server that answers everything by `handler`: its address, and the requests that it saw."""
    seen = []

    async def handle(request):
        seen.append((request.method, request.path_qs, request.headers.get("Authorization")))
        return handler(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


def a_queue_that_names(host, picture="https://v3.fal.media/x.png"):
    """A queue whose answers name `host` for everything that follows."""

    def answer(request):
        if request.method == "POST":
            urls = {f"{name}_url": f"{host}/base/a/requests/1/{name}" for name in ("status", "response", "cancel")}
            return web.json_response({"request_id": "1", **urls})
        if request.path.endswith("/status"):
            return web.json_response({"status": "COMPLETED"})
        return web.json_response({"images": [{"url": picture}], "seed": 7})

    return answer


async def test_only_the_path_of_a_named_url_is_used():
    """R14: status and result are asked for at the configured host, whatever host the answer names."""
    async with (
        a_host(lambda _: web.Response(status=500)) as (foreign, seen_there),
        a_host(a_queue_that_names(foreign, "data:image/png;base64,iVBORw==")) as (queue, seen),
        a_provider({"FAL_QUEUE_URL": f"{queue}/base"}) as provider,
    ):
        delivery = await provider.generate(an_order(provider))
    assert delivery.pictures[0].data == b"\x89PNG"
    assert seen_there == []
    assert [(method, path) for method, path, _ in seen] == [
        ("POST", "/base/fal-ai/flux/schnell"),
        ("GET", "/base/a/requests/1/status?logs=0"),
        ("GET", "/base/a/requests/1/response"),
    ]


async def test_a_picture_at_an_inner_address():
    """A picture's address that is not a public one is not fetched, and no key goes there."""
    async with (
        a_host(lambda _: web.Response(body=b"inner")) as (inner, seen_there),
        a_host(a_queue_that_names("https://queue.fal.run", f"{inner}/x.png")) as (queue, _),
        a_provider({"FAL_QUEUE_URL": f"{queue}/base"}) as provider,
    ):
        failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED)
    assert seen_there == []
