"""What is true around every route of the edge, over real sockets."""

import asyncio
import re

from prometheus_client import generate_latest

from imagegate.edge import sse
from imagegate.edge.caller import Caller
from imagegate.edge.generating import Order
from imagegate.testing.fronted import BOB, ServedEdge


async def test_nobody_gets_in_without_a_key(edge: ServedEdge) -> None:
    """P12: without a key, or with one that is not known, there is nothing to see."""
    async with edge.session("") as nobody, nobody.get("/api/me") as answer:
        assert answer.status == 401
        assert (await answer.json())["reason"] == "UNAUTHENTICATED"
    async with edge.session("ig_wrong") as wrong, wrong.get("/api/me") as answer:
        assert answer.status == 401
        assert "ig_wrong" not in await answer.text()
    async with edge.session() as alice, alice.get("/api/me") as answer:
        assert await answer.json() == {"user": "alice", "role": "user", "tier": ""}


async def test_what_is_made_is_kept_for_its_owner_and_whoever_has_its_link(edge: ServedEdge) -> None:
    """P10: a picture that was made is in its owner's gallery, and is served to them and by its link only."""
    made = await edge.house.generating.generate(Caller("alice"), "request-1", Order("a lighthouse"))
    [picture] = made.pictures
    assert [each.id for each in await edge.house.gallery.page("alice")] == [picture.id]
    assert await edge.house.gallery.page("bob") == []
    async with edge.session() as alice, alice.get(picture.path) as answer:
        assert await answer.read() == made.result.images[0].data
        assert answer.headers["Content-Type"] == picture.mime_type
    async with edge.session("") as nobody, nobody.get(edge.house.links.sign(picture.path)) as answer:
        assert answer.status == 200
    async with edge.session(BOB) as bob, bob.get(picture.path) as answer:
        assert answer.status == 404


async def test_what_is_not_there_is_said_in_the_same_way_everywhere(edge: ServedEdge) -> None:
    """An unknown path and a wrong method are problems with an id, like everything else."""
    async with edge.session() as alice:
        async with alice.get("/api/nothing") as answer:
            assert answer.status == 404
            assert answer.content_type == "application/problem+json"
        async with alice.post("/api/me") as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET, HEAD"
            assert answer.headers["X-Request-Id"]


async def test_head_is_get_without_the_body(edge: ServedEdge) -> None:
    """RFC 9110, 9.3.2: wherever GET is answered HEAD is, with the same status and headers, for whoever may, and counts
    as what it is; of a stream it is told how it would begin.
    """
    paths = [re.sub(r"\{[^}]*\}", "some", each.path) for each in edge.house.endpoints() if each.method == "GET"]
    assert len(paths) > 10
    async with asyncio.timeout(20), edge.session() as alice:
        for path in paths:
            async with alice.get(path) as whole, alice.head(path) as told:
                assert await told.read() == b""
                assert (told.status, told.content_type) == (whole.status, whole.content_type), path
                # Where the length is not known beforehand only what has a body says how it goes over the wire.
                assert whole.headers.keys() - told.headers.keys() <= {"Transfer-Encoding"}, path
                assert told.headers.keys() <= whole.headers.keys(), path
                if whole.content_type != sse.MEDIA_TYPE and "status" not in path:  # which changes all the time
                    assert told.headers.get("Content-Length") == str(len(await whole.read())), path
    async with edge.session("") as nobody, nobody.head("/api/me") as answer:
        assert answer.status == 401
    assert 'method="HEAD /api/me"' in generate_latest(edge.metrics.registry).decode()
