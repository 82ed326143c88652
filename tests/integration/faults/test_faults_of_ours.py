"""The rows of the fault matrix that are about time, our callers, our own processes, or everybody at once."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2

from imagegate.client import AsyncClient, GenerationError, Result
from imagegate.router.events import AttemptStarted, BreakerMoved, ChargeRisked, FellBack
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.provider import Provider
from imagegate.sandbox.app import Pace
from imagegate.testing import LeapingClock, ServedRouter, serving_router, told
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.system import System, system
from imagegate.v1 import error_pb2, generation_pb2, router_pb2

from .rows import FAL, HF, WEBUI, Effect
from .spoiling import submission
from .stage import MODELS, PATIENT, Outcome, ask, count, effect_of, status_of, until

PACE = Pace(fal_queue=0.0, fal_run=0.0, automatic1111_step=0.0)


def a_request(model: str = "", prompt: str = "a lighthouse") -> generation_pb2.GenerateRequest:
    return generation_pb2.GenerateRequest(prompt=prompt, width=256, height=256, model=model)


async def effect_at(router: ServedRouter, upstream: str) -> Effect | str:
    status = await status_of(router, upstream)
    key = MODELS[upstream].partition("/")[2]
    return effect_of(status, next(model for model in status.models if model.key == key))


def under_way(served: Sandboxed, upstream: str) -> bool:
    """Whether the upstream has been asked for a picture."""
    return any(each["upstream"] == upstream and each["method"] == "POST" for each in served.sandbox.requests())


def bills(served: Sandboxed, upstream: str) -> list[tuple[object, object]]:
    return [(each["state"], each["billed"]) for each in served.sandbox.billing() if each["upstream"] == upstream]


@asynccontextmanager
async def leaving(router: ServedRouter, request: generation_pb2.GenerateRequest) -> AsyncIterator[None]:
    """A call whose caller leaves at the end of the block."""
    async with router.stubs() as (generation, _):
        call = generation.Generate(request, timeout=PATIENT)
        asked = asyncio.ensure_future(call)
        try:
            yield
        finally:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked


# ── F8: no room at our own side ──────────────────────────────────────────────────────────────────────────────────────


async def test_no_slot_is_free() -> None:
    """F8: where every slot is taken the next candidate delivers; alone it is BUSY in the end: nothing was sent, nobody
    at the upstream is to blame, and waiting helps.
    """
    candidates = [MODELS[HF], MODELS[FAL]]
    async with (
        serving_sandboxed((HF, FAL), environ={"IMAGEGATE_HUGGINGFACE_CONCURRENCY": "1"}) as served,
        serving_router(served.targets, {"default": candidates, "lone": candidates[:1]}) as router,
    ):
        served.sandbox.faults([*submission(HF, "hang", times=1)])
        async with leaving(router, a_request("lone")):
            await until(lambda: under_way(served, HF))
            followed = await ask(router, a_request(), PATIENT)
            alone = await ask(router, a_request("lone"), 0.5)
        assert followed.reasons == ["huggingface BUSY", "fal OK"]
        assert (alone.code, alone.reasons) == (code_pb2.RESOURCE_EXHAUSTED, ["huggingface BUSY"]), alone
        assert alone.failure is not None
        assert alone.failure.retry_after == 1
        for outcome in (followed, alone):
            assert outcome.attempts[0].dispatch == error_pb2.DISPATCH_NOT_SENT
            assert not outcome.attempts[0].billed
        assert await effect_at(router, HF) == Effect.NEUTRAL
        assert len(bills(served, HF)) <= 1  # that of the call which holds the slot


# ── F25: it fails every other time ───────────────────────────────────────────────────────────────────────────────────


async def test_flapping() -> None:
    """F25: where every other call fails the breaker opens and stays open for longer each time; nobody fails by it."""
    clock = LeapingClock()
    async with (
        serving_sandboxed((HF, FAL), pace=PACE) as served,
        serving_router(
            served.targets,
            {"default": [MODELS[HF], MODELS[FAL]]},
            clock=clock,
            random_source=random.Random(1),  # noqa: S311 it must repeat
        ) as router,
    ):
        served.sandbox.faults([*submission(HF, "status", code=500, probability=0.5)])
        for _ in range(150):
            assert (await ask(router, a_request(), PATIENT)).code == 0
            clock.leap(2.0)
        moved = [event for event in router.events if isinstance(event, BreakerMoved) and event.model]
        assert "open" in [event.state for event in moved]
        assert sum(event.state == "open" for event in moved) <= 5  # in five minutes


# ── F32: everybody at once ───────────────────────────────────────────────────────────────────────────────────────────

REVOKED = {"HUGGINGFACE_API_KEY": "hf_revoked", "FAL_KEY": "revoked:key"}


async def again(router: ServedRouter, calls: int = 10) -> Outcome:
    """Several calls, and how the last one ended. How quick they are is `make bench`'s to show."""
    for _ in range(calls - 1):
        await ask(router, a_request(), PATIENT)
    return await ask(router, a_request(), PATIENT)


