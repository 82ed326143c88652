"""What may stand between a provider and its upstream: a port without anybody, broken TLS, a proxy that spoils."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

LOCAL = "127.0.0.1"
BLOCK = 64 * 1024
# What belongs to one connection, not to the answer that it carries.
OF_THE_CONNECTION = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the upstream's, which a front may replace. Names of headers are in lower case."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Front:
    """Where a front is; it lets everything pass until it `spoils`."""

    url: str
    spoils: bool = False


@asynccontextmanager
async def refusing() -> AsyncIterator[Front]:
    """An address at which nobody listens, and nobody else can."""
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        yield Front(f"http://{LOCAL}:{taken.getsockname()[1]}")


@asynccontextmanager
async def self_signed(certificate: Path) -> AsyncIterator[Front]:
    """TLS with a `certificate` (and its key) that nobody has reason to trust."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, LOCAL, 0, ssl=context) as server:
        yield Front(f"https://{LOCAL}:{server.sockets[0].getsockname()[1]}")


@asynccontextmanager
async def forgetting(url: str) -> AsyncIterator[Front]:
    """Passes bytes on to `url`. Once it spoils, it closes a connection that is used a second time, without a word."""
    front = Front("")
    target = URL(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(target.host, target.port)
        has_answered = False

        async def back() -> None:
            nonlocal has_answered
            while data := await upstream_reader.read(BLOCK):
                has_answered = True
                writer.write(data)
                await writer.drain()

        answering = asyncio.create_task(back())
        try:
            while data := await reader.read(BLOCK):
                if has_answered and front.spoils:
                    break
                upstream_writer.write(data)
                await upstream_writer.drain()
        except ConnectionError:
            pass  # the client has gone
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            upstream_writer.close()
            writer.close()

    async with await asyncio.start_server(serve, LOCAL, 0) as server:
        front.url = f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}"
        yield front


@asynccontextmanager
async def rewriting(url: str, rewrite: Callable[[Told], Told]) -> AsyncIterator[Front]:
    """Asks `url` whatever it is asked, and tells what `rewrite` makes of the answer."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def answer(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
            target = URL(url + request.raw_path, encoded=True)
            async with session.request(
                request.method, target, headers=headers, data=await request.read() or None
            ) as given:
                kept = {name.lower(): value for name, value in given.headers.items()}
                kept = {name: value for name, value in kept.items() if name not in OF_THE_CONNECTION}
                told = rewrite(Told(request.method, request.path, given.status, kept, await given.read()))
            return web.Response(status=told.status, headers=told.headers, body=told.body)

        app = web.Application(client_max_size=BLOCK * BLOCK)
        app.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOCAL, 0).start()
            yield Front(f"http://{LOCAL}:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()
