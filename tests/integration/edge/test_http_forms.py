"""HTTP that no client library sends: refused where it could be read in two ways, whatever the parser thinks of it."""

import asyncio

import pytest
from aiohttp import web

from imagegate.edge.body import Body
from imagegate.edge.caller import Access
from imagegate.edge.connection import Bounds
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.testing.fronted import serving_endpoints
from imagegate.testing.raw_http import connected, exchange, head, hear


async def echo(call: Call) -> web.Response:
    """What was understood: the method, the path, and the body."""
    body = await Body(call.request, 1000).read()
    return web.Response(text=f"<{call.request.method} {call.request.path_qs} {body.decode()}>")


ENDPOINTS = [
    Endpoint(method, "/x", echo, "", tell_problem, access=Access.ANYBODY, max_bytes=1000) for method in ("GET", "POST")
]
QUICK = Bounds(head_seconds=0.2, idle_seconds=0.5, linger_seconds=0.2)
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLING = {
    "HTTP/0.9 by its name": b"GET /x HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "HTTP/1.2": b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2": b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "no host, HTTP/1.0": b"GET /x HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two hosts in one": b"GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a host and another": b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a host that is none": b"GET /x HTTP/1.1\r\nHost: a/@b c\r\n\r\n",
    "an empty host": b"GET /x HTTP/1.1\r\nHost:\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "a hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "compressed chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\nabc",
    "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"GET /x HTTP/1.1\nHost: a\n\n",
    "bare LF in a header": b"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare CR in a header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\rZ: 1\r\n\r\n",
    "a folded header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "a folded first header": b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
    "NUL in a value": b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\x00z\r\n\r\n",
    "NUL in a name": b"GET /x HTTP/1.1\r\nHost: a\r\nX\x00: y\r\n\r\n",
    "NUL in the path": b"GET /x\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character": b"GET /x HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "no name": b"GET /x HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
    "a space in the path": b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n",
    "tabs": b"GET\t/x\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "a small method": b"get /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a proxy's": b"CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "chunks ended by LF": CHUNKED + b"3\nabc\n0\n\n",
    "LF in a chunk's extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a chunk of 0x3": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a length after the chunks": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a flood of trailers": CHUNKED + b"0\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
    "a flood of headers": b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
    "a long path": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long method": b"G" * 9000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long version": b"GET / HTTP/1.1" + b"1" * 9000 + b"\r\nHost: a\r\n\r\n",
    "a long header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
    "another expectation": POST + b"Content-Length: 3\r\nExpect: 200-ok\r\n\r\nabc",
}
# What stands behind it is read by nobody.
HIDDEN = b"GET /x?hidden HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("form", SMUGGLING)
async def test_what_may_be_read_in_two_ways_is_refused(form: str) -> None:
    """S23: it is answered with one error, shows nothing of what came, and ends the connection, so that no second
    request can hide in it.
    """
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port:
        heard = await exchange(port, SMUGGLING[form] + HIDDEN, seconds=5)
    assert heard.is_closed
    assert len(heard.statuses) == 1
    assert 400 <= heard.statuses[0] < 600
    assert b"hidden" not in heard.data
    assert b"/x" not in heard.data