@pytest.mark.parametrize(
    ("environ", "code", "skipped", "longest"),
    [
        (REVOKED, code_pb2.UNAVAILABLE, "CIRCUIT_OPEN", 720.0),
        ({}, code_pb2.RESOURCE_EXHAUSTED, "BACKING_OFF", 30.0),
    ],
    ids=["latched", "gated"],
)
async def test_all_down(environ: dict[str, str], code: int, skipped: str, longest: float) -> None:
    """F32: with nobody left the error comes without asking anybody, and says when to come back at the earliest."""
    limited = {"fault": "status", "code": 429, "headers": {"Retry-After": "30"}}
    candidates = [MODELS[HF], MODELS[FAL]]
    async with (
        serving_sandboxed((HF, FAL), environ=environ) as served,
        serving_router(served.targets, {"default": candidates}) as router,
    ):
        served.sandbox.faults(
            [] if environ else [{"upstream": each, "method": "POST", **limited} for each in (HF, FAL)]
        )
        await ask(router, a_request(), PATIENT)
        asked, tried = len(served.sandbox.requests()), count(router, AttemptStarted)
        outcome = await again(router)
        assert (outcome.code, outcome.reasons) == (code, [f"[huggingface {skipped}]", f"[fal {skipped}]"])
        assert outcome.failure is not None
        assert outcome.failure.reason is Reason.NO_CANDIDATE
        assert outcome.failure.retry_after is not None
        assert 0 < outcome.failure.retry_after <= longest
        assert (len(served.sandbox.requests()), count(router, AttemptStarted)) == (asked, tried)


async def test_all_open_by_statistics_alone() -> None:
    """F32: where only statistics speak against the last one a request a second finds out, the others do not wait."""
    async with (
        serving_sandboxed((HF,)) as served,
        serving_router(served.targets, {"default": [MODELS[HF]]}) as router,
    ):
        served.sandbox.faults([*submission(HF, "status", code=500)])
        for _ in range(5):
            await ask(router, a_request(), PATIENT)
        tried = count(router, AttemptStarted)
        began = time.monotonic()
        await again(router)
        elapsed = time.monotonic() - began
        assert 1 <= count(router, AttemptStarted) - tried <= 1 + int(elapsed)
        served.sandbox.faults([])
        await until_delivered(router)


async def until_delivered(router: ServedRouter) -> None:
    """Wait, for at most ten seconds, until a request is answered with a picture."""
    async with asyncio.timeout(10):
        while (await ask(router, a_request(), PATIENT)).code:
            await asyncio.sleep(0.05)


# ── F33: clocks ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_wall_clock_jumps() -> None:
    """F33: a wall clock that jumps by an hour at every reading changes no decision: who is left alone is left alone for
    as long as it asked, no breaker moves, and no time that is told as a length is wrong.
    """
    restless = {"PYTHONPATH": str(Path(__file__).with_name("restless_clock"))}
    async with system(restless, providers=(HF,)) as running, running.client() as client:
        limited = {"fault": "status", "code": 429, "headers": {"Retry-After": "2"}, "times": 1}
        running.sandbox.faults([{"upstream": HF, "method": "POST", **limited}])
        refused = await answered(client)
        began = time.monotonic()
        assert isinstance(refused, GenerationError)
        assert refused.retry_after == 2
        while isinstance(answer := await answered(client), GenerationError):
            assert answer.attempts[0].reason == "BACKING_OFF"
            assert answer.retry_after is not None
            assert 0 <= answer.retry_after <= 2
            await asyncio.sleep(0.05)
        assert 1.9 < time.monotonic() - began < 10
        assert 0 < answer.seconds < 10
        assert [each["status"] for each in running.sandbox.requests() if each["method"] == "POST"] == [429, 200]
        metrics = await running.metrics("router")
        assert not re.search(r"imagegate_breaker_transitions_total\{.*\} [^0]", metrics)
        assert not re.search(r"_sum(\{.*\})? -", metrics)


