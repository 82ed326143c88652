"""The callers, as a process of their own: each asks again as soon as it is answered.

Takes a JSON object per line, and writes one: what to ask, by how many at a time and for how long; or once, for the
answer itself.
"""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from time import perf_counter
from typing import Any

import aiohttp
import uvloop

from bench.asking import Ask
from bench.frames import Request
from bench.light_grpc import CallFailedError, LightChannel
from bench.passthrough import METHOD
from imagegate.runtime import memory

TIMEOUT_SECONDS = 60
# No answer is compressed: those by gRPC are not either, and LiteLLM, which would, takes three times as long with it.
POSTED = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
# Of one line, which holds the times of many calls, or a picture.
LINE_BYTES = 64 * 1024 * 1024

FAILURES = (CallFailedError, aiohttp.ClientError, TimeoutError)


class Callers:
    """Connections that stay open from one command to the next."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._channels: dict[str, LightChannel] = {}

    def _channel(self, target: str) -> LightChannel:
        return self._channels.setdefault(target, LightChannel(target))

    def _posting(self, ask: Ask) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {**POSTED, **ask.headers}
        return self._session.post(ask.target, data=ask.body, headers=headers, raise_for_status=True)

    def sized(self, ask: Ask) -> Callable[[], Awaitable[int]]:
        """How it is asked by whoever wants to know the answer's size only. The call raises one of FAILURES."""
        if ask.protocol == "grpc":
            channel, request = self._channel(ask.target), _request(ask)
            return lambda: channel.size(request)

        async def call() -> int:
            async with self._posting(ask) as response:
                return sum([len(each) async for each in response.content.iter_any()])

        return call

    async def answer(self, ask: Ask) -> bytes:
        """All of it. Raises one of FAILURES."""
        if ask.protocol == "grpc":
            return await self._channel(ask.target).answer(_request(ask))
        async with self._posting(ask) as response:
            return await response.read()

    async def once(self, ask: Ask) -> dict[str, Any]:
        """One answer, whole, or why there is none."""
        try:
            return {"answer": b64encode(await self.answer(ask)).decode(), "problem": ""}
        except FAILURES as error:
            return {"answer": "", "problem": repr(error)}

    async def keep_asking(self, ask: Ask, callers: int, seconds: float, least: int) -> dict[str, Any]:
        """How many seconds each call took, and how many went wrong: failed, or had under `least` bytes."""
        call, times, wrong = self.sized(ask), list[float](), 0
        began = perf_counter()

        async def one() -> None:
            nonlocal wrong
            while (start := perf_counter()) - began < seconds:
                try:
                    failed = await call() < least
                except FAILURES:
                    failed = True
                times.append(perf_counter() - start)
                wrong += failed is not ask.fails

        await asyncio.gather(*(one() for _ in range(callers)))
        return {"times": times, "wrong": wrong, "seconds": perf_counter() - began}

    def close(self) -> None:
        """End the connections of gRPC; the session is somebody else's."""
        for channel in self._channels.values():
            channel.close()


def _request(ask: Ask) -> Request:
    return Request(ask.target, METHOD, ask.body, TIMEOUT_SECONDS)


async def main() -> None:
    """Do as told until there is nobody to tell."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=2**19) as session:
        with closing(Callers(session)) as callers:
            while line := await reader.readline():
                told = json.loads(line)
                ask = Ask.of(told.pop("ask"))
                did = await (callers.keep_asking(ask, **told) if told else callers.once(ask))
                sys.stdout.write(f"{json.dumps(did)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    memory.tune()
    uvloop.run(main())
