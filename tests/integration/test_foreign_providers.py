"""A provider may be written by anybody, in any language: nothing that it tells may harm the router or its callers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.metadata import UPSTREAM_ID
from imagegate.testing import ScriptedProvider, ServedRouter, outcomes, serving_provider, serving_router, told
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, error_pb2, generation_pb2, router_pb2

Event = generation_pb2.GenerateEvent
Request = generation_pb2.GenerateRequest
Response = generation_pb2.GenerateResponse

GENERATION = "/imagegate.v1.GenerationService"
CATALOG = "/imagegate.v1.CatalogService"
GOOD = Response(images=[generation_pb2.Image(data=b"x", mime_type="image/png")])


class Foreign(grpc.GenericRpcHandler):
    """Answers each method with the messages written for it, and with nothing else; `upstream_id` goes first."""

    def __init__(self, answers: Mapping[str, Sequence[bytes]], upstream_id: str = "") -> None:
        self._answers = {"/grpc.health.v1.Health/Watch": [health_pb2.HealthCheckResponse(status=1).SerializeToString()]}
        self._answers |= answers
        self._upstream_id = upstream_id

    def service(self, details: grpc.HandlerCallDetails) -> object:
        answers = self._answers.get(details.method)
        if answers is None:
            return None

        async def answer(_request: bytes, context: grpc.aio.ServicerContext) -> None:
            if self._upstream_id:
                await context.send_initial_metadata(((UPSTREAM_ID, self._upstream_id),))
            for each in answers:
                await context.write(each)
            if details.method.endswith("Watch"):
                await asyncio.Event().wait()

        return grpc.unary_stream_rpc_method_handler(answer)  # one message of a stream is a unary answer


@asynccontextmanager
async def a_router(foreign: Foreign, *, ask: bool = False) -> AsyncIterator[ServedRouter]:
    """A router over the foreign provider `a` and a good one, `b`; with `ask` once `a` was asked for its catalogue."""
    server = grpc.aio.server(options=MESSAGE_OPTIONS)
    server.add_generic_rpc_handlers((foreign,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            serving_provider(ScriptedProvider("b")) as good,
            serving_router(
                {"a": f"127.0.0.1:{port}", "b": good.target},
                {"default": ["a/model", "b/model"], "lone": ["a/model"]},
                wait_for_catalogues=ask,
            ) as router,
        ):
            yield router
    finally:
        await server.stop(None)


def a_catalogue(count: int = 1, pattern: str = "", **nonsense: object) -> bytes:
    """A catalogue whose model says `nonsense`."""
    models = [
        catalog_pb2.Model(
            **{
                "provider": "a",
                "key": f"model{number or ''}",
                "display_name": "M",
                "upstream_model": f"org/model{number or ''}",
                "typical_seconds_low": 1,
                "typical_seconds_high": 2,
                "tier": "free",
                "enabled": True,
            }
            | nonsense  # type: ignore[arg-type]
        )
        for number in range(count)
    ]
    provider = catalog_pb2.Provider(name="a", enabled=True, outside_pattern=pattern)
    if pattern:
        provider.outside_catalogue.CopyFrom(models[0])
    return catalog_pb2.ListModelsResponse(models=models, providers=[provider]).SerializeToString()


@pytest.mark.parametrize(
    ("catalogue", "problem"),
    [
        (a_catalogue(typical_seconds_high=1e30), "model: typical_seconds: "),
        (a_catalogue(credits=2**31 - 1), "model: credits: Input should be less"),
        (a_catalogue(count=20_000), "it has 20,000 models"),
        (a_catalogue(display_name="x" * 2_000_000), "bytes; at most"),
        (a_catalogue(pattern="(a+)+$"), "outside_pattern: Value error, may have neither groups"),
        (catalog_pb2.ListModelsResponse(providers=[catalog_pb2.Provider(name="z" * 999)]).SerializeToString(), "zzz"),
    ],
    ids=["seconds", "credits", "models", "bytes", "pattern", "name"],
)
async def test_a_catalogue_of_nonsense_is_refused(catalogue: bytes, problem: str) -> None:
    """R11: a catalogue nobody can reckon with is a problem of its provider, and breaks nobody's status."""
    foreign = Foreign({f"{CATALOG}/ListModels": [catalogue]})
    async with a_router(foreign, ask=True) as router, router.stubs() as (generation, watcher):
        status = await watcher.GetStatus(router_pb2.GetStatusRequest(), timeout=5)
        explained = await watcher.Explain(Request(prompt="x", count=8), timeout=5)
        answer = await generation.Generate(Request(prompt="x", model="b/model"), timeout=20)
    assert problem in status.providers[0].problem
    assert len(status.providers[0].problem) <= 512
    assert not status.providers[0].models
    assert [each.provider for each in explained.candidates] == ["a", "b"]
    assert answer.provider == "b"


