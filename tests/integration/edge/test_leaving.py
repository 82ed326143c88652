"""How an edge that is told to stop leaves: what is under way ends, and who comes by mistake is sent elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from imagegate.edge.admission import Admission
from imagegate.edge.app import Front
from imagegate.edge.body import Body
from imagegate.edge.caller import Access
from imagegate.edge.endpoint import KIB, Call, Endpoint, tell_problem
from imagegate.edge.keys import Keyring
from imagegate.edge.serving import serving_http
from imagegate.edge.settings import EdgeSettings
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.testing.fronted import KEYS

GET = b"GET /quick HTTP/1.1\r\nHost: edge\r\n\r\n"
SECONDS = 10.0


@dataclass
class Edge:
    """An edge that is told to leave whenever a test wants; `pictures` of it are handed out once `may_end`."""

    quiet: float = 0.0
    grace: float = SECONDS
    port: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    goes: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        front = Front(
            [
                self.endpoint("GET", "/quick", self.quick),
                self.endpoint("POST", "/body", self.body),
                self.endpoint("GET", "/slow", self.slow),
                self.endpoint("GET", "/stream", self.stream),
            ],
            Keyring(lambda: KEYS),
            Admission(EdgeSettings(data=Path()), time.monotonic),
            ProcessMetrics(Registry()),
            Redactor(),
            is_leaving=self.told.is_set,
        )
        async with serving_http(front.app(), "127.0.0.1", 0, self.grace, quiet_seconds=self.quiet) as port:
            self.port = port
            self.is_up.set()
            await self.goes.wait()

    def endpoint(self, method: str, path: str, handler: object) -> Endpoint:
        size = KIB if method == "POST" else 0
        return Endpoint(method, path, handler, "", tell_problem, access=Access.ANYBODY, max_bytes=size)  # type: ignore[arg-type]

    async def quick(self, _call: Call) -> web.StreamResponse:
        return web.Response(text="ok")

    async def body(self, call: Call) -> web.StreamResponse:
        return web.Response(body=await Body(call.request, KIB).read())

    async def slow(self, _call: Call) -> web.StreamResponse:
        await self.may_end.wait()
        return web.Response(text="ok")

    async def stream(self, call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(call.request)
        await response.write(b"begins ")
        await self.may_end.wait()
        await response.write(b"ends")
        await response.write_eof()
        return response


@dataclass
class Caller:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self, sent: bytes = GET) -> str:
        """The head and the body of the answer."""
        self.writer.write(sent)
        return await self.answer()

    async def answer(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
        return head + (await self.reader.readexactly(length)).decode()

    async def is_ended(self) -> bool:
        return await self.reader.read() == b""


@asynccontextmanager
async def served(edge: Edge) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.timeout(3 * SECONDS):
        serving = asyncio.create_task(edge.serve())
        await edge.is_up.wait()
        try:
            yield serving
        finally:
            edge.told.set()
            edge.goes.set()
            edge.may_end.set()
            await serving


@asynccontextmanager
async def connected(edge: Edge) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


async def until_closed(edge: Edge) -> None:
    """Wait until nobody can connect any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        except ConnectionError:
            return
        writer.close()
        await asyncio.sleep(0.01)


async def test_while_it_leaves_every_answer_ends_its_connection() -> None:
    """P7: whoever kept a connection is answered, and told to connect anew for the next call."""
    edge = Edge()
    async with served(edge), connected(edge) as caller, connected(edge) as reader:
        assert "Connection: close" not in await caller.asks()
        edge.told.set()
        answer = await caller.asks()
        assert answer.startswith("HTTP/1.1 200")
        assert "Connection: close" in answer
        assert await caller.is_ended()
        edge.may_end.set()
        assert "Connection: close" in await reader.asks(GET.replace(b"quick", b"stream"))


async def test_what_is_under_way_ends_as_if_nothing_had_happened() -> None:
    """P7: an answer that takes long, a stream, and a body of which only a part is here yet."""
    edge = Edge()
    async with served(edge) as serving, connected(edge) as slow, connected(edge) as stream, connected(edge) as body:
        slow.writer.write(GET.replace(b"quick", b"slow"))
        assert (await stream.asks(GET.replace(b"quick", b"stream"))).startswith("HTTP/1.1 200")
        body.writer.write(b"POST /body HTTP/1.1\r\nHost: edge\r\nContent-Length: 9\r\n\r\nhalf")
        assert (await stream.reader.readuntil(b"begins ")).endswith(b"begins ")
        edge.told.set()
        edge.goes.set()
        await until_closed(edge)
        assert (await body.asks(b" half")).endswith("\r\n\r\nhalf half")
        edge.may_end.set()
        assert (await slow.answer()).endswith("ok")
        assert b"ends\r\n0\r\n\r\n" in await stream.reader.read()
        await serving


async def test_a_call_that_was_on_its_way_is_served_after_nobody_can_connect() -> None:
    """P7: a kept connection is ended once nothing has come on it for a while, and not before."""
    edge = Edge(quiet=SECONDS)
    async with served(edge) as serving, connected(edge) as caller:
        await caller.asks()
        edge.told.set()
        edge.goes.set()
        await until_closed(edge)
        assert (await caller.asks()).startswith("HTTP/1.1 200")
        assert await caller.is_ended()
        await serving


async def test_who_says_nothing_does_not_keep_it() -> None:
    """P7: connections that are merely kept, or were never used, end by themselves."""
    edge = Edge(quiet=0.3)
    async with served(edge) as serving, connected(edge) as kept, connected(edge) as unused:
        await kept.asks()
        edge.told.set()
        edge.goes.set()
        began = time.monotonic()
        assert await kept.is_ended()
        assert await unused.is_ended()
        await serving
        assert time.monotonic() - began < SECONDS / 2


async def test_the_grace_is_the_end_of_everything() -> None:
    """R10: what does not end within the grace is cut off, and the edge stops."""
    edge = Edge(grace=0.2)
    async with served(edge) as serving, connected(edge) as slow:
        slow.writer.write(GET.replace(b"quick", b"slow"))
        await asyncio.sleep(0)
        edge.goes.set()
        await serving
        assert await slow.is_ended()
