"""How much one may ask of the edge, and send to it: over real sockets."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from imagegate.edge.admission import WRONG_KEYS_PER_MINUTE
from imagegate.edge.body import Body
from imagegate.edge.budget import Budget
from imagegate.edge.connection import Bounds
from imagegate.edge.endpoint import MIB, Call, Endpoint, tell_problem
from imagegate.edge.form_of_parts import MAX_PARTS
from imagegate.edge.intake import IntakeBounds
from imagegate.edge.problem import Problem
from imagegate.sandbox.app import Pace
from imagegate.testing.fronted import ALICE, BOB, serving_edge, serving_endpoints
from imagegate.testing.raw_http import Streams, connected, exchange, head, hear
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.testing.serving import serving_router

MAX_BYTES = 24 * MIB
BINARY = "application/octet-stream"


async def ask(_call: Call) -> web.Response:
    return web.json_response({})


async def take(call: Call) -> web.Response:
    """How much came, and what of it."""
    body = Body(call.request, MAX_BYTES)
    if body.media_type == "multipart/form-data":
        form = await body.form()
        files = {name: [len(each.data) for each in files] for name, files in form.files.items()}
        return web.json_response({"texts": form.texts, "files": files})
    if body.media_type == "application/json":
        return web.json_response({"keys": sorted(await body.json())})
    return web.json_response({"bytes": len(await body.read())})


ENDPOINTS = [
    Endpoint("GET", "/ask", ask, "", tell_problem),
    Endpoint("POST", "/make", ask, "", tell_problem, generates=True),
    Endpoint("POST", "/take", take, "", tell_problem, max_bytes=MAX_BYTES),
]


def session(port: int, key: str = ALICE) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"})


# ── How often ────────────────────────────────────────────────────────────────────────────────────


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    """P12: 429 with a Retry-After, in the family's own shape; another user is none the wiser."""
    settings = {"requests_per_minute": 6, "generations_per_minute": 3}
    async with (
        serving_endpoints(ENDPOINTS, settings=settings) as port,
        session(port) as alice,
        session(port, BOB) as bob,
    ):
        async with alice.post("/make") as answer:
            assert answer.status == 200
        async with alice.post("/make") as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 20
            told = await answer.json()
            assert (told["reason"], told["retry_after"]) == ("RATE_LIMITED", int(answer.headers["Retry-After"]))
            assert told["detail"].startswith("your 3 pictures a minute are used up")
        async with alice.get("/ask") as answer:
            assert answer.status == 429
        async with bob.get("/ask") as answer:
            assert answer.status == 200


async def test_many_wrong_keys_are_told_to_wait_and_a_right_one_is_not() -> None:
    """S21: an address that guesses is held off; whoever has a key passes, though they share that address."""
    async with serving_endpoints(ENDPOINTS) as port, session(port, "ig_wrong") as guesser, session(port) as alice:
        statuses = []
        for _ in range(WRONG_KEYS_PER_MINUTE + 2):
            async with guesser.get("/ask") as answer:
                statuses.append(answer.status)
            async with alice.get("/ask") as answer:
                assert answer.status == 200
        assert statuses[:WRONG_KEYS_PER_MINUTE] == [401] * WRONG_KEYS_PER_MINUTE
        async with guesser.get("/ask") as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/ask") as answer:
            assert answer.status == 401  # no key is no wrong one


@pytest.mark.parametrize(("believed", "own_share"), [("", False), ("127.0.0.0/8", True), ("10.0.0.0/8", False)])
async def test_wrong_keys_count_for_whom_a_proxy_names(believed: str, own_share: bool) -> None:
    """S21: behind a proxy that is believed each caller's wrong keys are its own; anybody else who names another address
    has not escaped, however many it names.
    """
    async with serving_endpoints(ENDPOINTS, settings={"trusted_proxies": believed}) as port:

        async def guessed(forwarded: str) -> int:
            headers = {"X-Forwarded-For": forwarded}
            async with session(port, "ig_wrong") as guesser, guesser.get("/ask", headers=headers) as answer:
                return answer.status

        statuses = [await guessed(f"198.51.100.{number}, 203.0.113.1") for number in range(WRONG_KEYS_PER_MINUTE + 2)]
        assert statuses[-1] == 429
        assert await guessed("203.0.113.2") == (401 if own_share else 429)


