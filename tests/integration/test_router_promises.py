"""What the router promises to whoever was bitten before: the real providers against the sandbox, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import grpc
import pytest

from imagegate.runtime.errors import Reason
from imagegate.sandbox.app import Pace
from imagegate.testing import LeapingClock, ServedRouter, outcomes, serving_router, told
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.v1 import error_pb2, generation_pb2, router_pb2

HF, FAL = "huggingface/flux-schnell", "fal/flux-schnell"
SUBMISSION = {"upstream": "huggingface", "method": "POST"}
# Asked whether a model is loaded, it does not say: then the estimate is all there is.
SILENT_HUB = {"upstream": "huggingface-hub", "fault": "status", "code": 503}
QUICK = Pace(fal_queue=0.0, fal_run=0.0)


@asynccontextmanager
async def running(
    environ: Mapping[str, str] | None = None, clock: LeapingClock | None = None
) -> AsyncIterator[tuple[Sandboxed, ServedRouter]]:
    """Hugging Face and fal behind a router: fal follows by default, in route `lone` nobody does."""
    async with serving_sandboxed(("huggingface", "fal"), environ=environ, pace=QUICK) as served:
        routes = {"default": [HF, FAL], "lone": [HF]}
        async with serving_router(served.targets, routes, clock=clock or LeapingClock()) as router:
            yield served, router


async def generate(router: ServedRouter, model: str = "", timeout: float = 60) -> generation_pb2.GenerateResponse:
    async with router.stubs() as (generation, _):
        request = generation_pb2.GenerateRequest(prompt="a lighthouse", width=256, height=256, model=model)
        answer: generation_pb2.GenerateResponse = await generation.Generate(request, timeout=timeout)
        return answer


async def attempts(router: ServedRouter, model: str = "", timeout: float = 60) -> list[str]:
    """The record of one request, however it ends."""
    try:
        return outcomes((await generate(router, model, timeout)).attempts)
    except grpc.aio.AioRpcError as error:
        return outcomes(told(error).attempts)


async def status(router: ServedRouter) -> tuple[router_pb2.ProviderStatus, router_pb2.ModelStatus]:
    """What GetStatus says of Hugging Face and its model."""
    async with router.stubs() as (_, service):
        whole: router_pb2.RouterStatus = await service.GetStatus(router_pb2.GetStatusRequest(), timeout=10)
    provider = whole.providers[0]
    return provider, next(model for model in provider.models if model.key == "flux-schnell")


def submissions(served: Sandboxed) -> int:
    return sum(each["upstream"] == "huggingface" and each["method"] == "POST" for each in served.sandbox.requests())


# ── R8: a cold model ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cold_model_is_waited_for() -> None:
    """R8: a short estimate is waited for and shown to whoever asks meanwhile; the picture comes by the same attempt,
    and nothing is counted as a failure.
    """
    async with running() as (served, router):
        served.sandbox.faults([{**SUBMISSION, "fault": "loading", "seconds": 1.0, "times": 1}, SILENT_HUB])
        waiting = asyncio.create_task(generate(router))
        async with asyncio.timeout(10):
            while (await status(router))[1].held_back != error_pb2.ERROR_REASON_WARMING:
                await asyncio.sleep(0.01)
        provider, model = await status(router)
        assert model.HasField("until")
        assert (provider.held_back, provider.breaker) == (0, router_pb2.BREAKER_STATE_CLOSED)
        answer = await waiting
        assert outcomes(answer.attempts) == ["huggingface OK"]
        assert submissions(served) == 2
        provider, model = await status(router)
        assert (provider.failure_rate, model.failure_rate, model.held_back) == (0, 0, 0)


async def test_waiting_for_a_cold_model_is_told_in_a_stream() -> None:
    """R8: a stream tells that its model is warming, and for how long."""
    async with running() as (served, router), router.stubs() as (generation, _):
        served.sandbox.faults([{**SUBMISSION, "fault": "loading", "seconds": 1.0, "times": 1}, SILENT_HUB])
        request = generation_pb2.GenerateRequest(prompt="a lighthouse", width=256, height=256)
        events = [event async for event in generation.GenerateStream(request, timeout=60)]
        warming = [event.progress for event in events if event.progress.phase == generation_pb2.PHASE_WARMING]
        assert warming
        assert 0 < warming[0].ready_in.ToMilliseconds() <= 1000
        assert events[-1].completed.provider == "huggingface"


@pytest.mark.parametrize(("estimate", "timeout"), [(100, 60), (19, 22)], ids=["long", "too long for the deadline"])
async def test_a_model_that_stays_cold_is_left_for_another(estimate: float, timeout: float) -> None:
    """R8: what takes too long is left to warm while the next candidate delivers; the others do not even ask."""
    async with running() as (served, router):
        served.sandbox.faults([{**SUBMISSION, "fault": "loading", "seconds": estimate}])
        assert await attempts(router, timeout=timeout) == ["huggingface MODEL_LOADING", "fal OK"]
        assert await attempts(router, timeout=timeout) == ["[huggingface WARMING]", "fal OK"]
        assert submissions(served) == 1
        provider, model = await status(router)
        assert not provider.HasField("failure_rate")
        assert model.held_back == error_pb2.ERROR_REASON_WARMING
        assert model.last_error.reason == error_pb2.ERROR_REASON_MODEL_LOADING


# ── R9: limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_429_is_honoured() -> None:
    """R9: after a 429 nobody asks before Retry-After has passed, others deliver meanwhile, and it is no failure."""
    clock = LeapingClock()
    async with running(clock=clock) as (served, router):
        limit = {"fault": "status", "code": 429, "headers": {"Retry-After": "60"}, "times": 1}
        served.sandbox.faults([{**SUBMISSION, **limit}])
        assert await attempts(router) == ["huggingface RATE_LIMITED", "fal OK"]
        for _ in range(3):
            assert await attempts(router) == ["[huggingface BACKING_OFF]", "fal OK"]
        clock.leap(55)
        assert await attempts(router) == ["[huggingface BACKING_OFF]", "fal OK"]
        provider, _ = await status(router)
        assert provider.held_back == error_pb2.ERROR_REASON_BACKING_OFF
        assert not provider.HasField("failure_rate")
        clock.leap(6)
        assert await attempts(router) == ["huggingface OK"]
        assert submissions(served) == 2


async def test_a_daily_quota() -> None:
    """R9, R11: an operator's number of requests a day is kept, shown, and no failure; the error says until when."""
    async with running({"IMAGEGATE_HUGGINGFACE_REQUESTS_PER_DAY": "2"}) as (served, router):
        for _ in range(2):
            assert await attempts(router) == ["huggingface OK"]
        assert await attempts(router) == ["huggingface OVER_QUOTA", "fal OK"]
        assert await attempts(router) == ["[huggingface OVER_QUOTA]", "fal OK"]
        assert submissions(served) == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await generate(router, "lone")
        failure = told(caught.value)
        assert (caught.value.code(), failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.NO_CANDIDATE)
        assert failure.retry_after is not None
        assert 0 < failure.retry_after <= 24 * 3600
        assert "IMAGEGATE_HUGGINGFACE_REQUESTS_PER_DAY" in str(caught.value.details())
        provider, _ = await status(router)
        assert provider.held_back == error_pb2.ERROR_REASON_OVER_QUOTA
        async with serving_router(served.targets, {"default": [HF]}) as another:  # which has just read the catalogue
            provider, _ = await status(another)
        assert (provider.HasField("quota_left"), provider.quota_left) == (True, 0)