@pytest.mark.parametrize("answer", [Response(), Response(provider="a", cost=3, warnings=["no picture today"])])
async def test_an_answer_without_a_picture_is_none(answer: Response) -> None:
    """Never OK with no picture: an empty answer is BAD_OUTPUT, on both RPCs, and the next candidate follows."""
    ended = Event(completed=answer)
    foreign = Foreign({
        f"{GENERATION}/Generate": [answer.SerializeToString()],
        f"{GENERATION}/GenerateStream": [ended.SerializeToString()],
    })  # fmt: skip
    async with a_router(foreign) as router, router.stubs() as (generation, _):
        response = await generation.Generate(Request(prompt="x"), timeout=20)
        assert outcomes(response.attempts) == ["a BAD_OUTPUT", "b OK"]
        assert response.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED
        events = [event async for event in generation.GenerateStream(Request(prompt="x"), timeout=20)]
        assert outcomes(events[-1].completed.attempts) == ["a BAD_OUTPUT", "b OK"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await generation.Generate(Request(prompt="x", model="lone"), timeout=20)
    assert told(caught.value).reason is Reason.BAD_OUTPUT


def progress(**told_: object) -> bytes:
    return Event(progress=generation_pb2.Progress(phase=generation_pb2.PHASE_RUNNING, **told_)).SerializeToString()  # type: ignore[arg-type]


@pytest.mark.parametrize("upstream_id", ["x" * 20_000_000, "two words", "é", "x" * 129])
async def test_an_upstreams_id_that_is_none_is_neither_kept_nor_passed_on(upstream_id: str) -> None:
    """R5: an id is 128 printable characters at most; whatever else a provider calls one reaches no record."""
    ended = Event(completed=GOOD).SerializeToString()
    foreign = Foreign({f"{GENERATION}/GenerateStream": [progress(upstream_id=upstream_id, step=1), ended]})
    async with a_router(foreign) as router, router.stubs() as (generation, watcher):
        events = [event async for event in generation.GenerateStream(Request(prompt="x", request_id="r"), timeout=20)]
        record = await watcher.GetRequest(router_pb2.GetRequestRequest(request_id="r"), timeout=5)
    assert [event.progress.upstream_id for event in events if event.progress.step == 1] == [""]
    assert outcomes(events[-1].completed.attempts) == ["a OK"]
    assert [attempt.upstream_id for attempt in record.attempts] == [""]


@pytest.mark.parametrize(("upstream_id", "kept"), [("job-7", "job-7"), ("two words", ""), ("x" * 129, "")])
async def test_an_id_that_comes_first_is_kept_where_it_is_one(upstream_id: str, kept: str) -> None:
    """R5: the same of an id in a call's initial metadata."""
    foreign = Foreign({f"{GENERATION}/Generate": [GOOD.SerializeToString()]}, upstream_id)
    async with a_router(foreign) as router, router.stubs() as (generation, _):
        answer = await generation.Generate(Request(prompt="x"), timeout=20)
    assert [attempt.upstream_id for attempt in answer.attempts] == [kept]


async def test_a_preview_is_small_or_left_out() -> None:
    """A preview of 40 MB is not passed on, nor what nobody knows of; the progress beside it is."""
    small, large = (generation_pb2.Image(data=bytes(size)) for size in (200_000, 40_000_000))
    unknown = b"\x9a\x06\x80\x80\x40" + bytes(1 << 20)  # a megabyte in a field of another version
    foreign = Foreign({
        f"{GENERATION}/GenerateStream": [
            progress(step=1, preview=large),
            progress(step=2, preview=small) + unknown,
            Event(completed=GOOD).SerializeToString(),
        ]
    })  # fmt: skip
    seen: list[tuple[int, int]] = []
    async with a_router(foreign) as router, router.stubs() as (generation, _):
        async for event in generation.GenerateStream(Request(prompt="x"), timeout=20):
            if event.progress.step:
                seen.append((event.progress.step, len(event.progress.preview.data)))
                assert event.ByteSize() < 300_000
    assert seen[-1] == (2, 200_000)
    assert set(seen) <= {(1, 0), (2, 200_000)}


async def test_what_is_said_of_a_model_is_clipped() -> None:
    """CheckModel's texts are as short as everybody's, whoever wrote them."""
    long = "x" * 5_000_000
    check = catalog_pb2.ModelCheck(provider=long, model=long, message=long, remedy=long, upstream_message=long)
    foreign = Foreign({f"{CATALOG}/CheckModel": [check.SerializeToString()]})
    async with a_router(foreign) as router, grpc.aio.insecure_channel(router.target) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        told_ = await stub.CheckModel(catalog_pb2.CheckModelRequest(name="lone"), timeout=10)
    assert (len(told_.message.encode()), len(told_.remedy.encode()), told_.ByteSize() < 2_000) == (512, 256, True)


async def test_a_router_keeps_no_prompt_that_a_provider_tells() -> None:
    """R14: where prompts may not be kept, none is in the status, the records or the log, whoever quotes it."""
    request = Request(prompt="our secret merger", negative_prompt="no Lawyers in it", request_id="r", model="a/model")
    quoting = Failure(
        Reason.UPSTREAM_REJECTED_INPUT, "it said: our secret merger", upstream_message="'no lawyers in it' was refused"
    )
    with structlog.testing.capture_logs() as logs:
        async with (
            serving_provider(ScriptedProvider("a", [quoting])) as served,
            serving_router({"a": served.target}, {"default": ["a/model"]}, keep_prompts=False) as router,
            router.stubs() as (generation, watcher),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await generation.Generate(request, timeout=20)
            status = await watcher.GetStatus(router_pb2.GetStatusRequest(), timeout=5)
            record = await watcher.GetRequest(router_pb2.GetRequestRequest(request_id="r"), timeout=5)
    assert record.attempts[0].upstream_message == "'[prompt]' was refused"
    line = next(line for line in logs if line["event"] == "request")
    for kept in (status, record, line, told(caught.value)):
        assert "merger" not in str(kept)
        assert "lawyers" not in str(kept)
