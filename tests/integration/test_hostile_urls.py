"""URLs that lead inside, in the answers of upstreams and in requests: nothing inside is connected to, no key leaves.

Everything is counted by listeners of the test's own. The internet is one of its own as well: a name server over UDP,
and public addresses behind which the test's listeners stand.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from imagegate.providers.fal import provider as fal
from imagegate.providers.huggingface import provider as huggingface
from imagegate.runtime.addresses import OwnPlaces
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.upstream import UpstreamClient
from imagegate.runtime.uri_inputs import NotFetchedError, UriInputs
from imagegate.testing import picture
from imagegate.testing.hostile import NAMES, PUBLIC, PUBLIC_V6, hostile_urls
from imagegate.testing.internet import FakeInternet
from imagegate.testing.nameserver import NameServer, serving_names
from imagegate.v1 import generation_pb2

KEY = "EXAMPLEid:EXAMPLEsecret0123456789"
PNG = picture(256, 256)
LOCAL = "127.0.0.1"
# At a time; more would only wait for one another.
AT_ONCE = 24
PUBLIC_NAMES = (
    "pictures.example", "cdn.pictures.example", "a.b.c.pictures.example", "xn--bcher-kva.example",
    "localhost.pictures.example", "127.0.0.1.pictures.example", "169-254-169-254.pictures.example",
)  # fmt: skip
LITERALS = (PUBLIC, PUBLIC_V6, f"::ffff:{PUBLIC}", f"64:ff9b::{PUBLIC}")


# ── What listens ────────────────────────────────────────────────────────────────────────────────


class Trap:
    """Listens at every address of this machine, on one port, and must never be connected to."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def caught(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@dataclass(slots=True)
class Place:
    """A public place, anybody's: gives a picture, or redirects as `/to?<number>` says. Remembers what it was sent."""

    urls: list[str] = field(default_factory=list)
    seen: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if request.path == "/hop":
            left = int(request.query_string)
            return moved(f"/hop?{left - 1}") if left else web.Response(body=PNG)
        if request.path == "/to":
            return moved(self.urls[int(request.query_string)])
        return web.Response(body=PNG, content_type="image/png")

    def lead(self, url: str, scheme: str = "http") -> str:
        """A URL here that redirects to `url`."""
        self.urls.append(url)
        return f"{scheme}://pictures.example/to?{len(self.urls) - 1}"


def moved(url: str) -> web.Response:
    response = web.Response(status=302)
    # As it is: an attacker keeps to no rules for headers. What cannot stand in one at all is left out.
    response.headers["Location"] = "".join(each for each in url if each.isprintable())
    return response


@dataclass(slots=True)
class Upstream:
    """An upstream that answers as fal's queue, the Hub and Hugging Face's router do, and names the URLs it was told.

    `named` is, by slot of the answer, the URL of order n; whatever it does not hold is honest.
    """

    url: str = ""
    urls: list[str] = field(default_factory=list)
    slot: str = "result"
    state: str = "COMPLETED"
    seen: list[web.Request] = field(default_factory=list)

    def named(self, slot: str, number: str, honest: str) -> str:
        return self.urls[int(number)] if slot == self.slot else honest

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if request.path.startswith("/api/models/"):
            live = {"status": "live", "task": "text-to-image"}
            mapping = {"fal-ai": {**live, "providerId": "fal-ai/x"}, "replicate": {**live, "providerId": "owner/x"}}
            return web.json_response({"id": "x", "inferenceProviderMapping": mapping})
        if request.method != "POST":
            number = request.path.split("/")[2] if request.path.startswith("/jobs/") else "0"
            return web.json_response({"status": self.state, **self.result(number)})
        asked = await request.json()
        number = asked.get("prompt") or asked["input"]["prompt"]
        if request.path.startswith("/replicate/"):
            return web.json_response({"status": "succeeded", "output": [self.named("result", number, "")]})
        here = f"{self.url}/jobs/{number}"
        told = {
            "request_id": f"job-{number}",
            "status_url": self.named("status", number, f"{here}/status"),
            "response_url": self.named("response", number, here),
            "cancel_url": self.named("cancel", number, f"{here}/cancel"),
        }
        return web.json_response({**told, **self.result(number)})

    def result(self, number: str) -> dict[str, object]:
        return {"seed": 7, "images": [{"url": self.named("result", number, "http://pictures.example/a.png")}]}