async def test_a_rate() -> None:
    """R9: an operator's requests per second are kept: who would have to wait for long goes on to the next."""
    async with running({"IMAGEGATE_HUGGINGFACE_REQUESTS_PER_SECOND": "0.02"}) as (served, router):
        assert await attempts(router) == ["huggingface OK"]
        assert await attempts(router) == ["huggingface RATE_LIMITED", "fal OK"]
        assert submissions(served) == 1


# ── R10, R11, S2, S3: who fails, and how that is seen ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"fault": "status", "code": 429, "headers": {"Retry-After": "9"}}, "RATE_LIMITED"),
        ({"fault": "status", "code": 500}, "UPSTREAM_ERROR"),
        ({"fault": "reset"}, "UPSTREAM_ERROR"),
        ({"fault": "hang"}, "TIMEOUT"),
    ],
    ids=["rate limit", "API error", "network error", "time-out"],
)
async def test_one_upstream_is_no_single_point_of_failure(rule: Mapping[str, object], reason: str) -> None:
    """R10, S2: rate limit, API error, network error and time-out each go on to the next provider in the order."""
    async with serving_sandboxed(("huggingface", "fal"), pace=QUICK) as served:
        served.sandbox.faults([{**SUBMISSION, **rule}])
        async with serving_router(served.targets, {"default": [HF, FAL]}, attempt_timeout=1.0) as router:
            assert await attempts(router) == [f"huggingface {reason}", "fal OK"]


