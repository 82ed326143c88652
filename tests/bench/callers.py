"""The callers, as a process of their own: each asks again as soon as it is answered.

Takes a JSON object per line, and writes one: what to ask, by how many at a time and for how long; or once, for the
answer itself.
"""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import aiohttp
import grpc
import uvloop

from bench.asking import Ask
from bench.passthrough import METHOD
from imagegate.runtime import memory
from imagegate.runtime.channels import MESSAGE_OPTIONS

TIMEOUT_SECONDS = 60.0
# Of one line, which holds the times of many calls, or a picture.
LINE_BYTES = 64 * 1024 * 1024

Call = Callable[[], Awaitable[bytes]]


class Callers:
    """Connections that stay open from one command to the next."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._methods: dict[str, Any] = {}

    def call(self, ask: Ask) -> Call:
        """How it is asked. The call raises GrpcError or ClientError where it fails."""
        return self._grpc(ask) if ask.protocol == "grpc" else self._http(ask)

    def _grpc(self, ask: Ask) -> Call:
        if ask.target not in self._methods:
            channel = grpc.aio.insecure_channel(ask.target, options=MESSAGE_OPTIONS)
            self._methods[ask.target] = channel.unary_unary(METHOD)
        method = self._methods[ask.target]
        return lambda: method(ask.body, timeout=TIMEOUT_SECONDS)

    def _http(self, ask: Ask) -> Call:
        headers = {"Content-Type": "application/json", **ask.headers}

        async def call() -> bytes:
            async with self._session.post(ask.target, data=ask.body, headers=headers) as response:
                response.raise_for_status()
                return await response.read()

        return call

    async def once(self, ask: Ask) -> dict[str, Any]:
        """One answer, whole, or why there is none."""
        try:
            return {"answer": b64encode(await self.call(ask)()).decode(), "problem": ""}
        except (grpc.aio.AioRpcError, aiohttp.ClientError, TimeoutError) as error:
            return {"answer": "", "problem": str(error)}

    async def keep_asking(self, ask: Ask, callers: int, seconds: float, least: int) -> dict[str, Any]:
        """How many seconds each call took, and how many went wrong: failed, or had under `least` bytes."""
        call, times, wrong = self.call(ask), list[float](), 0
        began = perf_counter()

        async def one() -> None:
            nonlocal wrong
            while (start := perf_counter()) - began < seconds:
                try:
                    failed = len(await call()) < least
                except (grpc.aio.AioRpcError, aiohttp.ClientError, TimeoutError):
                    failed = True
                times.append(perf_counter() - start)
                wrong += failed is not ask.fails

        await asyncio.gather(*(one() for _ in range(callers)))
        return {"times": times, "wrong": wrong, "seconds": perf_counter() - began}


async def main() -> None:
    """Do as told until there is nobody to tell."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=2**19) as session:
        callers = Callers(session)
        while line := await reader.readline():
            told = json.loads(line)
            ask = Ask.of(told.pop("ask"))
            did = await (callers.keep_asking(ask, **told) if told else callers.once(ask))
            sys.stdout.write(f"{json.dumps(did)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    memory.tune()
    uvloop.run(main())