@dataclass(slots=True)
class Ground:
    """Everything that a test stands on."""

    internet: FakeInternet
    names: NameServer
    trap: Trap
    place: Place
    upstream: Upstream

    @property
    def hostile(self) -> list[str]:
        return hostile_urls(self.trap.port)

    def assert_nothing_inside_was_reached(self) -> None:
        """Not by a listener's count, and not by what was connected to; and nobody but the upstream saw the key."""
        assert self.trap.connections == 0
        assert [each for each in self.internet.reached if each[0] not in public_addresses()] == []
        assert [each for each in self.place.seen if told_more_than_a_browser(each)] == []

    def assert_the_key_stayed_home(self) -> None:
        assert self.upstream.seen
        assert all("EXAMPLE" in request.headers["Authorization"] for request in self.upstream.seen)
        assert self.place.seen == []


def public_addresses() -> frozenset[str]:
    spelt = {*LITERALS, *(str(ipaddress.ip_address(each)) for each in LITERALS), "93.184.215.15"}
    return frozenset(spelt)


def told_more_than_a_browser(request: web.Request) -> bool:
    """Whether a request holds our key, or any credential at all."""
    names = {"Authorization", "Cookie", "Proxy-Authorization", "X-Fal-No-Retry", "Prefer"}
    return bool(names & set(request.headers)) or "EXAMPLE" in f"{request.raw_path}{request.headers}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a public place shows for itself, and what believes it."""
    folder = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a public place")])
    hosts = [x509.DNSName(each) for each in (*PUBLIC_NAMES, *NAMES)]
    literals = [x509.IPAddress(ipaddress.ip_address(each)) for each in LITERALS]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([*hosts, *literals]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "tls.crt", folder / "tls.key"
    shown.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(shown, secret)
    return serving, ssl.create_default_context(cafile=shown)


@pytest.fixture
async def ground(authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Ground]:
    serving, believing = authority
    honest = {name: [[PUBLIC, PUBLIC_V6]] for name in PUBLIC_NAMES} | {"a.b.c.pictures.example": [[PUBLIC_V6]]}
    trap, place, upstream = Trap(), Place(), Upstream()
    async with AsyncExitStack() as stack:
        names, name_port = await stack.enter_async_context(serving_names({**NAMES, **honest}))
        server = await stack.enter_async_context(await asyncio.start_server(trap.caught, "0.0.0.0", 0))
        trap.port = server.sockets[0].getsockname()[1]
        if socket.has_dualstack_ipv6():
            await stack.enter_async_context(await asyncio.start_server(trap.caught, "::1", trap.port))
        plain = await stack.enter_async_context(listening(place.answer))
        secured = await stack.enter_async_context(listening(place.answer, serving))
        upstream.url = f"http://{LOCAL}:{await stack.enter_async_context(listening(upstream.answer))}"
        # The trap's own port at a public address is a public place: so much for a name that is bound anew.
        ports = {80: plain, 8080: plain, 443: secured, 8443: secured, trap.port: plain}
        internet = FakeInternet(name_port, ports, public_addresses(), believing)
        yield Ground(internet, names, trap, place, upstream)


@asynccontextmanager
async def listening(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCAL, 0, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


# ── Providers before it ─────────────────────────────────────────────────────────────────────────

Provider = fal.FalProvider | huggingface.HuggingFaceProvider


@asynccontextmanager
async def a_provider(ground: Ground, kind: str) -> AsyncIterator[Provider]:
    url, network = ground.upstream.url, ground.internet.network()
    provider: Provider
    if kind == "fal":
        environ = {"FAL_QUEUE_URL": url, "FAL_REST_URL": url, "FAL_CDN_URL": url, "FAL_KEY": KEY}
        provider = fal.create(environ, lambda _: None, network=network)
    else:
        environ = {"HUGGINGFACE_BASE_URL": url, "HUGGINGFACE_HUB_URL": url, "HUGGINGFACE_API_KEY": KEY}
        environ["HUGGINGFACE_INFERENCE_PROVIDER"] = kind
        provider = huggingface.create(environ, lambda _: None, network=network)
    try:
        yield provider
    finally:
        await provider.close()


def an_order(provider: Provider, number: int) -> Order:
    """An order by whose prompt the upstream knows which URL to name."""
    model = provider.catalogue.models[0]
    request = generation_pb2.GenerateRequest(prompt=f"{number}", width=256, height=256, seed=7)
    fitted = fit(request, model, drawn_seed=1)
    return Order(model, f"{number}", fitted.parameters, Deadline.after(60), asked=asked_fields(request))


async def each(calls: Iterable[Awaitable[object]], at_once: int = AT_ONCE) -> list[object]:
    """What each call gave or raised; some at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one(call: Awaitable[object]) -> object:
        async with slots:
            return await call

    return await asyncio.gather(*map(one, calls), return_exceptions=True)


async def all_made(provider: Provider, count: int) -> list[object]:
    return await each(provider.generate(an_order(provider, number)) for number in range(count))


def assert_all_failed(told: list[object], urls: list[str]) -> None:
    """Each order failed, as an upstream's failure and not as a bug of ours, and told of no address."""
    assert len(urls) >= 200
    for url, failure in zip(urls, told, strict=True):
        assert isinstance(failure, Failure), (url, failure)
        assert failure.reason in (Reason.BAD_OUTPUT, Reason.UNREACHABLE, Reason.UPSTREAM_ERROR), (url, failure)


RESULTS = ["fal", "fal-ai", "replicate"]


@pytest.mark.parametrize("kind", RESULTS)
async def test_where_the_picture_is_said_to_lie(ground: Ground, kind: str) -> None:
    """S1, S2: of 200 hostile URLs in the picture's place, in each shape, none is connected to, and no key leaves."""
    ground.upstream.urls = ground.hostile
    async with a_provider(ground, kind) as provider:
        told = await all_made(provider, len(ground.hostile))
    assert_all_failed(told, ground.hostile)
    ground.assert_nothing_inside_was_reached()
    ground.assert_the_key_stayed_home()


@pytest.mark.parametrize("kind", RESULTS)
async def test_where_a_public_place_redirects_to(ground: Ground, kind: str) -> None:
    """S3: the same 200 behind a redirect of a public place: it is asked without the key, and nothing after it."""
    ground.upstream.urls = [ground.place.lead(url) for url in ground.hostile]
    async with a_provider(ground, kind) as provider:
        told = await all_made(provider, len(ground.hostile))
    if ground.hostile:
        wrong = [url for url, one in zip(ground.hostile, told, strict=True) if not isinstance(one, Failure)]
        # On from a place, a path alone is one of its own.
        assert {URL(url).host for url in wrong} <= {None}, wrong
    assert len(ground.place.seen) >= len(ground.hostile)
    ground.assert_nothing_inside_was_reached()


@pytest.mark.parametrize("slot", ["status", "response"])
async def test_where_a_job_is_said_to_be_followed(ground: Ground, slot: str) -> None:
    """S4: of a URL for the status or the result only the path is used, at the configured host: nobody else is asked."""
    ground.upstream.slot, ground.upstream.urls = slot, [*ground.hostile, *foreign(ground)]
    async with a_provider(ground, "fal") as provider:
        await all_made(provider, len(ground.upstream.urls))
    assert {*ground.internet.reached} <= {(PUBLIC, 80), (PUBLIC_V6, 80)}
    assert {request.path for request in ground.place.seen} <= {"/a.png"}
    ground.assert_nothing_inside_was_reached()


async def test_where_a_job_is_said_to_be_cancelled(ground: Ground) -> None:
    """S4: a cancellation goes with the key, and to the configured host only, wherever the upstream says."""
    ground.upstream.slot, ground.upstream.urls = "cancel", [*ground.hostile, *foreign(ground)]
    ground.upstream.state = "IN_PROGRESS"

    async def left(provider: Provider, number: int) -> None:
        order = an_order(provider, number)
        order.reserve = 0.3
        accepted = asyncio.Event()

        async def tell(_upstream_id: str) -> None:
            accepted.set()

        order.tell_upstream_id = tell
        task = asyncio.create_task(provider.generate(order))
        await accepted.wait()
        task.cancel()
        await task

    async with a_provider(ground, "fal") as provider:
        told = await each((left(provider, number) for number in range(len(ground.upstream.urls))), at_once=300)
    assert all(isinstance(one, asyncio.CancelledError) for one in told), told
    assert any(request.method == "PUT" for request in ground.upstream.seen)
    assert ground.internet.reached == []
    ground.assert_nothing_inside_was_reached()
    ground.assert_the_key_stayed_home()


def foreign(ground: Ground) -> list[str]:
    """An attacker's public place, named in ways that look like home."""
    home = URL(ground.upstream.url)
    return [
        "http://pictures.example/jobs/0",
        "https://pictures.example/jobs/0/status",
        f"http://{home.host}:{home.port}@pictures.example/jobs/0",
        f"//pictures.example/jobs/0?{home}",
        f"http://pictures.example/{home}",
        f"http://{PUBLIC}/jobs/0",
        f"{home}@pictures.example/jobs/0",
        f"{home}.pictures.example/jobs/0",
        f"{home}\\@pictures.example/jobs/0",
    ]


@pytest.mark.parametrize("kind", RESULTS)
async def test_a_foreign_host_sees_no_key(ground: Ground, kind: str) -> None:
    """S4: a picture at a public place that is not the upstream's is fetched there without a key, redirects included."""
    other = [ground.place.lead(f"http://cdn.pictures.example/{number}.png") for number in range(10)]
    ground.upstream.urls = [*other, *(f"http://pictures.example/{number}.png" for number in range(10))]
    async with a_provider(ground, kind) as provider:
        told = await all_made(provider, 20)
    assert all(isinstance(one, Delivery) for one in told), told
    assert len(ground.place.seen) == 30
    ground.assert_nothing_inside_was_reached()


async def test_twenty_honest_urls_are_fetched(ground: Ground) -> None:
    """S1: what is public is fetched: names and addresses of both kinds, ports, redirects, names that only look odd."""
    lead = ground.place.lead
    ground.upstream.urls = [
        *honest("http", 8080),
        *honest("https", 8443),
        lead("http://cdn.pictures.example/a.png"),
        lead("https://pictures.example/a.png"),
        lead("//cdn.pictures.example/a.png"),
        "http://pictures.example/hop?3",
    ]
    assert len(ground.upstream.urls) >= 20
    async with a_provider(ground, "fal") as provider:
        told = await all_made(provider, len(ground.upstream.urls))
    assert [
        (url, one) for url, one in zip(ground.upstream.urls, told, strict=True) if not isinstance(one, Delivery)
    ] == []
    ground.assert_nothing_inside_was_reached()


def honest(scheme: str, port: int) -> list[str]:
    hosts = [*PUBLIC_NAMES, "pictures.example.", "PICTURES.Example", "bücher.example", PUBLIC]
    hosts += [f"[{literal}]" for literal in LITERALS[1:]]
    urls = [f"{scheme}://{host}/a.png" for host in hosts]
    signed = f"{scheme}://pictures.example:{port}/ein%20bild.png?X-Amz-Signature=0a1b&x=%2F#there"
    return [*urls, signed, f"{scheme}://pictures.example/{'a' * 2000}.png"]


# ── Requests ────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def uri_inputs(ground: Ground, own: str = "") -> AsyncIterator[UriInputs]:
    uris = UriInputs(network=ground.internet.network(OwnPlaces.parse(own)))
    try:
        yield uris
    finally:
        await uris.close()


async def fetched(ground: Ground, urls: Iterable[str], own: str = "") -> list[object]:
    async with uri_inputs(ground, own) as uris:
        return await each(uris.fetch(url) for url in urls)


async def test_what_a_request_names(ground: Ground) -> None:
    """S1, S2: of 200 hostile URLs in a request, by http and by https, none is connected to; all look alike."""
    urls = [*ground.hostile, *(url.replace("http://", "https://", 1) for url in ground.hostile)]
    told = await fetched(ground, urls)
    assert [(url, one) for url, one in zip(urls, told, strict=True) if not isinstance(one, NotFetchedError)] == []
    assert len(urls) >= 400
    assert ground.internet.reached == []
    ground.assert_nothing_inside_was_reached()


async def test_where_a_requests_place_redirects_to(ground: Ground) -> None:
    """S3: a public place that redirects to one of them, or from https to http, is not followed."""
    urls = [url.replace("http://", "https://", 1) for url in ground.hostile]
    urls += [*ground.hostile, "http://pictures.example/a.png"]
    leading = [ground.place.lead(url, "https") for url in urls]
    told = await fetched(ground, leading)
    wrong = [url for url, one in zip(urls, told, strict=True) if not isinstance(one, NotFetchedError)]
    assert {URL(url).host for url in wrong} <= {None}, wrong
    assert {port for _, port in ground.internet.reached} == {443}
    ground.assert_nothing_inside_was_reached()


async def test_twenty_honest_places_of_a_request(ground: Ground) -> None:
    """S1: what lies at a public place by https is fetched, three redirects and odd names included."""
    lead = ground.place.lead
    urls = [*honest("https", 8443), "https://pictures.example/hop?1", "https://pictures.example/hop?3"]
    urls += [lead("https://cdn.pictures.example/a.png", "https"), lead(f"https://{PUBLIC}/a.png", "https")]
    told = await fetched(ground, urls)
    assert len(urls) >= 20
    assert [(url, one) for url, one in zip(urls, told, strict=True) if one != PNG] == []
    ground.assert_nothing_inside_was_reached()


async def test_a_request_names_https_only(ground: Ground) -> None:
    """S1: what a request names is fetched by https, however public it is."""
    told = await fetched(ground, honest("http", 8080))
    assert {type(one) for one in told} == {NotFetchedError}
    assert ground.place.seen == []


async def test_no_loop_of_redirects(ground: Ground) -> None:
    """S3: after three redirects it is over, whether there were ten or there is no end."""
    ground.place.urls = ["https://pictures.example/to?0"]
    told = await fetched(ground, ["https://pictures.example/hop?4", "https://pictures.example/hop?10"])
    told += await fetched(ground, ["https://pictures.example/to?0"])
    assert [type(one) for one in told] == [NotFetchedError] * 3
    assert len(ground.place.seen) == 12


@pytest.mark.parametrize("name", ["rebinding.example", "rebinding-metadata.example", "rebinding-mixed.example"])
async def test_a_name_that_is_bound_anew(ground: Ground, name: str) -> None:
    """S2: a name that is public at first and inside at the next look is refused when it is connected to again."""
    network = ground.internet.network()
    async with UpstreamClient(["https://queue.example"], dict, network=network) as client:
        # To the same name at another port: another connection, another look.
        ground.place.urls = [f"http://{name}:{ground.trap.port}/latest/meta-data"]
        with pytest.raises(Failure) as caught:
            await client.download(f"http://{name}/to?0")
    assert caught.value.message.endswith("its address is not a public one")
    assert ground.internet.reached == [(PUBLIC, 80)]
    assert ground.names.asked.count(name) >= 3
    ground.assert_nothing_inside_was_reached()


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("mixed")])
async def test_one_address_inside_refuses_the_name(ground: Ground, name: str) -> None:
    """S2: where one of a name's addresses is not public, the public ones are not connected to either."""
    async with UpstreamClient(["https://queue.example"], dict, network=ground.internet.network()) as client:
        with pytest.raises(Failure) as caught:
            await client.download(f"http://{name}/a.png")
    assert caught.value.message.endswith("its address is not a public one")
    assert ground.internet.reached == []


