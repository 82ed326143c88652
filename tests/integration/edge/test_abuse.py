"""An edge as a process of its own, under what strangers and clumsy clients do to it."""

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from imagegate.edge.endpoint import MIB
from imagegate.testing.fronted import ALICE, BOB
from imagegate.testing.raw_http import connected, head, hear
from imagegate.testing.system import Member, edge_alone

DRIBBLING = 2_000
ABORTED = 500
MOST_MORE = 64 * MIB
# Rates would stop most of it before it costs anything.
UNLIMITED = {
    "IMAGEGATE_EDGE_REQUESTS_PER_MINUTE": "1000000",
    "IMAGEGATE_EDGE_GENERATIONS_PER_MINUTE": "100000",
    "IMAGEGATE_EDGE_GENERATIONS_AT_A_TIME": "10000",
}
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Member]:
    """An edge as a process of its own, which has answered once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    async with edge_alone(tmp_path, UNLIMITED) as member:
        yield member


@asynccontextmanager
async def others(edge: Member) -> AsyncIterator[list[float]]:
    """Somebody who has a key and asks all the while; the seconds that each answer took."""
    seconds: list[float] = []

    async def ask() -> None:
        headers = {"Authorization": f"Bearer {BOB}"}
        async with aiohttp.ClientSession(edge.address, headers=headers) as session:
            while True:
                began = monotonic()
                async with session.get("/api/me") as answer:
                    assert answer.status == 200
                seconds.append(monotonic() - began)
                await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask())
    try:
        async with asyncio.timeout(10):
            while len(seconds) < 10:
                await asyncio.sleep(0.01)
        yield seconds
        asked = len(seconds)
        async with asyncio.timeout(30):
            while len(seconds) < asked + 3 and not asking.done():
                await asyncio.sleep(0.01)
    finally:
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


def port_of(edge: Member) -> int:
    return int(edge.address.rpartition(":")[2])


async def a_hundred_megabytes(edge: Member, **how: str | int) -> str:
    """Push them, whatever is answered."""
    async with connected(port_of(edge), "127.0.0.2") as (reader, writer):
        writer.write(head("POST", "/v1/images/edits", ALICE, Content_Type=MULTIPART, **how))
        hearing = asyncio.create_task(hear(reader, 5))
        piece = bytes(MIB)
        if "Transfer_Encoding" in how:
            piece = b"100000\r\n" + piece + b"\r\n"
            writer.write(b"%x\r\n%s\r\n" % (len(PART), PART))
        try:
            for _ in range(100):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        return str((await hearing).statuses)


async def dribble(edge: Member) -> str:
    """Send a head byte by byte, for as long as it is taken."""
    try:
        async with connected(port_of(edge), "127.0.0.3") as (reader, writer):
            writer.write(b"GET /api/me HTTP/1.1\r\nX: ")
            while not (heard := await hear(reader, 1)).data and not heard.is_closed:
                writer.write(b"y")
            return str(heard.statuses)
    except ConnectionError:
        return "reset"


async def abort(edge: Member) -> str:
    """Begin an upload of 20 MB, and leave in the middle of it."""
    try:
        async with connected(port_of(edge), "127.0.0.4") as (_reader, writer):
            length = 20_000_000
            writer.write(head("POST", "/v1/images/edits", ALICE, Content_Type=MULTIPART, Content_Length=length) + PART)
            for _ in range(16):
                writer.write(bytes(128 * 1024))
                await writer.drain()
            return "left"
    except ConnectionError:
        return "reset"


async def told(what: str, results: Awaitable[list[str]], edge: Member, seconds: list[float]) -> None:
    """Say how it went: these figures are worth reading, and no promise."""
    seconds.clear()
    counts = Counter(await results)
    took = sorted(seconds) or [0.0]
    memory = f"{edge.memory() / MIB:.0f} MiB, at most {edge.peak_memory() / MIB:.0f}"
    quick = f"others: {len(seconds)} answers, half within {took[len(took) // 2]:.3f} s, all within {took[-1]:.3f} s"
    print(f"{what}: {dict(counts)}; {memory}; {quick}")  # noqa: T201


def hundreds(edge: Member) -> list[Awaitable[str]]:
    return [
        a_hundred_megabytes(edge, Content_Length=100 * MIB),
        a_hundred_megabytes(edge, Transfer_Encoding="chunked"),
    ]


async def test_the_edge_serves_on(edge: Member) -> None:
    """S17, S24: 100 MB in one body, then two thousand dribbling connections, then five hundred aborted uploads: all
    the while others are answered, and the process never needs more than 64 MiB more than before.
    """
    async with others(edge) as seconds:
        before = edge.memory()
        await told("100 MB", asyncio.gather(*hundreds(edge)), edge, seconds)
        await told("dribbling", asyncio.gather(*(dribble(edge) for _ in range(DRIBBLING))), edge, seconds)
        await told("aborted", asyncio.gather(*(abort(edge) for _ in range(ABORTED))), edge, seconds)
        assert edge.peak_memory() - before <= MOST_MORE
    assert not [line for line in edge.lines if '"level": "error"' in line]


async def test_all_of_it_at_once(edge: Member) -> None:
    """S17, S24, S25: the same, all at the same time."""
    async with others(edge) as seconds:
        before = edge.memory()
        dribbling, aborted = [dribble(edge) for _ in range(DRIBBLING)], [abort(edge) for _ in range(ABORTED)]
        await told("all at once", asyncio.gather(*dribbling, *aborted, *hundreds(edge)), edge, seconds)
        assert edge.peak_memory() - before <= MOST_MORE


async def test_dribbling_heads_are_given_up_in_ten_seconds(edge: Member) -> None:
    """S24: with the times that the edge has, and not those of a test."""
    began = monotonic()
    assert await dribble(edge) == "[408]"
    assert 9 <= monotonic() - began <= 15
