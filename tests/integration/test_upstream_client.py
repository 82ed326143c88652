"""The one HTTP client, against hostile servers on real sockets. All keys here are made up."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from imagegate.runtime.answer import MAX_RETRY_AFTER_SECONDS, MAX_TEXT_BYTES, Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.upstream import Bounds, UpstreamClient
from imagegate.runtime.urls import own_url, redirected

KEY = "hf_madeUpKey0123456789"
QUERY = "signature=madeUpSignature"
LOCAL = "127.0.0.1"
QUICK = Bounds(connect=2.0, grace=0.2, body=256 * 1024)
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
PICTURE = b"\x89PNG the picture"

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """An HTTP server that answers with `reply`, and remembers what reached it."""

    def __init__(self, reply: Reply | web.Response) -> None:
        self.reply = reply
        self.seen: list[web.Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LOCAL}:{self.port}"

    @property
    def keys_seen(self) -> int:
        return sum("Authorization" in request.headers or KEY in str(request.headers) for request in self.seen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if isinstance(self.reply, web.Response):
            return web.Response(status=self.reply.status, headers=self.reply.headers, body=self.reply.body)
        return await self.reply(request)


class Wire:
    """A TCP server that reads a request's head, writes exact bytes and closes. Counts what reaches it."""

    def __init__(self, script: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LOCAL}:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.script(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class House:
    """Starts origins and clients, and stops them again."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def origin(self, reply: Reply | web.Response) -> Origin:
        return await self._stack.enter_async_context(served(Origin(reply)))

    async def wire(self, script: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> Wire:
        return await self._stack.enter_async_context(listening(Wire(script)))

    async def client(self, *base_urls: str, bounds: Bounds = QUICK) -> UpstreamClient:
        client = UpstreamClient(base_urls, lambda: {"Authorization": f"Bearer {KEY}"}, bounds)
        return await self._stack.enter_async_context(client)


@asynccontextmanager
async def served(origin: Origin) -> AsyncIterator[Origin]:
    app = web.Application(handler_args={"auto_decompress": False})
    app.router.add_route("*", "/{path:.*}", origin.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOCAL, 0).start()
    origin.port = runner.addresses[0][1]
    try:
        yield origin
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[Wire]:
    async with await asyncio.start_server(wire.handle, LOCAL, 0) as server:
        wire.port = server.sockets[0].getsockname()[1]
        yield wire


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack)


async def failed(call: Awaitable[object]) -> Failure:
    """The failure of `call`, whose text (causes included) holds neither the key nor a URL's query."""
    with pytest.raises(Failure) as caught:
        await call
    words = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.upstream_message
    words += "".join(map(repr, chain(caught.value)))
    assert KEY not in words
    assert QUERY not in words
    return caught.value


def chain(error: BaseException) -> list[BaseException]:
    """The exception and those that are shown as its causes."""
    following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [error, *(chain(following) if following else ())]


def answer(body: bytes = PICTURE, status: int = 200, **headers: str) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "image/png", **headers})


def moved(place: str, status: int = 302) -> web.Response:
    return web.Response(status=status, headers={"Location": place})


async def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_key_goes_to_a_configured_origin(house: House) -> None:
    """S4: the key is sent to the configured origin, as it is at that moment."""
    origin = await house.origin(answer())
    keys = iter(["first", "second"])
    async with UpstreamClient([origin.url], lambda: {"Authorization": next(keys)}) as client:
        await client.picture_call("POST", f"{origin.url}/make", json={"prompt": "é"})
        await client.json_call("GET", f"{origin.url}/status")
    assert [request.headers["Authorization"] for request in origin.seen] == ["first", "second"]


