"""`/api/generations` and `/api/explain`: the edge over a router over the sandbox."""

import asyncio
import base64
import io
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imagegate.edge import sse
from imagegate.edge.endpoint import MIB
from imagegate.sandbox.app import Pace
from imagegate.testing import Hang, House, ScriptedProvider, Telling, picture, serving_router
from imagegate.testing.events import events_of
from imagegate.testing.fronted import BOB, ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.v1 import generation_pb2

STREAM = {"Accept": "text/event-stream"}
# Long enough for whoever wants to leave in the middle of it.
SLOW = Pace(fal_run=30.0, automatic1111_step=0.2)
RECORD = {
    *("id", "url", "filename", "project", "created", "request_id", "number", "mime_type", "size_bytes", "width"),
    *("height", "seed", "sha256", "prompt", "parameters", "provider", "model", "upstream_model", "attempts"),
    *("adjustments", "warnings", "cost", "seconds", "sandbox"),
}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


async def post(session: aiohttp.ClientSession, path: str = "/api/generations", **body: Any) -> dict[str, Any]:
    async with session.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def refused(session: aiohttp.ClientSession, status: int = 400, **body: Any) -> dict[str, Any]:
    async with session.post("/api/generations", json=body) as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json"), await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


@asynccontextmanager
async def stream(edge: ServedEdge, **body: Any) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    async with edge.session() as alice, alice.post("/api/generations", json=body, headers=STREAM) as answer:
        assert answer.content_type == "text/event-stream", await answer.text()
        yield events_of(answer)


@asynccontextmanager
async def slow_edge(folder: Path, **environ: str) -> AsyncIterator[tuple[Sandboxed, ServedEdge]]:
    """An edge over upstreams that take their time."""
    routes = {"default": ["fal/flux-schnell", "automatic1111/local"]}
    async with (
        serving_sandboxed(("fal", "automatic1111"), environ=environ, pace=SLOW) as upstreams,
        serving_router(upstreams.targets, routes) as router,
        serving_edge(router.target, folder) as edge,
    ):
        yield upstreams, edge


# ── The answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_answer_has_the_pictures_and_how_they_came_about(edge: ServedEdge) -> None:
    """P10: the answer has a record of each picture, a link that shows it, and every attempt."""
    async with edge.session() as alice:
        made = await post(alice, prompt="a lighthouse", count=2, seed=7, project="coast")
        assert [each["number"] for each in made["pictures"]] == [0, 1]
        first = made["pictures"][0]
        assert set(first) == RECORD
        assert (first["seed"], first["project"], first["prompt"]) == (7, "coast", "a lighthouse")
        assert (made["provider"], made["model"], made["sandbox"]) == ("huggingface", "flux-schnell", True)
        assert made["attempts"][-1]["provider"] == "huggingface"
        assert made["request_id"] == first["request_id"]
    async with edge.session("") as nobody, nobody.get(first["url"]) as answer:
        assert len(await answer.read()) == first["size_bytes"]


