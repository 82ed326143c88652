"""Our processes, an attacker beside them, and an honest caller whose time is taken."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import grpc

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.testing.system import System, system
from imagegate.v1 import generation_pb2, generation_pb2_grpc

HERE = Path(__file__).parent
CONFIG = """
providers:
  still: {target: "127.0.0.1:1"}
routes:
  default: [still/picture]
"""
MIB = 1024 * 1024


@dataclass(slots=True)
class Times:
    """How long calls took, in seconds, undisturbed and disturbed, round by round."""

    quiet: list[list[float]] = field(default_factory=list)
    loud: list[list[float]] = field(default_factory=list)

    def __str__(self) -> str:
        quiet, loud = p99(self.quiet), p99(self.loud)
        return f"p99 {quiet * 1000:.1f} ms undisturbed, {loud * 1000:.1f} ms disturbed: {loud / quiet:.2f} x"

    @property
    def slower(self) -> float:
        """How many times the undisturbed p99 the disturbed one is."""
        return p99(self.loud) / p99(self.quiet)


def p99(rounds: list[list[float]]) -> float:
    """The median of the rounds' 99th percentiles."""
    return median(sorted(times)[round(len(times) * 0.99) - 1] for times in rounds)


@asynccontextmanager
async def staged(folder: Path, **environ: str) -> AsyncIterator[System]:
    """A router in front of the provider `still`, as processes."""
    config = folder / "router.yaml"
    config.write_text(CONFIG)
    own = {"IMAGEGATE_CONFIG": str(config), "PYTHONPATH": str(HERE / "outside")}
    async with system({**own, **environ}, providers=["still"]) as running:
        yield running


async def used(system: System, member: str = "router") -> dict[str, float]:
    """How much of each limit is used, as the process itself tells."""
    found = re.findall(r'^imagegate_limit_used{limit="(\w+)"} (\S+)$', await system.metrics(member), re.MULTILINE)
    return {name: float(value) for name, value in found}


@asynccontextmanager
async def attacked(kind: str, port: int, number: int) -> AsyncIterator[None]:
    """While an attacker is at it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "attacker.py"), kind, str(port), str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(HERE.parent.parent)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"ready\n"
        yield
        assert process.returncode is None
    finally:
        process.stdin.close()
        await process.wait()


async def timed(port: int, calls: int) -> list[float]:
    """How long calls of an honest caller take, one after the other."""
    times = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=MESSAGE_OPTIONS) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        for number in range(calls + 5):
            began = perf_counter()
            answer = await stub.Generate(generation_pb2.GenerateRequest(prompt="a fox"), timeout=30)
            assert answer.images[0].size_bytes > MIB
            if number >= 5:  # the first ones connect
                times.append(perf_counter() - began)
    return times
