"""What the upstreams have answered in public, through each provider's own reading of it: the pure half of the kit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from multidict import CIMultiDict

from imagegate.conformance.body import Body, Recording, load, upstreams
from imagegate.providers.automatic1111 import wire as automatic1111
from imagegate.providers.fal import errors as fal_errors
from imagegate.providers.fal import wire as fal
from imagegate.providers.fal.job import Status
from imagegate.providers.huggingface import hub
from imagegate.providers.huggingface import wire as huggingface
from imagegate.providers.huggingface.shapes import hf_inference, replicate
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Order

MODEL = "someone/model"


def order_of(module) -> Order:
    folder = Path(module.__file__).parent
    return Order(load_catalogue(folder.name, folder / "models.yaml").find(""), "a fox", {}, Deadline.after(20))


def fals_status(answer: Answer) -> None:
    """The failure of a job that could not be followed, after the last attempt to."""
    try:
        fal.to_status(answer)
    except Failure as failure:
        raise fal_errors.lost(failure) from failure


def huggingfaces(answer: Answer) -> None:
    if answer.status >= 300:
        raise huggingface.to_error(answer, MODEL)
    hf_inference.to_output(answer, order_of(huggingface), 0)


def automatic1111s(answer: Answer) -> None:
    if answer.status >= 300:
        raise automatic1111.to_error(answer)
    automatic1111.to_pictures(answer, order_of(automatic1111))


# Who reads an answer at which step. A download and a picture's flag are read by the runtime, the same for all: see the
# contract tests.
READERS: dict[tuple[str, str], Callable[[Answer], object]] = {
    ("huggingface", "submission"): huggingfaces,
    ("huggingface", "prediction"): lambda answer: replicate.to_output(answer, order_of(huggingface), 0),
    ("huggingface", "mapping"): lambda answer: hub.choose(hub.to_mapping(answer, MODEL), MODEL),
    ("fal", "submission"): fal.to_job,
    ("fal", "status"): fals_status,
    ("fal", "result"): lambda answer: fal.to_output(answer, Status("completed"), 1),
    ("automatic1111", "submission"): automatic1111s,
}
ROWS = [
    pytest.param(recording, body, id=f"{name}/{body.name}")
    for name in upstreams()
    for recording in [load(name)]
    for body in recording.bodies
    if (name, body.step) in READERS and body.name != "picture-is-blackened"
]


def answer_of(body: Body) -> Answer:
    """The answer as a provider's HTTP client hands it on."""
    is_text = isinstance(body.body, str)
    content = body.body if isinstance(body.body, str) else json.dumps(body.body)
    headers = {"Content-Type": "text/plain" if is_text else "application/json"}
    headers |= {name.title(): value for name, value in body.headers.items() if value is not None}
    return Answer(body.status, CIMultiDict(headers), content.encode())


@pytest.mark.parametrize(("recording", "body"), ROWS)
def test_every_recorded_answer_has_its_reason(recording: Recording, body: Body) -> None:
    """R3, R5, R8, R10: reason, the upstream's own words, dispatch, charge and when to come back, from real bodies."""
    with pytest.raises(Failure) as failed:
        READERS[recording.upstream, body.step](answer_of(body))
    failure = failed.value
    assert failure.reason is body.reason
    assert body.words in failure.upstream_message
    assert body.remedy in failure.remedy
    assert failure.remedy or failure.reason is Reason.BAD_OUTPUT  # for which the runtime has one
    assert failure.upstream_status == body.status or body.status < 400
    assert body.retry_after is None or failure.retry_after == body.retry_after
    # What a reading leaves open, the order knows: fal accepts with an answer that names a job, and with no other.
    left_open = Dispatch.UNKNOWN if (recording.upstream, body.step) == ("fal", "submission") else Dispatch.ACCEPTED
    dispatch = left_open if failure.dispatch is Dispatch.UNSPECIFIED else failure.dispatch
    assert dispatch is recording.dispatch(body)
    billed = False if dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED) else failure.billed
    expected = recording.billed(body)
    assert expected is None or billed is (None if expected == "unknown" else expected)