@pytest.mark.parametrize("count", [1, 4])
async def test_a_generation_weighs_as_many_as_it_makes(count: int, tmp_path: Path) -> None:
    """P12: a request for four pictures uses up four, in every family that makes them."""
    async with (
        serving_sandboxed(["automatic1111"]) as upstreams,
        serving_router(upstreams.targets, {"default": ["automatic1111/local"]}) as router,
        serving_edge(router.target, tmp_path, settings={"generations_per_minute": 6}) as edge,
        edge.session() as alice,
    ):
        async with alice.post("/v1/images/generations", json={"prompt": "a lighthouse", "n": count}) as answer:
            assert answer.status == 200, await answer.text()
        async with alice.post("/v1/images/generations", json={"prompt": "a lighthouse"}) as answer:
            assert answer.status == (200 if count == 1 else 429)


# ── Leaving ──────────────────────────────────────────────────────────────────────────────────────


async def test_who_leaves_stops_the_work_upstream(tmp_path: Path) -> None:
    """F40: a client that disconnects stops the upstream's work: it is cancelled there, and not paid for."""
    async with (
        serving_sandboxed(["fal"], pace=Pace(fal_queue=60)) as upstreams,
        serving_router(upstreams.targets, {"default": ["fal/flux-schnell"]}) as router,
        serving_edge(router.target, tmp_path) as edge,
    ):
        body = json.dumps({"prompt": "a lighthouse"}).encode()
        request = head(
            "POST", "/v1/images/generations", ALICE, Content_Type="application/json", Content_Length=len(body)
        )
        async with connected(int(edge.url.rpartition(":")[2])) as (_reader, writer), asyncio.timeout(10):
            writer.write(request + body)
            while not upstreams.sandbox.at_work:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while upstreams.sandbox.at_work:
                await asyncio.sleep(0.01)
        assert [each["state"] for each in upstreams.sandbox.billing()] == ["cancelled"]
        assert not any(each["billed"] for each in upstreams.sandbox.billing())