async def test_the_status_says_everything() -> None:
    """R11: per provider and model: enabled, reachable, breaker, failure rate, until when and why it is held back, the
    quota that is left, and the last error in the upstream's words.
    """
    async with running({"IMAGEGATE_HUGGINGFACE_REQUESTS_PER_DAY": "100"}) as (served, router):
        assert await attempts(router) == ["huggingface OK"]
        served.sandbox.faults([{**SUBMISSION, "fault": "status", "code": 500, "body": {"error": "the GPU is on fire"}}])
        for _ in range(3):
            await attempts(router)
        provider, model = await status(router)
        assert (provider.enabled, provider.reachable, provider.in_flight) == (True, True, 0)
        assert provider.quota_left == 100  # as the catalogue told at the start
        assert (provider.breaker, provider.failure_rate) == (router_pb2.BREAKER_STATE_CLOSED, 0.75)
        assert (model.breaker, model.failure_rate, model.held_back) == (router_pb2.BREAKER_STATE_CLOSED, 0.75, 0)
        assert (model.succeeded, model.failed) == (1, 3)
        for _ in range(2):
            await attempts(router)
        provider, model = await status(router)
        assert (model.breaker, model.held_back) == (router_pb2.BREAKER_STATE_OPEN, error_pb2.ERROR_REASON_CIRCUIT_OPEN)
        assert model.until.ToSeconds() > model.last_error.at.ToSeconds() > 0
        for error in (provider.last_error, model.last_error):
            assert (error.reason, error.upstream_status) == (error_pb2.ERROR_REASON_UPSTREAM_ERROR, 500)
            assert error.upstream_message == "the GPU is on fire"


async def test_the_status_of_a_provider_that_is_off_or_away() -> None:
    """R11, R10: a provider without its key is off and says which variable is missing; one that is away says so too."""
    async with serving_sandboxed(("huggingface",), environ={"HUGGINGFACE_API_KEY": ""}) as served:
        targets = {**served.targets, "fal": "127.0.0.1:9"}
        async with serving_router(targets, {"default": [HF, FAL]}) as router, router.stubs() as (_, service):
            whole: router_pb2.RouterStatus = await service.GetStatus(router_pb2.GetStatusRequest(), timeout=10)
    off, away = whole.providers
    assert (off.enabled, off.reachable) == (False, True)
    assert "HUGGINGFACE_API_KEY" in off.disabled_reason
    assert (away.reachable, bool(away.problem)) == (False, True)


async def test_failure_rates_are_in_the_metrics() -> None:
    """S2: per provider, failed ÷ (ok + failed) can be read from /metrics; what was only limited is in neither."""
    async with running() as (served, router):
        for rule in (None, {"code": 500}, {"code": 429, "headers": {"Retry-After": "0"}}, {"code": 500}):
            served.sandbox.faults([{**SUBMISSION, "fault": "status", **rule}] if rule else [])
            await attempts(router)
        url = f"http://127.0.0.1:{router.running.http_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
    groups = {
        group: sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if _is_of(line, group))
        for group in ("ok", "failed", "limited")
    }
    assert groups == {"ok": 1, "failed": 2, "limited": 1}


def _is_of(line: str, group: str) -> bool:
    is_one = line.startswith("imagegate_attempts_total{") and 'provider="huggingface"' in line
    return is_one and f'outcome_group="{group}"' in line


async def test_an_internal_service_reads_an_error_by_type() -> None:
    """S3: a typed client gets the reason, every attempt and the time to come back from the error's details, and the
    same reason and the request's id from its trailing metadata.
    """
    async with running() as (served, router):
        served.sandbox.faults([{**SUBMISSION, "fault": "status", "code": 429, "headers": {"Retry-After": "7"}}])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await generate(router, "lone")
    failure, trailing = told(caught.value), dict(caught.value.trailing_metadata() or ())
    assert (failure.reason, failure.retry_after) == (Reason.RATE_LIMITED, 7)
    assert (failure.attempts[0].upstream_status, failure.attempts[0].provider) == (429, "huggingface")
    assert trailing["imagegate-reason"] == "RATE_LIMITED"
    assert trailing["imagegate-request-id"]
