"""The Hugging Face provider over real sockets, against the sandbox: what it asks for, what it makes of every fault."""

import asyncio
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from aiohttp import web

from imagegate.providers.huggingface.endpoints import Endpoint, with_endpoints
from imagegate.providers.huggingface.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.models import Model
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Order
from imagegate.runtime.settings import SettingsError
from imagegate.sandbox.app import Pace, serving
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

KEY = "hf_test0123456789"
SCHNELL = "black-forest-labs/FLUX.1-schnell"
SUBMISSION = {"upstream": "huggingface", "method": "POST"}
HUB = {"upstream": "huggingface-hub", "path": "/api/models/*"}
DOWNLOAD = {"upstream": "fal", "method": "GET", "path": "/fal/cdn/*"}


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@asynccontextmanager
async def a_provider(environment, clock=monotonic, **changes):
    provider = create({**environment, "HUGGINGFACE_API_KEY": KEY, **changes}, lambda _: None, clock=clock)
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(sandbox):
    async with a_provider(sandbox.environment) as running:
        yield running


class Heard(list):
    """What the caller is told early: the upstream's ids."""

    async def tell(self, upstream_id):
        self.append(upstream_id)


def an_order(provider, name="", count=1, **fields):
    model = provider.catalogue.find(name) or provider.catalogue.find_outside(name)
    request = generation_pb2.GenerateRequest(prompt="a fox", **{"width": 256, "height": 256, "seed": 7, **fields})
    fitted = fit(request, model, drawn_seed=1)
    order = Order(model, "a fox", fitted.parameters, Deadline.after(20), count=count, asked=asked_fields(request))
    order.adjustments.extend(fitted.adjustments)
    order.tell_upstream_id = Heard().tell
    return order


async def generate(provider, order):
    async with asyncio.timeout(20):
        return await provider.generate(order)


async def the_failure(provider, order=None):
    with pytest.raises(Failure) as caught:
        await generate(provider, order or an_order(provider))
    assert KEY not in repr(caught.value.as_attempt("huggingface", "x"))
    return caught.value


def asked(sandbox, part, method="POST"):
    return [each for each in sandbox.requests() if part in each["path"] and each["method"] == method]


async def until(condition):
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_router_that_names(request_id):
    """A router that answers everything with a picture under `request_id`, byte for byte."""

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        body = picture(256, 256)
        headers = b"Content-Type: image/png\r\nContent-Length: %d\r\nConnection: close" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Request-Id: " + request_id + b"\r\n" + headers + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("request_id", "told"),
    [(b"plain-1", ["plain-1"]), (b"caf\xc3\xa9", []), (b"a\tb", []), (b"a b", []), (b"x" * 129, []), (b"", [])],
)
async def test_an_id_that_cannot_be_told_costs_no_picture(request_id, told):
    """R5: only ids that metadata of gRPC can carry are told and kept; the picture is delivered with any."""
    async with (
        a_router_that_names(request_id) as url,
        a_provider({"HUGGINGFACE_BASE_URL": url}, HUGGINGFACE_INFERENCE_PROVIDER="hf-inference") as provider,
    ):
        heard, order = Heard(), an_order(provider)
        order.tell_upstream_id = heard.tell
        delivery = await generate(provider, order)
    assert delivery.pictures
    assert heard == told
    assert order.upstream_id == "".join(told)
    assert order.dispatch is Dispatch.ACCEPTED


# ── Whether a model works ────────────────────────────────────────────────────────────────────────────────────────────


async def checked(provider, name=""):
    model = provider.catalogue.find(name) or provider.catalogue.find_outside(name)
    async with asyncio.timeout(5):
        return await provider.check(model)


async def test_a_model_that_works(sandbox, provider):
    """R7: the Hub says who serves it, that it is warm and that the key is taken; nothing is paid."""
    check = await checked(provider)
    assert (check.exists, check.loaded, check.key_accepted, check.failure) == (True, True, True, None)
    assert "hf-inference" in check.message
    assert sandbox.billing() == []
    assert not asked(sandbox, "/huggingface/")