async def test_another_port_is_foreign(house: House) -> None:
    """S4: a call with the key to any other origin is refused before anything is sent: another port, scheme or host."""
    home, foreign = await house.origin(answer()), await house.origin(answer())
    client = await house.client(f"{home.url}/api")
    for url in (
        f"{foreign.url}/api/x?{QUERY}",
        f"https://{LOCAL}:{home.port}/api/x",
        f"http://localhost:{home.port}/api/x",
        f"http://{LOCAL}.:{home.port}/api/x",
        f"http://{LOCAL}/api/x",
        f"http://[::1]:{home.port}/api/x",
    ):
        for call in (client.picture_call, client.json_call):
            with pytest.raises(ValueError, match="a key would leave") as caught:
                await call("GET", url)
            assert QUERY not in str(caught.value)
    assert home.seen == foreign.seen == []


async def test_a_redirect_takes_no_key_along(house: House) -> None:
    """S4: a call with the key is not redirected; the provider sees the 302, the foreign host nothing."""
    foreign = await house.origin(answer())
    home = await house.origin(moved(f"{foreign.url}/steal"))
    client = await house.client(home.url)
    assert (await client.picture_call("POST", f"{home.url}/make", json={})).status == 302
    assert foreign.seen == []


async def test_a_default_port_is_the_same_origin(house: House) -> None:
    """S4: an origin is scheme, host and port: written out or not, in capitals or not, it is the same one."""
    assert own_url("https://queue.example", "https://queue.example/x") == "https://queue.example/x"
    port = await free_port()
    other = await house.client(f"http://LOCALHOST:{port}/base")
    assert (await failed(other.json_call("GET", f"http://localhost:{port}/base/x"))).reason is Reason.UNREACHABLE


async def test_a_download_carries_no_key(house: House) -> None:
    """S4: a finished picture is fetched without the key, even from the configured origin, redirects included."""
    origin = await house.origin(answer())
    first = await house.origin(moved(f"{origin.url}/picture?{QUERY}"))
    client = await house.client(origin.url, first.url)
    assert (await client.download(f"{first.url}/a?{QUERY}")).body == PICTURE
    assert [len(each.seen) for each in (first, origin)] == [1, 1]
    assert first.keys_seen == origin.keys_seen == 0


# ── URLs that an upstream names ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("named", "own"),
    [
        ("https://queue.example/api/requests/1/status", "https://queue.example/api/requests/1/status"),
        ("http://evil.example:8080/api/requests/1", "https://queue.example/api/requests/1"),
        ("//evil.example/api/requests/1", "https://queue.example/api/requests/1"),
        ("/api/requests/1/", "https://queue.example/api/requests/1/"),
        (f"https://user:{KEY}@evil.example/api/x?{QUERY}#there", "https://queue.example/api/x"),
        ("https://queue.example/api/ein%20bild/%C3%A9", "https://queue.example/api/ein%20bild/%C3%A9"),
    ],
)
def test_only_the_path_counts(named: str, own: str) -> None:
    """S4: of a URL that the upstream names only the path is used, at the configured origin: no host, user or query."""
    for base in ("https://queue.example/api", "https://queue.example/api/"):
        assert own_url(base, named) == own


