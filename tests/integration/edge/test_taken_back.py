"""A key that is taken back while its owner listens."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from imagegate.edge import sse
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.keys import Keyring, hashed
from imagegate.edge.openai.error import error_of
from imagegate.testing.fronted import ALICE, BOB, serving_endpoints

OF_ALICE = f"  - {{user: alice, sha256: {hashed(ALICE)}}}\n"
OF_BOB = f"  - {{user: bob, sha256: {hashed(BOB)}}}\n"
OTHER_RIGHTS = OF_ALICE.replace("alice,", "alice, tier: free,")
# Instead of every ten seconds.
OFTEN = sse.Heartbeat(sse.HEARTBEAT.sent, 0.02)


@dataclass(slots=True)
class Streams:
    """Two streams without an end, one in each family's way of telling of problems, and the keys that there are."""

    keys: str = OF_ALICE + OF_BOB
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def text(self) -> str:
        return f"keys:\n{self.keys}"

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/stream", self.ours, "", tell_problem),
            Endpoint("GET", "/v1/stream", self.theirs, "", tell_problem),
        ]

    async def ours(self, call: Call) -> web.StreamResponse:
        return await sse.respond(call, self._events(), OFTEN)

    async def theirs(self, call: Call) -> web.StreamResponse:
        return await sse.respond(call, self._events(), OFTEN, tell=error_of)

    async def _events(self) -> AsyncGenerator[sse.Event, None]:
        self.open += 1
        try:
            yield sse.Event("begun", {})
            await asyncio.Event().wait()
        finally:
            self.open -= 1
            self.closed.set()


async def next_event(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """The next event's name and data; nothing at the end."""
    name, data = "", ""
    while (line := (await answer.content.readline()).decode()) not in ("\n", ""):
        kind, _, value = line.rstrip("\n").partition(": ")
        name, data = (value, data) if kind == "event" else (name, value)
    return name, data


@pytest.mark.parametrize("keys", [OF_BOB, OTHER_RIGHTS + OF_BOB], ids=["taken back", "other rights"])
@pytest.mark.parametrize("path", ["/api/stream", "/v1/stream"])
async def test_a_key_that_is_taken_back_ends_its_streams(path: str, keys: str) -> None:
    """S21: with the next event or heartbeat, in the family's shape, and what was made for it is stopped; the streams of
    other keys go on.
    """
    streams = Streams()
    async with (
        asyncio.timeout(20),
        serving_endpoints(streams.endpoints(), keyring=Keyring(streams.text)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        session.get(path, headers={"Authorization": f"Bearer {ALICE}"}) as of_alice,
        session.get(path, headers={"Authorization": f"Bearer {BOB}"}) as of_bob,
    ):
        for answer in (of_alice, of_bob):
            assert await next_event(answer) == ("begun", "{}")
            assert await next_event(answer) == ("heartbeat", "{}")
        streams.keys = keys
        while (event := await next_event(of_alice))[0] == "heartbeat":
            pass
        assert event[0] == "error"
        told = json.loads(event[1])
        assert "this key was taken back" in (told["error"]["message"] if "error" in told else told["detail"])
        assert await next_event(of_alice) == ("", "")
        await streams.closed.wait()
        assert streams.open == 1
        assert await next_event(of_bob) == ("heartbeat", "{}")
