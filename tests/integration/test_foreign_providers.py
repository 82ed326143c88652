"""A provider may be written by anybody, in any language: nothing that it tells may harm the router or its callers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.errors import Reason
from imagegate.runtime.metadata import UPSTREAM_ID
from imagegate.testing import ScriptedProvider, ServedRouter, outcomes, serving_provider, serving_router, told
from imagegate.v1 import error_pb2, generation_pb2

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