async def test_a_check_asks_for_the_model_every_time_and_for_the_key_rarely(sandbox):
    """R7: the question whose key it is, which is strictly limited, is asked once in five minutes and per key."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        for _ in range(3):
            await checked(provider)
        assert len(asked(sandbox, "whoami-v2", "GET")) == 1
        assert len(asked(sandbox, "/api/models/", "GET")) == 3
        now[0] = 301.0
        await checked(provider)
        assert len(asked(sandbox, "whoami-v2", "GET")) == 2
        # What a check has learned serves the next picture.
        await generate(provider, an_order(provider))
        assert len(asked(sandbox, "/api/models/", "GET")) == 4


async def test_a_new_key_is_asked_about_at_once(sandbox, tmp_path):
    """R7, R10: what was learned of one key is not said of the next, and its revision is new."""
    file = tmp_path / "key"
    file.write_text("hf_revoked_key_12345")
    changes = {"HUGGINGFACE_API_KEY": "", "HUGGINGFACE_API_KEY_FILE": str(file)}
    async with a_provider(sandbox.environment, **changes) as provider:
        before = provider.key_revision
        assert (await checked(provider)).key_accepted is False
        file.write_text("hf_another_key_123456")
        assert (await checked(provider)).key_accepted is True
        assert provider.key_revision != before


async def test_a_key_that_was_revoked_is_found_out_for_free(sandbox):
    """R7: a revoked key is told as such, with the remedy, and nothing more is asked."""
    async with a_provider(sandbox.environment, HUGGINGFACE_API_KEY="hf_revoked_key_12345") as provider:
        for _ in range(2):
            check = await checked(provider)
            assert check.key_accepted is False
            assert (check.failure.reason, check.failure.upstream_status) == (Reason.CREDENTIALS_REJECTED, 401)
            assert "HUGGINGFACE_API_KEY" in check.failure.remedy
    assert len(asked(sandbox, "/api/", "GET")) == 1


async def test_an_account_without_credit_cannot_be_told_for_free(sandbox):
    """R7: what only a paid call tells is not claimed."""
    async with a_provider(sandbox.environment, HUGGINGFACE_API_KEY="hf_broke_key_123456") as provider:
        check = await checked(provider)
    assert (check.failure, check.key_accepted) == (None, True)
    assert "credit" in check.message


@pytest.mark.parametrize(
    ("name", "exists"),
    [("stable-diffusion-v1-5/stable-diffusion-v1-5", True), ("nobody/has-this", False)],
)
async def test_a_model_that_cannot_be_had(provider, name, exists):
    """R7: a model that the Hub does not have, or that nobody serves, is told apart; both are MODEL_NOT_FOUND."""
    check = await checked(provider, name)
    assert (check.failure.reason, check.exists, check.key_accepted) == (Reason.MODEL_NOT_FOUND, exists, True)


async def test_who_serves_a_model_instead_is_told(sandbox):
    """R12: a model that is served, but not by the one that was set, says by whom, and what to set."""
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="replicate") as provider:
        check = await checked(provider, "sdxl")
    assert (check.failure.reason, check.exists) == (Reason.MODEL_NOT_FOUND, True)
    assert "fal-ai, nscale" in check.failure.message
    assert "HUGGINGFACE_INFERENCE_PROVIDER=fal-ai" in check.failure.remedy


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "status", "code": 503}, Reason.OVERLOADED),
        ({"fault": "html"}, Reason.BAD_OUTPUT),
        ({"fault": "reset"}, Reason.UPSTREAM_ERROR),
        ({"fault": "hang"}, Reason.TIMEOUT),
    ],
)
async def test_a_hub_in_trouble_is_told(sandbox, provider, fault, reason):
    """R7: trouble with the Hub is told as what it is, and what was learned before stays."""
    sandbox.faults([{**HUB, **fault}])
    check = await checked(provider)
    assert (check.failure.reason, check.exists, check.key_accepted) == (reason, None, True)


@pytest.mark.parametrize("fault", [{"fault": "status", "code": 429}, {"fault": "hang"}, {"fault": "html"}])
async def test_a_hub_that_does_not_say_whose_key_it_is(sandbox, provider, fault):
    """R7: a key of which nothing is known is neither taken nor refused; the model is asked for all the same."""
    sandbox.faults([{"upstream": "huggingface-hub", "path": "*/whoami-v2", **fault}])
    check = await checked(provider)
    assert (check.failure, check.exists) == (None, True)
    assert check.key_accepted is None


async def test_a_hub_that_is_not_there(unused_tcp_port):
    """R7: nobody at the Hub's address is UNREACHABLE."""
    async with a_provider({"HUGGINGFACE_HUB_URL": f"http://127.0.0.1:{unused_tcp_port}"}) as provider:
        check = await checked(provider)
    assert (check.failure.reason, check.exists, check.key_accepted) == (Reason.UNREACHABLE, None, None)


