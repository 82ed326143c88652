"""Who may ask what, over every route there is, and what nobody gets to see."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Endpoint
from imagegate.edge.keys import Keyring, hashed
from imagegate.runtime.metrics import OTHER
from imagegate.testing.fronted import ALICE, KEYS, OPERATOR, ServedEdge, serving_edge
from imagegate.testing.raw_http import exchange, head
from imagegate.testing.system import Member, edge_alone

# What anybody may see: pictures by their signed links, what the edge can do, whether it lives, and the page, which asks
# for a key. A route that is new here was meant to be.
FOR_ANYBODY = {"/uploads/{rest:.*}", "/openapi.json", "/livez", "/readyz", "/", "/static/{name:.*}"}
REVOKED = "ig_revoked_EXAMPLE"
NO_ROUTER = "127.0.0.1:1"
MAX_SERIES = 2_000


def path_of(endpoint: Endpoint) -> str:
    return re.sub(r"\{[^}]*\}", "some", endpoint.path)


@asynccontextmanager
async def asking(edge: ServedEdge, source: int = 1) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an address of its own, which may come with wrong keys of its own."""
    connector = aiohttp.TCPConnector(local_addr=(f"127.1.{source // 250}.{source % 250 + 1}", 0))
    async with aiohttp.ClientSession(edge.url, connector=connector) as session:
        yield session


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge without a router: who may not ask does not come so far."""
    revoked = f"  - {{user: alice, sha256: {hashed(REVOKED)}}}\n"
    texts = iter([KEYS + revoked])
    current = [KEYS]

    def read() -> str:
        return next(texts, current[0])

    async with serving_edge(NO_ROUTER, tmp_path, keyring=Keyring(read)) as served:
        yield served


def refusals(endpoint: Endpoint) -> Iterator[tuple[str | None, int]]:
    """What comes with a call, and how it is answered."""
    yield None, 401
    for wrong in ("", "Bearer", "Bearer ", "Bearer ig_wrong", f"Bearer {REVOKED}", f"Basic {ALICE}", ALICE):
        yield wrong, 401
    yield f"Bearer {ALICE}\xff", 401
    if endpoint.access is Access.OPERATOR:
        yield f"Bearer {ALICE}", 403


async def test_every_route_refuses_who_may_not(alone: ServedEdge) -> None:
    """P12, S13: no key, a wrong one, a revoked one, one in another form, and a user's where an operator's is asked for;
    over the table of routes itself, so that no new one can be forgotten.
    """
    endpoints = alone.house.endpoints()
    assert len(endpoints) > 5
    for number, endpoint in enumerate(endpoints):
        if endpoint.access is Access.ANYBODY:
            assert endpoint.path in FOR_ANYBODY, f"{endpoint.path} is for anybody: was that meant?"
            continue
        async with asking(alone, number) as session:
            for authorization, status in refusals(endpoint):
                headers = {} if authorization is None else {"Authorization": authorization}
                async with session.request(endpoint.method, path_of(endpoint), headers=headers) as answer:
                    told = await answer.text()
                    assert answer.status == status, (endpoint, authorization, told)
                    assert "ig_wrong" not in told
                    assert REVOKED not in told
                    assert json.loads(told)


async def test_a_key_is_taken_from_its_header_only(alone: ServedEdge) -> None:
    """S21: neither from an address, which is logged everywhere, nor from a cookie, which a browser sends unasked."""
    async with asking(alone) as session:
        for query in (f"?key={ALICE}", f"?access_token={ALICE}", f"?api_key={ALICE}"):
            async with session.get(f"/api/me{query}") as answer:
                assert answer.status == 401
        for headers in ({"Cookie": f"key={ALICE}; Authorization=Bearer {ALICE}"}, {"X-Api-Key": ALICE}):
            async with session.get("/api/me", headers=headers) as answer:
                assert answer.status == 401


async def test_no_other_site_is_let_in_by_a_browser(alone: ServedEdge) -> None:
    """S26: no answer allows another origin, none sets a cookie, and a call from elsewhere with a key is a call."""
    origin = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {ALICE}"}
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    async with asking(alone) as session:
        for endpoint in alone.house.endpoints():
            async with session.options(path_of(endpoint), headers=preflight) as answer:
                assert answer.status in {404, 405}
                assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        async with session.get("/api/me", headers=origin) as answer:
            assert answer.status == 200
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
            assert "Set-Cookie" not in answer.headers


async def test_every_answer_has_its_headers(alone: ServedEdge) -> None:
    """S26: an id to ask about, and nothing that a browser could take for something else; refusals included."""
    async with asking(alone) as session:
        for path in ("/api/me", "/nothing", "/v1/nothing", "/api/ai/nothing", "/uploads/x", "/%00", "/api/me/"):
            async with session.get(path) as answer:
                assert answer.headers["X-Request-Id"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Server"] == "imagegate"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Member]:
    """An edge as a process of its own."""
    async with edge_alone(tmp_path) as member:
        yield member


CANARY = "ig_C4n4ryC4n4ryC4n4ry_EXAMPLE-0123456789abcdef"


def port_of(member: Member) -> int:
    return int(member.address.rpartition(":")[2])


async def refused_in_every_way(process: Member) -> list[str]:
    """What is answered to calls that carry a key where it does not belong."""
    told = []
    bearer = {"Authorization": f"Bearer {CANARY}"}
    alice = {"Authorization": f"Bearer {ALICE}"}
    calls: list[tuple[str, str, dict[str, str], bytes]] = [
        ("GET", "/api/me", bearer, b""),
        ("GET", f"/api/me?key={CANARY}", {}, b""),
        ("GET", f"/{CANARY}", alice, b""),
        ("GET", f"/v1/{CANARY}", alice, b""),
        ("GET", f"/uploads/images/user-alice/{CANARY}?signature={CANARY}", bearer, b""),
        ("POST", "/api/me", bearer, b""),
        ("GET", "/api/me", {"X-Request-Id": CANARY}, b""),
        ("GET", "/api/me", {"Cookie": CANARY, "User-Agent": CANARY, "Referer": CANARY}, b""),
        ("POST", "/v1/images/generations", alice, json.dumps({CANARY: 1, "prompt": "x"}).encode()),
        ("POST", "/v1/images/generations", alice, json.dumps({"prompt": "x", "size": CANARY}).encode()),
        ("POST", "/v1/images/generations", alice, f"{{{CANARY}".encode()),
        ("POST", "/v1/images/edits", {**alice, "Content-Type": f"multipart/form-data; boundary={CANARY}"}, b"x"),
        ("POST", "/api/ai/generate-image", alice, json.dumps({"prompt": "x", CANARY: CANARY}).encode()),
        ("POST", "/api/ai/generate-image", {**alice, "Content-Type": f"text/{CANARY}"}, b"x"),
        ("POST", "/api/ai/generate-image", alice, json.dumps({"prompt": CANARY}).encode()),
    ]
    async with aiohttp.ClientSession(process.address) as session:
        for method, path, headers, body in calls:
            sent = {"Content-Type": "application/json", **headers} if body else headers
            async with session.request(method, path, headers=sent, data=body or None) as answer:
                assert answer.status >= 400, (method, path, answer.status)
                told.append(f"{answer.headers}{await answer.text()}")
    for broken in (
        head("GET", "/api/me", CANARY).replace(b"\r\n\r\n", b"\x00\r\n\r\n"),
        head("GET", "/api/me", CANARY, Content_Length="x"),
        head("GET", "/api/me", "", Host=CANARY),
        head("GET", f"/{CANARY} {CANARY}"),
        head("GET", "/api/me", CANARY, X="y" * 9000),
        b"".join([f"{CANARY}: {CANARY}\r\n".encode()] * 3),
    ):
        told.append(str(await exchange(port_of(process), broken, 2)))
    return told


async def test_a_key_is_shown_nowhere(process: Member) -> None:
    """R14, S21: a key that was refused, wherever it stood, is in no answer, no log line and no metric."""
    told = await refused_in_every_way(process)
    async with aiohttp.ClientSession() as session, session.get(f"{process.http}/metrics") as answer:
        told.append(await answer.text())
    # A router that is not there is told of by its place, and a prompt is its caller's own.
    assert not [each for each in told if CANARY[:20] in each]
    assert process.events("http")
    assert not [line for line in process.lines if CANARY[:20] in line]
    assert not [line for line in process.lines if ALICE in line]


async def test_the_log_says_which_route_and_nothing_of_what_was_asked(process: Member) -> None:
    """S39: neither an address with its signature nor a prompt; unknown paths are all one."""
    async with aiohttp.ClientSession(process.address, headers={"Authorization": f"Bearer {ALICE}"}) as session:
        for path in ("/api/me?secret=lighthouse", "/lighthouse", "/uploads/lighthouse?signature=lighthouse"):
            async with session.get(path):
                pass
        async with session.post("/v1/images/generations", json={"prompt": "lighthouse", "size": "0x0"}):
            pass
    async with asyncio.timeout(10):
        while len(process.events("http")) < 4:
            await asyncio.sleep(0.01)
    lines = process.events("http")
    assert [(each["method"], each["path"]) for each in lines] == [
        ("GET", "/api/me"),
        (OTHER, OTHER),
        ("GET", "/uploads/{rest:.*}"),
        ("POST", "/v1/images/generations"),
    ]
    assert "lighthouse" not in json.dumps(lines)


async def test_metrics_have_the_names_of_routes_only(alone: ServedEdge) -> None:
    """P20: whatever strangers call, there are no more series than routes and statuses; below 2,000 in all."""
    async with asking(alone) as session:
        for number in range(100):
            async with session.get(f"/{number}") as answer:
                assert answer.status == 404
        for number, endpoint in enumerate(alone.house.endpoints()):
            async with asking(alone, number) as stranger:
                for authorization in ("", "Bearer ig_wrong", f"Bearer {OPERATOR}"):
                    headers = {"Authorization": authorization, "X-Request-Id": f"r-{number}"}
                    path = path_of(endpoint)
                    async with stranger.request("PROPFIND", path, headers=headers) as answer:
                        assert answer.status in {404, 405}
                    if authorization != f"Bearer {OPERATOR}":
                        async with stranger.request(endpoint.method, path, headers=headers) as answer:
                            assert answer.status
    await exchange(int(alone.url.rpartition(":")[2]), b"\x00\r\n\r\n")
    samples = [sample for metric in alone.metrics.registry.collect() for sample in metric.samples]
    methods = {sample.labels["method"] for sample in samples if "method" in sample.labels}
    routes = {f"{endpoint.method} {endpoint.path}" for endpoint in alone.house.endpoints()}
    assert methods <= routes | {OTHER}
    assert OTHER in methods
    assert len(samples) < MAX_SERIES


def test_it_does_not_start_without_the_parser_in_c() -> None:
    """S22: the parser in Python was tricked into reading requests in two ways again and again."""
    # A process of its own: which parser there is was decided when aiohttp was imported.
    code = (
        "import asyncio\nfrom aiohttp import web\nfrom imagegate.edge.serving import serving_http\n"
        "async def main():\n async with serving_http(web.Application(), '127.0.0.1', 0, 0): pass\nasyncio.run(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "SettingsError: aiohttp's parser in C is missing" in ended.stderr
