"""A kit that cannot fail proves nothing: providers that do it wrong, and what is said of them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from imagegate.conformance import pictures, trouble
from imagegate.conformance.body import load
from imagegate.conformance.duty import Bench
from imagegate.conformance.face import (
    ANSWERS,
    CHECK,
    CHECK_MODEL,
    DETAILS_KEY,
    GENERATE,
    GENERATE_STREAM,
    GET_MODEL,
    LIST_MODELS,
    Face,
)
from imagegate.conformance.kit import CannotTestError, Options, Outcome, run
from imagegate.conformance.row import Row, Verdict
from imagegate.conformance.stand_in import StandIn
from imagegate.conformance.told import Told
from imagegate.providers.__main__ import create
from imagegate.providers.automatic1111.provider import create as create_automatic1111
from imagegate.providers.sketch.provider import create as create_sketch
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.metadata import REASON_KEY, REQUEST_ID_KEY
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.provider import Provider
from imagegate.runtime.redaction import Redactor
from imagegate.sandbox.app import Sandbox, serving
from imagegate.testing import SCRIPTED_MODEL, ScriptedProvider, serving_provider, serving_router
from imagegate.testing.system import KEYS
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc

NOBODY = "http://127.0.0.1:1"


def why(outcome: Outcome, verdict: Verdict = Verdict.FAIL) -> dict[str, str]:
    return {row.id: row.why for row in outcome.rows if row.verdict is verdict}


# ── Written in a hurry ───────────────────────────────────────────────────────────────────────────────────────────────


class Careless(generation_pb2_grpc.GenerationServiceServicer, catalog_pb2_grpc.CatalogServiceServicer):
    """A first try: it asks twice, waits for ever, passes on whatever came, and tells failures by code alone."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/automatic1111/sdapi/v1/txt2img"
        self._model = SCRIPTED_MODEL.model_copy(update={"provider": "automatic1111"})

    async def ListModels(self, request: Any, context: Any) -> catalog_pb2.ListModelsResponse:
        provider = catalog_pb2.Provider(name="automatic1111", enabled=True, catalogue_revision="1")
        return catalog_pb2.ListModelsResponse(models=[self._model.to_proto()], providers=[provider])

    async def GetModel(self, request: Any, context: Any) -> catalog_pb2.Model:
        return self._model.to_proto()

    async def CheckModel(self, request: Any, context: Any) -> catalog_pb2.ModelCheck:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the upstream is in trouble")
        raise AssertionError

    async def Generate(self, request: generation_pb2.GenerateRequest, context: Any) -> generation_pb2.GenerateResponse:
        asked = {"prompt": request.prompt, "width": request.width, "height": request.height, "steps": 1}
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                try:
                    async with session.post(self._url, json=asked) as answer:
                        body = await answer.json(content_type=None)
                except (aiohttp.ClientError, ValueError):
                    body = {}
                if body.get("images"):
                    break
        if not body.get("images"):
            await context.abort(grpc.StatusCode.UNKNOWN, str(body))
        data = base64.b64decode(body["images"][0] + "===", validate=False)
        image = generation_pb2.Image(data=data, mime_type="image/png", width=asked["width"], height=asked["height"])
        return generation_pb2.GenerateResponse(images=[image], provider="automatic1111", model="model")


