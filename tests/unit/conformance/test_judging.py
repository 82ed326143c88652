"""What the kit finds wrong: every rule with something that breaks it, and nothing with what keeps them all."""

import hashlib
from dataclasses import replace

import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2

from imagegate.conformance.catalogue import read_catalogue
from imagegate.conformance.judging import Expected, answer_problems, failure_problems
from imagegate.conformance.told import Told
from imagegate.runtime.errors import Dispatch, Failure, Reason, to_status
from imagegate.runtime.metadata import REASON_KEY, REQUEST_ID_KEY
from imagegate.testing import SCRIPTED_MODEL, picture
from imagegate.v1 import catalog_pb2, error_pb2, generation_pb2

MODEL = SCRIPTED_MODEL.model_copy(update={"provider": "p"})
REQUEST = generation_pb2.GenerateRequest(prompt="x", width=64, height=64, seed=7, request_id="r-1")
RATE_LIMITED = Expected(
    (Reason.RATE_LIMITED,),
    dispatch=Dispatch.REFUSED,
    billed=False,
    retry_after=7,
    upstream_status=429,
    words="slow down",
    remedy="later",
    message="too many",
)


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_failure(**changes: object) -> Failure:
    failure = Failure(
        Reason.RATE_LIMITED,
        "too many requests",
        remedy="come later",
        retry_after=7,
        upstream_status=429,
        upstream_message="slow down",
        dispatch=Dispatch.REFUSED,
        billed=False,
    )
    for name, value in changes.items():
        setattr(failure, name, value)
    failure.attempts = changes.get("attempts", [failure.as_attempt("p", "model")])  # type: ignore[assignment]
    return failure


def failed(failure: Failure, **changes: object) -> Told:
    """What a provider tells that keeps everything, but for `changes`."""
    status = to_status(failure, "r-1")
    told = Told(
        code=code_pb2.Code.Name(status.code),
        message=status.message,
        details=status.SerializeToString(),
        trailers={REASON_KEY: str(failure.reason), REQUEST_ID_KEY: "r-1"},
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def test_a_failure_that_is_told_as_it_should_be() -> None:
    """R5: reason, code, trailers, the record of the attempt: nothing is wrong with it."""
    assert failure_problems(failed(a_failure()), RATE_LIMITED, "p", "r-1") == []


def _padded() -> bytes:
    status = to_status(a_failure(), "r-1")
    status.details.append(any_pb2.Any(type_url="type.googleapis.com/x", value=b"x" * 5000))
    return status.SerializeToString()


def _foreign() -> bytes:
    status = to_status(a_failure(), "r-1")
    info = error_details_pb2.ErrorInfo(domain="example.com", reason="RATE_LIMITED")
    status.details[0].Pack(info)
    return status.SerializeToString()


def _talkative() -> bytes:
    status = to_status(a_failure(), "r-1")
    attempt = a_failure(upstream_message="slow down " * 60).as_attempt("p", "model")
    status.details[-1].Pack(error_pb2.GenerationFailure(request_id="r-1", attempts=[attempt]))
    return status.SerializeToString()


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (Told("OK"), "it was answered OK"),
        (Told("DEADLINE_EXCEEDED", "Deadline Exceeded"), "nobody knows the reason"),
        (failed(a_failure(), details=b"\xff\xff"), "no ErrorInfo"),
        (failed(a_failure(), details=_foreign()), "no ErrorInfo"),
        (failed(a_failure(), details=_padded()), "at most 4,096 are allowed"),
        (failed(a_failure(), code="UNAVAILABLE"), "the google.rpc.Status says RESOURCE_EXHAUSTED"),
        (failed(a_failure(code=code_pb2.UNAVAILABLE)), "RATE_LIMITED has the code RESOURCE_EXHAUSTED"),
        (failed(a_failure(), trailers={REQUEST_ID_KEY: "r-1"}), "the trailer imagegate-reason is None"),
        (failed(a_failure(), trailers={REASON_KEY: "RATE_LIMITED"}), "the trailer imagegate-request-id is ''"),
        (
            failed(a_failure(), trailers={REASON_KEY: "RATE_LIMITED", REQUEST_ID_KEY: "r-2"}),
            "imagegate-request-id is 'r-2'",
        ),
        (failed(a_failure(), message=""), "the status has no message"),
        (failed(a_failure(reason=Reason.OVERLOADED)), "the reason is OVERLOADED"),
        (failed(a_failure(message="no")), "the message does not say 'too many'"),
        (failed(a_failure(retry_after=None)), "RetryInfo says nothing"),
        (failed(a_failure(retry_after=60)), "RetryInfo says 60 s"),
        (failed(a_failure(attempts=[])), "one attempt is due, 0 came"),
        (failed(a_failure(attempts=[a_failure().as_attempt("q", "model")])), "of the provider 'q'"),
        (
            failed(a_failure(attempts=[Failure(Reason.INTERNAL, "x").as_attempt("p", "m")])),
            "the attempt's reason is INTERNAL",
        ),
        (failed(a_failure(upstream_status=500)), "upstream_status is 500"),
        (failed(a_failure(upstream_message="")), "does not have the upstream's words ('slow down')"),
        (failed(a_failure(), details=_talkative()), "upstream_message is longer than 512 bytes"),
        (failed(a_failure(remedy="")), "the remedy '' does not say 'later'"),
        (failed(a_failure(dispatch=Dispatch.ACCEPTED)), "dispatch is ACCEPTED"),
        (failed(a_failure(billed=None)), "billed is unset"),
        (failed(a_failure(billed=True)), "billed is true"),
    ],
)
def test_what_is_wrong_with_a_failure(told: Told, problem: str) -> None:
    """R5, S3: each way of telling a failure otherwise than the contract says is found and named."""
    assert problem in "; ".join(failure_problems(told, RATE_LIMITED, "p", "r-1"))


