"""fal's words: what is sent, and what every answer means."""

import base64
import json

import pytest
from multidict import CIMultiDict

from imagegate.providers.fal import dialects, errors, wire
from imagegate.providers.fal.job import Job, Status
from imagegate.providers.fal.provider import create
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import fit
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.options import Option
from imagegate.runtime.order import Order
from imagegate.runtime.words import MAX_WORDS_BYTES
from imagegate.sandbox.fal_inputs import read_input
from imagegate.v1 import generation_pb2

CATALOGUE = create({"FAL_KEY": "id:secret"}, lambda _: None).catalogue
EVERYTHING = {
    "negative_prompt": "rain",
    "width": 999,
    "height": 640,
    "steps": 30,
    "guidance_scale": 0.0,
    "seed": 7,
    "sampler": "Euler a",
}
DONE = Status("completed")
PNG_URI = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def order_of(key, count=1, **fields):
    model = CATALOGUE.find(key)
    request = generation_pb2.GenerateRequest(prompt="a fox", **fields)
    fitted = fit(request, model, drawn_seed=4_294_967_295)
    return Order(
        model=model,
        prompt="a fox",
        parameters=fitted.parameters,
        options=fitted.options,
        deadline=Deadline.after(20),
        count=count,
    )


def answer(status, body=b"", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), content)


def the_failure(call, *arguments):
    with pytest.raises(Failure) as caught:
        call(*arguments)
    return caught.value


# ── What is sent ────────────────────────────────────────────────────────────────────────────────────────────────────

# What some apps are never asked without.
PLACED = {"photomaker": {"image_archive_url": "x"}, "dwpose": {"image_url": "x"}}


@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["nothing asked", "everything asked"])
@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.key)
def test_what_a_model_does_not_take_is_never_sent(model, fields):
    """R1, U2: whatever is asked, the payload is one that a strict app accepts, and nothing in it is empty (R2)."""
    order = order_of(model.key, **fields)
    payload = wire.to_payload(order, 0, PLACED.get(model.key))
    read_input(dialects.path_of(order), payload)
    assert all(value not in ("", None, {}, []) for value in payload.values())


WITH_DEFAULTS = {
    "flux-schnell": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 4, '
    '"image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "flux-dev": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 28, '
    '"guidance_scale": 3.5, "image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "flux-pro": '{"prompt": "a fox", "num_images": 1, "output_format": "png", '
    '"image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "stable-cascade": '{"prompt": "a fox", "num_images": 1, "first_stage_steps": 20, "guidance_scale": 4.0, '
    '"image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "aura-flow": '{"prompt": "a fox", "num_images": 1, "num_inference_steps": 50, "guidance_scale": 3.5, "seed": 7}',
    "flux-lora": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 28, '
    '"guidance_scale": 3.5, "image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "sdxl-controlnet-union": '{"prompt": "a fox", "num_images": 1, "format": "png", "num_inference_steps": 35, '
    '"guidance_scale": 7.5, "image_size": {"width": 1024, "height": 1024}, "seed": 7}',
    "photomaker": '{"prompt": "a person img, a fox", "num_images": 1, "style": "(No style)", '
    '"num_inference_steps": 50, "guidance_scale": 5.0, "seed": 7}',
    "dwpose": "{}",
}
WITH_EVERYTHING = {
    "flux-schnell": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 12, '
    '"guidance_scale": 1.0, "image_size": {"width": 992, "height": 640}, "seed": 7}',
    "flux-dev": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 30, '
    '"guidance_scale": 1.0, "image_size": {"width": 992, "height": 640}, "seed": 7}',
    "flux-pro": '{"prompt": "a fox", "num_images": 1, "output_format": "png", '
    '"image_size": {"width": 992, "height": 640}, "seed": 7}',
    "stable-cascade": '{"prompt": "a fox", "num_images": 1, "negative_prompt": "rain", "first_stage_steps": 30, '
    '"guidance_scale": 0.0, "image_size": {"width": 999, "height": 640}, "seed": 7}',
    "aura-flow": '{"prompt": "a fox", "num_images": 1, "num_inference_steps": 30, "guidance_scale": 0.0, "seed": 7}',
    "flux-lora": '{"prompt": "a fox", "num_images": 1, "output_format": "png", "num_inference_steps": 30, '
    '"guidance_scale": 0.0, "image_size": {"width": 992, "height": 640}, "seed": 7}',
    "sdxl-controlnet-union": '{"prompt": "a fox", "num_images": 1, "format": "png", "negative_prompt": "rain", '
    '"num_inference_steps": 30, "guidance_scale": 0.0, "image_size": {"width": 1000, "height": 640}, "seed": 7}',
    "photomaker": '{"prompt": "a person img, a fox", "num_images": 1, "style": "(No style)", '
    '"negative_prompt": "rain", "num_inference_steps": 30, "guidance_scale": 0.1, "seed": 7}',
    "dwpose": "{}",
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"seed": 7}, WITH_DEFAULTS), (EVERYTHING, WITH_EVERYTHING)],
    ids=["defaults", "everything"],
)
@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.key)
def test_what_each_model_is_sent(model, fields, expected):
    """U2, R1, R2: to the byte: fal's names, each model's own defaults and range, a zero is a value, nothing else."""
    assert json.dumps(wire.to_payload(order_of(model.key, **fields), 0)) == expected[model.key]


