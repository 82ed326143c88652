"""The edge as its operators run it: a process, its ports, its keys, its end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from imagegate.client.key import as_document, entry
from imagegate.client.process import EDGE_LISTENING, Process
from imagegate.runtime.bearer import new_key
from imagegate.testing import fronted
from imagegate.testing.system import Member, system

SECONDS = 60.0


def environ(data: Path, **changes: str) -> dict[str, str]:
    """Free ports, and a router that is not there."""
    own = {
        "PATH": os.environ["PATH"],
        "IMAGEGATE_DATA": str(data),
        "IMAGEGATE_ROUTER": "127.0.0.1:1",
        "IMAGEGATE_PORT": "0",
        "IMAGEGATE_HTTP_PORT": "0",
        "IMAGEGATE_EDGE_PORT": "0",
        "IMAGEGATE_DRAIN_SECONDS": "0",
        "IMAGEGATE_GRACE_SECONDS": "1",
    }
    return own | changes


@asynccontextmanager
async def edge(own: Mapping[str, str]) -> AsyncIterator[Member]:
    """The edge alone; killed at the end if it still runs."""
    lines: list[str] = []
    process = await Process.start("edge", ["-m", "imagegate.edge"], own, lambda _, line: lines.append(line))
    try:
        async with asyncio.timeout(SECONDS):
            web = await process.listening(EDGE_LISTENING)
            rest = await process.listening()
        yield Member(process, f"http://127.0.0.1:{web['http']}", f"http://127.0.0.1:{rest['http']}", lines)
    finally:
        process.signal(signal.SIGKILL)
        await process.ended()


async def status(url: str, key: str = "") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status


async def cannot_start(own: Mapping[str, str]) -> str:
    """The one line that the edge ends with, with exit code 2."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imagegate.edge"), env=own, stderr=asyncio.subprocess.PIPE
    )
    _, told = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 2
    assert told.count(b"\n") == 1
    return told.decode()


async def test_it_is_ready_without_a_router_and_ends_when_told(tmp_path: Path) -> None:
    """R12: readiness never depends on who is behind it; SIGTERM ends it with exit code 0, and nothing is thrown."""
    async with edge(environ(tmp_path, IMAGEGATE_EDGE_KEYS=fronted.KEYS)) as member:
        for path in ("/livez", "/readyz", "/openapi.json"):
            assert await status(f"{member.address}{path}") == 200
        for path in ("/livez", "/readyz", "/metrics"):
            assert await status(f"{member.http}{path}") == 200
        member.process.signal(signal.SIGTERM)
        ended = await asyncio.wait_for(member.process.ended(), SECONDS)
        assert "exit code 0" in str(ended)
        assert not [line for line in member.lines if "Traceback" in line or '"error"' in line]


async def test_a_key_is_added_and_taken_away_while_it_serves(tmp_path: Path) -> None:
    """P12: a changed file is taken without a restart; one that cannot be used changes nothing, and a gauge says so."""
    old, new, file = new_key(), new_key(), tmp_path / "keys.yaml"
    file.write_text(as_document(entry(old, "alice")))
    async with edge(environ(tmp_path / "data", IMAGEGATE_EDGE_KEYS_FILE=str(file))) as member:
        me = f"{member.address}/api/me"
        assert (await status(me, old), await status(me, new)) == (200, 401)
        file.write_text(as_document(entry(new, "alice", note="the next one")))
        assert (await status(me, old), await status(me, new)) == (401, 200)
        file.write_text("keys: nonsense")
        assert await status(me, new) == 200
        shown = await metrics(member)
        assert "imagegate_config_last_reload_ok 0.0" in shown
        assert "imagegate_config_info{hash=" in shown
        file.write_text(as_document(entry(new, "alice")))
        assert "imagegate_config_last_reload_ok 1.0" in await metrics(member)


async def metrics(member: Member) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{member.http}/metrics") as answer:
        return await answer.text()


async def test_calls_are_counted_by_route_and_status(tmp_path: Path) -> None:
    """The labels are routes of the table, never addresses that callers make up."""
    async with edge(environ(tmp_path, IMAGEGATE_EDGE_KEYS=fronted.KEYS)) as member:
        assert await status(f"{member.address}/api/me", fronted.ALICE) == 200
        assert await status(f"{member.address}/uploads/images/user-alice/made-up", fronted.ALICE) == 404
        shown = await metrics(member)
    assert 'imagegate_requests_total{code="200",method="GET /api/me"} 1.0' in shown
    assert "made-up" not in shown
    assert "imagegate_build_info{" in shown
    assert "gRPC calls answered" not in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"IMAGEGATE_EDGE_KEYS": "", "IMAGEGATE_BIND": "0.0.0.0"}, ["IMAGEGATE_EDGE_KEYS", "imagegate key"]),
        ({"IMAGEGATE_EDGE_KEYS": "keys: [{user: a, sha256: secret}]"}, ["IMAGEGATE_EDGE_KEYS", "sha256"]),
        ({"IMAGEGATE_EDGE_KEYS": "", "IMAGEGATE_EDGE_KEYS_FILE": "/nowhere"}, ["IMAGEGATE_EDGE_KEYS_FILE", "/nowhere"]),
        ({"IMAGEGATE_EDGE_PORT": "http"}, ["IMAGEGATE_EDGE_PORT"]),
        ({"IMAGEGATE_EDGE_DATABASE": "mysql://a"}, ["IMAGEGATE_EDGE_DATABASE"]),
        ({"IMAGEGATE_DATA": "/proc/nowhere"}, ["IMAGEGATE_DATA", "/proc/nowhere"]),
        ({"IMAGEGATE_ADMIN": "http://router:50052"}, ["IMAGEGATE_ADMIN", "HOST:PORT"]),
        ({"IMAGEGATE_ROUTER": "http://router:50051"}, ["IMAGEGATE_ROUTER", "HOST:PORT"]),
    ],
)
async def test_what_is_wrong_is_one_sentence(tmp_path: Path, changes: dict[str, str], words: list[str]) -> None:
    """R10: exit code 2, the variable, the remedy, and none of what is secret."""
    told = await cannot_start(environ(tmp_path, **{"IMAGEGATE_EDGE_KEYS": fronted.KEYS} | changes))
    assert "secret" not in told
    for word in words:
        assert word in told


async def test_a_system_may_have_one(tmp_path: Path) -> None:
    """The twin of the whole system starts an edge where a test asks for it."""
    async with system(edge_data=tmp_path) as everything:
        assert await status(f"{everything.members['edge'].address}/api/me", fronted.ALICE) == 200
        assert (tmp_path / "edge.sqlite").exists()