PLAIN = {
    "a request": (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"<GET /x >"),
    "blank lines before it": (b"\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"<GET /x >"),
    "the whole address": (b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", b"<GET /x >"),
    "HTTP/1.0": (b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n", b"<GET /x >"),
    "a length": (POST + b"Content-Length: 3\r\n\r\nabc", b"<POST /x abc>"),
    "chunks": (CHUNKED + b"2\r\nab\r\n1;ext=1\r\nc\r\n0\r\nX: trailer\r\n\r\n", b"<POST /x abc>"),
    "who asks first": (POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", b"<POST /x abc>"),
    "who asks first and has nothing": (POST + b"Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", b"<POST /x >"),
    "a protocol that is not spoken": (
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"<GET /x >",
    ),
}


@pytest.mark.parametrize("form", PLAIN)
async def test_what_is_plain_is_answered(form: str) -> None:
    """S23: what HTTP allows and everybody reads alike is taken."""
    data, answer = PLAIN[form]
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port:
        heard = await exchange(port, data, seconds=5)
    assert heard.statuses[-1] == 200
    assert heard.data.endswith(answer)


async def test_what_follows_another_protocol_is_not_read() -> None:
    """S23: whoever asks to speak HTTP/2 gets an answer in HTTP/1.1, and nothing behind that is a request."""
    asked = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port:
        heard = await exchange(port, asked + HIDDEN, seconds=5)
    assert heard.statuses == [200]
    assert heard.is_closed


async def test_thousands_of_requests_ahead_of_their_turn() -> None:
    """S23: they are answered one after the other while others are answered as well, and memory holds a few of them."""
    count = 3_000
    async with serving_endpoints(ENDPOINTS) as port, connected(port) as (reader, writer):
        writer.write(head("GET", "/x", X="y" * 150) * count)  # more than is read at a time
        heard = asyncio.create_task(hear(reader, 2))
        others = 0
        while not heard.done():
            assert (await exchange(port, head("GET", "/x", Connection="close"), 5)).statuses == [200]
            others += 1
        assert (await heard).statuses == [200] * count
    assert others > 3


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    """S24: a head takes its time at most, however it dribbles, and a connection that sends nothing is closed."""
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port:
        async with connected(port) as (reader, writer):
            loop = asyncio.get_running_loop()
            began = loop.time()
            writer.write(b"GET /x HTTP/1.1\r\nX: ")
            hearing = asyncio.create_task(hear(reader, 5))
            while not hearing.done() and loop.time() < began + 5:
                writer.write(b"y")
                await asyncio.sleep(0.01)
            assert (await hearing).statuses == [408]
        heard = await exchange(port, b"", 5)
        assert (heard.data, heard.is_closed) == (b"", True)


async def test_a_second_head_has_the_same_time() -> None:
    """S24: a connection may lie idle between requests for longer than a head may take, and for its own time only."""
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port, connected(port) as (reader, writer):
        writer.write(head("GET", "/x"))
        assert (await hear(reader, 0.3)).statuses == [200]
        writer.write(head("GET", "/x"))
        assert (await hear(reader, 0.1)).statuses == [200]
        writer.write(b"GET /x HT")
        assert (await hear(reader, 5)).statuses == [408]
    async with serving_endpoints(ENDPOINTS, bounds=QUICK) as port, connected(port) as (reader, writer):
        writer.write(head("GET", "/x"))
        assert (await hear(reader, 5)).is_closed


async def test_a_head_is_bounded_as_a_whole() -> None:
    """S23: many headers of a legal length are too many together, in one piece and in fragments."""
    many = b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 8000) for n in range(5))
    async with serving_endpoints(ENDPOINTS) as port:
        assert (await exchange(port, many + b"\r\n", 5)).statuses == [431]
        async with connected(port) as (reader, writer):
            hearing = asyncio.create_task(hear(reader, 5))
            for start in range(0, len(many), 1000):
                writer.write(many[start : start + 1000])
                await asyncio.sleep(0)
            assert (await hearing).statuses == [431]


async def test_a_flood_around_the_chunks_is_cut_off() -> None:
    """S23: what chunks are wrapped in counts as well, so that an endless extension of one comes to an end."""
    sent = 0
    async with serving_endpoints(ENDPOINTS) as port, connected(port) as (_reader, writer):
        writer.write(CHUNKED + b"3;")
        with pytest.raises(ConnectionError):  # noqa: PT012 - one of many
            while sent < 100_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
    assert sent < 30_000_000  # what the machine's own buffers take included


async def test_there_are_only_so_many_connections() -> None:
    """S24: beyond their number a connection is closed at once, and one that ends makes room."""
    bounds = Bounds(connections=3, connections_per_address=2)
    async with serving_endpoints(ENDPOINTS, bounds=bounds) as port:
        async with connected(port), connected(port):
            assert (await exchange(port, head("GET", "/x"), 5)).is_closed
            async with connected(port, "127.0.0.2") as (reader, writer):
                writer.write(head("GET", "/x"))
                assert (await hear(reader, 0.5)).statuses == [200]
                async with connected(port, "127.0.0.3") as (refused, _):
                    assert (await hear(refused, 5)).is_closed
        async with asyncio.timeout(5):
            while (await exchange(port, head("GET", "/x", Connection="close"), 5)).statuses != [200]:
                await asyncio.sleep(0)


async def test_who_does_not_read_its_answer_is_not_waited_for() -> None:
    """S17: an answer that nobody takes is thrown away, and its handler is told."""
    left = asyncio.Event()

    async def endless(call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(call.request)
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            left.set()

    endpoint = Endpoint("GET", "/endless", endless, "", tell_problem, access=Access.ANYBODY)
    async with (
        serving_endpoints([endpoint], bounds=Bounds(stall_seconds=0.1)) as port,
        connected(port) as (_reader, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head("GET", "/endless"))
        async with asyncio.timeout(10):
            await left.wait()