async def test_what_happens_is_told(provider):
    """R9: it says when it is at work, and when a picture is on its way."""
    for name, phases in (
        ("", [generation_pb2.PHASE_RUNNING]),
        ("sdxl", [generation_pb2.PHASE_RUNNING, generation_pb2.PHASE_DOWNLOADING]),
    ):
        told, order = [], an_order(provider, name)
        order.watch = told.append
        await generate(provider, order)
        assert list(dict.fromkeys(each.phase for each in told)) == phases


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_picture_by_hf_inference(sandbox, provider):
    """U1, R1, R2, R4: one submission with what the model takes, asking for a picture, and the seed that was sent."""
    order = an_order(provider, guidance_scale=7.5, negative_prompt="cats")
    delivery = await generate(provider, order)
    (picture,) = delivery.pictures
    assert (images.inspect(picture.data).width, picture.seed) == (256, 7)
    assert (delivery.upstream_provider, delivery.sandbox) == ("hf-inference", True)
    (submission,) = asked(sandbox, "/huggingface/")
    assert submission["path"] == f"/huggingface/hf-inference/models/{SCHNELL}"
    assert submission["body"] == {
        "inputs": "a fox",
        "parameters": {"width": 256, "height": 256, "num_inference_steps": 4, "guidance_scale": 0, "seed": 7},
    }
    assert submission["headers"]["accept"] == "image/png"
    assert order.dispatch is Dispatch.ACCEPTED
    assert order.tell_upstream_id.__self__ == [order.upstream_id]


async def test_a_picture_by_fal(sandbox, provider):
    """U1, R4, R14: what hf-inference does not serve comes from fal-ai, and its picture is fetched without the key."""
    delivery = await generate(provider, an_order(provider, "sdxl", negative_prompt="cats"))
    (picture,) = delivery.pictures
    assert (images.inspect(picture.data).width, picture.seed) == (256, 7)
    assert delivery.upstream_provider == "fal-ai"
    assert delivery.download_seconds is not None
    (submission,) = asked(sandbox, "/huggingface/")
    assert submission["path"] == "/huggingface/fal-ai/fal-ai/fast-sdxl"
    (download,) = asked(sandbox, "/fal/cdn/", "GET")
    assert "authorization" not in download["headers"]
    assert [each["headers"]["accept"] for each in (submission, download)] == ["image/png", "image/png"]


PLAYGROUND = "playgroundai/playground-v2.5-1024px-aesthetic"
DELIVERY = {"upstream": "huggingface", "method": "GET", "path": "/replicate-delivery/*"}


@pytest.mark.parametrize(
    ("name", "who", "seed"),
    [
        ("Lykon/DreamShaper", "together", 7),
        (PLAYGROUND, "replicate", 7),
        ("ByteDance/SDXL-Lightning", "nscale", None),
    ],
)
async def test_a_picture_by_the_others(sandbox, provider, name, who, seed):
    """U1, R4, R14: who alone serves a model makes its picture, asked for an image and, for a download, without the
    key; what it cannot take is told.
    """
    order = an_order(provider, name, width=512)
    delivery = await generate(provider, order)
    (picture,) = delivery.pictures
    seen = images.inspect(picture.data)
    assert (seen.width, seen.height, picture.seed) == (512, 256, seed)
    assert (delivery.upstream_provider, delivery.sandbox) == (who, True)
    (submission,) = asked(sandbox, "/huggingface/")
    assert submission["headers"]["accept"] == "image/png"
    assert [each.parameter for each in order.adjustments] == (["seed"] if seed is None else [])
    for download in asked(sandbox, "/replicate-delivery/", "GET"):
        assert "authorization" not in download["headers"]
    assert (delivery.download_seconds is not None) is (who == "replicate")


@pytest.mark.parametrize(
    ("who", "applied", "told"),
    [
        ("hf-inference", {"num_inference_steps": 30, "guidance_scale": 12, "seed": 7, "width": 600, "height": 400}, {}),
        ("fal-ai", {"num_inference_steps": 30, "guidance_scale": 12, "seed": 7}, {}),
        ("together", {"steps": 30, "guidance_scale": 12, "seed": 7, "width": 600, "height": 400}, {}),
        (
            "replicate",
            {"num_inference_steps": 30, "guidance": 10, "seed": 7, "aspect_ratio": "3:2", "megapixels": "0.25"},
            {"width": "608", "height": "416", "guidance_scale": "10"},
        ),
    ],
)
async def test_what_is_sent_is_what_is_told(sandbox, who, applied, told):
    """U1, R1: of the same request each is sent what it takes, and every difference is an adjustment."""
    key = {"HUGGINGFACE_API_KEY": "hf_pro0123456789"}
    async with a_provider(sandbox.environment, **key, HUGGINGFACE_INFERENCE_PROVIDER=who) as provider:
        order = an_order(provider, "flux-dev", width=600, height=400, steps=30, guidance_scale=12)
        delivery = await generate(provider, order)
    (submission,) = asked(sandbox, "/huggingface/")
    body = submission["body"]
    sent = body.get("parameters") or body.get("input") or body
    assert {name: sent[name] for name in applied} == applied
    assert {each.parameter: each.applied for each in order.adjustments} == told
    seen = images.inspect(delivery.pictures[0].data)
    assert (seen.width, seen.height) == (int(told.get("width", 600)), int(told.get("height", 400)))