async def answered(client: AsyncClient) -> Result | GenerationError:
    """What becomes of a request for one candidate."""
    try:
        return await client.generate("a lighthouse", model=MODELS[HF])
    except GenerationError as error:
        return error


# ── F35: our own processes ───────────────────────────────────────────────────────────────────────────────────────────


class TestAProviderThatDies:
    """F35: SIGKILL in the middle of a request is UNREACHABLE, and goes on where that is not paid twice."""

    async def outcome(self, running: System, upstream: str, candidates: str) -> Outcome:
        """How a request ended whose provider was killed once its upstream was at work."""
        async with grpc.aio.insecure_channel(running.members["router"].address) as channel:
            call = channel.unary_unary(
                "/imagegate.v1.GenerationService/Generate",
                request_serializer=generation_pb2.GenerateRequest.SerializeToString,
                response_deserializer=generation_pb2.GenerateResponse.FromString,
            )(a_request(candidates), timeout=PATIENT)
            asked = asyncio.ensure_future(call)
            await until(
                lambda: any(each["upstream"] == upstream and each["method"] == "POST" for each in self.seen(running))
            )
            if upstream == FAL:  # the id was told before fal is asked how it goes, and has arrived when it is again
                await until(lambda: sum(each["path"].endswith("/status") for each in self.seen(running)) > 1)
            running.kill(upstream)
            try:
                answer = await asked
            except grpc.aio.AioRpcError as error:
                failure = told(error)
                return Outcome(error.code().value[0], failure.attempts, failure, error.details() or "")
            return Outcome(0, answer.attempts, answer=answer)

    def seen(self, running: System) -> list[dict[str, str]]:
        return running.sandbox.requests()  # type: ignore[return-value]

    async def test_where_pictures_are_worth_more(self) -> None:
        """F35: Hugging Face's provider dies, and the next candidate delivers; afterwards it is known to be away."""
        async with system(pace=Pace(huggingface=30)) as running:
            outcome = await self.outcome(running, HF, "web")
            assert outcome.reasons == ["huggingface UNREACHABLE", "automatic1111 OK"]
            assert outcome.attempts[0].dispatch == error_pb2.DISPATCH_UNKNOWN
            assert not outcome.attempts[0].HasField("billed")
            async with running.client() as client:
                result = await client.generate("a lighthouse", model="web", width=256, height=256)
            assert result.provider == WEBUI
            assert 'imagegate_inflight{caller="",provider="huggingface"} 0.0' in await running.metrics("router")

    async def test_where_it_is_paid_once(self) -> None:
        """F35: fal's provider dies once fal has the work: that is the end, with the id under which fal can be asked."""
        async with system(
            pace=Pace(fal_run=30), environ={"IMAGEGATE_ROUTES__DEFAULT": f"[{MODELS[FAL]}, {MODELS[HF]}]"}
        ) as running:
            outcome = await self.outcome(running, FAL, "")
            assert outcome.code == code_pb2.UNAVAILABLE
            assert outcome.reasons == ["fal UNREACHABLE", "[huggingface NOT_ALLOWED]"]
            assert outcome.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED
            assert outcome.attempts[0].upstream_id
            assert "routing.payment" in outcome.message


# ── F40: the caller leaves ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("upstream", "pace", "bill"),
    [
        (HF, Pace(huggingface=30), ("cancelled", False)),
        (FAL, Pace(fal_run=30), ("cancelled", False)),
        (WEBUI, Pace(automatic1111_step=0.05), ("finished", True)),
    ],
    ids=[HF, FAL, WEBUI],
)
async def test_the_caller_leaves(upstream: str, pace: Pace, bill: tuple[str, bool]) -> None:
    """F40: the upstream's work is cancelled where it can be, the permit comes back, nobody is blamed or tried."""
    candidates = [MODELS[upstream], MODELS[HF if upstream == FAL else FAL]]
    async with (
        serving_sandboxed(pace=pace) as served,
        serving_router(served.targets, {"default": candidates}) as router,
    ):
        async with leaving(router, a_request()):
            await until(lambda: under_way(served, upstream))
        await until(lambda: bills(served, upstream) == [bill])
        await until(lambda: all(provider.running for provider in served.providers.values()))
        async with asyncio.timeout(10):
            while (await status_of(router, upstream)).in_flight:
                await asyncio.sleep(0.01)
        assert await effect_at(router, upstream) == Effect.NEUTRAL
        assert (count(router, AttemptStarted), count(router, FellBack), count(router, ChargeRisked)) == (1, 0, 0)