async def test_what_the_operator_calls_our_own(ground: Ground) -> None:
    """S1: names and ranges of IMAGEGATE_NEVER_FETCH are as good as inside, though they are public."""
    urls = ["https://pictures.example/a.png", f"https://{PUBLIC}/a.png", f"https://[{PUBLIC_V6}]/a.png"]
    assert await fetched(ground, urls) == [PNG] * 3
    told = await fetched(ground, urls, "pictures.example")
    assert [type(one) for one in told] == [NotFetchedError, bytes, bytes]
    for own in ("93.184.0.0/16,2606:4700::/32", "example,93.184.215.14/32,2606:4700::1111"):
        ground.internet.reached.clear()
        told = await fetched(ground, urls, own)
        assert [type(one) for one in told] == [NotFetchedError] * 3
        assert ground.internet.reached == []


async def test_the_environment_names_no_proxy_and_no_password(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """S7: neither a proxy nor a netrc of the environment is used: both would carry what is fetched, or a credential."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine pictures.example login EXAMPLE password EXAMPLE\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOCAL}:{ground.trap.port}")
    assert await fetched(ground, ["https://pictures.example/a.png"]) == [PNG]
    (request,) = ground.place.seen
    assert request.headers["Accept-Encoding"] == "identity"
    ground.assert_nothing_inside_was_reached()