def test_a_model_of_one_size_is_asked_for_none():
    """R1: aura-flow takes no size, whatever is known of the pictures that it makes."""
    order = order_of("aura-flow")
    order.parameters = {**order.parameters, "width": 1024, "height": 1024}
    assert "image_size" not in wire.to_payload(order, 0)


def outside(**parameters):
    """An order of a model that the catalogue does not have."""
    model = CATALOGUE.find("flux-dev").model_copy(
        update={"key": "outside", "wire": {}, "options": {}, "parameters": {}}
    )
    return Order(model, "a fox", parameters, Deadline.after(20))


def test_an_app_outside_the_catalogue_is_sent_what_was_asked_for():
    """U2, R2: of an app that nobody described, only what the caller asked for is sent, under the usual names."""
    assert wire.to_payload(outside(), 0) == {"prompt": "a fox", "num_images": 1}
    assert wire.to_payload(outside(steps=9, guidance_scale=2.0, negative_prompt="rain"), 0) == {
        "prompt": "a fox",
        "num_images": 1,
        "num_inference_steps": 9,
        "guidance_scale": 2.0,
        "negative_prompt": "rain",
    }
    assert wire.to_payload(outside(width=640, height=320), 0)["image_size"] == {"width": 640, "height": 320}


def test_one_side_alone_is_sent_alone():
    """R1: what is told as applied arrives; fal fills a side that the order leaves open, with 512."""
    payload = wire.to_payload(outside(width=640), 0)
    assert payload["image_size"] == {"width": 640}
    assert read_input("fal-ai/fast-sdxl", payload).size == (640, 512)


# ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────────

OPTIONS = {
    "flux-schnell": {"acceleration": "high", "enable_safety_checker": False},
    "flux-dev": {"acceleration": "regular", "enable_safety_checker": True},
    "flux-pro": {"safety_tolerance": "5", "enhance_prompt": True},
    "stable-cascade": {
        "second_stage_steps": 12,
        "second_stage_guidance_scale": 0.0,
        "enable_safety_checker": False,
    },
    "aura-flow": {"expand_prompt": False},
    "flux-lora": {"enable_safety_checker": False},
    "sdxl-controlnet-union": {"expand_prompt": True, "enable_safety_checker": False},
    "photomaker": {"style": "Cinematic", "style_strength": 50},
    "dwpose": {},
}


def with_options(key, **options):
    request = generation_pb2.GenerateRequest(prompt="a fox")
    request.provider_options["fal"].update(options)
    return order_of(key, provider_options=request.provider_options)