# ── F41, F42: time ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_hardly_any_time_is_left() -> None:
    """F41: where nobody's usual time fits nothing is tried and nothing paid; an only candidate is tried."""
    async with (
        serving_sandboxed((HF, FAL)) as served,
        serving_router(served.targets, {"default": [MODELS[HF], MODELS[FAL]], "lone": [MODELS[HF]]}) as router,
    ):
        outcome = await ask(router, a_request(), 2.0)
        assert outcome.code == code_pb2.DEADLINE_EXCEEDED
        assert outcome.reasons == ["[huggingface DEADLINE_TOO_SHORT]", "[fal DEADLINE_TOO_SHORT]"]
        assert (count(router, AttemptStarted), served.sandbox.billing()) == (0, [])
        assert [await effect_at(router, each) for each in (HF, FAL)] == [Effect.NEUTRAL] * 2
        assert (await ask(router, a_request("lone"), 2.0)).reasons == ["huggingface OK"]


async def test_the_deadline_passes_in_the_second_attempt() -> None:
    """F42: out of time is DEADLINE_EXCEEDED with both attempts; what is under way is cancelled, and not charged."""
    async with (
        serving_sandboxed((HF, FAL), pace=Pace(fal_run=30)) as served,
        serving_router(served.targets, {"default": [MODELS[HF], MODELS[FAL]]}, attempt_timeout=1.0) as router,
    ):
        served.sandbox.faults([*submission(HF, "status", code=500)])
        outcome = await ask(router, a_request(), 3.0)
        assert outcome.code == code_pb2.DEADLINE_EXCEEDED
        assert outcome.reasons == ["huggingface UPSTREAM_ERROR", "fal TIMEOUT"]
        last = outcome.attempts[1]
        assert (Dispatch.from_proto(last.dispatch), last.billed, bool(last.upstream_id)) == (
            Dispatch.ACCEPTED,
            False,
            True,
        )
        assert bills(served, FAL) == [("cancelled", False)]
        assert await effect_at(router, FAL) == Effect.COUNTS


async def test_a_deadline_that_starves_an_attempt() -> None:
    """F42: an attempt that the caller's deadline gave less than the usual time says nothing about the candidate."""
    async with (
        serving_sandboxed((FAL,), pace=Pace(fal_run=30)) as served,
        serving_router(served.targets, {"default": [MODELS[FAL]]}) as router,
    ):
        outcome = await ask(router, a_request(), 1.5)
        assert (outcome.code, outcome.reasons) == (code_pb2.DEADLINE_EXCEEDED, ["fal TIMEOUT"])
        assert await effect_at(router, FAL) == Effect.NEUTRAL


# ── F43: who comes back ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_comes_back_is_not_trampled() -> None:
    """F43: after its breaker has closed a candidate gets a tenth of its turns, and all of them half a minute later."""
    clock = LeapingClock()
    async with (
        serving_sandboxed((HF, FAL), pace=PACE) as served,
        serving_router(
            served.targets,
            {"default": [MODELS[HF], MODELS[FAL]]},
            clock=clock,
            random_source=random.Random(1),  # noqa: S311 it must repeat
        ) as router,
    ):
        served.sandbox.faults([*submission(HF, "status", code=500, times=5)])
        for _ in range(5):
            assert (await ask(router, a_request(), PATIENT)).reasons == ["huggingface UPSTREAM_ERROR", "fal OK"]
        assert (await ask(router, a_request(), PATIENT)).reasons == ["[huggingface CIRCUIT_OPEN]", "fal OK"]
        clock.leap(20.0)
        for _ in range(2):  # the probes
            assert (await ask(router, a_request(), PATIENT)).reasons == ["huggingface OK"]
        shares = [await share_of(router, HF, 20)]
        clock.leap(15.0)
        shares.append(await share_of(router, HF, 20))
        clock.leap(20.0)
        shares.append(await share_of(router, HF, 20))
        assert shares[0] < 0.35 < shares[1] < 0.85 < shares[2] == 1.0, shares