PATHS_ELSEWHERE = [
    "https://queue.example/other", "https://queue.example/apical/x", "https://queue.example/api", "", "/", "api/x",
    "https://queue.example/api/../admin", "https://queue.example/api/%2e%2e/admin", "/api/%2E%2E/%2e%2e/admin",
    "https://queue.example/api/..%2fadmin", "https://queue.example/api/%252e%252e/admin", "/api/x%25252f..",
    "https://queue.example/api//evil.example/x", "https://queue.example//evil.example/api/x", "//evil.example",
    "https://queue.example/api/..\\admin", "https://queue.example/api/..%5cadmin", "https://queue.example\\api\\x",
    "https://queue.example/api/x%3Fadmin=1", "https://queue.example/api/x%23", "https://queue.example/api/a%0d%0ab",
    "http://[::1", "https://queue.example:99999/api/x", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("named", PATHS_ELSEWHERE)
def test_paths_outside_the_api(named: str) -> None:
    """S4: a path outside the base URL, or one that could be taken for such, is refused without being repeated."""
    with pytest.raises(Failure) as caught:
        own_url("https://queue.example/api", named)
    assert (caught.value.reason, caught.value.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("named", [None, 7, {"url": "x"}])
async def test_what_is_no_url_at_all(house: House, named: Any) -> None:
    """S4: JSON may hold anything in a URL's place; that is the upstream's failure, not our bug."""
    client = await house.client("https://queue.example")
    with pytest.raises(Failure):
        own_url("https://queue.example", named)
    assert (await failed(client.download(named))).reason is Reason.BAD_OUTPUT


@given(st.text(max_size=40) | st.from_regex(r"(https?://)?[a-z@:.]{0,9}/(api|\.\.|%2e|%25|\\|/){1,6}", fullmatch=True))
def test_own_url_stays_home(named: str) -> None:
    """S4: whatever is named, the result lies below the base URL, or there is none."""
    try:
        own = own_url("https://queue.example/api", named)
    except Failure:
        return
    assert own.startswith("https://queue.example/api/")
    assert not {"..", "%2e", "//", "\\", "?", "#", "@"} & set(own.removeprefix("https://").lower().split("/"))


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────

INSIDE = [
    "http://127.0.0.1:{0}/", "http://localhost:{0}/", "http://LOCALHOST:{0}/",
    "http://[::1]:{0}/", "http://[::]:{0}/", "http://[::ffff:127.0.0.1]:{0}/", "http://[::ffff:7f00:1]:{0}/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{0}/", "http://[64:ff9b::7f00:1]:{0}/", "http://[2002:7f00:1::]:{0}/",
    "http://127.0.0.2:{0}/", "http://0.0.0.0:{0}/", "http://[fe80::1%25lo]:{0}/", "http://169.254.169.254:{0}/",
    "http://[fd00:ec2::254]:{0}/", "http://10.0.0.1:{0}/", "http://224.0.0.1:{0}/", "https://127.0.0.1:{0}/",
]  # fmt: skip
ODD = [
    "http://127.1:{0}/", "http://2130706433:{0}/", "http://0x7f000001:{0}/", "http://0177.0.0.1:{0}/", "http://0:{0}/",
    "http://127。0。0。1:{0}/", "http://[localhost]:{0}/", "http://127.0.0.1.:{0}/", "http://h\x00:{0}/",
    "http://localhost.:{0}/",    "http://{1}:{0}/", "http://a..b:{0}/",
]  # fmt: skip


@pytest.mark.parametrize("form", INSIDE)
async def test_inside_addresses_are_not_fetched(house: House, form: str) -> None:
    """S1: a download from an address that is not public is refused before a connection is made: literals and names."""
    inside = await house.origin(answer())
    client = await house.client("https://queue.example")
    failure = await failed(client.download(form.format(inside.port) + f"?{QUERY}"))
    assert (failure.reason, failure.phase) == (Reason.BAD_OUTPUT, "download")
    assert "not a public one" in failure.message
    assert inside.seen == []


@pytest.mark.parametrize("form", ODD)
async def test_odd_spellings_are_not_fetched(house: House, form: str) -> None:
    """S1: an odd spelling of an address reaches nothing, and is the upstream's failure, never our bug."""
    inside = await house.origin(answer())
    client = await house.client("https://queue.example")
    failure = await failed(client.download(form.format(inside.port, "a" * 70)))
    assert failure.reason in (Reason.BAD_OUTPUT, Reason.UNREACHABLE)
    assert failure.dispatch is Dispatch.ACCEPTED
    assert inside.seen == []


async def test_the_configured_origin_may_be_inside(house: House) -> None:
    """S1: an address inside is reached where an operator configured exactly it: host and port."""
    home, neighbour = await house.origin(answer()), await house.origin(answer())
    client = await house.client(home.url)
    assert (await client.download(f"{home.url}/picture")).body == PICTURE
    await failed(client.download(f"{neighbour.url}/picture"))
    await failed(client.download(f"http://localhost:{home.port}/picture"))
    assert (len(home.seen), len(neighbour.seen)) == (1, 0)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://127.0.0.1:1/x", "ftp://1.1.1.1/x", "data:image/png;base64,AA", "picture.png", "",
     "http://", "http:///x", "http://[::1", "http://h:99999/", "http://user:pw@1.1.1.1/x", "http://good@127.0.0.1/"],
)  # fmt: skip
async def test_urls_that_cannot_be_fetched(house: House, url: str) -> None:
    """S3: only http and https URLs without a user name are fetched."""
    client = await house.client("https://queue.example")
    failure = await failed(client.download(url))
    assert (failure.reason, failure.billed, failure.dispatch) == (Reason.BAD_OUTPUT, True, Dispatch.ACCEPTED)


