"""The router and provider services over real sockets, around scripted providers."""

import asyncio
import io

import grpc
import pytest
from PIL import Image

from imagegate.router.config import RouteOptions
from imagegate.router.events import RequestFinished
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.limits import Limits
from imagegate.runtime.order import Delivery, Picture
from imagegate.testing import (
    SCRIPTED_MODEL,
    Hang,
    House,
    ScriptedProvider,
    outcomes,
    picture,
    serving_provider,
    serving_router,
)
from imagegate.v1 import error_pb2, generation_pb2, router_pb2

Request = generation_pb2.GenerateRequest


def failure(reason: Reason, **more: object) -> Failure:
    return Failure(reason, f"the script says {reason}", **more)


async def test_the_first_candidate_delivers_and_the_answer_says_so(house: House) -> None:
    """S1, S2: the answer holds a checked picture, who made it, and the one attempt."""
    await house.build([])
    answer = await house.generate(Request(prompt="a cat", seed=7, request_id="my-id"))
    assert (answer.provider, answer.model, answer.upstream_model) == ("a", "model", "scripted/model")
    assert answer.request_id == "my-id"
    assert answer.resolved_by == generation_pb2.RESOLVED_BY_DEFAULT
    assert outcomes(answer.attempts) == ["a OK"]
    assert answer.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED
    assert answer.images[0].data == picture(64, 64)
    assert (answer.images[0].seed, answer.images[0].mime_type) == (7, "image/png")
    assert answer.cost == 3
    assert answer.timings.total.ToMilliseconds() >= 0


@pytest.mark.parametrize(
    "reason",
    [
        Reason.RATE_LIMITED,
        Reason.MODEL_LOADING,
        Reason.OVERLOADED,
        Reason.UPSTREAM_ERROR,
        Reason.UNREACHABLE,
        Reason.TIMEOUT,
        Reason.BAD_OUTPUT,
        Reason.CREDENTIALS_REJECTED,
        Reason.OUT_OF_CREDIT,
        Reason.MODEL_ACCESS_DENIED,
        Reason.MODEL_NOT_FOUND,
        Reason.UPSTREAM_REJECTED_INPUT,
        Reason.BUSY,
        Reason.OVER_QUOTA,
        Reason.UNSUPPORTED,
        Reason.DISABLED,
    ],
)
async def test_every_reason_that_is_not_the_callers_fault_falls_back(house: House, reason: Reason) -> None:
    """R10: rate limit, API error, network error, time-out and refusals go on to the next candidate."""
    retry_after = 30.0 if reason is Reason.MODEL_LOADING else None  # a short one is waited for
    await house.build([failure(reason, upstream_status=418, upstream_message="no", retry_after=retry_after)], [])
    answer = await house.generate()
    assert outcomes(answer.attempts) == [f"a {reason}", "b OK"]
    assert (answer.attempts[0].upstream_status, answer.attempts[0].upstream_message) == (418, "no")


@pytest.mark.parametrize("reason", [Reason.CONTENT_REJECTED, Reason.INTERNAL, Reason.INVALID_REQUEST])
async def test_what_no_other_candidate_would_change_does_not_fall_back(house: House, reason: Reason) -> None:
    """A refused prompt is not shopped around, and our own bugs are not multiplied."""
    await house.build([failure(reason)], [])
    _, told = await house.fail()
    assert told.reason is reason
    assert house.providers["b"].orders == []


async def test_a_refused_input_is_shown_to_one_other_only(house: House) -> None:
    """An input that two upstreams refused is not shown to a third, and the caller is told it is the input."""
    refuse = [failure(Reason.UPSTREAM_REJECTED_INPUT)]
    await house.build(list(refuse), list(refuse), [])
    error, told = await house.fail()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(told.attempts) == ["a UPSTREAM_REJECTED_INPUT", "b UPSTREAM_REJECTED_INPUT"]
    assert house.providers["c"].orders == []


