"""What is true around every route of the edge, over real sockets."""

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
            assert answer.headers["Allow"] == "GET,HEAD" or "GET" in answer.headers["Allow"]
            assert answer.headers["X-Request-Id"]