@pytest.mark.parametrize("name", ["huggingface", "fal", "automatic1111"])
def test_at_least_twelve_of_each(name: str) -> None:
    """R5: twelve recorded answers per upstream at least, each read by its provider's own wire module."""
    read = [body for body in load(name).bodies if (name, body.step) in READERS]
    assert len(read) >= 12
    assert all(body.seen for body in read)


# Word for word from the incident reports (R3, R5) and from what the upstreams' sources and threads say of errors.
QUOTED = {
    "huggingface": [
        "Model requires PRO subscription",
        "Model access denied. Upgrade to PRO.",
        "Request failed with status code 400",
        "got an unexpected keyword argument 'lora'",
        "is not a LoRA adapter for base model",
        "unknown error",
        "There was an inference error: ",
        "is not supported by any provider you have enabled.",
        "Invalid username or password.",
        "Invalid credentials in Authorization header",
        "You have exceeded your monthly included credits for Inference Providers. "
        "Subscribe to PRO to get 20x more monthly included credits.",
        "This authentication method does not have sufficient permissions to call Inference Providers on behalf of ",
        "on behalf of org ",
        "Model X does not exist",
        "Not Found: Model not found",
        "Not Found",
        "https://api-inference.huggingface.co is no longer supported. "
        "Please use https://router.huggingface.co instead.",
        "The requested model is deprecated and no longer supported by provider hf-inference",
        '"error_type": "validation"',
        "is currently loading",
        '"estimated_time": 20.0',
        "Service Temporarily Unavailable",
    ],
    "fal": [
        "Unsupported data URL",
        "No user found for Key ID and Secret",
        "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.",
        "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        "Admin lock. Please contact support@fal.ai",
        'Application \\"schnell\\" not found',
        "Path /x not found",
        "404: Not Found",
        *('"type": "' + kind + '"' for kind in ("missing", "literal_error", "greater_than_equal")),
        *('"type": "' + kind + '"' for kind in ("value_error.missing", "content_policy_violation", "image_load_error")),
        *('"type": "' + kind + '"' for kind in ("file_download_error", "image_too_small", "image_too_large")),
        *('"type": "' + kind + '"' for kind in ("no_media_generated", "feature_not_supported")),
        *('"type": "' + kind + '"' for kind in ("internal_server_error", "downstream_service_unavailable")),
        '"type": "generation_timeout"',
        "Could not load image from url: ",
        "concurrent_requests_limit",
        "Request cancelled by the client.",
        "Internal Server Error",
        *("runner_" + what for what in ("scheduling_failure", "connection_timeout", "disconnected")),
        *("runner_" + what for what in ("connection_refused", "connection_error")),
        *("runner_" + what for what in ("incomplete_response", "server_error")),
        "Request timed out",
        "request_timeout",
        "startup_timeout",
    ],
    "automatic1111": [
        '{"detail": "Not Found"}',
        "value is not a valid integer",
        "HTTPException",
        "Init image not found",
        "Script 'controlnet' not found",
        "always on script x not found",
        "Incorrect username or password",
        "Not authenticated",
        "OutOfMemoryError",
        "CUDA out of memory.",
        "Invalid encoded image",
        "Request to local resource not allowed",
        "Requests not allowed",
        "model 'x' not found",
        "Sampler not found",
        "Module not available",
        "Module not supported",
        "No image selected",
        "not found in supported models.",
    ],
}


@pytest.mark.parametrize("name", sorted(QUOTED))
def test_every_text_that_is_quoted_is_recorded(name: str) -> None:
    """R3, R5: what the incident reports and the upstreams' own sources quote is among the recorded answers."""
    recorded = "\n".join(
        body.body if isinstance(body.body, str) else json.dumps(body.body) for body in load(name).bodies
    )
    assert [text for text in QUOTED[name] if text not in recorded] == []
