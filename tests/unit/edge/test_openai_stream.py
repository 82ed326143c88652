"""Which previews become partial images, and how a stream looks to OpenAI's client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI

from imagegate.client import Progress
from imagegate.edge import sse
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Call
from imagegate.edge.openai.stream import DONE, STILL_HERE, Previews, respond
from imagegate.edge.problem import Problem
from imagegate.edge.serving import serving_http
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

BEAT = sse.Heartbeat(STILL_HERE.sent, seconds=0.02)


def progress(step: int | None = None, steps: int | None = None, *, preview: bool = True) -> Progress:
    proto = generation_pb2.Progress(phase=generation_pb2.PHASE_RUNNING, step=step, steps=steps)
    if preview:
        proto.preview.data = picture()
    return Progress.of(proto)


def test_previews_are_spread_over_the_steps() -> None:
    """Of many previews as many as are wanted are taken, at equal distances."""
    previews = Previews(3)
    assert [step for step in range(1, 21) if previews.takes(progress(step, 20))] == [5, 10, 15]
    assert previews.latest == 2


def test_without_steps_the_first_ones_are_taken() -> None:
    """Where nobody tells the steps there is nothing to wait for."""
    previews = Previews(2)
    assert [previews.takes(progress()) for _ in range(4)] == [True, True, False, False]


def test_none_are_taken_where_none_are_wanted_or_there() -> None:
    """Without `partial_images` there are none, and progress without a preview is none."""
    assert not Previews(0).takes(progress())
    assert not Previews(3).takes(progress(preview=False))


def test_a_late_preview_is_one_of_those_that_are_due() -> None:
    """A preview that comes late is taken once; the next one has to be due as well."""
    previews = Previews(3)
    assert [step for step in (18, 19, 20) if previews.takes(progress(step, 20))] == [18, 19, 20]


async def events(*, fails: bool) -> AsyncGenerator[sse.Event, None]:
    """A picture after several heartbeats, or a failure."""
    await asyncio.sleep(5 * BEAT.seconds)
    if fails:
        raise Problem(503, "UPSTREAM_ERROR", "it broke")
    yield sse.Event("image_generation.completed", {"type": "image_generation.completed", "b64_json": ""})
    yield DONE


@asynccontextmanager
async def a_client() -> AsyncIterator[AsyncOpenAI]:
    """A client of an edge that streams these events for any prompt, and fails for `fail`."""

    async def generate(request: web.Request) -> web.StreamResponse:
        fails = (await request.json())["prompt"] == "fail"
        return await respond(Call(request, Caller("alice"), "r-1"), events(fails=fails), BEAT)

    app = web.Application()
    app.router.add_post("/v1/images/generations", generate)
    async with (
        serving_http(app, "127.0.0.1", 0, grace_seconds=0.1) as port,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x", max_retries=0) as client,
    ):
        yield client


async def test_a_heartbeat_is_no_event_to_their_client() -> None:
    """While nothing happens something is sent, which the client does not take for a piece of the picture."""
    async with a_client() as client:
        raw = await client.images.with_raw_response.generate(prompt="x", stream=True)
        assert STILL_HERE.sent in await raw.http_response.aread()
        stream = await client.images.generate(prompt="x", stream=True)
        assert [event.type async for event in stream] == ["image_generation.completed"]


async def test_what_fails_after_a_heartbeat_is_told_as_an_event() -> None:
    """R10: once something was sent a failure has no status any more; the client raises what the event says."""
    async with a_client() as client:
        stream = await client.images.generate(prompt="fail", stream=True)
        with pytest.raises(openai.APIError, match="it broke") as caught:
            await anext(aiter(stream))
    assert (caught.value.code, caught.value.type) == ("server_error", "server_error")