async def test_a_user_name_in_a_url_is_never_sent(house: House) -> None:
    """S1: a URL with a user name is not fetched, not even from the configured origin."""
    home = await house.origin(answer())
    client = await house.client(home.url)
    failure = await failed(client.download(f"http://user:pw@{LOCAL}:{home.port}/picture"))
    assert "user name" in failure.message
    assert home.seen == []


# ── Redirects ────────────────────────────────────────────────────────────────────────────────────


def hops(count: int) -> Reply:
    """Redirects /0 to /1 and so on; /count is the picture."""

    async def reply(request: web.Request) -> web.Response:
        number = int(request.path.strip("/"))
        return answer() if number == count else moved(f"/{number + 1}", (301, 302, 303, 307, 308)[number % 5])

    return reply


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_up_to_three_redirects(house: House, count: int) -> None:
    """S3: a download follows three redirects, relative ones too."""
    origin = await house.origin(hops(count))
    client = await house.client(origin.url)
    assert (await client.download(f"{origin.url}/0")).body == PICTURE
    assert len(origin.seen) == count + 1
    assert {request.headers["Accept"] for request in origin.seen} == {"image/png"}


@pytest.mark.parametrize("count", [4, 10])
async def test_no_fourth_redirect(house: House, count: int) -> None:
    """S3: the fourth redirect is one too many, and so is a loop."""
    origin = await house.origin(hops(count))
    client = await house.client(origin.url)
    failure = await failed(client.download(f"{origin.url}/0?{QUERY}"))
    assert (failure.reason, len(origin.seen)) == (Reason.BAD_OUTPUT, 4)
    loop = await house.origin(moved("/again"))
    circling = await house.client(loop.url)
    assert "more than 3 times" in (await failed(circling.download(loop.url))).message
    assert len(loop.seen) == 4


@pytest.mark.parametrize(
    "place",
    ["http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/", "file:///etc/passwd", "//[::1]/x",
     "gopher://127.0.0.1/x", "http://user:pw@127.0.0.1/", "http://[::1", "http://h:99999/", "", "http://127.0.0.1:1/",
     "{foreign}/x", "//localhost:{port}/x", "\\\\127.0.0.1:{port}\\x"],
)  # fmt: skip
async def test_each_hop_is_checked(house: House, place: str) -> None:
    """S3: no redirect leads to a metadata service, a file, another protocol or an address inside."""
    foreign = await house.origin(answer())
    origin = await house.origin(moved(place.format(foreign=foreign.url, port=foreign.port)))
    client = await house.client(origin.url)
    failure = await failed(client.download(f"{origin.url}/picture?{QUERY}"))
    assert (failure.reason, failure.phase) == (Reason.BAD_OUTPUT, "download")
    assert foreign.seen == []


