"""The gallery over HTTP: whoever asks sees their own pictures, and nobody else's."""

from typing import Any

import aiohttp
import pytest

from imagegate.edge.caller import Caller
from imagegate.edge.gallery import Picture
from imagegate.edge.generating import Order
from imagegate.testing.fronted import BOB, OPERATOR, ServedEdge

UNKNOWN = "0" * 32
VARYING = {"x-request-id", "date"}
MALFORMED = ["x", "0" * 31, "0" * 33, "A" * 32, "%00", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1--", "%F0%9F%A6%8A"]


async def made(edge: ServedEdge, user: str, *, count: int = 1, project: str = "") -> list[Picture]:
    """Pictures of a user."""
    order = Order("a fox", fields={"count": count, "project": project})
    return list((await edge.house.generating.generate(Caller(user), "request", order)).pictures)


async def got(session: aiohttp.ClientSession, path: str, **query: str) -> dict[str, Any]:
    async with session.get(path, params=query) as answer:
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def seen(session: aiohttp.ClientSession, method: str, path: str, body: object = None) -> tuple[Any, ...]:
    """All that an answer shows, but for the call's own id."""
    async with session.request(method, path, json=body) as answer:
        text = (await answer.text()).replace(answer.headers["X-Request-Id"], "")
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in VARYING}
        return answer.status, headers, text


async def test_the_gallery_is_paged_without_a_gap(edge: ServedEdge) -> None:
    """P10: page after page, the latest first, every picture comes once; the last page says that it is the last."""
    kept = [picture.id for _ in range(3) for picture in await made(edge, "alice", count=2)]
    found, before = list[str](), ""
    async with edge.session() as alice:
        for _ in range(3):
            page = await got(alice, f"/api/pictures?limit=2&before={before}")
            found += [each["id"] for each in page["pictures"]]
            before = page["next"]
        assert before is None
        assert found == kept[::-1]
        assert (await got(alice, "/api/pictures"))["next"] is None


async def test_pictures_are_grouped_by_project(edge: ServedEdge) -> None:
    """P10: the projects are told with their pictures, the last used first, and each can be looked at by itself."""
    for project, count in (("avatars", 2), ("", 1), ("coast & sea", 1)):
        await made(edge, "alice", count=count, project=project)
    async with edge.session() as alice:
        projects = (await got(alice, "/api/projects"))["projects"]
        assert [(each["name"], each["pictures"]) for each in projects] == [("coast & sea", 1), ("", 1), ("avatars", 2)]
        assert projects[0]["last"].endswith("Z")
        for each in projects:
            page = await got(alice, "/api/pictures", project=each["name"])
            assert [picture["project"] for picture in page["pictures"]] == [each["name"]] * each["pictures"]
    async with edge.session(BOB) as bob:
        assert await got(bob, "/api/projects") == {"projects": []}


async def test_a_picture_can_be_looked_at_and_forgotten(edge: ServedEdge) -> None:
    """P10: its owner gets a picture's record, and can remove it; then it is gone."""
    [picture] = await made(edge, "alice")
    async with edge.session() as alice:
        record = await got(alice, f"/api/pictures/{picture.id}")
        assert (record["id"], record["prompt"], record["sandbox"]) == (picture.id, "a fox", True)
        async with alice.get(record["url"]) as answer:
            assert answer.status == 200
        async with alice.delete(f"/api/pictures/{picture.id}") as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        assert (await seen(alice, "GET", f"/api/pictures/{picture.id}"))[0] == 404
        assert (await got(alice, "/api/pictures"))["pictures"] == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/pictures/{id}"), ("DELETE", "/api/pictures/{id}")])
async def test_a_foreign_picture_answers_like_none(edge: ServedEdge, method: str, path: str) -> None:
    """S27: another's picture, one that never was and what is no id are answered byte for byte alike, to operators as
    well, and nothing happens to it.
    """
    [picture] = await made(edge, "alice")
    for key in (BOB, OPERATOR):
        async with edge.session(key) as other:
            answers = [
                await seen(other, method, path.replace("{id}", each)) for each in (picture.id, UNKNOWN, *MALFORMED)
            ]
            assert answers[0][0] == 404
            assert all(each == answers[0] for each in answers)
    assert await edge.house.gallery.find("alice", picture.id) == picture


@pytest.mark.parametrize("path", ["/api/generations", "/api/explain"])
@pytest.mark.parametrize("place", ["image_to_image", "identity", "controls"])
async def test_a_foreign_picture_cannot_be_worked_with(edge: ServedEdge, path: str, place: str) -> None:
    """S27: wherever a body names a picture, another's is told of like one that never was."""
    [picture] = await made(edge, "alice")
    async with edge.session(BOB) as bob:
        answers = []
        for picture_id in (picture.id, UNKNOWN, "x"):
            part: dict[str, Any] = {"image": {"picture": picture_id}}
            part |= {"type": "CANNY"} if place == "controls" else {}
            body = {"prompt": "a fox", place: part if place == "image_to_image" else [part]}
            answers.append(await seen(bob, "POST", path, body))
        assert answers[0][0] == 400
        assert answers[0] == answers[1] == answers[2]


async def test_a_page_shows_nobody_elses_pictures(edge: ServedEdge) -> None:
    """S27: whatever a query says, it finds the caller's own pictures only."""
    [picture] = await made(edge, "alice", project="secret")
    later = picture.created + 1
    async with edge.session(BOB) as bob:
        for query in ("", "?project=secret", f"?before={later}", "?limit=200"):
            assert await got(bob, f"/api/pictures{query}") == {"pictures": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("before=yesterday", "before"),
        ("before=99999999999999", "before"),
        ("project=a%00b", "project"),
        (f"project={'x' * 129}", "project"),
        ("projekt=avatars", "projekt"),
        ("owner=bob", "owner"),
        ("user=bob", "user"),
    ],
)
async def test_a_query_that_is_wrong_is_told_so(edge: ServedEdge, query: str, field: str) -> None:
    """P12, S28: a query is looked at like a body, and nothing in it decides whose pictures are listed."""
    async with edge.session() as alice, alice.get(f"/api/pictures?{query}") as answer:
        assert answer.status == 400
        assert [each["field"] for each in (await answer.json())["errors"]] == [field]


async def test_a_prompt_comes_back_as_data(edge: ServedEdge) -> None:
    """S26: whatever a prompt says comes back as JSON, and as nothing that a browser would run."""
    prompt = "<img src=x onerror=alert(1)>\u2028</script>\"'`"
    async with edge.session() as alice, alice.post("/api/generations", json={"prompt": prompt}) as answer:
        assert (answer.content_type, answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
        assert (await answer.json())["pictures"][0]["prompt"] == prompt
