"""Starts the peers that are installed, each in a process of its own."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.peers import litellm, portkey
from bench.peers.launch import HOST
from bench.processes import Events, running
from bench.systems import HAPPY, UPSTREAM_FAULTS, System
from imagegate.testing.rolling import free_ports

PEERS = {each.NAME: each for each in (litellm, portkey)}
HOMES = Path(__file__).parents[3] / "build/peers"
COMPLETE = ".installed"  # written by make when all of a peer is there
START_SECONDS = 180.0  # LiteLLM's proxy takes 10 on a machine that does nothing else
ASK_SECONDS = 5.0


def installed(homes: Path = HOMES) -> Mapping[str, str | None]:
    """The version of each peer; None where it is absent or only half installed."""
    return {
        name: peer.version(homes / name) if (homes / name / COMPLETE).exists() else None for name, peer in PEERS.items()
    }


@asynccontextmanager
async def peer(name: str, folder: Path, upstream: str, homes: Path = HOMES) -> AsyncIterator[System]:
    """Run the peer until the block is left; `upstream` is the stand-in's URL.

    Raises RuntimeError with the last of what it wrote where it does not start.
    """
    own = folder / name
    own.mkdir()
    [port] = free_ports(1)
    launch = PEERS[name].launch(homes / name, own, port, upstream)
    for file, text in launch.files.items():
        (own / file).write_text(text, encoding="utf-8")
    # Of our own environment the path only: a proxy or a key in it would change what is measured.
    environ = {"PATH": os.environ["PATH"], "HOME": str(own), **launch.environ}
    url = f"http://{HOST}:{port}{launch.ready}"

    async def ready(_written: str) -> Events | None:
        return {} if await _answers(url) else None

    async with running(name, launch.command, own, environ, ready, START_SECONDS) as process:
        processes = {scenario: {name: process} for scenario in (HAPPY, *UPSTREAM_FAULTS)}
        yield System(name, processes, PEERS[name].asks(port, upstream))


async def _answers(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(ASK_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.ok
    except (aiohttp.ClientConnectionError, TimeoutError):
        return False