@pytest.mark.parametrize(("billed", "is_wrong"), [(None, False), (True, True), (False, True)])
def test_a_charge_that_nobody_can_know(billed: bool | None, is_wrong: bool) -> None:
    """Where nobody can know whether it is charged, the record must not say."""
    expected = Expected((Reason.RATE_LIMITED,), dispatch=Dispatch.REFUSED, billed="unknown")
    assert bool(failure_problems(failed(a_failure(billed=billed)), expected, "p", "r-1")) is is_wrong


def test_what_is_expected_and_what_came_read_alike() -> None:
    """The table puts both side by side."""
    assert RATE_LIMITED.summary() == "RESOURCE_EXHAUSTED RATE_LIMITED, upstream 429, REFUSED, not charged, again in 7 s"
    assert failed(a_failure()).summary() == RATE_LIMITED.summary()
    assert Told("UNKNOWN", "boom\n").summary() == "UNKNOWN without an ErrorInfo of ours: boom "


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def an_answer(**changes: object) -> generation_pb2.GenerateResponse:
    data = picture(64, 64)
    image = generation_pb2.Image(
        data=data,
        mime_type="image/png",
        width=64,
        height=64,
        seed=7,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )
    answer = generation_pb2.GenerateResponse(
        images=[image], provider="p", model="model", upstream_model="scripted/model", request_id="r-1", cost=3
    )
    for name, value in changes.items():
        target = answer if name in answer.DESCRIPTOR.fields_by_name else answer.images[0]
        if value is None:
            target.ClearField(name)  # type: ignore[arg-type]
        else:
            setattr(target, name, value)
    return answer


def delivered(*answers: generation_pb2.GenerateResponse, **trailers: str) -> Told:
    return Told("OK", answers=answers, trailers={REQUEST_ID_KEY: "r-1", **trailers})


def problems_of(told: Told, model: object = MODEL, output: generation_pb2.Output | None = None) -> str:
    request = generation_pb2.GenerateRequest(output=output)
    request.MergeFrom(REQUEST)
    return "; ".join(answer_problems(told, request, model, "p"))  # type: ignore[arg-type]


def test_an_answer_that_is_as_it_should_be() -> None:
    """R2: a whole picture of the size that was asked for, with its seed, its checksum and the request's id."""
    assert problems_of(delivered(an_answer())) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"provider": "q"}, "provider is 'q'"),
        ({"model": "other"}, "model is 'other'"),
        ({"request_id": ""}, "request_id is ''"),
        ({"upstream_model": ""}, "upstream_model is empty"),
        ({"cost": None}, "cost is None, the catalogue makes it 3"),
        ({"cost": 0}, "cost is 0"),
        ({"sha256": "0" * 64}, "sha256 is not that of the data"),
        ({"size_bytes": 9}, "and size_bytes is 9"),
        ({"data": b"<html>"}, "expected one whole PNG, JPEG or WEBP"),
        ({"data": picture(64, 64)[:-8]}, "expected one whole PNG, JPEG or WEBP"),
        ({"data": picture(32, 64)}, "it is 32 × 64, and said to be 64 × 64"),
        ({"mime_type": "image/jpeg"}, "it is image/png, and said to be 'image/jpeg'"),
        ({"width": 32}, "width is 32, 64 was asked for and no adjustment says so"),
        ({"seed": None}, "it has no seed, and the model takes one"),
        ({"seed": 8}, "its seed is 8, asked was 7 + 0"),
    ],
)
def test_what_is_wrong_with_an_answer(changes: dict[str, object], problem: str) -> None:
    """R2: each untruth about a picture is found and named."""
    assert problem in problems_of(delivered(an_answer(**changes)))