async def share_of(router: ServedRouter, provider: str, calls: int) -> float:
    """How much of some requests in a row it answers."""
    answers = [await ask(router, a_request(), PATIENT) for _ in range(calls)]
    return sum(outcome.reasons[-1] == f"{provider} OK" for outcome in answers) / calls


async def test_a_ramp_refuses_nobody() -> None:
    """F43: while a candidate has only just come back and the other one fails, every request still gets its picture."""
    clock = LeapingClock()
    async with (
        serving_sandboxed((HF, FAL), pace=PACE) as served,
        serving_router(served.targets, {"default": [MODELS[HF], MODELS[FAL]]}, clock=clock) as router,
    ):
        served.sandbox.faults([*submission(HF, "status", code=500, times=5)])
        for _ in range(5):
            await ask(router, a_request(), PATIENT)
        clock.leap(20.0)
        for _ in range(2):
            await ask(router, a_request(), PATIENT)
        served.sandbox.faults([*submission(FAL, "status", code=500)])
        for _ in range(10):
            assert (await ask(router, a_request(), PATIENT)).reasons[-1] == "huggingface OK"


# ── F44, F45: bugs and limits of our own ─────────────────────────────────────────────────────────────────────────────


class Buggy:
    """A provider in whose place something goes wrong."""

    def __init__(self, provider: Provider, error: BaseException) -> None:
        self._provider = provider
        self._error = error

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    async def generate(self, order: Order) -> Delivery:
        """Go wrong."""
        raise self._error


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError("SECRET-123"), ValueError("https://x/?key=SECRET-123")],
    ids=["cancelled", "exception"],
)
async def test_a_bug_of_ours(error: BaseException) -> None:
    """F44: a stray cancellation or exception is answered at once: INTERNAL, in generic words with the request's id. It
    is no fault of the upstream's, and is not multiplied by trying others.
    """
    async with (
        serving_sandboxed((HF,), around=lambda provider: Buggy(provider, error)) as buggy,  # type: ignore[arg-type, return-value]
        serving_sandboxed((FAL,)) as healthy,
        serving_router({**buggy.targets, **healthy.targets}, {"default": [MODELS[HF], MODELS[FAL]]}) as router,
    ):
        outcome = await ask(router, a_request(), PATIENT)
        assert (outcome.code, outcome.reasons) == (code_pb2.INTERNAL, ["huggingface INTERNAL"])
        assert "SECRET" not in f"{outcome}"
        assert "imagegate failed by a bug of its own" in outcome.message
        assert await effect_at(router, HF) == Effect.NEUTRAL
        assert (await status_of(router, HF)).in_flight == 0


class Foreign(grpc.GenericRpcHandler):
    """A provider in another language, with limits of its own."""

    def __init__(self, trailers: int = 0) -> None:
        self._trailers = trailers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Answer Generate with more than our mesh carries."""
        if not handler_call_details.method.endswith("/Generate"):
            return None

        async def generate(_request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if self._trailers:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "x", (("x-much", "y" * self._trailers),))
            return bytes(65 * 1024 * 1024)

        return grpc.unary_unary_rpc_method_handler(generate)


@asynccontextmanager
async def foreign(handler: Foreign) -> AsyncIterator[str]:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize("trailers", [0, 100_000], ids=["message", "metadata"])
async def test_limits_inside_our_own_mesh(trailers: int) -> None:
    """F45: what gRPC refuses for its size is a bug of ours, INTERNAL: no rate limit, nobody's failure, no reason to try
    others.
    """
    async with (
        foreign(Foreign(trailers)) as target,
        serving_sandboxed((FAL,)) as healthy,
        serving_router({HF: target, **healthy.targets}, {"default": [MODELS[HF], MODELS[FAL]]}) as router,
    ):
        outcome = await ask(router, a_request(), PATIENT)
        assert (outcome.code, outcome.reasons) == (code_pb2.INTERNAL, ["huggingface INTERNAL"]), outcome
        status = await status_of(router, HF)
        assert (status.HasField("failure_rate"), status.held_back) == (False, 0)
        assert status.breaker == router_pb2.BREAKER_STATE_CLOSED
