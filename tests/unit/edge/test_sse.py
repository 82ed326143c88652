"""Server-Sent Events as they go over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from imagegate.edge.sse import Event, encoded, with_heartbeats


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\n", "\r", "é", "🦊"])
def test_a_text_never_tears_an_event_apart(sign: str) -> None:
    """S26: whatever stands in a text, an event has one line of data, and it is the JSON that was meant."""
    lines = encoded(Event("progress", {"prompt": f"a{sign}b"})).decode()
    name, data, end = lines.split("\n", 2)
    assert (name, end) == ("event: progress", "\n")
    assert json.loads(data.removeprefix("data: ")) == {"prompt": f"a{sign}b"}


def test_a_text_of_several_lines_stays_one() -> None:
    """A text is sent line by line, and none of its lines can begin another event; without a name it is a message."""
    assert encoded(Event("", "[DONE]")) == b"data: [DONE]\n\n"
    assert encoded(Event("", "one\r\nevent: two\r\r")) == b"data: one\ndata: event: two\ndata: \ndata: \n\n"


async def test_silence_is_told_and_an_end_ends() -> None:
    """R9: None comes whenever nothing else did for a while, and nothing is lost by it."""
    go_on = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2

    told: list[int | None] = []
    async for item in with_heartbeats(items(), 0.01):
        told.append(item)
        if told.count(None) == 2:
            go_on.set()
    assert [item for item in told if item] == [1, 2]
