"""Pictures in a bucket: the same rules as in a folder, against an S3 server of this machine."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from moto.server import ThreadedMotoServer

from imagegate.edge.database import sqlite_in
from imagegate.edge.janitor import DAY, HOUR, Removed
from imagegate.edge.objects import Objects
from imagegate.edge.problem import Problem
from imagegate.runtime.settings import SettingsError
from imagegate.testing.clock import FakeClock
from imagegate.testing.fronted import serving_edge
from imagegate.testing.galleries import OpenedGallery, answer, opened_gallery
from imagegate.testing.pictures import picture

PLACE = "s3://pictures/some/prefix"


@pytest.fixture
def server() -> Iterator[ThreadedMotoServer]:
    """S3, on a free port."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def s3(server: ThreadedMotoServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address, with a bucket in it and the way to it in the environment."""
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name, value in {
        "ENDPOINT_URL": url, "ACCESS_KEY_ID": "key-EXAMPLE", "SECRET_ACCESS_KEY": "secret-EXAMPLE",
        "REGION": "us-east-1", "ALLOW_HTTP": "true", "VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    async with aiohttp.ClientSession(url) as session:
        await session.post("/moto-api/reset")
        async with session.put("/pictures") as made:
            assert made.status == 200
    return url


@pytest.fixture
async def opened(s3: str, tmp_path: Path) -> AsyncIterator[OpenedGallery]:
    """A gallery with its bytes in the bucket, which keeps pictures for two days."""
    now = FakeClock(time.time())
    async with opened_gallery(sqlite_in(tmp_path), PLACE, retention_days=2, now=now) as opened:
        yield opened


async def test_pictures_are_kept_in_the_bucket_below_the_prefix(opened: OpenedGallery, s3: str) -> None:
    """What is kept comes back; the same picture lies there once, under its sum."""
    await opened.objects.check()
    [kept] = await opened.keep(picture())
    await opened.keep(picture(), owner="bob")
    assert await opened.gallery.data(kept) == picture()
    async with aiohttp.ClientSession(s3) as session, session.get("/pictures?list-type=2") as told:
        listed = await told.text()
    assert listed.count("<Key>") == 1
    assert f"<Key>some/prefix/{kept.sha256[:2]}/{kept.sha256}</Key>" in listed


async def test_the_janitor_sweeps_the_bucket(opened: OpenedGallery) -> None:
    """Old pictures go with their bytes, and what belongs to no picture."""
    now = opened.gallery._now
    assert isinstance(now, FakeClock)
    [kept] = await opened.keep(picture())
    for number in range(20):
        await opened.objects.put(f"{number:064x}", b"nobody's")
    now.advance(HOUR + 60)
    assert await opened.janitor.clean() == Removed(objects=20)
    assert await opened.gallery.data(kept) == picture()
    now.advance(2 * DAY)
    assert await opened.janitor.clean() == Removed(pictures=1, objects=1)
    assert not await opened.objects.has(kept.sha256)


async def test_pictures_are_served_from_the_bucket(s3: str, tmp_path: Path) -> None:
    """P10: whole, in part, by HEAD, and not at all where there is nothing."""
    async with serving_edge("127.0.0.1:1", tmp_path, settings={"pictures": PLACE}) as edge:
        [kept] = await edge.house.gallery.keep("alice", "", "", {}, answer([picture(600, 600)]))
        async with edge.session() as alice:
            async with alice.get(kept.path) as told:
                assert await told.read() == picture(600, 600)
            async with alice.get(kept.path, headers={"Range": "bytes=100-300000"}) as told:
                assert (told.status, await told.read()) == (206, picture(600, 600)[100:300_001])
            async with alice.head(kept.path) as told:
                assert told.headers["Content-Length"] == str(kept.size_bytes)
            await edge.house.gallery._objects.remove([kept.sha256])
            async with alice.get(kept.path) as told:
                assert told.status == 404


async def test_a_bucket_that_does_not_answer_is_told_as_such(opened: OpenedGallery, server: ThreadedMotoServer) -> None:
    """F39: while it is away it is unavailable to whoever keeps or reads, within a bound; nothing is recorded."""
    [kept] = await opened.keep(picture())
    await asyncio.to_thread(server.stop)
    async with asyncio.timeout(60):
        for ask in (lambda: opened.keep(picture(seed=1)), lambda: opened.gallery.data(kept), opened.janitor.clean):
            with pytest.raises(Problem, match="503 STORE_UNAVAILABLE") as told:
                await ask()
            assert "127.0.0.1" not in told.value.detail
    assert len(await opened.gallery.page("alice")) == 1


@pytest.mark.parametrize("place", ["s3://no-such-bucket", "s3://no-such-bucket/prefix"])
async def test_a_bucket_that_is_not_there_is_found_at_the_start(s3: str, place: str) -> None:
    """The variable is named, and no secret with it."""
    with pytest.raises(SettingsError, match="IMAGEGATE_EDGE_PICTURES") as error:
        await Objects.at(place).check()
    assert "secret-EXAMPLE" not in str(error.value)
