"""Pictures over HTTP: to their owner, by their link, and to nobody else."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from imagegate.edge.caller import Caller
from imagegate.edge.gallery import Picture
from imagegate.edge.generating import Made, Order
from imagegate.testing.fronted import ALICE, BOB, ServedEdge, serving_edge
from imagegate.testing.galleries import answer
from imagegate.testing.pictures import picture

DATA = picture(64, 64)
HOSTILE = Path(__file__).with_name("hostile_paths.txt")


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge with nobody behind it: what it serves was made before."""
    async with serving_edge("127.0.0.1:1", tmp_path) as served:
        yield served


@pytest.fixture
async def kept(edge: ServedEdge) -> Picture:
    """A picture of Alice's."""
    [kept] = await edge.house.gallery.keep("alice", "", "a lighthouse", {}, answer([DATA]))
    return kept


async def test_a_picture_comes_with_what_makes_it_safe_to_show(edge: ServedEdge, kept: Picture) -> None:
    """S9: its type is fixed, nothing in it runs, it has a name and may stand in other sites' pages."""
    async with edge.session() as alice, alice.get(kept.path) as told:
        assert await told.read() == DATA
        assert {name: told.headers[name] for name in (
            "Content-Type", "X-Content-Type-Options", "Content-Security-Policy", "Content-Disposition",
            "Cross-Origin-Resource-Policy", "Content-Length", "Accept-Ranges", "ETag", "Cache-Control",
        )} == {
            "Content-Type": "image/png",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Content-Disposition": f'inline; filename="{kept.filename}"',
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Content-Length": str(len(DATA)),
            "Accept-Ranges": "bytes",
            "ETag": f'"{kept.sha256}"',
            "Cache-Control": "private, max-age=31536000, immutable",
        }  # fmt: skip


async def test_a_head_tells_all_but_the_bytes(edge: ServedEdge, kept: Picture) -> None:
    """HEAD is answered as GET is, without the picture; with a link just as well."""
    async with edge.session("") as nobody:
        link = edge.house.links.sign(kept.path)
        async with nobody.head(link) as told, nobody.get(link) as whole:
            assert told.status == 200
            assert await told.read() == b""
            assert lasting(told.headers) == lasting(whole.headers)


def lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that are no different for the next call."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in ("date", "x-request-id")}


async def test_parts_of_a_picture_can_be_asked_for(edge: ServedEdge, kept: Picture) -> None:
    """RFC 9110, 14: one range is 206, several are the whole, one behind the end is 416 with the size."""
    size = len(DATA)
    async with edge.session() as alice:
        for header, expected in {
            "bytes=0-99": DATA[:100],
            "bytes=100-": DATA[100:],
            "bytes=-5": DATA[-5:],
            f"bytes=5-{size * 2}": DATA[5:],
        }.items():
            async with alice.get(kept.path, headers={"Range": header}) as told:
                assert told.status == 206
                assert await told.read() == expected
                start = DATA.index(expected)
                assert told.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{size}"
        for header in ("bytes=0-1,5-6", "bytes=9-1", "lines=1-2", "nonsense"):
            async with alice.get(kept.path, headers={"Range": header}) as told:
                assert (told.status, await told.read()) == (200, DATA)
        async with alice.get(kept.path, headers={"Range": f"bytes={size}-"}) as told:
            assert told.status == 416
            assert told.headers["Content-Range"] == f"bytes */{size}"
        for tag, status in {f'"{kept.sha256}"': 206, '"another"': 200}.items():
            async with alice.get(kept.path, headers={"Range": "bytes=0-9", "If-Range": tag}) as told:
                assert told.status == status


async def test_who_has_it_already_is_told_so(edge: ServedEdge, kept: Picture) -> None:
    """RFC 9110, 13.1.2: a picture whose tag is known is not sent again; who may not see it is told nothing."""
    async with edge.session() as alice, edge.session(BOB) as bob:
        for tags, status in {
            f'"{kept.sha256}"': 304, f'"another", W/"{kept.sha256}"': 304, "*": 304, '"another"': 200,
        }.items():  # fmt: skip
            async with alice.get(kept.path, headers={"If-None-Match": tags}) as told:
                assert told.status == status
                assert told.headers["ETag"] == f'"{kept.sha256}"'
            async with bob.get(kept.path, headers={"If-None-Match": tags}) as told:
                assert told.status == 404


def hostile_paths(link: str) -> list[str]:
    """Over two hundred ways to ask for what is not there, as they go over the wire, each as near to `link` as it is
    named there.
    """
    path, _, query = link.partition("?")
    name = path.rpartition("/")[2]
    number = name.partition("-")[0]
    signature = query.rpartition("=")[2]
    places = {
        "name": name, "number": number, "rest": number[1:], "query": query, "signature": signature,
        "short_signature": signature[:-1], "expires": query.partition("&")[0].partition("=")[2],
    }  # fmt: skip
    asked = []
    for line in HOSTILE.read_text().splitlines():
        text = re.sub(r"\{([^{}]+)\*(\d+)\}", lambda found: found[1] * int(found[2]), line)
        asked.append(re.sub(r"\{(\w+)\}", lambda found: places[found[1]], text))
    return asked


async def raw(edge: ServedEdge, method: str, target: str, key: str = "") -> tuple[int, dict[str, str], bytes]:
    """What is answered to a target, with not a sign of it changed on the way."""
    host, _, port = edge.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n{bearer}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