@pytest.mark.parametrize("place", ["http://cdn.example/x", "HTTP://CDN.example/x"])
def test_no_redirect_from_https_to_http(place: str) -> None:
    """S3: a download that began with TLS goes on with it."""
    with pytest.raises(Failure, match="from https to http"):
        redirected(URL("https://cdn.example/a/b"), place)
    for same in ("https://other.example/x", "//other.example/x"):
        assert str(redirected(URL("https://cdn.example/a/b"), same)) == "https://other.example/x"
    assert str(redirected(URL("http://cdn.example/a/b"), "https://cdn.example/x")) == "https://cdn.example/x"


async def test_answers_that_are_no_picture(house: House) -> None:
    """S3: a download that answers anything but 200 is BAD_OUTPUT with that status, not a missing model."""
    for status in (204, 304, 400, 403, 404, 410, 429, 500, 503):
        origin = await house.origin(web.Response(status=status))
        failure = await failed((await house.client(origin.url)).download(f"{origin.url}/gone?{QUERY}"))
        assert (failure.reason, failure.upstream_status, failure.phase) == (Reason.BAD_OUTPUT, status, "download")
        assert (failure.dispatch, failure.billed) == (Dispatch.ACCEPTED, True)


# ── Headers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["Accept", "accept", "ACCEPT"])
async def test_accept_cannot_be_forgotten(house: House, name: str) -> None:
    """R4: every call that makes or fetches a picture asks for an image type, whatever headers the caller adds."""
    origin = await house.origin(answer())
    client = await house.client(origin.url)
    await client.picture_call("POST", origin.url, json={}, headers={name: "application/json"})
    await client.picture_call("GET", origin.url)
    await client.download(origin.url)
    assert [request.headers.getall("Accept") for request in origin.seen] == [["image/png"]] * 3
    await client.json_call("GET", origin.url)
    assert origin.seen[-1].headers["Accept"] == "application/json"


async def test_no_header_replaces_the_key(house: House) -> None:
    """S4: a header that a caller adds cannot take the key's place, and others arrive."""
    origin = await house.origin(answer())
    client = await house.client(origin.url)
    await client.json_call("GET", origin.url, headers={"authorization": "other", "x-fal-no-retry": "1"})
    assert origin.seen[0].headers.getall("Authorization") == [f"Bearer {KEY}"]
    assert origin.seen[0].headers["x-fal-no-retry"] == "1"


async def test_no_cookies_and_no_compression(house: House) -> None:
    """S7: cookies are not kept, and compression is not asked for."""
    origin = await house.origin(answer(**{"Set-Cookie": "a=b"}))
    # By name: cookies of plain addresses are kept by nobody.
    url = f"http://localhost:{origin.port}"
    client = await house.client(url)
    for _ in range(2):
        await client.picture_call("POST", url, json={"prompt": "漢"})
    assert all("Cookie" not in request.headers for request in origin.seen)
    assert {request.headers["Accept-Encoding"] for request in origin.seen} == {"identity"}


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(raw("HTTP/1.1 200 OK\nContent-Type: image/png"))
    for _ in range(10_000):
        writer.write(b"x" * 65_536)
        await writer.drain()