@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.key)
def test_options_go_along_under_fals_names(model):
    """R1: every option that a model declares is sent as asked, and taken by a strict app; the rest is as without."""
    asked = OPTIONS[model.key]
    assert asked.keys() == model.options.keys()
    payload = wire.to_payload(with_options(model.key, **asked), 0)
    assert payload == {**wire.to_payload(order_of(model.key), 0), **asked}
    read_input(model.upstream_model, {**payload, **PLACED.get(model.key, {})})


@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.key)
def test_an_option_never_says_what_we_say(model):
    """R1: no option changes prompt, size, seed, count or the way back, sent or not; and none is declared that would."""
    order = order_of(model.key)
    plain = wire.to_payload(order, 0)
    assert plain.keys() - model.options.keys() <= dialects.OURS
    order.options = dict.fromkeys(dialects.OURS, "evil")
    assert wire.to_payload(order, 0) == plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": {"seed": Option(kind="integer")}}, "flux-dev.options.seed: imagegate says it itself"),
        ({"options": {"sync_mode": Option(kind="boolean")}}, "flux-dev.options.sync_mode"),
        ({"options": {"image_url": Option(kind="text", choices=("http://x",))}}, "flux-dev.options.image_url"),
        ({"wire": {"dialect": "flux-dev"}}, "flux-dev.wire.image_to_image: names no app that does it"),
        ({"wire": {"image_to_image": "fal-ai/flux/../x"}}, "flux-dev.wire.image_to_image: 'fal-ai/flux/../x' is no"),
        ({"wire": {"image_to_image": "a/b", "identity": "a/b"}}, "flux-dev.wire.identity: is neither dialect nor"),
        (
            {"wire": {"dialect": "klingon"}},
            "wire.dialect: 'klingon' is not one of plain, flux, flux-dev, cascade",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_said_is_refused(change, words):
    """P1: an entry of which this provider cannot keep what it says stops the start and is named, outside ones too."""
    wrong = CATALOGUE.find("flux-dev").model_copy(update=change)
    for place, catalogue in (("models.flux-dev", {"models": (wrong,)}), ("outside", {"outside": wrong})):
        with pytest.raises(CatalogueError) as caught:
            dialects.checked(CATALOGUE.model_copy(update=catalogue))
        assert f"{place}.{words.removeprefix('flux-dev.')}" in str(caught.value)


# ── Seeds, and the way there ────────────────────────────────────────────────────────────────────────────────────────


def test_a_seed_of_each_picture():
    """R2: picture i is made from seed + i, around the end of the range; what was left open is drawn by us."""
    order = order_of("flux-schnell", count=2)
    assert [wire.to_payload(order, index)["seed"] for index in range(2)] == [4_294_967_295, 0]


def test_a_submission_is_sent_once_and_not_for_later():
    """fal's own retries are off, and a job is not started when nobody waits any more; fal takes no second or less."""
    assert wire.submission_headers(20.04) == {"x-fal-no-retry": "1", "X-Fal-Request-Timeout": "20.0"}
    assert wire.submission_headers(0.9) == {"x-fal-no-retry": "1"}


def test_the_catalogue():
    """P1, R7: the models that exist, and never under the ids that never existed."""
    assert [(m.key, m.upstream_model, m.tier, m.credits, m.quality) for m in CATALOGUE.models] == [
        ("flux-schnell", "fal-ai/flux/schnell", "free", 5, "hd"),
        ("flux-dev", "fal-ai/flux/dev", "basic", 25, "hd"),
        ("flux-lora", "fal-ai/flux-lora", "basic", 35, "hd"),
        ("flux-pro", "fal-ai/flux-pro/v1.1", "pro", 50, "ultra"),
        ("stable-cascade", "fal-ai/stable-cascade", "basic", 25, "hd"),
        ("aura-flow", "fal-ai/aura-flow", "basic", 30, "hd"),
        ("sdxl-controlnet-union", "fal-ai/sdxl-controlnet-union", "basic", 25, "hd"),
        ("photomaker", "fal-ai/photomaker", "pro", 30, "hd"),
        ("dwpose", "fal-ai/dwpose", "free", 1, "unspecified"),
    ]
    assert CATALOGUE.find("fal-ai/flux-pro").key == "flux-pro"
    assert CATALOGUE.find("fal-ai/flux-dev") is None
    assert CATALOGUE.find("fal-ai/flux-schnell") is None
    assert {model.wire["dialect"] for model in CATALOGUE.models} <= dialects.DIALECTS.keys()


# ── What a refused submission means ─────────────────────────────────────────────────────────────────────────────────

LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
NO_USER = "No user found for Key ID and Secret"
MISSING = {"detail": [{"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}]}
POLICY = {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation", "input": "x"}]}
TWO_WRONG = {
    "detail": [
        {"loc": ["body", "num_inference_steps"], "msg": "Input should be greater than or equal to 1", "type": "g"},
        {"loc": ["body", "image_size", "width"], "msg": "Input should be a valid integer", "type": "int_parsing"},
    ]
}
TWO_WRONG_WORDS = (
    "num_inference_steps: Input should be greater than or equal to 1; image_size.width: Input should be a valid integer"
)
INGRESS = b"<html>\n<head><title>502 Bad Gateway</title></head><body><h1>502 Bad\nGateway</h1>nginx</body></html>"

REFUSALS = [
    (401, {"detail": NO_USER}, Reason.CREDENTIALS_REJECTED, NO_USER),
    (403, {"detail": LOCKED}, Reason.OUT_OF_CREDIT, LOCKED),
    (403, {"detail": "User is locked. Reason: TOP_UP."}, Reason.OUT_OF_CREDIT, "Reason: TOP_UP."),
    (403, {"detail": "Admin lock. Please contact support@fal.ai"}, Reason.CREDENTIALS_REJECTED, "Admin lock."),
    (404, {"detail": 'Application "flux-dev" not found'}, Reason.MODEL_NOT_FOUND, 'Application "flux-dev" not found'),
    (404, {"detail": "Path /x not found"}, Reason.MODEL_NOT_FOUND, "Path /x not found"),
    (404, b"404: Not Found", Reason.MODEL_NOT_FOUND, "404: Not Found"),
    (400, {"detail": [{"msg": "x", "type": "downstream_service_error"}]}, Reason.UPSTREAM_ERROR, "x"),
    (400, {"detail": "Unsupported data URL"}, Reason.UPSTREAM_REJECTED_INPUT, "Unsupported data URL"),
    (422, MISSING, Reason.UPSTREAM_REJECTED_INPUT, "prompt: field required"),
    (422, TWO_WRONG, Reason.UPSTREAM_REJECTED_INPUT, TWO_WRONG_WORDS),
    (422, {"detail": "Could not load image from url: x"}, Reason.UPSTREAM_REJECTED_INPUT, "Could not load image"),
    (422, POLICY, Reason.CONTENT_REJECTED, "prompt: flagged"),
    (429, {"detail": "concurrent_requests_limit"}, Reason.RATE_LIMITED, "concurrent_requests_limit"),
    (429, {"detail": "Your balance is exhausted"}, Reason.OUT_OF_CREDIT, "Your balance is exhausted"),
    (402, {"detail": "Payment required"}, Reason.OUT_OF_CREDIT, "Payment required"),
    (451, b"", Reason.CONTENT_REJECTED, ""),
    (500, {"detail": "Internal Server Error"}, Reason.UPSTREAM_ERROR, "Internal Server Error"),
    (500, {"detail": "upstream error: status 403"}, Reason.CREDENTIALS_REJECTED, "upstream error: status 403"),
    (500, {"error": {"status": 403, "message": LOCKED}}, Reason.OUT_OF_CREDIT, "User is locked"),
    (503, {"detail": "x", "error_type": "runner_scheduling_failure"}, Reason.OVERLOADED, "x"),
    (503, {"detail": "x", "error_type": "runner_disconnected"}, Reason.UPSTREAM_ERROR, "x"),
    (503, b"no healthy upstream", Reason.OVERLOADED, "no healthy upstream"),
    (504, {"detail": "x", "error_type": "startup_timeout"}, Reason.OVERLOADED, "x"),
    (504, {"detail": "Request timed out", "error_type": "request_timeout"}, Reason.UPSTREAM_ERROR, "Request timed out"),
    (502, INGRESS, Reason.UPSTREAM_ERROR, "502 Bad Gateway nginx"),
    (301, b"", Reason.UPSTREAM_ERROR, ""),
    (500, b"\xff\xfe\x00", Reason.UPSTREAM_ERROR, ""),
    (500, {"error": {"status": 403, "message": "Forbidden"}}, Reason.CREDENTIALS_REJECTED, "Forbidden"),
    (422, {"detail": [{"msg": "x", "loc": 5, "type": []}]}, Reason.UPSTREAM_REJECTED_INPUT, "x"),
    (422, [{"msg": "a list"}, "and a text"], Reason.UPSTREAM_REJECTED_INPUT, "a list; and a text"),
]


@pytest.mark.parametrize(("status", "body", "reason", "words"), REFUSALS)
def test_what_a_refusal_means(status, body, reason, words):
    """R5: each refusal has one reason, fal's own words from a body of any shape, its id, a remedy, and took nothing."""
    failure = the_failure(wire.to_job, answer(status, body, x_fal_request_id="r-1"))
    assert (failure.reason, failure.dispatch) == (reason, Dispatch.REFUSED)
    assert (failure.upstream_status, failure.upstream_id) == (status, "r-1")
    assert words in failure.upstream_message
    assert failure.remedy


def test_where_keys_and_credit_come_from():
    """R10: whoever has no valid key or no credit is told where to get it."""
    assert "https://fal.ai/dashboard/keys and set FAL_KEY" in errors.to_error(answer(401)).remedy
    assert "https://fal.ai/dashboard/billing" in errors.to_error(answer(403, {"detail": LOCKED})).remedy


@pytest.mark.parametrize("status", [502, 504])
def test_an_ingress_that_gave_up(status):
    """A gateway's answer without fal's request id says nothing about what happened behind it."""
    assert errors.to_error(answer(status, INGRESS)).dispatch is Dispatch.UNKNOWN
    assert errors.to_error(answer(status, INGRESS, x_fal_request_id="r")).dispatch is Dispatch.REFUSED


def test_our_own_start_timeout():
    """A job that did not start within the time that we gave it ran out of time; fal did not fail."""
    body = {"detail": "Request timed out", "error_type": "request_timeout"}
    timed_out = answer(504, body, x_fal_request_timeout_type="user", x_fal_request_id="r")
    failure = errors.to_job_error(timed_out)
    assert (failure.reason, failure.billed) == (Reason.TIMEOUT, False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"x_ratelimit_reset": "12"}, 12),
        ({"retry_after": "7", "x_ratelimit_reset": "12"}, 7),
        ({"x_ratelimit_reset": "99999"}, 600),
        ({"x_ratelimit_reset": "soon"}, None),
        ({"x_ratelimit_reset": "nan"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    """R9: a 429 hands on how long to stay away, at most ten minutes; only reasons that pass by themselves do."""
    assert errors.to_error(answer(429, **headers)).retry_after == seconds
    assert errors.to_error(answer(401, **headers)).retry_after is None


def test_words_are_bounded():
    """R5: fal's words are bounded, and control characters cannot forge a log line."""
    message = errors.to_error(answer(500, {"detail": "ä\n" * 5000})).upstream_message
    assert len(message.encode()) <= MAX_WORDS_BYTES
    assert "\n" not in message


# ── What a job's answers mean ───────────────────────────────────────────────────────────────────────────────────────

NAMED = {"request_id": "job-1", "status_url": "https://q/s", "response_url": "https://q/r", "cancel_url": "https://q/c"}


def test_a_submission_becomes_a_job():
    """A submission's answer names the job and where to ask for it."""
    assert wire.to_job(answer(200, NAMED)) == Job("job-1", "https://q/s", "https://q/r", "https://q/c")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"",
        b"[]",
        {},
        {**NAMED, "status_url": 5},
        {**NAMED, "request_id": 5},
        {"detail": "x"},
    ],
)
def test_a_success_without_a_job(body):
    """Success that names no job is bad output, and nobody knows whether the work was taken."""
    failure = the_failure(wire.to_job, answer(200, body))
    assert (failure.reason, failure.dispatch, failure.billed) == (Reason.BAD_OUTPUT, Dispatch.UNSPECIFIED, None)


def test_where_a_job_is():
    """A job is queued, running or completed; what fal does not document is a failure to answer."""
    assert wire.to_status(answer(202, {"status": "IN_QUEUE", "queue_position": 3})).phase == "queue"
    assert wire.to_status(answer(202, {"status": "IN_PROGRESS", "logs": None})).phase == "run"
    for told, position in ((3, 3), (0, 0), (-1, None), (2**31, None), (True, None), ("3", None), (None, None)):
        status = wire.to_status(answer(202, {"status": "IN_QUEUE", "queue_position": told}))
        assert status.queue_position == position
    failed = wire.to_status(answer(200, {"status": "COMPLETED", "error": "boom", "error_type": "startup_timeout"}))
    assert failed == Status("completed", "boom", "startup_timeout")
    for undocumented in ("FAILED", [], {}, 5, None):
        assert the_failure(wire.to_status, answer(200, {"status": undocumented})).reason is Reason.UPSTREAM_ERROR
    assert the_failure(wire.to_status, answer(503)).reason is Reason.OVERLOADED


JOB_FAILURES = [
    (422, POLICY, {}, Reason.CONTENT_REJECTED, None),
    (422, POLICY, {"x_fal_billable_units": "0"}, Reason.CONTENT_REJECTED, False),
    (422, MISSING, {}, Reason.UPSTREAM_REJECTED_INPUT, False),
    (422, MISSING, {"x_fal_billable_units": "1.5"}, Reason.UPSTREAM_REJECTED_INPUT, True),
    (404, {"detail": "Request not found"}, {}, Reason.BAD_OUTPUT, None),
    (404, {"detail": "Path /v9 not found"}, {"x_fal_billable_units": "0"}, Reason.MODEL_NOT_FOUND, False),
    (499, {"detail": "Request cancelled by the client."}, {}, Reason.UPSTREAM_ERROR, False),
    (500, {"detail": "Internal Server Error"}, {}, Reason.UPSTREAM_ERROR, None),
    (503, {"detail": "x"}, {}, Reason.OVERLOADED, None),
    (503, {"detail": "x", "error_type": "runner_scheduling_failure"}, {}, Reason.OVERLOADED, False),
    (504, {"detail": "x", "error_type": "startup_timeout"}, {"x_fal_request_id": "r"}, Reason.OVERLOADED, False),
    (502, INGRESS, {}, Reason.UPSTREAM_ERROR, None),
    (401, {"detail": NO_USER}, {}, Reason.CREDENTIALS_REJECTED, None),
    (429, {"detail": "slow down"}, {}, Reason.RATE_LIMITED, None),
]


@pytest.mark.parametrize(("status", "body", "headers", "reason", "billed"), JOB_FAILURES)
def test_what_a_failed_job_means(status, body, headers, reason, billed):
    """A job that fal took and that failed is accepted work, charged only where fal's header or the failure says so."""
    failure = the_failure(wire.to_output, answer(status, body, **headers), DONE, 1)
    assert (failure.reason, failure.dispatch, failure.billed) == (reason, Dispatch.ACCEPTED, billed)


def test_a_replayed_refusal_is_not_charged():
    """What replays a failure of which the status told is the model's; what comes alone is about asking."""
    replayed = errors.to_job_error(answer(403, {"detail": "x"}), Status("completed", "x"))
    assert (replayed.reason, replayed.billed) == (Reason.CREDENTIALS_REJECTED, False)
    assert errors.to_job_error(answer(403, {"detail": "x"})).billed is None
    assert errors.to_job_error(answer(500, {"detail": "x"}), Status("completed", "x")).billed is False
    assert errors.to_job_error(answer(500, {"detail": "x"})).billed is None


def test_a_failure_that_only_the_status_tells():
    """A job whose status told an error has failed, even where its result looks like success."""
    status = Status("completed", "no machine came up", "startup_timeout")
    failure = the_failure(wire.to_output, answer(200, {"images": []}), status, 1)
    assert (failure.reason, failure.billed) == (Reason.OVERLOADED, False)
    assert failure.upstream_message == "no machine came up"


def test_a_result_is_fetched_again_unless_fal_says_that_it_failed():
    """A result behind a broken connection or somebody's page may still be there; one that failed or is gone is not."""
    assert errors.may_ask_again(errors.to_job_error(answer(502, INGRESS)))
    assert errors.may_ask_again(Failure(Reason.UPSTREAM_ERROR, "reset"))
    with pytest.raises(Failure) as a_page:
        wire.to_output(answer(200, b"<html>"), DONE, 5)
    assert errors.may_ask_again(a_page.value)
    assert not errors.may_ask_again(errors.to_job_error(answer(500, {"detail": "x"}), Status("completed", "x")))
    assert not errors.may_ask_again(errors.to_job_error(answer(404)))


def test_a_result_that_is_asked_for_too_early():
    """Work under way says nothing about the input, and nothing yet about its price."""
    early = errors.to_job_error(answer(400, {"detail": "Request is still in progress"}))
    assert (early.reason, early.dispatch, early.billed) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, None)


def test_a_cancellation_that_came_too_late():
    """fal's word that a job is over, for which its picture is fetched instead of waited for."""
    assert wire.came_too_late(answer(400, {"status": "ALREADY_COMPLETED"}))
    assert not wire.came_too_late(answer(202, {"status": "CANCELLATION_REQUESTED"}))
    assert not wire.came_too_late(answer(502, INGRESS))


def output(**changes):
    body = {"images": [{"url": "https://v3.fal.media/x.png"}], "seed": 7, "has_nsfw_concepts": [False], **changes}
    return wire.to_output(answer(200, body), DONE, 5)


def test_a_finished_job():
    """U2: a result says where the picture lies and which seed made it; a blanked one is marked."""
    assert output() == wire.Output("https://v3.fal.media/x.png", 7, filtered=False)
    assert output(has_nsfw_concepts=[True]).filtered
    assert not output(has_nsfw_concepts=None).filtered


@pytest.mark.parametrize(
    ("reported", "seed"),
    [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, None), (2**64, None), (-1, None), (None, 5), (True, 5), ("7", 5)],
)
def test_reported_seeds(reported, seed):
    """R2: the seed that fal reports is told, if our wire can carry it; where it reports none, the one that was sent."""
    assert output(seed=reported).seed == seed


@pytest.mark.parametrize(
    "body", [{"images": []}, {"images": [{}]}, {"images": "x"}, {"error": "boom"}, b"<html>", b"[1]"]
)
def test_success_without_a_picture(body):
    """200 with HTML, other JSON or no picture is bad output, and never a delivery."""
    assert the_failure(wire.to_output, answer(200, body), DONE, 1).reason is Reason.BAD_OUTPUT


def test_a_picture_inside_the_answer():
    """A data: URI is decoded here, strictly; any other address is left to be fetched."""
    assert wire.from_data_uri(PNG_URI) == b"\x89PNG"
    assert wire.from_data_uri("https://v3.fal.media/x.png") is None


@pytest.mark.parametrize("uri", ["data:", "data:image/png,abc", "data:image/png;base64,@@@@", "DATA:;base64,abc\xe4"])
def test_a_data_uri_that_holds_nothing(uri):
    """What is not base64 is bad output, and nothing of it is repeated."""
    failure = the_failure(wire.from_data_uri, uri)
    assert failure.reason is Reason.BAD_OUTPUT
    assert uri not in failure.message


def test_a_data_uri_beyond_any_picture():
    """A data: URI longer than the largest answer is refused before it is decoded."""
    assert the_failure(wire.from_data_uri, "data:;base64," + "A" * wire.MAX_BODY_BYTES).reason is Reason.BAD_OUTPUT