async def test_no_guidance_is_told_as_none(sandbox):
    """R1: where FLUX.1-schnell is sent no guidance, the caller is told of none, and not of a 0 that nobody got."""
    for who in ("fal-ai", "together", "replicate", "nscale"):
        async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER=who) as provider:
            order = an_order(provider, guidance_scale=7.5, width=512, height=512)
            await generate(provider, order)
        assert "guidance" not in str(asked(sandbox, "/huggingface/")[-1]["body"])
        assert ("guidance_scale", "7.5", "") in {(a.parameter, a.requested, a.applied) for a in order.adjustments}


@pytest.mark.parametrize("kept", [None, frozenset({"width"})])
async def test_a_size_that_may_not_change_is_not_sent(sandbox, kept):
    """R1: where the request forbids what its inference provider would need, nothing is sent."""
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="replicate") as provider:
        order = an_order(provider, width=640, height=400)
        order.kept = kept
        failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    assert not asked(sandbox, "/huggingface/")


async def test_pictures_without_a_seed(sandbox):
    """R2: where no seed is taken several pictures are made, and none of them has one."""
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="nscale") as provider:
        delivery = await generate(provider, an_order(provider, count=2))
    assert [picture.seed for picture in delivery.pictures] == [None, None]


@pytest.mark.parametrize("times", [2, 3])
async def test_replicates_download_is_tried_three_times(sandbox, provider, times):
    """Fetching what replicate has finished is free too; the prediction is never made again."""
    sandbox.faults([{**DELIVERY, "fault": "reset_mid_body", "times": times}])
    order = an_order(provider, PLAYGROUND)
    if times == 2:
        assert (await generate(provider, order)).pictures
    else:
        failure = await the_failure(provider, order)
        assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED)
    assert len(asked(sandbox, "/huggingface/replicate/")) == 1


async def test_a_picture_that_replicate_has_left_out(sandbox, provider):
    """R5: where the safety checker leaves nothing, the prediction has failed, and its words say why."""
    sandbox.faults([{**SUBMISSION, "fault": "black"}])
    failure = await the_failure(provider, an_order(provider, PLAYGROUND))
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.CONTENT_REJECTED, Dispatch.ACCEPTED, False)
    assert "NSFW" in failure.upstream_message


async def test_an_alias_and_a_model_outside_the_catalogue(sandbox, provider):
    """U1: any text-to-image model of the Hub can be named; nothing is sent to it that was not asked for."""
    outside = an_order(provider, "stabilityai/stable-diffusion-3-medium-diffusers")
    await generate(provider, outside)
    (submission,) = asked(sandbox, "/huggingface/")
    assert submission["body"]["parameters"] == {"width": 256, "height": 256, "seed": 7}


async def test_several_pictures(sandbox, provider):
    """R2: one call for each picture, with seeds that follow one another."""
    delivery = await generate(provider, an_order(provider, count=3))
    assert [picture.seed for picture in delivery.pictures] == [7, 8, 9]
    assert len(asked(sandbox, "/huggingface/")) == 3


async def test_what_there_is_is_delivered(sandbox, provider):
    """Where one of several calls fails, it is not made again and the other pictures are delivered."""
    sandbox.faults([{**SUBMISSION, "fault": "status", "code": 500, "times": 1}])
    assert len((await generate(provider, an_order(provider, count=3))).pictures) == 2
    assert len(asked(sandbox, "/huggingface/")) == 3


@pytest.mark.parametrize("fault", ["truncate", "black"])
async def test_a_spoilt_picture_is_handed_on(sandbox, provider, fault):
    """Whether bytes are a picture is judged in one place for all providers, not here."""
    sandbox.faults([{**SUBMISSION, "fault": fault}])
    assert (await generate(provider, an_order(provider))).pictures


async def test_fals_flag_goes_along(sandbox, provider):
    """A picture that fal's safety check blanked is marked as such."""
    sandbox.faults([{**SUBMISSION, "fault": "black"}])
    assert (await generate(provider, an_order(provider, "sdxl"))).pictures[0].filtered


# ── Dedicated endpoints ──────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def an_endpoint(sandbox, name="mine", model="sdxl"):
    """A provider whose `model` has an endpoint."""
    address = f"{sandbox.url}/huggingface-endpoint/{name}"
    async with a_provider(sandbox.environment, HUGGINGFACE_ENDPOINTS=f" {model}={address}/ ,") as provider:
        yield provider


async def test_a_picture_by_an_endpoint(sandbox):
    """U6, R1, R4: a model with an endpoint is asked there, with the key, for an image, and the Hub is not asked."""
    async with an_endpoint(sandbox) as provider:
        delivery = await generate(provider, an_order(provider, "sdxl", negative_prompt="cats", steps=20))
    assert (delivery.upstream_provider, delivery.sandbox, delivery.pictures[0].seed) == ("endpoint", True, 7)
    (submission,) = sandbox.requests()
    assert submission["path"] == "/huggingface-endpoint/mine"
    assert submission["body"] == {
        "inputs": "a fox",
        "parameters": {
            "negative_prompt": "cats",
            "num_inference_steps": 20,
            "guidance_scale": 7.5,
            "seed": 7,
            "width": 256,
            "height": 256,
        },
    }
    assert submission["headers"]["accept"] == "image/png"
    assert submission["headers"]["authorization"] == "Bearer ***"
    assert int(submission["headers"]["x-scale-up-timeout"]) in range(1, 6)  # of 20 s, a picture takes 15