@asynccontextmanager
async def served(add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[str]:
    """A bare server, without anything of ours around it."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with serving() as running:
        yield running


async def test_a_careless_provider_fails_nearly_everything(sandbox: Sandbox) -> None:
    """S1: no duty is passed by one who keeps none, each row says what is missing, and the exit code is 1."""
    careless = Careless(sandbox.url)

    def add(server: grpc.aio.Server) -> None:
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(careless, server)
        catalog_pb2_grpc.add_CatalogServiceServicer_to_server(careless, server)

    async with served(add) as address:
        outcome = await run(Options(address, sandbox.url, timeout=10))
    failed = why(outcome)
    assert outcome.exit_code == 1
    assert "health is not told: UNIMPLEMENTED" in failed["health"]
    assert "imagegate-request-id" in failed["catalogue"]
    assert "it was answered OK" in failed["get-model/unknown"]
    assert "nobody knows the reason; BadRequest does not name prompt, width" in failed["bad-fields"]
    assert "it failed: the upstream is in trouble" in failed["check-model"]
    assert "it failed: the upstream is in trouble" in failed["check-model/trouble"]
    assert "sha256 is not that of the data" in failed["picture"]
    assert "it has no seed, and the model takes one" in failed["picture"]
    assert "no adjustment tells of" in failed["adjustment"]
    assert "2 pictures were asked for, 1 came" in failed["count"]
    assert "JPEG was asked for and no adjustment says so" in failed["handover"]
    assert "it is there, and output.delivery is NONE" in failed["handover/none"]
    assert "nobody knows the reason" in failed["deadline"]
    assert "submitted" in failed["connection-reset"]
    assert "it was answered OK" in failed["output/truncated"]
    assert "and said to be 256 × 256" in failed["output/wrong-size"]
    for body in load("automatic1111").bodies:
        assert ("it was submitted 2 times" if body.status >= 300 else "it was") in failed[f"body/{body.name}"]
    assert why(outcome, Verdict.PASS).keys() == {"get-model"}


# ── Right at heart, told wrong ───────────────────────────────────────────────────────────────────────────────────────

Spoil = Callable[[str, Told], Told]
REQUESTS: dict[str, type[Message]] = {
    CHECK: health_pb2.HealthCheckRequest,
    LIST_MODELS: catalog_pb2.ListModelsRequest,
    GET_MODEL: catalog_pb2.GetModelRequest,
    CHECK_MODEL: catalog_pb2.CheckModelRequest,
}


class Front(grpc.GenericRpcHandler):
    """Hands every call on to a provider that keeps its duties, and spoils how the end of it is told."""

    def __init__(self, face: Face, spoil: Spoil) -> None:
        self._face = face
        self._spoil = spoil

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if method not in ANSWERS:
            return None

        async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
            given = [(key, value) for key, value in context.invocation_metadata() if key.startswith("imagegate-")]
            asked = REQUESTS.get(method, generation_pb2.GenerateRequest).FromString(request)
            call = self._face.call(GENERATE if method == GENERATE_STREAM else method, asked, 20, given)
            told = self._spoil(method, await call.told())
            for each in told.answers:
                yield each.SerializeToString()
            trailers: list[tuple[str, Any]] = list(told.trailers.items())
            trailers += [(DETAILS_KEY, told.details)] if told.details else []
            if told.code == "OK":
                context.set_trailing_metadata(tuple(trailers))
            else:
                await context.abort(grpc.StatusCode[told.code], told.message, tuple(trailers))

        return grpc.unary_stream_rpc_method_handler(answer)


def unspoilt(method: str, told: Told) -> Told:
    """Streams too: what comes of Generate is told as events."""
    if method != GENERATE_STREAM or told.code != "OK":
        return told
    (response,) = told.answers
    event = generation_pb2.GenerateEvent
    began = event(attempt_started=generation_pb2.AttemptStarted(provider="sketch", model="sketch", number=1))
    return replace(told, answers=[began, event(heartbeat=generation_pb2.Heartbeat()), event(completed=response)])


def without_trailers(method: str, told: Told) -> Told:
    return replace(told, trailers={})


def with_another_id(method: str, told: Told) -> Told:
    return replace(told, trailers={**told.trailers, REQUEST_ID_KEY: "another"})


def with_long_details(method: str, told: Told) -> Told:
    status = told.status
    if status is None:
        return told
    status.details.append(any_pb2.Any(type_url="type.googleapis.com/x", value=b"x" * 4500))
    return replace(told, details=status.SerializeToString())


def with_another_reason(method: str, told: Told) -> Told:
    failure = told.failure
    if failure is None:
        return told
    details = told.details.replace(str(failure.reason).encode(), b"X" * len(failure.reason))
    return replace(told, details=details, trailers={**told.trailers, REASON_KEY: "X" * len(failure.reason)})


def with_another_code(method: str, told: Told) -> Told:
    return replace(told, code="UNKNOWN", details=b"") if told.code != "OK" else told


def completed_first(method: str, told: Told) -> Told:
    told = unspoilt(method, told)
    return replace(told, answers=told.answers[::-1]) if method == GENERATE_STREAM else told


def with_a_seed_too_many(method: str, told: Told) -> Told:
    for answer in told.answers if method == GENERATE else ():
        for image in getattr(answer, "images", ()):
            image.seed += 1
    return told


def with_an_unreadable_catalogue(method: str, told: Told) -> Told:
    for answer in told.answers if method == LIST_MODELS else ():
        assert isinstance(answer, catalog_pb2.ListModelsResponse)
        answer.models.add().CopyFrom(answer.models[0])
    return told


async def outcome_of(spoil: Spoil) -> Outcome:
    async with (
        serving_provider(create_sketch({}, lambda _: None)) as sketch,
        Face(sketch.target) as face,
        served(lambda server: server.add_generic_rpc_handlers((Front(face, spoil),))) as address,
    ):
        return await run(Options(address, usual_sandbox=NOBODY))


async def test_the_front_itself_spoils_nothing() -> None:
    """What is found below is found because of what was spoilt; a stream that is right passes."""
    outcome = await outcome_of(unspoilt)
    assert why(outcome) == {}
    assert {pictures.FIRST.id, "stream", "stream/failure"} <= why(outcome, Verdict.PASS).keys()


@pytest.mark.parametrize(
    ("spoil", "rows", "problem"),
    [
        (without_trailers, ["unknown-model", "bad-fields", "refused-change", "picture", "request-id"], "the trailer"),
        (
            with_another_id,
            ["unknown-model", "bad-fields", "request-id", "picture"],
            "imagegate-request-id is 'another'",
        ),
        (with_long_details, ["get-model/unknown", "unknown-model", "bad-fields"], "at most 4,096 are allowed"),
        (with_another_reason, ["unknown-model", "bad-fields", "refused-change"], "no ErrorInfo"),
        (with_another_code, ["unknown-model", "bad-fields", "stream/failure"], "no google.rpc.Status beside UNKNOWN"),
        (completed_first, ["stream"], "`completed` is due as the last event"),
        (with_a_seed_too_many, ["picture", "count"], "its seed is 8, asked was 7 + 0"),
        (with_an_unreadable_catalogue, ["catalogue"], "are both called"),
    ],
)
async def test_what_is_told_wrong_fails_the_right_rows(spoil: Spoil, rows: list[str], problem: str) -> None:
    """S3, R5: missing trailers, details beyond 4 KiB, a wrong reason, seed, order: each fails the rows it concerns."""
    outcome = await outcome_of(spoil)
    failed = why(outcome)
    assert outcome.exit_code == 1
    for row in rows:
        assert problem in failed[row]
    untouched = {"health"} | ({"bad-fields", "get-model"} if "stream" in rows else set())
    assert not untouched & failed.keys()


# ── Silent and deaf ───────────────────────────────────────────────────────────────────────────────────────────────────


class Wrapped:
    """A provider of ours, but for what a subclass does otherwise."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


class Deaf(Wrapped):
    """Keeps the upstream's id to itself, and goes on for callers that have left."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self._tasks: set[asyncio.Task[Delivery]] = set()

    async def generate(self, order: Order) -> Delivery:
        order.tell_upstream_id = self._tell_nobody
        task = asyncio.create_task(self._provider.generate(order))
        self._tasks.add(task)
        return await asyncio.shield(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._provider.close()

    async def _tell_nobody(self, _upstream_id: str) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "problem"),
    [("fal", "the upstream was not told to stop"), ("huggingface", "a picture was made for nobody")],
)
async def test_a_provider_that_goes_on_for_nobody(sandbox: Sandbox, name: str, problem: str) -> None:
    """R5: an id that never comes and work that nobody waits for are found out, at upstreams of either kind."""
    provider = Deaf(create(name, {**sandbox.environment, **KEYS}, Redactor()))
    async with (
        serving_provider(provider) as running,
        Face(running.target) as face,
        aiohttp.ClientSession() as session,
    ):
        model = provider.catalogue.models[0]
        bench = Bench(face, provider.catalogue, model, timeout=3, token="deaf")
        stand_in = StandIn(sandbox.url, session)
        silent = await trouble.upstream_id(bench, stand_in, load(name))
        deaf = await trouble.leaving(bench, stand_in, load(name))
    assert "there is no imagegate-upstream-id in the initial metadata" in silent.problems
    assert problem in deaf.problems


# ── What cannot be tested ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_provider_that_is_not_behind_the_sandbox(sandbox: Sandbox, is_named: bool) -> None:
    """R10: a provider that asks somebody else is found out by its first picture, and told how to be started."""
    named, usual = (sandbox.url, NOBODY) if is_named else ("", sandbox.url)
    async with serving_provider(create_sketch({}, lambda _: None)) as sketch:
        outcome = await run(Options(sketch.target, named, usual, "fal"))
    reason = why(outcome, Verdict.NOT_TRIED)["body/exhausted-balance"]
    assert "saw no request of sketch" in reason
    assert f"FAL_QUEUE_URL={sandbox.url}/fal/queue" in reason
    assert (outcome.problem, outcome.exit_code) == ((reason, 2) if is_named else ("", 0))


async def test_no_sandbox_at_the_usual_address() -> None:
    """What needs the sandbox is not tried, and the reason says how to start one."""
    async with serving_provider(create_sketch({}, lambda _: None)) as sketch:
        outcome = await run(Options(sketch.target, usual_sandbox=NOBODY, upstream="fal"))
    assert f"no sandbox answers at {NOBODY}; start one" in why(outcome, Verdict.NOT_TRIED)["deadline"]
    assert outcome.exit_code == 0


async def test_a_provider_that_is_off_says_what_switches_it_on() -> None:
    """R10: there is nothing to test, and the remedy is the provider's own."""
    async with serving_provider(ScriptedProvider(disabled_reason="set THE_KEY")) as off:
        with pytest.raises(CannotTestError, match="scripted is off: set THE_KEY"):
            await run(Options(off.target, usual_sandbox=NOBODY))


async def test_a_router_is_no_provider() -> None:
    """S2: a router speaks for several providers; its own duties are others."""
    async with (
        serving_provider(ScriptedProvider(name="one")) as one,
        serving_provider(ScriptedProvider(name="two")) as two,
        serving_router({"one": one.target, "two": two.target}, {"default": ["one/model", "two/model"]}) as router,
    ):
        with pytest.raises(CannotTestError, match=r"is a router \(one, two\)"):
            await run(Options(router.target, usual_sandbox=NOBODY))


async def test_a_sandbox_that_goes_away() -> None:
    """It is one sentence, and no row that blames the provider."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(serving())
        provider = create_automatic1111(sandbox.environment, lambda _: None)
        ending = []

        def end(row: Row) -> None:
            if row.id == "count":
                ending.append(asyncio.create_task(stack.aclose()))

        async with serving_provider(provider) as served_provider:
            with pytest.raises(CannotTestError, match="went away"):
                await run(Options(served_provider.target, sandbox.url), end)
        await asyncio.gather(*ending)


async def test_a_sandbox_that_is_not_there() -> None:
    """A sandbox that was named and does not answer is an error, not a row."""
    async with serving_provider(ScriptedProvider()) as provider:
        with pytest.raises(CannotTestError, match="no sandbox answers at"):
            await run(Options(provider.target, NOBODY))


class Simple(Wrapped):
    """To whom everything is the upstream's fault."""

    async def generate(self, order: Order) -> Delivery:
        try:
            return await self._provider.generate(order)
        except Failure as failure:
            raise Failure(Reason.UPSTREAM_ERROR, "it failed", dispatch=failure.dispatch) from failure


async def test_wrong_reasons_fail_the_recorded_answers(sandbox: Sandbox) -> None:
    """R3, R5: whoever calls every refusal by the same name fails all those that have another."""
    real = create_automatic1111(sandbox.environment, lambda _: None)
    async with serving_provider(Simple(real)) as provider:
        outcome = await run(Options(provider.target, sandbox.url, timeout=10))
    failed = why(outcome)
    for body in load("automatic1111").bodies:
        wrong = "the reason is" if body.reason is not Reason.UPSTREAM_ERROR else "does not have the upstream's words"
        assert wrong in failed[f"body/{body.name}"]
    assert "deadline" not in failed
    assert outcome.exit_code == 1
