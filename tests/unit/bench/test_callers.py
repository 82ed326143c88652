"""The callers, as they are told by lines."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import replace

import aiohttp
import grpc
import pytest

from bench.asking import Ask
from bench.callers import Callers
from bench.passthrough import METHOD
from bench.upstream import SMALL, Upstream

ANSWERS = {"grpc": b"a fox", "http": SMALL.openai}
REFUSALS = {"grpc": "status 14, nobody is there", "http": "503"}


async def answer(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """What is asked, or nothing at all."""
    if not message:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "nobody is there")
    return message


@pytest.fixture
async def asks() -> AsyncIterator[dict[str, Ask]]:
    """Of one that answers and one that does not, by gRPC and HTTP."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service, _, method = METHOD[1:].partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0) as upstream:
        url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
        yield {
            "grpc": Ask("grpc", target, b"a fox"),
            "grpc fails": Ask("grpc", target, b"", fails=True),
            "http": Ask("http", f"{url}/small", b"{}"),
            "http fails": Ask("http", f"{url}/refusing", b"{}", fails=True),
        }
    await server.stop(None)


@pytest.fixture
async def callers() -> AsyncIterator[Callers]:
    """With connections of their own."""
    async with aiohttp.ClientSession() as session:
        with closing(Callers(session)) as callers:
            yield callers


@pytest.mark.parametrize("name", ["grpc", "http"])
async def test_an_answer_is_told_whole_or_what_is_wrong(callers: Callers, asks: Mapping[str, Ask], name: str) -> None:
    """Its bytes for who looks at the picture; why there are none where there are none."""
    told = await callers.once(asks[name])
    assert b64decode(told["answer"]) == ANSWERS[name]
    assert told["problem"] == ""
    refused = await callers.once(asks[f"{name} fails"])
    assert refused["answer"] == ""
    assert REFUSALS[name] in refused["problem"]


@pytest.mark.parametrize("name", ["grpc", "http"])
async def test_wrong_is_what_is_not_as_it_is_meant_to_be(callers: Callers, asks: Mapping[str, Ask], name: str) -> None:
    """Too short an answer is, and an answer or a failure where the other was meant; whatever was asked took time."""
    size = len(ANSWERS[name])
    meant = asks[name], asks[f"{name} fails"]
    mistaken = replace(asks[name], fails=True), replace(asks[f"{name} fails"], fails=False)
    for ask, least, is_wrong in ((meant[0], size, False), (meant[0], size + 1, True), (meant[1], 0, False),
                                 (mistaken[0], 0, True), (mistaken[1], 0, True)):  # fmt: skip
        told = await callers.keep_asking(ask, callers=3, seconds=0.02, least=least)
        assert told["wrong"] == (len(told["times"]) if is_wrong else 0)
        assert len(told["times"]) >= 3
        assert 0 < max(told["times"]) <= told["seconds"]
