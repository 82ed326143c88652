"""`make soak`: thousands of pictures, some given up by their callers and some out of time, and what is left of them."""

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import grpc
import uvloop

from bench import chart
from bench.about import about
from bench.cells import BIG, IMAGEGATE
from bench.growth import TO_PICTURE, Figures, Judged, Left
from bench.passthrough import METHOD
from bench.pictures import SAMPLES
from bench.processes import Running, open_files, usage
from bench.systems import HAPPY, System, ours, upstream
from imagegate.runtime import memory
from imagegate.runtime.channels import MESSAGE_OPTIONS

MIB = 1024 * 1024
SAMPLE = BIG
CALLERS = 16
TIMEOUT_SECONDS = 60.0
# Of all calls: given up by their callers while they are under way, and given less time than a picture takes.
CANCELLED, LATE = 0.3, 0.1
# A picture takes some tens of milliseconds here.
CANCELLED_AFTER_SECONDS = (0.0, 0.04)
LATE_SECONDS = (0.001, 0.01)
LOOKS = 300
QUIET_SECONDS = 60.0


class Soak:
    """Calls of all three kinds, by a number of callers at a time, and a look at memory now and then."""

    def __init__(self, system: System, chance: random.Random, pictures: int) -> None:
        self._ask = system.asks[HAPPY, SAMPLE]
        self._chance = chance
        self._pictures = pictures
        self._processes = system.processes[HAPPY]
        self._begun = 0
        self.ended: Counter[str] = Counter()
        self.memory: dict[str, list[tuple[float, float]]] = {name: [] for name in self._processes}

    async def run(self) -> None:
        """Every picture."""
        async with grpc.aio.insecure_channel(self._ask.target, options=MESSAGE_OPTIONS) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            await asyncio.gather(*(self._caller(call) for _ in range(CALLERS)))

    async def _caller(self, call: Any) -> None:
        while self._begun < self._pictures:
            self._begun += 1
            if self._begun % max(self._pictures // LOOKS, 1) == 0:
                self._look()
            self.ended[await self._one(call)] += 1

    async def _one(self, call: Any) -> str:
        kind = self._chance.random()
        if kind < LATE:
            return await self._outcome(call(self._ask.body, timeout=self._chance.uniform(*LATE_SECONDS)))
        calling = call(self._ask.body, timeout=TIMEOUT_SECONDS)
        if kind < LATE + CANCELLED:
            asyncio.get_running_loop().call_later(self._chance.uniform(*CANCELLED_AFTER_SECONDS), calling.cancel)
        return await self._outcome(calling)

    async def _outcome(self, calling: Any) -> str:
        try:
            answer = await calling
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        except asyncio.CancelledError:
            if not calling.cancelled():
                raise
            return "CANCELLED"
        return "OK" if len(answer) > len(SAMPLES[SAMPLE].png) else "TOO SMALL"

    def _look(self) -> None:
        for name, process in self._processes.items():
            self.memory[name].append((self._begun, usage(process.pid).resident_bytes / MIB))


async def left(process: Running) -> Left:
    """What it holds now, by its own metrics and the system's."""
    async with aiohttp.ClientSession() as session, session.get(process.metrics_url) as answer:
        told = await answer.text()
    tasks = re.search(r"^imagegate_tasks (\S+)$", told, re.MULTILINE)
    if tasks is None:
        raise RuntimeError(f"{process.name} does not tell its tasks")
    return Left(open_files(process.pid), int(float(tasks[1])))


async def left_at_rest(process: Running, before: Left) -> Left:
    """What is held once calls have ended, which takes a moment; if it does not go, what is held then."""
    held = await left(process)
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            while held.tasks > before.tasks or held.files > before.files:
                await asyncio.sleep(0.5)
                held = await left(process)
    return held


@dataclass(frozen=True, slots=True)
class Round:
    """One round: how its calls ended, and by process its figures and its memory by pictures."""

    seed: int
    ended: Counter[str]
    figures: Mapping[str, Figures]
    memory: Mapping[str, Sequence[tuple[float, float]]]

    @property
    def is_honest(self) -> bool:
        """Whether calls ended as they should."""
        return self.ended.keys() <= {"OK", "CANCELLED", "DEADLINE_EXCEEDED"}

    def told(self) -> dict[str, Any]:
        """For the document."""
        processes = [{**asdict(each), "mib_by_picture": self.memory[name]} for name, each in self.figures.items()]
        return {"seed": self.seed, "ended": self.ended, "processes": processes}


async def soaked(pictures: int, seed: int) -> Round:
    """One round, with processes of its own."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="imagegate-soak-")))
        behind = await stack.enter_async_context(upstream(folder))
        systems = await stack.enter_async_context(ours(folder, f"http://{behind.address}", with_faults=False))
        system = next(each for each in systems if each.name == IMAGEGATE)
        chance = random.Random(seed)  # noqa: S311 - the same calls again
        await Soak(system, chance, pictures=CALLERS * 4).run()  # connections stay from now on
        processes = system.processes[HAPPY]
        before = {name: await left(process) for name, process in processes.items()}
        soaking = Soak(system, chance, pictures)
        await soaking.run()
        after = {name: await left_at_rest(process, before[name]) for name, process in processes.items()}
    figures = {name: Figures.of(name, soaking.memory[name], before[name], after[name]) for name in processes}
    return Round(seed, soaking.ended, figures, soaking.memory)


def keep(rounds: Sequence[Round], out: Path) -> None:
    """Write down what there is so far, with a chart."""
    out.mkdir(parents=True, exist_ok=True)
    document = {"about": about(), "rounds": [each.told() for each in rounds]}
    (out / "soak.json").write_text(json.dumps(document), encoding="utf-8")
    lines = {f"{name}, seed {each.seed}": points for each in rounds for name, points in each.memory.items()}
    chart.over_pictures(lines, "Resident memory", out / "soak.svg")


async def soak(asked: argparse.Namespace) -> int:
    """Run all rounds, print and keep the figures; 1 where something is left behind, failed or goes on growing."""
    rounds: list[Round] = []
    for seed in range(asked.seed, asked.seed + asked.rounds):
        rounds.append(await soaked(asked.pictures, seed))
        print(f"{asked.pictures:,} pictures of {SAMPLE}, {CALLERS} callers, seed {seed}: {dict(rounds[-1].ended)}")  # noqa: T201
        for figures in rounds[-1].figures.values():
            print(f"  {figures}", flush=True)  # noqa: T201
        keep(rounds, asked.out)
    judged = [Judged([each.figures[name] for each in rounds]) for name in rounds[0].figures]
    print(f"{asked.rounds} rounds, medians (least to greatest)", *judged, sep="\n  ")  # noqa: T201
    return int(any(each.is_bad for each in judged) or not all(each.is_honest for each in rounds))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--pictures", type=int, default=30_000, help="30,000; at least as many as are compared")
    parser.add_argument("--rounds", type=int, default=5, help="whose medians count (5)")
    parser.add_argument("--seed", type=int, default=1, help="of which calls are given up, and when, in round one (1)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where figures are kept (build/bench)")
    asked = parser.parse_args(arguments)
    if asked.pictures < TO_PICTURE:
        parser.error(f"memory is compared up to picture {TO_PICTURE:,}")
    if asked.rounds < 1:
        parser.error("there is nothing to compare without a round")
    memory.tune()
    return uvloop.run(soak(asked))


if __name__ == "__main__":
    sys.exit(main())
