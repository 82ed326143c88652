"""The stand-in of every upstream, as a process: static answers, so that only what is before it costs.

The first part of a path says how it behaves: `small` and `big` answer with that picture, `webui` with the one whose
width is asked for, `refusing` with 503, and `hanging` never.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable

import uvloop

from bench.pictures import SAMPLES
from imagegate.runtime import memory

SMALL, BIG = SAMPLES.values()
# What a webui is asked before its first picture.
LISTS = {
    "samplers": [{"name": "Euler a", "aliases": ["k_euler_a"], "options": {}}],
    "schedulers": [{"name": "automatic", "label": "Automatic"}],
    "sd-models": [{"title": "bench.safetensors", "model_name": "bench", "hash": None, "sha256": None}],
    "options": {"sd_model_checkpoint": "bench.safetensors"},
    "loras": [],
}
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def answer(status: str, body: bytes) -> bytes:
    """A whole HTTP answer with JSON in it."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REFUSAL = answer("503 Service Unavailable", b'{"error": "Service Unavailable"}')
NOT_FOUND = answer("404 Not Found", b'{"detail": "Not Found"}')
OPENAI = {"small": answer("200 OK", SMALL.openai), "big": answer("200 OK", BIG.openai)}
WEBUI = {each.width: answer("200 OK", each.webui) for each in (SMALL, BIG)}
LISTED = {f"/webui/sdapi/v1/{name}": answer("200 OK", json.dumps(what).encode()) for name, what in LISTS.items()}


def answer_to(method: str, path: str, body: bytes) -> bytes:
    """What is sent back; nothing where nothing ever is."""
    behaviour = path.split("/")[1]
    if method != "POST":
        return LISTED.get(path, NOT_FOUND)
    if behaviour == "webui":
        return WEBUI[json.loads(body)["width"]]
    if behaviour == "hanging":
        return b""
    return OPENAI.get(behaviour, REFUSAL)


class Upstream(asyncio.Protocol):
    """One connection, on which requests come one after the other."""

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers go there."""
        self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]  # of a stream it has one

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._write(answer_to(method, path, bytes(self._received[end + 4 : whole])))
            del self._received[:whole]


async def main() -> None:
    """Serve until the process is ended; the first line tells the port, as a log of ours does."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    sys.stdout.write(f"{json.dumps({'event': 'listening', 'http': server.sockets[0].getsockname()[1]})}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    memory.tune()
    uvloop.run(main())
