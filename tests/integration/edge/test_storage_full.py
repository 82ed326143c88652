"""The disk is full: nothing more is made, and what was made is not lost. The books are the sandbox's."""

import base64
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from imagegate.edge.admission import Admission
from imagegate.edge.app import Front
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.generating import Order
from imagegate.edge.problem import Problem
from imagegate.edge.serving import serving_http
from imagegate.runtime import images
from imagegate.runtime.redaction import Redactor
from imagegate.testing.clock import FakeClock
from imagegate.testing.fronted import ALICE, ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed
from imagegate.testing.serving import ServedRouter

ORDER = Order("a lighthouse", "fal/flux-schnell", {"seed": 7, "width": 512, "height": 512})


@asynccontextmanager
async def making(edge: ServedEdge) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the edge with two routes that make a picture, and nothing of any family in the way."""
    house = edge.house

    def order(call: Call) -> Order:
        return Order(ORDER.prompt, ORDER.model, ORDER.fields, call.request.headers.get("Idempotency-Key", ""))

    async def make(call: Call) -> web.Response:
        made = await house.generating.generate(call.caller, call.request_id, order(call))
        return web.json_response([picture.path for picture in made.pictures])

    endpoint = Endpoint("POST", "/make", make, "Make one", tell_problem, generates=True)
    admission = Admission(house.settings, FakeClock())
    front = Front([endpoint], house.keyring, admission, edge.metrics, Redactor())
    async with serving_http(front.app(), "127.0.0.1", 0, 0.1) as port:
        headers = {"Authorization": f"Bearer {ALICE}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            yield session


@contextmanager
def spoilt(folder: Path, how: str) -> Iterator[None]:
    """A place where nothing can be written any more: like a full disk, or like one that is broken."""
    if how == "full":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    else:
        incoming = folder / "incoming"
        incoming.rename(folder / "away")
        incoming.write_text("a file where a folder is expected")
        try:
            yield
        finally:
            incoming.unlink()
            (folder / "away").rename(incoming)


async def test_where_there_is_no_room_nothing_is_made(
    router: ServedRouter, upstreams: Sandboxed, tmp_path: Path
) -> None:
    """F38: with too little room on the disk a picture is refused with what to do about it, and nothing is paid."""
    async with (
        serving_edge(router.target, tmp_path, settings={"min_free_mib": 2**40}) as edge,
        making(edge) as session,
        session.post("/make") as told,
    ):
        assert told.status == 507
        problem = await told.json()
    assert problem["reason"] == "INSUFFICIENT_STORAGE"
    assert "has to make room" in problem["detail"]
    assert upstreams.sandbox.billing() == []


@pytest.mark.parametrize(("how", "reason"), [("full", "INSUFFICIENT_STORAGE"), ("broken", "STORE_UNAVAILABLE")])
async def test_what_was_made_comes_with_the_answer_and_again_without_being_paid(
    edge: ServedEdge, upstreams: Sandboxed, tmp_path: Path, how: str, reason: str
) -> None:
    """F38: a picture that cannot be kept is in the error; the same once more, with the same key, is kept when there is
    room again, and it is the same picture, paid for once.
    """
    once = {"Idempotency-Key": "a-piece-of-work"}
    async with making(edge) as session:
        with spoilt(tmp_path / "pictures", how):
            async with session.post("/make", headers=once) as told:
                assert told.status == 507
                assert told.headers["X-Should-Retry"] == "false"
                assert "Retry-After" not in told.headers
                problem = await told.json()
        assert problem["reason"] == reason
        assert "are in this answer" in problem["detail"]
        [image] = problem["images"]
        data = base64.b64decode(image["data"])
        assert images.inspect(data).mime_type == image["mime_type"]
        assert image["seed"] == 7
        assert await edge.house.gallery.page("alice") == []
        paths = []
        for _ in range(2):
            async with session.post("/make", headers=once) as told:
                assert told.status == 200
                paths.append(await told.json())
    assert paths[0] == paths[1]
    [kept] = await edge.house.gallery.page("alice")
    assert kept.sha256 == sha256(data).hexdigest()
    assert len(upstreams.sandbox.billing()) == 1


@pytest.mark.parametrize("path", ["/v1/images/generations", "/api/ai/generate-image"])
async def test_every_family_brings_along_what_could_not_be_kept(edge: ServedEdge, tmp_path: Path, path: str) -> None:
    """F38: whichever shape an error has, the pictures that were made are in it, and no client orders them again."""
    with spoilt(tmp_path / "pictures", "broken"):
        async with edge.session() as alice, alice.post(path, json={"prompt": "a lighthouse"}) as told:
            assert told.status == 507
            assert told.headers["X-Should-Retry"] == "false"
            shown = await told.json()
    [image] = shown["error"]["imagegate"]["images"] if path.startswith("/v1/") else shown["images"]
    assert images.inspect(base64.b64decode(image["data"])).width


async def test_a_stream_ends_with_what_was_made_too(edge: ServedEdge, tmp_path: Path) -> None:
    """F38: who watches a picture being made gets it in the problem that the stream ends with."""
    caller = edge.house.keyring.caller(ALICE)
    assert caller is not None
    seen = []

    async def watch() -> None:
        async for event in edge.house.generating.stream(caller, "a-request", ORDER):
            seen.append(event)

    with spoilt(tmp_path / "pictures", "broken"), pytest.raises(Problem, match="507 STORE_UNAVAILABLE") as told:
        await watch()
    assert seen
    assert len(told.value.images) == 1