class Picture:
    """Something large."""


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_a_call_held_goes_with_it(leaves: bool) -> None:
    """S17: the pictures of a call that was cancelled, or refused, do not wait for the garbage collector."""
    kept: list[weakref.ref[Picture]] = []

    async def hold(_call: Call) -> web.Response:
        picture = Picture()
        kept.append(weakref.ref(picture))
        if leaves:
            await asyncio.Event().wait()
        raise Problem(400, "INVALID_REQUEST", f"not {picture}")

    endpoint = Endpoint("POST", "/hold", hold, "", tell_problem)
    gc.disable()
    try:
        async with serving_endpoints([endpoint]) as port, asyncio.timeout(10):
            async with connected(port) as (reader, writer):
                writer.write(head("POST", "/hold", ALICE))
                while not kept:
                    await asyncio.sleep(0.01)
                if not leaves:
                    assert (await hear(reader, 0.5)).statuses == [400]
            while kept[0]() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_that_is_too_large_is_refused_before_it_comes() -> None:
    """S25: by what it says of itself, and where it says nothing by what has come."""
    async with serving_endpoints(ENDPOINTS) as port:
        said = head("POST", "/take", ALICE, Content_Type=BINARY, Content_Length=MAX_BYTES + 1)
        assert (await exchange(port, said, 1)).statuses == [413]
        async with connected(port) as (reader, writer):
            writer.write(head("POST", "/take", ALICE, Content_Type=BINARY, Transfer_Encoding="chunked"))
            hearing = asyncio.create_task(hear(reader, 5))
            for _ in range(MAX_BYTES // MIB + 1):
                writer.write(b"100000\r\n" + bytes(MIB) + b"\r\n")
                await writer.drain()
            assert (await hearing).statuses == [413]
        said = head("GET", "/ask", ALICE, Content_Length=5)
        assert (await exchange(port, said + b"12345", 1)).statuses == [413]


async def pushed(streams: Streams, total: int) -> int:
    """How much of `total` bytes goes out before the connection ends."""
    sent = 0
    try:
        while sent < total:
            streams[1].write(bytes(65536))
            await streams[1].drain()
            sent += 65536
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize(("key", "status"), [("ig_wrong_EXAMPLE", 401), ("", 401), (ALICE, 413)])
async def test_who_was_refused_cannot_go_on_sending(key: str, status: int) -> None:
    """S25: the answer is there at once, says that the connection ends, and most of 100 MB never leaves its sender."""
    async with serving_endpoints(ENDPOINTS, bounds=Bounds(linger_seconds=0.3)) as port, connected(port) as streams:
        streams[1].write(head("POST", "/take", key, Content_Type=BINARY, Content_Length=100_000_000))
        hearing = asyncio.create_task(hear(streams[0], 5))
        assert await pushed(streams, 100_000_000) < 50_000_000  # what the machine's own buffers take included
        heard = await hearing
        assert heard.statuses == [status]
        assert b"Connection: close" in heard.data


async def test_a_small_body_that_nobody_wanted_ends_the_connection_soon() -> None:
    """S25: where the rest is small it is read, so that the connection ends with it and not by a time-out."""
    async with serving_endpoints(ENDPOINTS, bounds=Bounds(linger_seconds=60)) as port, connected(port) as streams:
        streams[1].write(head("POST", "/take", "ig_wrong", Content_Type=BINARY, Content_Length=20_000))
        assert (await hear(streams[0], 0.3)).statuses == [401]
        streams[1].write(bytes(20_000))
        assert (await hear(streams[0], 5)).is_closed


@pytest.mark.parametrize(("key", "statuses"), [("ig_wrong", [401]), (ALICE, [100, 200])])
async def test_who_asks_first_is_told_before_sending(key: str, statuses: list[int]) -> None:
    """S25: `Expect: 100-continue` is answered by whatever reads the body; whoever is refused has not sent it."""
    async with serving_endpoints(ENDPOINTS) as port, connected(port) as (reader, writer):
        expects = head("POST", "/take", key, Content_Type=BINARY, Content_Length=3, Expect="100-continue")
        writer.write(expects)
        first = await hear(reader, 0.3)
        assert first.statuses == statuses[:1]
        if statuses[0] == 100:
            writer.write(b"abc")
            assert (await hear(reader, 0.3)).statuses == statuses[1:]


async def dribbled(port: int, pieces: int, pause: float) -> list[int]:
    async with connected(port) as (reader, writer):
        writer.write(head("POST", "/take", ALICE, Content_Type=BINARY, Content_Length=pieces * 1000))
        hearing = asyncio.create_task(hear(reader, 2))
        for _ in range(pieces):
            if hearing.done():
                break
            writer.write(bytes(1000))
            await asyncio.sleep(pause)
        return (await hearing).statuses


async def test_a_body_has_its_time() -> None:
    """S25: a body that dribbles is given up; one that is large and comes steadily has the time that it takes."""
    async with serving_endpoints(ENDPOINTS, intake=IntakeBounds(seconds=0.3, bytes_per_second=1e9)) as port:
        assert await dribbled(port, 100, 0.02) == [408]
    async with serving_endpoints(ENDPOINTS, intake=IntakeBounds(seconds=0.3, bytes_per_second=10_000)) as port:
        assert await dribbled(port, 50, 0.02) == [200]


async def test_a_compressed_body_is_not_unpacked() -> None:
    """S25: a kilobyte that would become a gigabyte is refused as it is."""
    async with serving_endpoints(ENDPOINTS) as port, session(port) as alice:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with alice.post("/take", data=b"\x1f\x8b", headers=headers) as answer:
            assert answer.status == 415


async def form(port: int, body: bytes, kind: str = "multipart/form-data; boundary=b") -> tuple[int, str]:
    async with (
        session(port) as alice,
        alice.post("/take", data=BytesIO(body), headers={"Content-Type": kind}) as answer,
    ):
        return answer.status, await answer.text()


def part(name: str, data: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


END = b"--b--\r\n"
BAD_FORMS = {
    "no end": part("a", b"1"),
    "nothing": b"",
    "no boundary": b"words",
    "too many parts": part("a", b"1") * (MAX_PARTS + 1) + END,
    "a part without a name": b"--b\r\nX: y\r\n\r\n1\r\n" + END,
    "a form in the form": b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n1\r\n--c--\r\n" + END,
    "a long header": part("a", b"1", "; x=" + "y" * 9000) + END,
    "many headers": b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\n1\r\n" + END,
    "an endless line": b"x" * 2_000_000,
    "no text": part("a", b"\xff") + END,
    "headers without an end": b"--b\r\nX: y\r\n",
    "odd dispositions": b'--b\r\nContent-Disposition: form-data; name="a\r\n\r\n1\r\n' + END,
}


@pytest.mark.parametrize("name", BAD_FORMS)
async def test_a_form_that_is_none_is_refused(name: str) -> None:
    """S25: the number of parts and the size of their headers are bounded, and what is broken is told as that."""
    async with serving_endpoints(ENDPOINTS) as port:
        status, told = await form(port, BAD_FORMS[name])
    assert (status, json.loads(told)["reason"]) == (400, "INVALID_REQUEST")


async def test_a_form_with_large_files() -> None:
    """P9: files come whole, and texts beside them."""
    picture = bytes(range(256)) * 40_000
    body = part("prompt", "a lighthouse, ü".encode()) + part("image", picture, '; filename="a.png"') * 2 + END
    async with serving_endpoints(ENDPOINTS) as port:
        status, told = await form(port, body)
        assert status == 200
        assert json.loads(told) == {
            "texts": {"prompt": ["a lighthouse, ü"]},
            "files": {"image": [len(picture), len(picture)]},
        }
        assert (await form(port, b"", "multipart/form-data"))[0] == 400


@asynccontextmanager
async def half_sent(port: int, size: int) -> AsyncIterator[Streams]:
    """A body of which `size` bytes have come, and no more do."""
    async with connected(port, "127.0.0.2") as streams:
        streams[1].write(head("POST", "/take", BOB, Content_Type=BINARY, Content_Length=MAX_BYTES) + bytes(size))
        await streams[1].drain()
        yield streams


async def test_all_bodies_together_have_their_room() -> None:
    """S17: where the memory for bodies is used up the next one is told to come again in a second; words still pass,
    and what was left behind is free again.
    """
    budget = Budget(12 * MIB)
    async with serving_endpoints(ENDPOINTS, budget=budget) as port, session(port) as alice:
        async with half_sent(port, 7 * MIB), asyncio.timeout(10):
            while budget.taken < 7 * MIB:
                await asyncio.sleep(0.01)
            async with alice.post("/take", data=BytesIO(bytes(4 * MIB))) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert (await answer.json())["reason"] == "BUSY"
            async with alice.post("/take", json={"prompt": "words"}) as answer:
                assert await answer.json() == {"keys": ["prompt"]}
        async with asyncio.timeout(10):
            while budget.taken or budget.leaving:
                await asyncio.sleep(0.01)
        async with alice.post("/take", data=BytesIO(bytes(4 * MIB))) as answer:
            assert await answer.json() == {"bytes": 4 * MIB}
        assert (budget.taken, budget.leaving) == (0, 0)


async def test_who_announces_much_and_sends_little_takes_nothing_from_others() -> None:
    """S17: a hundred uploads that are announced and do not come leave all the room there is."""
    budget = Budget(12 * MIB)
    async with serving_endpoints(ENDPOINTS, budget=budget) as port, session(port) as alice:
        waiting = [half_sent(port, 10) for _ in range(100)]
        for each in waiting:
            await each.__aenter__()
        async with alice.post("/take", data=BytesIO(bytes(7 * MIB))) as answer:
            assert await answer.json() == {"bytes": 7 * MIB}
        for each in waiting:
            await each.__aexit__(None, None, None)


async def test_of_many_that_come_at_once_some_get_through() -> None:
    """S17: ten uploads for which there is no room together do not all fail for it."""
    async with serving_endpoints(ENDPOINTS, budget=Budget(24 * MIB)) as port, session(port) as alice:

        async def upload() -> int:
            async with alice.post("/take", data=BytesIO(bytes(8 * MIB))) as answer:
                return answer.status

        statuses = await asyncio.gather(*(upload() for _ in range(10)))
        assert set(statuses) <= {200, 503}
        assert 200 in statuses


async def test_a_user_makes_so_many_at_a_time() -> None:
    """P12: who has as many generations under way as they may have is told to come later."""
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_call: Call) -> web.Response:
        under_way.set()
        await go_on.wait()
        return web.json_response({})

    endpoint = Endpoint("POST", "/make", wait, "", tell_problem, generates=True)
    settings = {"generations_at_a_time": 1}
    async with serving_endpoints([endpoint], settings=settings) as port, session(port) as alice:
        first = asyncio.create_task(alice.post("/make"))
        await under_way.wait()
        async with alice.post("/make") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        go_on.set()
        async with await first as answer:
            assert answer.status == 200
        async with alice.post("/make") as answer:
            assert answer.status == 200