async def test_again_with_this_seed_makes_the_same_bytes(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P10, R12: a record's prompt and parameters, its seed and the model that made it are an order for the same
    picture, whichever candidate of the route had delivered it.
    """
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "status", "code": 500}])
    async with edge.session() as alice:
        made = await post(
            alice, prompt="a lighthouse", count=3, steps=6, width=512, height=768, quality="HD", project="coast"
        )
        record = made["pictures"][1]
        again = {**record["parameters"], "prompt": record["prompt"], "seed": record["seed"], "count": 1}
        repeated = await post(alice, **again, model=f"{record['provider']}/{record['model']}")
    assert record["provider"] == "fal"
    assert repeated["pictures"][0]["sha256"] == record["sha256"]
    assert repeated["pictures"][0]["id"] != record["id"]
    assert repeated["pictures"][0]["project"] == "coast"


async def test_again_with_a_picture_of_the_gallery_and_a_template(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P10: references to one's own pictures and to templates are kept in the parameters, and lead there again."""
    async with edge.session() as alice:
        [first] = (await post(alice, prompt="a fox"))["pictures"]
        asked = {
            "prompt": "a fox in snow",
            "model": "automatic1111/local",
            "image_to_image": {"image": {"picture": first["id"]}, "strength": 0.5},
            "controls": [{"type": "OPENPOSE", "image": {"template": "standing"}}],
        }
        [made] = (await post(alice, **asked))["pictures"]
        assert made["parameters"]["image_to_image"] == asked["image_to_image"]
        assert made["parameters"]["controls"] == asked["controls"]
        [again] = (await post(alice, **made["parameters"], prompt=made["prompt"], seed=made["seed"]))["pictures"]
        assert again["sha256"] == made["sha256"]


async def test_a_picture_that_came_along_is_worked_with(edge: ServedEdge) -> None:
    """A picture comes along in base64, and only its size is kept."""
    data = base64.b64encode(picture(64, 64)).decode()
    async with edge.session() as alice:
        asked = {"image_to_image": {"image": {"data": data}}, "model": "automatic1111/local"}
        [made] = (await post(alice, prompt="a fox", **asked))["pictures"]
        assert made["parameters"]["image_to_image"]["image"]["data"].endswith(" bytes)")


async def test_the_same_key_is_made_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12: an order that is repeated with its Idempotency-Key is made once; another user's is another."""
    key = {"Idempotency-Key": "one piece of work"}
    sums = []
    for session in (edge.session(), edge.session(), edge.session(BOB)):
        async with session as user, user.post("/api/generations", json={"prompt": "a fox"}, headers=key) as answer:
            sums.append((await answer.json())["pictures"][0]["sha256"])
    assert sums[0] == sums[1]
    assert len(upstreams.sandbox.billing()) == 2


@pytest.mark.parametrize("key", ["schlüssel", "x" * 256])
async def test_a_key_that_is_none_is_refused(edge: ServedEdge, key: str) -> None:
    """P12: a key that no header should carry is told of like every other field."""
    async with edge.session() as alice:
        headers = {"Idempotency-Key": key}
        async with alice.post("/api/generations", json={"prompt": "a fox"}, headers=headers) as answer:
            assert (answer.status, (await answer.json())["errors"][0]["field"]) == (400, "Idempotency-Key")


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_wrong_is_told_before_anything_is_asked(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12, S28: every bad field at once, what nobody may say among them, streaming or not, and no upstream is asked."""
    body = {"prompt": "", "width": 1, "user": "root", "tier": "pro", "credits": 0, "request_id": "x", "stepz": 3}
    async with edge.session() as alice:
        for headers in ({}, STREAM):
            async with alice.post("/api/generations", json=body, headers=headers) as answer:
                told = await answer.json()
                assert (answer.status, answer.content_type) == (400, "application/problem+json")
                assert {each["field"] for each in told["errors"]} == set(body)
                assert told["request_id"] == answer.headers["X-Request-Id"]
    assert not upstreams.sandbox.billing()


async def test_what_the_router_refuses_is_a_problem_and_no_stream(edge: ServedEdge) -> None:
    """R12: what is refused before anything happened is answered with its status, also where a stream was asked for."""
    async with edge.session() as alice:
        for headers in ({}, STREAM):
            body = {"prompt": "a fox", "model": "no-such-model"}
            async with alice.post("/api/generations", json=body, headers=headers) as answer:
                assert (answer.status, answer.content_type) == (404, "application/problem+json")


async def test_anothers_picture_is_like_one_that_never_was(edge: ServedEdge) -> None:
    """S27: what is not the caller's own cannot be worked with, and no answer tells whether it is there."""
    async with edge.session() as alice:
        [made] = (await post(alice, prompt="a fox"))["pictures"]
    told = []
    async with edge.session(BOB) as bob:
        for picture_id in (made["id"], "0" * 32, "../../etc/passwd"):
            image = {"image": {"picture": picture_id}}
            told.append((await refused(bob, prompt="a fox", image_to_image=image, identity=[image]))["errors"])
    assert told[0] == told[1] == told[2]
    assert [each["field"] for each in told[0]] == ["image_to_image.image.picture", "identity[0].image.picture"]


@pytest.mark.parametrize(
    ("mebibytes", "status", "reason"), [(24.2, 400, "INVALID_REQUEST"), (25, 413, "BODY_TOO_LARGE")]
)
async def test_too_much_is_refused(edge: ServedEdge, mebibytes: float, status: int, reason: str) -> None:
    """S25, S29: pictures beyond their bound are told as a field, a body beyond the route's as too large."""
    image = {"data": base64.b64encode(bytes(int(mebibytes * MIB))).decode()}
    body = io.BytesIO(json.dumps({"prompt": "a fox", "identity": [{"image": image}]}).encode())
    headers = {"Content-Type": "application/json"}
    async with edge.session() as alice, alice.post("/api/generations", data=body, headers=headers) as answer:
        told = await answer.json()
    assert (answer.status, told["reason"]) == (status, reason)
    assert status == 413 or told["errors"] == [{"field": "identity[0].image.data", "detail": "is longer than 24 MiB"}]


# ── Told while it happens ────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_happens_is_told_in_its_order(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R9: accepted, each attempt's beginning and end with its reason, progress, and the same answer."""
    upstreams.sandbox.faults([{"upstream": "huggingface", "fault": "status", "code": 500}])
    async with stream(edge, prompt="a lighthouse") as events:
        told = [event async for event in events]
    names = [name for name, _ in told if name != "progress"]
    assert names == [
        *("accepted", "attempt_started", "attempt_finished", "attempt_started", "attempt_finished", "completed")
    ]
    assert set(told[1][1]) == {"provider", "model", "number", "timeout"}
    [failed, delivered] = [data for name, data in told if name == "attempt_finished"]
    assert (failed["provider"], failed["reason"]) == ("huggingface", "UPSTREAM_ERROR")
    assert delivered["provider"] == "fal"
    progress = [data for name, data in told if name == "progress"]
    assert all(set(each) == {"phase", "queue_position", "ready_in", "step", "steps", "preview"} for each in progress)
    answer = told[-1][1]
    assert set(answer["pictures"][0]) == RECORD
    assert answer["request_id"] == told[0][1]["request_id"]


async def test_what_fails_on_the_way_ends_the_stream_with_its_problem(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R10: where nobody delivers the last event is the problem, with every attempt and the remedy."""
    failing = {"fault": "status", "code": 500}
    upstreams.sandbox.faults([{"upstream": name, **failing} for name in ("huggingface", "fal", "automatic1111")])
    async with stream(edge, prompt="a lighthouse") as events:
        told = [event async for event in events]
    assert told[0][0] == "accepted"
    name, problem = told[-1]
    assert (name, problem["status"], problem["retry_after"]) == ("error", 503, 1)
    assert [each["provider"] for each in problem["attempts"]] == ["huggingface", "fal", "automatic1111"]
    assert problem["request_id"] == told[0][1]["request_id"]


async def test_steps_and_previews_are_told(tmp_path: Path) -> None:
    """R9: from a webui of our own steps come, and unfinished pictures that a page can show."""
    async with (
        slow_edge(tmp_path, SD_EXCLUSIVE="true") as (_, edge),
        stream(edge, prompt="a fox", model="automatic1111/local") as events,
    ):
        async for name, data in events:
            if name == "progress" and data["preview"]:
                assert data["preview"].startswith("data:image/jpeg;base64,")
                assert data["steps"] >= data["step"]
                return
    raise AssertionError("no preview came")


async def test_silence_is_broken_by_heartbeats(house: House, tmp_path: Path) -> None:
    """R9: whenever nothing happens for a while the stream says that it is alive."""
    await house.build([Hang()])
    pace = sse.Pace(sse.Heartbeat(sse.HEARTBEAT.sent, seconds=0.05))
    async with (
        serving_edge(house.router.target, tmp_path, pace=pace) as edge,
        stream(edge, prompt="a fox") as events,
    ):
        beats = 0
        async for name, data in events:
            beats += name == "heartbeat"
            assert name != "heartbeat" or data == {}
            if beats == 3:
                return


# ── Who leaves ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_a_stream_cancels_the_work(tmp_path: Path) -> None:
    """R10: whoever leaves has the upstream's work cancelled, provably, and nothing is kept."""
    async with slow_edge(tmp_path) as (upstreams, edge):
        async with stream(edge, prompt="a fox") as events:
            async for name, data in events:
                if name == "progress" and data["phase"] == "RUNNING":
                    break
        await until(lambda: [bill["state"] for bill in upstreams.sandbox.billing()] == ["cancelled"])
        assert await edge.house.gallery.page("alice") == []


async def test_leaving_before_the_answer_cancels_the_work(tmp_path: Path) -> None:
    """R10: the same holds where nobody asked to be told while it happens."""
    async with slow_edge(tmp_path) as (upstreams, edge), edge.session() as alice:
        asking = asyncio.create_task(alice.post("/api/generations", json={"prompt": "a fox"}))
        await until(lambda: upstreams.sandbox.billing() or upstreams.sandbox.at_work)
        asking.cancel()
        await until(lambda: [bill["state"] for bill in upstreams.sandbox.billing()] == ["cancelled"])


async def test_leaving_interrupts_a_webui_of_ours(tmp_path: Path) -> None:
    """R10: a webui that nobody else uses is interrupted."""
    async with slow_edge(tmp_path, SD_EXCLUSIVE="true") as (upstreams, edge):
        async with stream(edge, prompt="a fox", model="automatic1111/local") as events:
            async for name, data in events:
                if name == "progress" and data["step"]:
                    break
        await until(lambda: [bill["state"] for bill in upstreams.sandbox.billing()] == ["cancelled"])


class Painting(ScriptedProvider):
    """Shows one preview after another, for ever."""

    async def generate(self, order):  # type: ignore[no-untyped-def]
        self.orders.append(order)
        try:
            for step in itertools.count():
                preview = generation_pb2.Image(data=bytes(200_000), mime_type="image/png")
                order.tell(generation_pb2.PHASE_RUNNING, step=step, preview=preview)
                await asyncio.sleep(0.005)
        finally:
            self.cancelled += 1


async def test_a_reader_who_does_not_read_is_dropped(house: House, tmp_path: Path) -> None:
    """S17: who takes nothing for a while loses the connection, and the work is cancelled; what waits is bounded."""
    await house.build([], kind=Painting)
    pace = sse.Pace(stalled=0.3)
    async with serving_edge(house.router.target, tmp_path, pace=pace) as edge:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(reader.connect, ("127.0.0.1", int(edge.url.rpartition(":")[2])))
            body = b'{"prompt": "a fox"}'
            head = (
                "POST /api/generations HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer ig_alice_EXAMPLE\r\n"
                f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            reader.sendall(head.encode() + body)
            await until(lambda: house.providers["a"].cancelled)


async def test_a_reader_who_reads_slowly_is_not_dropped(house: House, tmp_path: Path) -> None:
    """S17: as long as something is taken the connection stays, however long one event takes."""
    preview = generation_pb2.Image(data=bytes(6_000_000), mime_type="image/png")
    progress = {"phase": generation_pb2.PHASE_RUNNING, "preview": preview}
    await house.build([Telling([progress])])
    async with (
        serving_edge(house.router.target, tmp_path, pace=sse.Pace(stalled=0.25)) as edge,
        edge.session() as alice,
        alice.post("/api/generations", json={"prompt": "a fox"}, headers=STREAM) as answer,
    ):
        whole = b""
        while chunk := await answer.content.read(400_000):
            whole += chunk
            await asyncio.sleep(0.02)
    assert b"event: completed" in whole


# ── What would become of it ──────────────────────────────────────────────────────────────────────────────────────────


async def test_explaining_costs_nothing(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R12: the same body is explained: who would be tried in which order, and who passed over and why."""
    async with edge.session() as alice:
        told = await post(alice, "/api/explain", prompt="a fox", deny_providers=["huggingface"])
    by_name = {f"{each['provider']}/{each['model']}": each for each in told["candidates"]}
    assert by_name["fal/flux-schnell"]["turn"] == 1
    assert by_name["huggingface/flux-schnell"]["skipped"]["reason"] == "NOT_ALLOWED"
    assert not upstreams.sandbox.billing()


@pytest.mark.parametrize("path", ["/api/generations", "/api/explain"])
async def test_a_keys_tier_holds(edge: ServedEdge, path: str) -> None:
    """P12: what a key's tier does not allow is passed over, whatever the body asks for."""
    async with edge.session(BOB) as bob, bob.post(path, json={"prompt": "a fox", "model": "fal/flux-pro"}) as answer:
        told = await answer.json()
    [passed_over] = told["attempts"] if path == "/api/generations" else told["candidates"]
    assert passed_over["skipped"]["reason"] == "NOT_ALLOWED"