async def test_an_endpoints_square_is_told(sandbox):
    """U6, R1: the standard container refuses unequal sides, so a square is sent, and told."""
    async with an_endpoint(sandbox) as provider:
        order = an_order(provider, "sdxl", width=512, height=1152)
        delivery = await generate(provider, order)
        seen = images.inspect(delivery.pictures[0].data)
        assert (seen.width, seen.height) == (768, 768)
        assert {(each.parameter, each.applied) for each in order.adjustments} == {("width", "768"), ("height", "768")}
        order = an_order(provider, "sdxl", width=512, height=1152)
        order.kept = None
        assert (await the_failure(provider, order)).reason is Reason.UNSUPPORTED


async def test_other_models_are_asked_where_they_were(sandbox):
    """U6: an endpoint serves its own model only."""
    async with an_endpoint(sandbox) as provider:
        assert (await generate(provider, an_order(provider))).upstream_provider == "hf-inference"


async def test_an_endpoint_that_sleeps_is_waited_for():
    """U6, R8: the proxy holds the request until a replica has started, as long as there is time."""
    async with serving(pace=Pace(huggingface_start=0.2)) as sandbox, an_endpoint(sandbox, "cold") as provider:
        assert (await generate(provider, an_order(provider, "sdxl"))).pictures
        assert len(asked(sandbox, "/huggingface-endpoint/")) == 1


async def test_an_endpoint_that_does_not_wake_in_time():
    """U6, R8: a 503 is a model that loads, without an estimate; it is no failure, and the check says so too."""
    async with serving(pace=Pace(huggingface_start=60)) as sandbox, an_endpoint(sandbox, "cold") as provider:
        order = an_order(provider, "sdxl")
        order.deadline = Deadline.after(10)  # less than a picture takes: nothing to wait for
        failure = await the_failure(provider, order)
        assert (failure.reason, failure.dispatch) == (Reason.MODEL_LOADING, Dispatch.REFUSED)
        assert failure.retry_after is None
        check = await checked(provider, "sdxl")
        assert (check.failure, check.exists, check.loaded, check.key_accepted) == (None, True, False, True)


async def test_an_endpoint_is_checked_for_free(sandbox):
    """U6, R12: its health is asked, with the key; nothing is made."""
    async with an_endpoint(sandbox) as provider:
        check = await checked(provider, "sdxl")
        assert (check.failure, check.exists, check.loaded, check.key_accepted) == (None, True, True, True)
        assert "endpoint" in check.message
        assert sandbox.billing() == []
        sandbox.faults([{"upstream": "huggingface-endpoint", "fault": "status", "code": 404}])
        check = await checked(provider, "sdxl")
        assert (check.failure.reason, check.exists) == (Reason.MODEL_NOT_FOUND, False)
        assert "HUGGINGFACE_ENDPOINTS" in check.failure.remedy


async def test_an_endpoint_that_is_not_there(sandbox, unused_tcp_port):
    """U6, R10: nobody at the endpoint's address is told with the variable that says where it is."""
    nowhere = f"sdxl=http://127.0.0.1:{unused_tcp_port}"
    async with a_provider(sandbox.environment, HUGGINGFACE_ENDPOINTS=nowhere) as provider:
        failure = await the_failure(provider, an_order(provider, "sdxl"))
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)
    assert "HUGGINGFACE_ENDPOINTS" in failure.remedy


def test_a_model_comes_alive_with_an_endpoint():
    """P1, U6: what nobody serves is switched on by its endpoint, also where it was only coming; others stay off."""
    catalogue = create({}, lambda _: None).catalogue
    off = {"enabled": False, "disabled_reason": "needs a dedicated endpoint"}
    models = tuple(model.model_copy(update={**off, "coming_soon": model.key == "sdxl"}) for model in catalogue.models)
    asleep = catalogue.model_copy(update={"models": models})
    alive = with_endpoints(asleep, {"sdxl": Endpoint(url="https://x"), "sd15": Endpoint(url="https://y")})
    assert {model.key for model in alive.models if model.enabled} == {"sdxl", "sd15"}
    assert alive.find("sdxl").disabled_reason == ""
    assert alive.find("flux-dev").disabled_reason == "needs a dedicated endpoint"
    for model in alive.models:
        assert Model.from_proto(model.to_proto()).enabled is model.enabled
    assert alive.revision != asleep.revision