def writing(*pieces: bytes, reset: bool = False) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def script(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        if reset:
            writer.transport.abort()

    return script


def hanging(head: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.Event().wait()

    return script


def both(client: UpstreamClient, url: str) -> list[Callable[[], Awaitable[Answer]]]:
    """A call with the key, and a download."""
    return [
        lambda: client.picture_call("POST", f"{url}/x?{QUERY}", json={}),
        lambda: client.download(f"{url}/x?{QUERY}"),
    ]


async def test_a_body_without_end(house: House) -> None:
    """M10: a body larger than the cap is refused as soon as it is, without a Content-Length and without memory."""
    wire = await house.wire(endless)
    for call in both(await house.client(wire.url), wire.url):
        failure = await failed(call())
        assert failure.reason is Reason.BAD_OUTPUT
        assert "larger than" in failure.message
    assert (failure.phase, failure.dispatch, failure.billed) == ("download", Dispatch.ACCEPTED, True)


@pytest.mark.parametrize("length", [QUICK.body, QUICK.body + 1])
async def test_the_cap_itself(house: House, length: int) -> None:
    """M10: exactly the cap passes, one byte more does not."""
    origin = await house.origin(answer(b"x" * length))
    client = await house.client(origin.url)
    if length <= QUICK.body:
        assert len((await client.download(origin.url)).body) == length
    else:
        assert (await failed(client.download(origin.url))).reason is Reason.BAD_OUTPUT


async def test_a_gzip_bomb(house: House) -> None:
    """M10: a compressed body is refused without being inflated, or even read."""
    bomb = gzip.compress(bytes(50_000_000))
    origin = await house.origin(answer(bomb, **{"Content-Encoding": "gzip"}))
    for call in both(await house.client(origin.url), origin.url):
        failure = await failed(call())
        assert failure.reason is Reason.BAD_OUTPUT
        assert "compressed" in failure.message


async def test_a_compressed_error_keeps_its_status(house: House) -> None:
    """R5: an error whose body is compressed all the same is still that error, with its Retry-After."""
    origin = await house.origin(
        answer(gzip.compress(b"slow down"), 429, **{"Content-Encoding": "gzip", "Retry-After": "7"})
    )
    told = await (await house.client(origin.url)).picture_call("POST", origin.url, json={})
    assert (told.status, told.body, told.retry_after()) == (429, b"", 7)


@pytest.mark.parametrize(
    ("pieces", "reset"),
    [
        ((raw("HTTP/1.1 200 OK\nContent-Length: 1000", b"short"),), False),
        ((raw("HTTP/1.1 200 OK\nContent-Length: 1000", b"short"),), True),
        ((raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nshort\r\nFFFF\r\nx"),), False),
        ((raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"zz\r\nshort\r\n"),), False),
        ((), False),
        ((), True),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), False),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), True),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), False),
        ((raw(f"HTTP/1.1 200 OK\nX-Huge: {'x' * 100_000}", b""),), False),
        ((raw("HTTP/1.1 200 OK\nContent-Length: -5", b"x"),), False),
        ((raw("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6", b"short"),), False),
    ],
)
async def test_broken_conversations(house: House, pieces: tuple[bytes, ...], reset: bool) -> None:
    """R10: a lying length, a reset before or in the body, half or huge headers: UPSTREAM_ERROR, outcome UNKNOWN."""
    wire = await house.wire(writing(*pieces, reset=reset))
    post, download = both(await house.client(wire.url), wire.url)
    failure = await failed(post())
    assert (failure.reason, failure.dispatch) == (Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN)
    assert wire.connections == 1
    fetched = await failed(download())
    assert (fetched.reason, fetched.dispatch, fetched.phase) == (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, "download")


async def test_a_broken_error_is_still_that_error(house: House) -> None:
    """R5: a 503 whose body breaks off, or drips, is a refusal with a status, not an unknown outcome."""
    for script in (
        writing(raw("HTTP/1.1 503 Busy\nContent-Length: 1000\nRetry-After: 3", b"queue full")),
        hanging(raw("HTTP/1.1 503 Busy\nContent-Length: 1000\nRetry-After: 3", b"queue full")),
    ):
        wire = await house.wire(script)
        told = await (await house.client(wire.url)).picture_call("POST", wire.url, json={})
        assert (told.status, told.text, told.retry_after()) == (503, "queue full", 3)


async def test_an_error_body_is_cut(house: House) -> None:
    """R5: of an error's body 64 KiB are kept."""
    origin = await house.origin(answer("é".encode() * 100_000, 400))
    told = await (await house.client(origin.url)).picture_call("POST", origin.url, json={})
    assert (told.status, len(told.body)) == (400, MAX_TEXT_BYTES)
    assert told.text.startswith("éé")