async def test_when_all_fail_the_error_names_each_attempt_and_the_remedies(house: House) -> None:
    """R5, R10, S3: with all down the message names every attempt, the upstream's words and what to do."""
    await house.build(
        [
            failure(
                Reason.MODEL_ACCESS_DENIED,
                upstream_status=400,
                upstream_message="Model requires PRO subscription",
                remedy="use a PRO key",
            )
        ],
        [failure(Reason.UNREACHABLE, remedy="start the webui with --api")],
    )
    error, told = await house.fail(Request(prompt="x", request_id="r-1"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == (
        "2 candidates tried: a/model MODEL_ACCESS_DENIED (400 'Model requires PRO subscription'); "
        "b/model UNREACHABLE (the script says UNREACHABLE); try: use a PRO key; start the webui with --api"
    )
    assert outcomes(told.attempts) == ["a MODEL_ACCESS_DENIED", "b UNREACHABLE"]
    trailing = dict(error.trailing_metadata())
    assert trailing["imagegate-reason"] == "UNREACHABLE"
    assert trailing["imagegate-request-id"] == "r-1"


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ([Reason.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND], grpc.StatusCode.NOT_FOUND),
        ([Reason.RATE_LIMITED, Reason.RATE_LIMITED], grpc.StatusCode.RESOURCE_EXHAUSTED),
        ([Reason.UPSTREAM_ERROR, Reason.TIMEOUT], grpc.StatusCode.DEADLINE_EXCEEDED),
        ([Reason.RATE_LIMITED, Reason.UPSTREAM_ERROR], grpc.StatusCode.UNAVAILABLE),
        ([Reason.CREDENTIALS_REJECTED, Reason.OUT_OF_CREDIT], grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_the_final_code_is_what_all_attempts_agree_on(
    house: House, replies: list[Reason], code: grpc.StatusCode
) -> None:
    """All missing is NOT_FOUND, all held back RESOURCE_EXHAUSTED, out of time DEADLINE_EXCEEDED, else UNAVAILABLE."""
    await house.build(*[[failure(reason)] for reason in replies])
    error, _ = await house.fail()
    assert error.code() is code


async def test_a_rate_limit_tells_when_to_come_back(house: House) -> None:
    """R9: all held back is RESOURCE_EXHAUSTED with RetryInfo, and meanwhile the upstream is not asked again."""
    await house.build([failure(Reason.RATE_LIMITED, retry_after=30.0)])
    _, told = await house.fail()
    assert told.retry_after == 30
    error, told = await house.fail()
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert outcomes(told.attempts) == ["[a BACKING_OFF]"]
    assert told.retry_after is not None
    assert 25 < told.retry_after <= 30
    assert len(house.providers["a"].orders) == 1


async def test_a_hanging_candidate_is_left_in_time_for_the_next(house: House) -> None:
    """R10: a time-out falls back within the caller's deadline, and the provider itself ends the attempt."""
    await house.build([Hang()], [], attempt_timeout=1.0)
    answer = await house.generate(timeout=10)
    assert outcomes(answer.attempts) == ["a TIMEOUT", "b OK"]
    assert "did not deliver in time" in answer.attempts[0].message
    assert house.providers["a"].cancelled == 1


async def test_five_failures_open_the_breaker_and_the_candidate_is_skipped(house: House) -> None:
    """S2, R11: a breaker opens, GetStatus shows it with the last error, and the next request skips the candidate."""
    await house.build([failure(Reason.UPSTREAM_ERROR)] * 5, [])
    for _ in range(5):
        assert outcomes((await house.generate()).attempts) == ["a UPSTREAM_ERROR", "b OK"]
    answer = await house.generate()
    assert outcomes(answer.attempts) == ["[a CIRCUIT_OPEN]", "b OK"]
    assert answer.attempts[0].skipped.until.seconds > 0
    async with house.router.stubs() as (_, status_service):
        status: router_pb2.RouterStatus = await status_service.GetStatus(router_pb2.GetStatusRequest(), timeout=5)
    model = status.providers[0].models[0]
    assert model.breaker == router_pb2.BREAKER_STATE_OPEN
    assert (model.failed, model.succeeded) == (5, 0)
    assert model.last_error.reason == error_pb2.ERROR_REASON_UPSTREAM_ERROR
    assert status.routes[0].available


async def test_refused_credentials_take_out_the_provider_a_missing_model_only_itself(house: House) -> None:
    """R7: a 404 takes the model out, not the provider; refused credentials take out the provider at once."""
    await house.build([failure(Reason.MODEL_NOT_FOUND)], [failure(Reason.CREDENTIALS_REJECTED)], [])
    await house.generate()
    assert house.router.router.admission.refusal("a", "another", house.router.router.clock()) is None
    assert house.router.router.admission.refusal("b", "another", house.router.router.clock()) is not None
    assert outcomes((await house.generate()).attempts) == ["[a CIRCUIT_OPEN]", "[b CIRCUIT_OPEN]", "c OK"]


async def test_a_provider_that_is_off_is_skipped_with_its_own_words(house: House) -> None:
    """R10: a provider without its key is passed over, and all off names the variables, FAILED_PRECONDITION."""
    await house.build([], [], disabled_reason="set SOME_KEY")
    error, told = await house.fail()
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert told.reason is Reason.NO_CANDIDATE
    assert outcomes(told.attempts) == ["[a DISABLED]", "[b DISABLED]"]
    assert "set SOME_KEY" in (error.details() or "")


async def test_the_callers_routing_is_kept(house: House) -> None:
    """Allowed and denied providers and no_fallback restrict the candidates."""
    await house.build([failure(Reason.UPSTREAM_ERROR)] * 9, [])
    only_b = generation_pb2.Routing(allow_providers=["b"])
    assert outcomes((await house.generate(Request(prompt="x", routing=only_b))).attempts) == ["[a NOT_ALLOWED]", "b OK"]
    not_a = generation_pb2.Routing(deny_providers=["a"])
    assert outcomes((await house.generate(Request(prompt="x", routing=not_a))).attempts) == ["[a NOT_ALLOWED]", "b OK"]
    alone = generation_pb2.Routing(no_fallback=True)
    _, told = await house.fail(Request(prompt="x", routing=alone))
    assert outcomes(told.attempts) == ["a UPSTREAM_ERROR"]
    nobody = generation_pb2.Routing(deny_providers=["a", "b"])
    error, told = await house.fail(Request(prompt="x", routing=nobody))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_exact_name_has_no_fallback_and_a_key_means_all_who_offer_it(house: House) -> None:
    """`provider/key` is exactly that; a key means every provider that offers it, in order."""
    await house.build([failure(Reason.UPSTREAM_ERROR)] * 2, [])
    _, told = await house.fail(Request(prompt="x", model="a/model"))
    assert outcomes(told.attempts) == ["a UPSTREAM_ERROR"]
    by_key = await house.generate(Request(prompt="x", model="model"))
    assert outcomes(by_key.attempts) == ["a UPSTREAM_ERROR", "b OK"]
    assert by_key.resolved_by == generation_pb2.RESOLVED_BY_KEY
    by_id = await house.generate(Request(prompt="x", model="scripted/model"))
    assert by_id.resolved_by == generation_pb2.RESOLVED_BY_ALIAS


async def test_an_unknown_model_is_refused_with_the_nearest_names(house: House) -> None:
    """R7: an unknown model is NOT_FOUND with the nearest known names, and nobody is asked."""
    await house.build([])
    error, told = await house.fail(Request(prompt="x", model="modle"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert told.reason is Reason.MODEL_NOT_FOUND
    assert "model, a/model" in (error.details() or "")
    assert house.providers["a"].orders == []


async def test_a_bad_request_lists_every_bad_field_and_reaches_nobody(house: House) -> None:
    """R1: INVALID_ARGUMENT names all bad fields at once, before anything is tried."""
    await house.build([])
    error, told = await house.fail(Request(prompt=" ", width=0, steps=-1, guidance_scale=float("nan"), seed=-2))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in told.violations] == ["prompt", "width", "steps", "guidance_scale", "seed"]
    assert house.providers["a"].orders == []


async def test_a_change_is_recorded_or_refused_as_the_caller_wishes(house: House) -> None:
    """R1: what a model cannot take is adjusted and said, or refused; a forbidden change skips the candidate."""
    await house.build([])
    asked = {"prompt": "x", "width": 1000, "height": 99, "guidance_scale": 7.5, "negative_prompt": "blur"}
    answer = await house.generate(Request(**asked))
    told = [(a.parameter, a.requested, a.applied, generation_pb2.Action.Name(a.action)) for a in answer.adjustments]
    assert told == [
        ("negative_prompt", "blur", "", "ACTION_DROPPED"),
        ("height", "99", "96", "ACTION_ROUNDED"),
        ("guidance_scale", "7.5", "", "ACTION_DROPPED"),
    ]
    refuse = generation_pb2.ON_UNSUPPORTED_REFUSE
    error, failed = await house.fail(Request(**asked, on_unsupported=refuse))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(failed.attempts) == ["[a UNSUPPORTED]"]
    assert "negative_prompt, height, guidance_scale" in (error.details() or "")
    assert outcomes((await house.fail(Request(**asked, must_keep=["height"])))[1].attempts) == ["[a UNSUPPORTED]"]
    assert (await house.generate(Request(**asked, must_keep=["width"]))).images


async def test_zero_is_a_value_and_what_is_left_out_is_not_sent(house: House) -> None:
    """R2: only what the caller set or the catalogue defaults reaches the provider; the seed is drawn and told."""
    await house.build([])
    answer = await house.generate(Request(prompt="x", seed=0))
    assert answer.images[0].seed == 0
    assert house.providers["a"].orders[0].parameters == {"width": 64, "height": 64, "steps": 4, "seed": 0}
    drawn = await house.generate(Request(prompt="x", seed=-1))
    assert drawn.images[0].seed == house.providers["a"].orders[1].parameters["seed"]
    assert not drawn.adjustments


async def test_several_pictures_use_consecutive_seeds(house: House) -> None:
    """Picture i uses seed + i, and the price counts each."""
    await house.build([])
    answer = await house.generate(Request(prompt="x", seed=5, count=3))
    assert [image.seed for image in answer.images] == [5, 6, 7]
    assert answer.cost == 9


async def test_a_picture_of_six_megabytes_passes(house: House) -> None:
    """A 6 MB picture passes client, router and provider, whole, to whoever can take so much."""
    large = picture(1440, 1440)
    assert len(large) > 6_000_000
    await house.build([large])
    answer = await house.generate(Request(prompt="a cat", output=generation_pb2.Output(max_bytes=56_000_000)))
    assert answer.images[0].data == large


@pytest.mark.parametrize(
    "body",
    [b"", b"<!doctype html><p>hello", b'{"error": "no"}', picture(64, 64)[:-20], b"\x89PNG\r\n\x1a\n", b"GIF89a...."],
)
async def test_what_is_not_a_picture_never_reaches_the_caller(house: House, body: bytes) -> None:
    """An upstream's 200 without a whole picture is BAD_OUTPUT, and the next candidate is tried."""
    await house.build([body], [])
    answer = await house.generate()
    assert outcomes(answer.attempts) == ["a BAD_OUTPUT", "b OK"]


async def test_four_hundred_calls_at_once_over_one_channel_are_all_served(house: House) -> None:
    """400 calls started at once over one client channel: none is refused, and no attempt fails."""
    await house.build([])
    async with house.router.stubs() as (generation, _):
        calls = [generation.Generate(Request(prompt=f"{i}"), timeout=60) for i in range(400)]
        answers = await asyncio.gather(*calls)
    assert all(answer.images for answer in answers)
    assert {tuple(outcomes(answer.attempts)) for answer in answers} == {("a OK",)}


async def test_a_caller_that_leaves_cancels_the_provider_and_counts_for_nothing(house: House) -> None:
    """A cancelled call cancels the attempt, gives its permit back and is no failure."""
    await house.build([Hang()])
    async with house.router.stubs() as (generation, _):
        call = generation.Generate(Request(prompt="x"), timeout=30)
        async with asyncio.timeout(10):
            while not house.providers["a"].orders:
                await asyncio.sleep(0.01)
            call.cancel()
            while not house.providers["a"].cancelled:
                await asyncio.sleep(0.01)
    assert (await house.generate()).images
    assert b'outcome="cancelled"' in await scraped(house)


async def test_the_upstreams_id_reaches_the_record_even_of_an_attempt_that_hung(house: House) -> None:
    """R5: the upstream's id is in the attempt's record as soon as the upstream gave it."""
    await house.build([Hang()], [], attempt_timeout=0.5, upstream_id="job-42")
    answer = await house.generate()
    assert outcomes(answer.attempts) == ["a TIMEOUT", "b OK"]
    assert [attempt.upstream_id for attempt in answer.attempts] == ["job-42", "job-42"]
    assert answer.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED


async def test_a_busy_provider_is_left_for_the_next_and_queued_at_where_it_is_the_last() -> None:
    """A full provider sends the request on at once; the last candidate queues instead of refusing."""
    first, second = ScriptedProvider("a", [Hang()], concurrency=1), ScriptedProvider("b")
    async with (
        serving_provider(first, limits=Limits(concurrency=1)) as a,
        serving_provider(second) as b,
        serving_router({"a": a.target, "b": b.target}, {"default": ["a/model", "b/model"], "lone": ["a/model"]}) as r,
        r.stubs() as (generation, _),
    ):
        blocking = generation.Generate(Request(prompt="x"), timeout=30)
        async with asyncio.timeout(10):
            while not first.orders:
                await asyncio.sleep(0.01)
        answer = await generation.Generate(Request(prompt="y"), timeout=20)
        assert outcomes(answer.attempts) == ["a BUSY", "b OK"]
        waiting = generation.Generate(Request(prompt="z", model="lone"), timeout=20)
        await asyncio.sleep(0)
        blocking.cancel()
        assert outcomes((await waiting).attempts) == ["a OK"]


async def test_a_bug_of_ours_is_told_without_its_text() -> None:
    """R14: an unexpected exception becomes INTERNAL with generic words; its text stays in the log."""

    class Broken(ScriptedProvider):
        async def generate(self, order: object) -> object:
            raise ValueError("https://x/?key=SECRET-123")

    async with (
        serving_provider(Broken("a")) as a,
        serving_router({"a": a.target}, {"default": ["a/model"]}) as r,
        r.stubs() as (generation, _),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await generation.Generate(Request(prompt="x"), timeout=10)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "SECRET" not in repr(caught.value)


async def test_the_failure_rate_of_each_provider_can_be_read_from_the_metrics(house: House) -> None:
    """S2: attempts are counted by provider, model, outcome and group, fallbacks by their ends."""
    await house.build([failure(Reason.UPSTREAM_ERROR), failure(Reason.RATE_LIMITED)], [])
    await house.generate()
    await house.generate()
    text = (await scraped(house)).decode()
    assert (
        'imagegate_attempts_total{model="model",outcome="upstream_error",outcome_group="failed",provider="a"} 1' in text
    )
    assert 'outcome="rate_limited",outcome_group="limited",provider="a"} 1' in text
    assert 'outcome="ok",outcome_group="ok",provider="b"} 2' in text
    assert 'imagegate_fallbacks_total{from_provider="a",reason="upstream_error",to_provider="b"} 1' in text
    assert 'imagegate_inflight{caller="",provider="a"} 0' in text


async def test_credits_of_what_was_delivered_can_be_read_from_the_metrics(house: House) -> None:
    """P11: credits are counted by provider and model for what was delivered, and stand at 0 before that."""
    await house.build([failure(Reason.UPSTREAM_ERROR)], [])
    await house.generate(Request(prompt="a fox", count=2))
    assert 'imagegate_credits_total{model="model",provider="a"} 0.0' in (await scraped(house)).decode()
    await house.generate()
    text = (await scraped(house)).decode()
    assert 'imagegate_credits_total{model="model",provider="a"} 3.0' in text
    assert 'imagegate_credits_total{model="model",provider="b"} 6.0' in text


async def test_a_refused_account_can_be_read_from_the_metrics(house: House) -> None:
    """S2: while an upstream refuses its key, that provider has a series that says so, and no other provider has."""
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [])
    await house.generate()
    text = (await scraped(house)).decode()
    assert 'imagegate_provider_refused{provider="a",reason="credentials_rejected"} 1.0' in text
    assert 'imagegate_provider_refused{provider="b"' not in text


async def scraped(house: House) -> bytes:
    """The router's /metrics."""
    import aiohttp

    url = f"http://127.0.0.1:{house.router.running.http_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


async def test_one_bad_picture_of_several_is_left_out_and_said(house: House) -> None:
    """F21: of several pictures those that are good are delivered, and the answer says how many and why."""
    good, bad = picture(64, 64, seed=1), b"<html>"
    await house.build([Delivery([Picture(good, 1), Picture(bad, 2), Picture(good, 3)])])
    answer = await house.generate(Request(prompt="x", count=3))
    assert [image.seed for image in answer.images] == [1, 3]
    assert [(a.parameter, a.requested, a.applied) for a in answer.adjustments] == [("count", "3", "2")]
    assert "HTML" in answer.adjustments[0].why
    assert answer.cost == 6


async def test_another_size_than_asked_is_said_once(house: House) -> None:
    """F13: pictures of another size are delivered, and each differing side is one adjustment."""
    await house.build([Delivery([Picture(picture(96, 64)), Picture(picture(96, 64))])])
    answer = await house.generate(Request(prompt="x", count=2))
    assert (answer.images[0].width, answer.images[0].height) == (96, 64)
    assert [(a.parameter, a.requested, a.applied) for a in answer.adjustments] == [("width", "64", "96")]


async def test_a_picture_of_one_colour_is_delivered_with_a_warning(house: House) -> None:
    """F15: a uniform picture without a flag is no failure, but the answer warns of it."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(buffer, "PNG")
    await house.build([buffer.getvalue()])
    answer = await house.generate()
    assert "uniform throughout" in answer.warnings[0]


async def test_a_route_may_reject_pictures_of_one_colour(house: House) -> None:
    """With `reject_blank` a picture of one colour throughout is BAD_OUTPUT, and the next candidate follows."""
    blank = io.BytesIO()
    Image.new("RGB", (64, 64), (0, 0, 255)).save(blank, "PNG")
    await house.build([blank.getvalue()], [], options=RouteOptions(reject_blank=True))
    assert outcomes((await house.generate()).attempts) == ["a BAD_OUTPUT", "b OK"]


async def test_a_route_may_show_a_refused_prompt_to_the_next(house: House) -> None:
    """With `fall_back_on_refused_content` a prompt that one safety check refused is shown to the next candidate."""
    options = RouteOptions(fall_back_on_refused_content=True)
    await house.build([failure(Reason.CONTENT_REJECTED)], [], options=options)
    assert outcomes((await house.generate()).attempts) == ["a CONTENT_REJECTED", "b OK"]


async def test_equal_pictures_of_different_seeds_are_told(house: House) -> None:
    """Pictures of different seeds that are equal byte by byte are delivered with a warning."""
    await house.build([])
    answer = await house.generate(Request(prompt="x", count=2))
    assert [warning for warning in answer.warnings if "equal" in warning]


async def test_a_picture_that_the_upstream_blanked_is_a_refusal(house: House) -> None:
    """F14: a picture with the upstream's safety flag is CONTENT_REJECTED and shopped around nowhere."""
    await house.build([Delivery([Picture(picture(), filtered=True)])], [])
    error, told = await house.fail()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(told.attempts) == ["a CONTENT_REJECTED"]


async def test_the_final_code_waits_for_candidates_that_only_rest(house: House) -> None:
    """NOT_FOUND only if all say so: a candidate behind an open breaker may have the model."""
    await house.build([failure(Reason.MODEL_NOT_FOUND)] * 2, [failure(Reason.MODEL_ACCESS_DENIED)])
    await house.fail()
    error, told = await house.fail(Request(prompt="x"))
    assert outcomes(told.attempts) == ["[a CIRCUIT_OPEN]", "[b CIRCUIT_OPEN]"]
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "after MODEL_ACCESS_DENIED" in (error.details() or "")


async def test_all_held_back_always_says_for_how_long(house: House) -> None:
    """R9: RESOURCE_EXHAUSTED carries RetryInfo even where the upstream named no time."""
    await house.build([failure(Reason.RATE_LIMITED)])
    error, told = await house.fail()
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.retry_after is not None
    assert 0 < told.retry_after <= 2


async def test_models_outside_the_catalogue_are_judged_one_by_one(house: House) -> None:
    """R7, property 4: a mistyped upstream id takes out itself and no other id outside the catalogue."""
    outside = SCRIPTED_MODEL.model_copy(update={"key": "outside"})
    await house.build([failure(Reason.MODEL_NOT_FOUND)], outside=outside)
    error, told = await house.fail(Request(prompt="x", model="a:org/typo"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert told.attempts[0].model == "org/typo"
    answer = await house.generate(Request(prompt="x", model="a:org/real"))
    assert answer.upstream_model == "org/real"
    assert house.router.router.admission.refusal("a", "org/typo", house.router.router.clock()) is not None


async def test_labels_come_from_the_catalogue_whatever_is_asked_for(house: House) -> None:
    """S2: a hostile model name is no metric label and no entry of the status."""
    outside = SCRIPTED_MODEL.model_copy(update={"key": "outside"})
    await house.build([], outside=outside)
    for index in range(5):
        await house.generate(Request(prompt="x", model=f"a:hostile/name-{index}"))
    text = (await scraped(house)).decode()
    assert "hostile" not in text
    assert 'model="_other",outcome="ok"' in text
    assert 'imagegate_breaker_state{provider="a",scope="provider",state="closed"} 1.0' in text


async def test_the_routers_own_time_is_told_apart(house: House) -> None:
    """The overhead metric is the router's own time, without that of the attempts."""
    await house.build([Hang()], [], attempt_timeout=0.6)
    await house.generate()
    finished = [event for event in house.router.events if isinstance(event, RequestFinished)]
    assert 0 < finished[0].overhead < 0.3


async def test_the_callers_routing_stays_with_the_router(house: House) -> None:
    """What is meant for this router is not passed on: a router behind it would apply it again."""
    inner = ScriptedProvider("c")
    async with (
        serving_provider(inner) as served,
        serving_router({"c": served.target}, {"default": ["c/model"]}) as behind,
        serving_router({"behind": behind.target}, {"default": ["behind/model"]}, wait_for_catalogues=False) as front,
        front.stubs() as (generation, _),
    ):
        only = generation_pb2.Routing(allow_providers=["behind"])
        answer = await generation.Generate(Request(prompt="x", routing=only), timeout=20)
    assert [attempt.provider for attempt in answer.attempts] == ["c", "behind"]


async def test_an_answer_that_contradicts_itself_falls_back() -> None:
    """A provider in any language may answer nonsense: details that contradict the status are UNREACHABLE."""

    class Odd(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> object:
            async def refuse(_request: bytes, context: grpc.aio.ServicerContext) -> bytes:
                await context.abort(
                    grpc.StatusCode.ABORTED, "odd", (("grpc-status-details-bin", b"\x08\x03\x12\x01x"),)
                )
                raise AssertionError

            return grpc.unary_unary_rpc_method_handler(refuse)

    odd = grpc.aio.server()
    odd.add_generic_rpc_handlers((Odd(),))
    port = odd.add_insecure_port("127.0.0.1:0")
    await odd.start()
    good = ScriptedProvider("b")
    async with (
        serving_provider(good) as served,
        serving_router({"a": f"127.0.0.1:{port}", "b": served.target}, {"default": ["a/model", "b/model"]}) as router,
        router.stubs() as (generation, _),
    ):
        answer = await generation.Generate(Request(prompt="x"), timeout=20)
    await odd.stop(None)
    assert outcomes(answer.attempts) == ["a UNREACHABLE", "a UNREACHABLE", "b OK"]


async def test_a_time_out_by_the_attempts_own_limit_is_a_failure(house: House) -> None:
    """A hang is seen although the operator's limit is below the model's usual time."""
    slow = SCRIPTED_MODEL.model_copy(update={"typical_seconds": (30.0, 40.0)})
    await house.build([Hang()] * 5, [], attempt_timeout=0.3, models=(slow,))
    for _ in range(5):
        assert outcomes((await house.generate()).attempts) == ["a TIMEOUT", "b OK"]
    assert outcomes((await house.generate()).attempts) == ["[a CIRCUIT_OPEN]", "b OK"]


async def test_a_time_out_for_want_of_the_callers_time_is_none(house: House) -> None:
    """An attempt that the caller's deadline starved says nothing about the candidate."""
    slow = SCRIPTED_MODEL.model_copy(update={"typical_seconds": (30.0, 40.0)})
    await house.build([Hang()] * 6, models=(slow,))
    for _ in range(6):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.generate(timeout=0.8)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    router = house.router.router
    assert len(house.providers["a"].orders) == 6
    assert router.admission.refusal("a", "model", router.clock()) is None