def test_pictures_that_are_handed_over_as_nobody_asked() -> None:
    """S1: another format, too many bytes, a picture where none was wanted: found, unless an adjustment tells of it."""
    jpeg = generation_pb2.Output(format=generation_pb2.FORMAT_JPEG)
    assert "JPEG was asked for and no adjustment says so" in problems_of(delivered(an_answer()), output=jpeg)
    told = an_answer()
    told.adjustments.add(parameter="output.format", action=generation_pb2.ACTION_SUBSTITUTED, why="no time")
    assert problems_of(delivered(told), output=jpeg) == ""
    size = len(picture(64, 64))
    fits, does_not = (generation_pb2.Output(max_bytes=most) for most in (size, size - 1))
    assert problems_of(delivered(an_answer()), output=fits) == ""
    assert f"output.max_bytes is {size - 1:,}" in problems_of(delivered(an_answer()), output=does_not)
    none = generation_pb2.Output(delivery=generation_pb2.DELIVERY_NONE)
    assert "it is there, and output.delivery is NONE" in problems_of(delivered(an_answer()), output=none)
    assert problems_of(delivered(an_answer(data=b"")), output=none) == ""
    assert "are not all told" in problems_of(delivered(an_answer(data=b"", sha256="")), output=none)


def test_answers_in_the_wrong_number() -> None:
    """One answer with as many pictures as asked, or an adjustment that says there are fewer."""
    assert "one GenerateResponse is due, 0 came" in problems_of(delivered())
    assert "one GenerateResponse is due, 2 came" in problems_of(delivered(an_answer(), an_answer()))
    none = an_answer()
    del none.images[:]
    assert "1 pictures were asked for, 0 came" in problems_of(delivered(none))
    two = an_answer()
    two.images.append(two.images[0])
    assert "1 pictures were asked for, 2 came" in problems_of(delivered(two))


def test_what_does_not_belong_into_an_answer() -> None:
    """A record of attempts, a reason, an adjustment that says nothing, a seed that the model does not take."""
    odd = an_answer()
    odd.attempts.add()
    odd.adjustments.add(parameter="steps")
    found = problems_of(delivered(odd, **{REASON_KEY: "INTERNAL"}))
    assert "attempts are for a router to record" in found
    assert "an adjustment does not say" in found
    assert f"the trailer {REASON_KEY} is there" in found
    seedless = MODEL.model_copy(update={"parameters": {}})
    assert "it has a seed, and the model takes none" in problems_of(delivered(an_answer()), seedless)
    assert "it failed: no" in problems_of(Told("UNAVAILABLE", "no"))


# ── The catalogue ────────────────────────────────────────────────────────────────────────────────────────────────────


def a_catalogue(*models: catalog_pb2.Model, **changes: object) -> catalog_pb2.ListModelsResponse:
    told: dict[str, object] = {"name": "p", "enabled": True, "catalogue_revision": "1", **changes}
    provider = catalog_pb2.Provider(**told)  # type: ignore[arg-type]
    return catalog_pb2.ListModelsResponse(models=models or [MODEL.to_proto()], providers=[provider])


def a_model(**changes: object) -> catalog_pb2.Model:
    message = MODEL.to_proto()
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_a_catalogue_that_is_as_it_should_be() -> None:
    """R7: what is listed can be read as a catalogue, with its first model that is on."""
    catalogue, problems = read_catalogue(a_catalogue())
    assert problems == []
    assert catalogue is not None
    assert catalogue.find("") == MODEL


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        (catalog_pb2.ListModelsResponse(), "one provider is due, 0 came"),
        (a_catalogue(name=""), "the provider has no name"),
        (a_catalogue(catalogue_revision=""), "catalogue_revision is empty"),
        (a_catalogue(enabled=False), "it is off and does not say why"),
        (a_catalogue(a_model(provider="q")), "model is of the provider 'q'"),
        (a_catalogue(a_model(), a_model()), "are both called 'model'"),
        (a_catalogue(a_model(key="No Key")), "key: "),
        (a_catalogue(a_model(enabled=False, disabled_reason="soon")), "no model is on"),
        (a_catalogue(a_model(enabled=False)), "a disabled model needs a disabled_reason"),
        (a_catalogue(outside_pattern="("), "is not a regular expression"),
    ],
)
def test_what_is_wrong_with_a_catalogue(listed: catalog_pb2.ListModelsResponse, problem: str) -> None:
    """R7: a catalogue that a router could not use is found out, with everything that is wrong."""
    assert problem in "; ".join(read_catalogue(listed)[1])