# ── Who serves the model ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_hub_is_asked_once_in_ten_minutes(sandbox):
    """U1: the Hub's mapping is asked for with the key and believed for ten minutes."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        for now[0] in (0.0, 1.0, 599.0):
            await generate(provider, an_order(provider))
        (look_up,) = asked(sandbox, "/huggingface-hub/", "GET")
        assert look_up["query"] == {"expand[]": "inferenceProviderMapping"}
        assert look_up["headers"]["accept"] == "application/json"
        assert "authorization" in look_up["headers"]
        now[0] = 601.0
        await generate(provider, an_order(provider))
    assert len(asked(sandbox, "/huggingface-hub/", "GET")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "status", "code": 500},
        {"fault": "status", "code": 429},
        {"fault": "status", "code": 307, "headers": {"Location": "/elsewhere"}},
        {"fault": "html"},
        {"fault": "json_200", "body": []},
        {"fault": "reset"},
    ],
    ids=lambda fault: f"{fault['fault']} {fault.get('code', '')}",
)
async def test_a_hub_that_fails_is_no_reason_to_fail(sandbox, provider, fault):
    """R10: while the Hub does not tell, hf-inference is asked, and the Hub is left alone for a while."""
    sandbox.faults([{**HUB, **fault}])
    assert (await generate(provider, an_order(provider))).upstream_provider == "hf-inference"
    look_ups = len(asked(sandbox, "/huggingface-hub/", "GET"))
    assert (await generate(provider, an_order(provider))).upstream_provider == "hf-inference"
    assert len(asked(sandbox, "/huggingface-hub/", "GET")) == look_ups


async def test_a_hub_that_hangs_is_not_waited_for(sandbox, provider):
    """R10: a Hub that says nothing costs three seconds, once."""
    sandbox.faults([{**HUB, "fault": "hang"}])
    async with asyncio.timeout(8):
        for _ in range(3):
            await provider.generate(an_order(provider))


async def test_a_mapping_survives_a_hub_that_fails(sandbox):
    """R10: what the Hub said last is believed on while it fails, so that fal-ai is still found."""
    now = [0.0]
    async with a_provider(sandbox.environment, clock=lambda: now[0]) as provider:
        await generate(provider, an_order(provider, "sdxl"))
        sandbox.faults([{**HUB, "fault": "status", "code": 500}])
        now[0] = 601.0
        assert (await generate(provider, an_order(provider, "sdxl"))).upstream_provider == "fal-ai"


async def test_a_model_that_is_gone_is_looked_up_again(sandbox, provider):
    """R7: where a submission finds the model gone, the mapping was wrong and is not believed any longer."""
    sandbox.faults([{**SUBMISSION, "fault": "status", "code": 410, "times": 1}])
    assert (await the_failure(provider)).reason is Reason.MODEL_NOT_FOUND
    await generate(provider, an_order(provider))
    assert len(asked(sandbox, "/huggingface-hub/", "GET")) == 2


@pytest.mark.parametrize(("name", "words"), [("nobody/nothing", "Repository not found"), ("sd15", "")])
async def test_a_model_that_nobody_serves(sandbox, provider, name, words):
    """R7, R10: nothing is submitted, and the error says where else to go."""
    failure = await the_failure(provider, an_order(provider, name))
    assert (failure.reason, failure.dispatch) == (Reason.MODEL_NOT_FOUND, Dispatch.NOT_SENT)
    assert failure.upstream_message == words
    assert "dedicated endpoint" in failure.remedy
    assert not asked(sandbox, "/huggingface/")


async def test_who_serves_it_can_be_set(sandbox):
    """U1: the operator may take one inference provider for all models; hf-inference needs no Hub."""
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="hf-inference") as provider:
        assert (await generate(provider, an_order(provider))).upstream_provider == "hf-inference"
        gone = await the_failure(provider, an_order(provider, "sdxl"))
        assert (gone.reason, gone.dispatch, gone.upstream_status) == (Reason.MODEL_NOT_FOUND, Dispatch.REFUSED, 410)
        assert not asked(sandbox, "/huggingface-hub/", "GET")
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="fal-ai") as provider:
        assert (await generate(provider, an_order(provider))).upstream_provider == "fal-ai"


async def test_one_that_is_only_known_by_the_hub_needs_the_hub(sandbox):
    """U1: without the mapping nobody knows what fal-ai calls a model; nothing is submitted then."""
    sandbox.faults([{**HUB, "fault": "status", "code": 500}])
    async with a_provider(sandbox.environment, HUGGINGFACE_INFERENCE_PROVIDER="fal-ai") as provider:
        failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.NOT_SENT)
    assert not asked(sandbox, "/huggingface/")


async def test_a_models_entry_can_pin_it(sandbox, provider):
    """U1: a model's own entry outweighs the setting."""
    order = an_order(provider)
    order.model = order.model.model_copy(update={"wire": {"inference_provider": "fal-ai"}})
    assert (await generate(provider, order)).upstream_provider == "fal-ai"


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "reason", "dispatch"),
    [
        ({"fault": "status", "code": 400}, Reason.UPSTREAM_REJECTED_INPUT, Dispatch.REFUSED),
        ({"fault": "status", "code": 401}, Reason.CREDENTIALS_REJECTED, Dispatch.REFUSED),
        ({"fault": "status", "code": 402}, Reason.OUT_OF_CREDIT, Dispatch.REFUSED),
        ({"fault": "status", "code": 404}, Reason.MODEL_NOT_FOUND, Dispatch.REFUSED),
        ({"fault": "status", "code": 410}, Reason.MODEL_NOT_FOUND, Dispatch.REFUSED),
        ({"fault": "status", "code": 500}, Reason.UPSTREAM_ERROR, Dispatch.REFUSED),
        ({"fault": "status", "code": 503}, Reason.OVERLOADED, Dispatch.REFUSED),
        ({"fault": "status", "code": 504}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "html", "code": 502, "executed": False}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "html"}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "json_200"}, Reason.BAD_OUTPUT, Dispatch.ACCEPTED),
        ({"fault": "reset"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
        ({"fault": "reset_mid_body"}, Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN),
    ],
    ids=lambda value: f"{value['fault']} {value.get('code', '')}" if isinstance(value, dict) else None,
)
async def test_every_fault_is_reported_once(sandbox, provider, fault, reason, dispatch):
    """R5, R10: one submission, one reason, how far it got, the upstream's words and id; nothing is tried again."""
    sandbox.faults([{**SUBMISSION, **fault}])
    failure = await the_failure(provider)
    assert failure.reason is reason
    assert failure.dispatch is dispatch
    assert len(asked(sandbox, "/huggingface/")) == 1
    if failure.upstream_status:
        assert failure.upstream_message
        assert failure.upstream_id
        assert failure.remedy


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        ("hf_revoked00000", Reason.CREDENTIALS_REJECTED, "Invalid credentials"),
        ("hf_broke0000000", Reason.OUT_OF_CREDIT, "monthly included credits"),
        ("hf_unscoped0000", Reason.CREDENTIALS_REJECTED, "sufficient permissions"),
    ],
)
async def test_a_key_that_does_not_do(sandbox, key, reason, words):
    """R5, R10, R14: a refused key, an empty account and a missing permission are told apart, with where to go."""
    async with a_provider(sandbox.environment, HUGGINGFACE_API_KEY=key) as provider:
        failure = await the_failure(provider)
    assert (failure.reason, failure.upstream_status) == (reason, {"r": 401, "b": 402, "u": 403}[key[3]])
    assert words in failure.upstream_message
    assert "https://huggingface.co/settings/" in failure.remedy
    assert key not in str(failure) + failure.upstream_message