async def test_whatever_is_not_there_is_answered_alike(edge: ServedEdge, kept: Picture) -> None:
    """S11, S12, P12: over two hundred hostile paths, names and links are answered 404 with the same bytes, which are
    those for a picture that never was and for somebody else's.
    """
    link = edge.house.links.sign(kept.path)
    asked = hostile_paths(link)
    assert len(set(asked)) >= 200
    told = {target: await raw(edge, "GET", target) for target in asked}
    for key in (BOB, "ig_wrong", "x" * 5000, ALICE[:-1]):
        told[f"{kept.path} with {key[:20]}"] = await raw(edge, "GET", kept.path, key)
    for path in {target.partition("?")[0] for target in asked} - {kept.path}:
        told[f"{path} by its owner"] = await raw(edge, "GET", path, ALICE)
    never = "/uploads/images/user-alice/1700000000000-generated.png"
    told["a picture that never was"] = await raw(edge, "GET", never, ALICE)
    assert {target: status for target, (status, _, _) in told.items() if status != 404} == {}
    [body] = {body for _, _, body in told.values()}
    assert b"request_id" not in body
    assert len({str(lasting(headers)) for _, headers, _ in told.values()}) == 1
    assert all("x-request-id" in headers for _, headers, _ in told.values())
    async with edge.session("") as nobody, nobody.get(link) as seen:
        assert seen.status == 200


async def test_a_link_is_for_reading(edge: ServedEdge, kept: Picture) -> None:
    """S12: with a link, and with the owner's key, every other method is answered as if there were nothing."""
    bodies = set()
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        for target, key in ((edge.house.links.sign(kept.path), ""), (kept.path, ALICE)):
            status, headers, body = await raw(edge, method, target, key)
            assert status == 404, method
            assert "allow" not in headers
            bodies.add(body)
    assert bodies == {(await raw(edge, "GET", "/uploads/nothing"))[2]}


async def test_a_picture_that_was_removed_is_not_served(edge: ServedEdge, kept: Picture) -> None:
    """P10: its owner and whoever has a link see it no more, although its bytes lie there for a while."""
    link = edge.house.links.sign(kept.path, kept.sha256)
    await edge.house.gallery.remove("alice", kept.id)
    assert (await raw(edge, "GET", link))[0] == 404
    assert (await raw(edge, "GET", kept.path, ALICE))[0] == 404


async def test_a_picture_whose_bytes_are_gone_or_spoilt_is_not_there(
    edge: ServedEdge, kept: Picture, tmp_path: Path
) -> None:
    """Nobody is shown a part of a picture as if it were one."""
    [file] = list((tmp_path / "pictures").rglob(kept.sha256))
    file.write_bytes(DATA[:-1])
    assert (await raw(edge, "GET", kept.path, ALICE))[0] == 404
    file.unlink()
    assert (await raw(edge, "GET", kept.path, ALICE))[0] == 404


async def test_while_the_database_is_away_links_show_pictures(edge: ServedEdge, kept: Picture, tmp_path: Path) -> None:
    """F36: a link that names the picture's sum shows it without the database; all else says when to come again."""
    link = edge.house.links.sign(kept.path, kept.sha256)
    without = edge.house.links.sign(kept.path)
    for name in ("edge.sqlite-wal", "edge.sqlite-shm", "edge.sqlite"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "edge.sqlite").write_bytes(b"this was a database" * 1000)
    await edge.house.gallery._database._engine.dispose()
    async with edge.session("") as nobody, edge.session() as alice:
        async with nobody.get(link, headers={"Range": "bytes=1-9"}) as told:
            assert (told.status, await told.read()) == (206, DATA[1:10])
            assert told.content_type == "image/png"
        for session, target in ((nobody, without), (alice, kept.path)):
            async with session.get(target) as told:
                assert told.status == 503
                assert (await told.json())["reason"] == "STORE_UNAVAILABLE"
                assert told.headers["Retry-After"] == "5"
        async with nobody.get(link.replace("user-alice", "user-bob")) as told:
            assert told.status == 404


async def test_who_leaves_in_the_middle_leaves_nothing_behind(edge: ServedEdge, tmp_path: Path) -> None:
    """A reader that goes away ends the reading, and the edge serves on."""
    [large] = await edge.house.gallery.keep("alice", "", "", {}, answer([picture(1500, 1500)]))
    host, _, port = edge.url.removeprefix("http://").partition(":")
    for _ in range(20):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {edge.house.links.sign(large.path)} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        await reader.readexactly(100)
        writer.transport.abort()
    async with edge.session() as alice, alice.get(large.path) as told:
        assert await told.read() == picture(1500, 1500)


async def test_a_prompt_is_in_no_byte_that_is_served(edge: ServedEdge) -> None:
    """S10: what a webui writes into its pictures is served to nobody."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a marker in a prompt")
    file = BytesIO()
    Image.open(BytesIO(DATA)).save(file, "PNG", pnginfo=texts)
    made = await edge.house.generating._kept(Caller("alice"), Order("a marker in a prompt"), answer([file.getvalue()]))
    assert isinstance(made, Made)
    async with edge.session() as alice, alice.get(made.pictures[0].path) as told:
        served = await told.read()
    assert b"marker" not in served
    assert served == made.result.images[0].data
    assert Image.open(BytesIO(served)).tobytes() == Image.open(BytesIO(DATA)).tobytes()


async def test_a_malformed_request_is_no_way_in(edge: ServedEdge, kept: Picture) -> None:
    """What is no HTTP is refused before anything looks at it, and never with a picture."""
    for target in (f"{kept.path}\0", f"{kept.path}\x01"):
        status, _, body = await raw(edge, "GET", target, ALICE)
        assert status in (400, 404)
        assert DATA not in body