async def test_a_drip_ends(house: House) -> None:
    """S7: a body that comes more slowly than 8 KiB/s ends the call, however regularly it drips."""

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(raw("HTTP/1.1 200 OK\nContent-Length: 100000"))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    wire = await house.wire(dripping)
    for call in both(await house.client(wire.url), wire.url):
        failure = await failed(asyncio.wait_for(call(), 5))
        assert (failure.reason, failure.upstream_status) == (Reason.TIMEOUT, 200)
        assert "8 KiB/s" in failure.message
    assert failure.phase == "download"


async def test_a_slow_body_above_the_minimum_rate_arrives(house: House) -> None:
    """S7: what comes slowly, but faster than the minimum, may take longer than the grace."""

    async def steady(writer: asyncio.StreamWriter) -> None:
        writer.write(raw("HTTP/1.1 200 OK\nContent-Length: 16384"))
        for _ in range(8):
            writer.write(b"x" * 2048)
            await writer.drain()
            await asyncio.sleep(0.05)

    wire = await house.wire(steady)
    client = await house.client(wire.url)
    assert len((await client.download(wire.url)).body) == 16_384


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty"])
async def test_headers_that_never_come(house: House, head: bytes) -> None:
    """S7: a download whose headers do not come, or stop half-way, ends by itself."""
    wire = await house.wire(hanging(head))
    client = await house.client(wire.url)
    failure = await failed(asyncio.wait_for(client.download(f"{wire.url}/x?{QUERY}"), 5))
    assert (failure.reason, failure.phase, failure.dispatch) == (Reason.TIMEOUT, "download", Dispatch.ACCEPTED)


async def test_making_a_picture_may_take_its_time(house: House) -> None:
    """R8: a call that makes a picture waits for its headers as long as the attempt has time."""

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(2 * QUICK.grace)
        return answer()

    origin = await house.origin(slow)
    client = await house.client(origin.url)
    assert (await client.picture_call("POST", origin.url, json={})).body == PICTURE


# ── Connections ──────────────────────────────────────────────────────────────────────────────────


async def test_no_second_submission_on_a_stale_connection(house: House) -> None:
    """Paying once: a POST that meets a connection which the server just closed is not sent a second time."""
    posts: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            posts.append(await reader.readuntil(b"\r\n\r\n{}"))
            if len(posts) > 1:
                break
            writer.write(raw("HTTP/1.1 200 OK\nContent-Length: 2", b"ok"))
            await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(once, LOCAL, 0) as server:
        url = f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}"
        client = await house.client(url)
        assert (await client.picture_call("POST", url, json={})).body == b"ok"
        failure = await failed(client.picture_call("POST", url, json={}))
        await client.close()
    assert (failure.reason, failure.dispatch, len(posts)) == (Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN, 2)


async def test_nobody_listens(house: House) -> None:
    """R10: a refused connection and a name without an address are UNREACHABLE, and provably not sent."""
    for url in (f"http://{LOCAL}:{await free_port()}", "http://no-such-host.invalid"):
        failure = await failed((await house.client(url)).picture_call("POST", f"{url}/x?{QUERY}", json={}))
        assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)


async def test_a_closed_client(house: House) -> None:
    """Work that is being cancelled while its service stops opens no further connection, which nobody would close."""
    origin = await house.origin(answer())
    client = await house.client(origin.url)
    await client.close()
    for call in (client.json_call("PUT", origin.url), client.download(origin.url)):
        failure = await failed(call)
        assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)


async def test_no_tls(house: House) -> None:
    """R10: where TLS cannot be agreed on nothing was sent."""
    origin = await house.origin(answer())
    url = f"https://{LOCAL}:{origin.port}"
    failure = await failed((await house.client(url)).picture_call("POST", f"{url}/x?{QUERY}", json={}))
    assert (failure.reason, failure.dispatch) == (Reason.UNREACHABLE, Dispatch.NOT_SENT)
    assert "TLS" in failure.message