async def test_a_model_for_pro_accounts(sandbox):
    """R3: FLUX.1-dev denies a free key and serves a PRO one."""
    async with a_provider(sandbox.environment) as provider:
        failure = await the_failure(provider, an_order(provider, "flux-dev"))
    assert (failure.reason, failure.upstream_message) == (Reason.MODEL_ACCESS_DENIED, "Model requires PRO subscription")
    async with a_provider(sandbox.environment, HUGGINGFACE_API_KEY="hf_pro0123456789") as provider:
        await generate(provider, an_order(provider, "flux-dev"))


async def test_a_rate_limit(sandbox, provider):
    """R9: a 429's Retry-After is told, and not slept on."""
    sandbox.faults([{**SUBMISSION, "fault": "status", "code": 429, "headers": {"Retry-After": "7"}}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.retry_after) == (Reason.RATE_LIMITED, 7)


async def test_a_model_that_loads(sandbox, provider):
    """R8: a cold model's estimate is told as it is."""
    sandbox.faults([{**SUBMISSION, "fault": "loading", "seconds": 33.0}])
    failure = await the_failure(provider)
    assert (failure.reason, failure.retry_after) == (Reason.MODEL_LOADING, 33)


async def test_leaving_cancels_upstream():
    """R10: a caller who leaves breaks off the call, and the upstream's work with it."""
    async with serving(pace=Pace(huggingface=30)) as sandbox, a_provider(sandbox.environment) as provider:
        order = an_order(provider)
        running = asyncio.create_task(provider.generate(order))
        await until(lambda: asked(sandbox, "/huggingface/"))
        assert (order.phase, order.dispatch) == ("run", Dispatch.UNKNOWN)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: [each["state"] for each in sandbox.billing()] == ["cancelled"])


async def test_a_host_that_is_not_there(unused_tcp_port):
    """R10: without a connection nothing was sent, and the error says what to look at."""
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    async with a_provider({"HUGGINGFACE_BASE_URL": nowhere, "HUGGINGFACE_HUB_URL": nowhere}) as provider:
        failure = await the_failure(provider)
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)
    assert "HUGGINGFACE_BASE_URL" in failure.remedy


# ── Downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [2, 3])
async def test_a_download_that_breaks_off_is_tried_three_times(sandbox, provider, times):
    """Fetching a finished picture is free, so it is tried twice more; the submission never is."""
    sandbox.faults([{**DOWNLOAD, "fault": "reset_mid_body", "times": times}])
    order = an_order(provider, "sdxl")
    if times == 2:
        assert (await generate(provider, order)).pictures
    else:
        failure = await the_failure(provider, order)
        assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED)
        assert failure.phase == "download"
    assert len(asked(sandbox, "/huggingface/")) == 1
    assert len(asked(sandbox, "/fal/cdn/", "GET")) == 3


async def test_a_result_that_is_missing_is_no_missing_model(sandbox, provider):
    """R7: a 404 on the finished picture is bad output, and is not asked for again."""
    sandbox.faults([{**DOWNLOAD, "fault": "status", "code": 404}])
    failure = await the_failure(provider, an_order(provider, "sdxl"))
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, True)
    assert len(asked(sandbox, "/fal/cdn/", "GET")) == 1


async def test_a_url_to_a_private_address_is_not_fetched(sandbox, provider, unused_tcp_port):
    """R14: what an answer names is fetched only from public addresses, and never with the key."""
    visits = []

    async def visited(request):
        visits.append(dict(request.headers))
        return web.Response()

    runner = web.AppRunner(app := web.Application())
    app.router.add_get("/{any:.*}", visited)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        body = {"images": [{"url": f"http://127.0.0.1:{unused_tcp_port}/x.png"}]}
        sandbox.faults([{**SUBMISSION, "fault": "json_200", "body": body}])
        failure = await the_failure(provider, an_order(provider, "sdxl"))
    finally:
        await runner.cleanup()
    assert failure.reason is Reason.BAD_OUTPUT
    assert not visits


# ── Switches ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_key_it_is_off_and_says_why(tmp_path):
    """R10, R13, R14: a provider without its key names the variable and where to get one; a mounted file will do."""
    secrets = []
    off = create({}, secrets.append)
    assert "HUGGINGFACE_API_KEY" in off.disabled_reason
    assert "https://huggingface.co/settings/tokens" in off.disabled_reason
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    mounted = create({"HUGGINGFACE_API_KEY_FILE": str(file)}, secrets.append)
    assert mounted.disabled_reason == ""
    assert secrets == [KEY]
    switched = create({"HUGGINGFACE_API_KEY": KEY, "IMAGEGATE_HUGGINGFACE_ENABLED": "false"}, secrets.append)
    assert switched.disabled_reason == "switched off by IMAGEGATE_HUGGINGFACE_ENABLED=false"


@pytest.mark.parametrize(
    "wrong",
    [
        {"HUGGINGFACE_BASE_URL": "router.huggingface.co"},
        {"HUGGINGFACE_HUB_URL": "https://user:pass@huggingface.co"},
        {"HUGGINGFACE_INFERENCE_PROVIDER": "nebius"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl"},
        {"HUGGINGFACE_ENDPOINTS": "https://me:pass@h/"},
        {"HUGGINGFACE_ENDPOINTS": "https://me:pass@h/=sdxl"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl=https://me:pass@h"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl=ftp://h"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl=https://h,sdxl=https://i"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl=https://h,sdxl+handler=https://i"},
        {"HUGGINGFACE_ENDPOINTS": "sdxl+handle=https://h"},
    ],
)
def test_wrong_settings_are_named(wrong):
    """R13, R14: a value that cannot be used stops the start and is named, without repeating it."""
    with pytest.raises(SettingsError, match=next(iter(wrong))) as caught:
        create(wrong, lambda _: None)
    assert next(iter(wrong.values())) not in str(caught.value)
    assert "pass" not in str(caught.value).replace("password", "")


def test_an_endpoint_of_no_model_is_named():
    """U6: a key that the catalogue does not have stops the start, with those that it has."""
    with pytest.raises(CatalogueError, match=r"no model sdxll; known: .*sdxl") as caught:
        create({"HUGGINGFACE_ENDPOINTS": "sdxll=https://x,sdxl=https://y"}, lambda _: None)
    assert "HUGGINGFACE_ENDPOINTS" in str(caught.value)


def test_a_pin_to_nobody_known_is_refused(tmp_path):
    """U1: a model's entry can only pin an inference provider that is spoken."""
    (tmp_path / "huggingface.yaml").write_text("models: {sdxl: {wire: {inference_provider: nebius}}}")
    with pytest.raises(CatalogueError, match=r"wire.inference_provider: .nebius. is not one of auto"):
        create({"IMAGEGATE_MODELS": str(tmp_path)}, lambda _: None)