async def test_a_cancelled_call_lets_go(house: House) -> None:
    """R10: a caller that leaves closes the connection to the upstream."""
    left = asyncio.Event()

    async def until_left(_request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return answer()

    origin = await house.origin(until_left)
    client = await house.client(origin.url)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.picture_call("POST", origin.url, json={}), 0.1)
    await asyncio.wait_for(left.wait(), 5)


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────


def with_header(name: str, value: str, body: bytes = b"") -> Answer:
    return Answer(200, {name: value}, body)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7), ("0", 0), ("1.5", 1.5), (" 12 ", 12), ("601", MAX_RETRY_AFTER_SECONDS),
        ("1e300", MAX_RETRY_AFTER_SECONDS),
        ("9" * 400, MAX_RETRY_AFTER_SECONDS), ("-5", None), ("nan", None), ("", None), ("soon", None), ("7 s", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), MAX_RETRY_AFTER_SECONDS),
        ("Sat, 01 Mar 2025 13:01:00 +0100", 60), ("Sat, 99 Mar 2025 12:00:00 GMT", None), ("Sat, 01 Mar", None),
        ("Sat, 01 Mar 99999 12:00:00 GMT", None),
        ("Sat, 01 Mar 2025 12:00:00 +9999999999999", None), ("2025-03-01T12:00:00Z", None), (",", None),
    ],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None) -> None:
    """R9: Retry-After is heard as seconds or as a date, at most ten minutes; garbage and negative ones are not."""
    assert with_header("Retry-After", value).retry_after(NOW) == seconds


DATES = st.from_regex(r"[a-zA-Z]{0,3},? ?[0-9]{0,3} (Mar|x) [0-9]{0,6} [0-9:]{0,9} ?[+-]?[0-9a-z]{0,9}", fullmatch=True)


@given(st.text(max_size=40) | DATES)
def test_retry_after_never_breaks(value: str) -> None:
    """R9: whatever Retry-After holds, it is a bounded time or nothing."""
    seconds = with_header("Retry-After", value).retry_after(NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"{", b"\xff\xfe\xff", b"[" * 100_000, b"9" * 10_000, b'{"a": NaN, }']
)
def test_json_that_is_none(body: bytes) -> None:
    """R5: an answer that should be JSON and is not is BAD_OUTPUT, with the beginning of what came."""
    with pytest.raises(Failure) as caught:
        with_header("Content-Type", "text/html; charset=x", body).json()
    assert caught.value.reason is Reason.BAD_OUTPUT
    assert "text/html instead of JSON" in caught.value.message
    assert len(caught.value.upstream_message) <= 512


async def test_answers_are_read_whole(house: House) -> None:
    """R5: status, headers in any case, type and JSON of an answer are what the server sent."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8", "X-ImageGate-Sandbox": "true"}
    origin = await house.origin(web.Response(status=201, body=b'{"a": "\xc3\xa9"}', headers=headers))
    told = await (await house.client(origin.url)).json_call("GET", origin.url)
    assert (told.status, told.content_type, told.sandbox, told.json()) == (201, "application/json", True, {"a": "é"})
    seen: Mapping[str, str] = told.headers
    assert seen["content-TYPE"] == headers["Content-Type"]


async def test_json_of_countless_values_is_not_parsed(house: House) -> None:
    """A 200 whose JSON would take seconds and hundreds of megabytes to parse is BAD_OUTPUT, unparsed."""
    assert Answer(200, {}, b"[" + b"[]," * 40_000 + b"[]]").json()
    with pytest.raises(Failure) as caught:
        Answer(200, {}, b"[" + b"[]," * 400_000 + b"[]]").json()
    assert caught.value.reason is Reason.BAD_OUTPUT
    assert Answer(200, {}, b'{"images": ["' + b"A" * 3_000_000 + b'"]}').json()["images"]
