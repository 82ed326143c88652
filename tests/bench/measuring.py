"""Rounds: each contestant for a moment, in turn, with what its processes used meanwhile."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from os import getpid

from bench.asking import Ask
from bench.cells import Case, Cell, Contestant, Measured, percentile, rotated
from bench.pictures import SAMPLES, Sample
from bench.processes import Conversation, Running, Usage, machine_seconds, usage
from bench.systems import System
from imagegate.v1 import generation_pb2

MIB = 1024 * 1024
# A cell is measured again, so often at most, where other processes took more than so much of a core.
NOISY_FOREIGN = 0.25
NOISY_TRIES = 3
# Before each cell: its connections are open and its breakers know what they know.
WARM_UP_SHARE = 0.2


class WrongPictureError(Exception):
    """A contestant does not deliver the picture."""


async def probe(callers: Conversation, contestant: Contestant, ask: Ask, sample: Sample) -> None:
    """One call, whose picture has to be the upstream's. Raises WrongPictureError."""
    said = await callers.ask(ask=ask.plain())
    if ask.fails:
        if not said["problem"]:
            raise WrongPictureError(f"{contestant} delivers where nobody could")
        return
    digest = sha256(_picture(ask, b64decode(said["answer"]))).hexdigest() if said["answer"] else said["problem"]
    if digest != sample.digest:
        raise WrongPictureError(f"{contestant} delivers another picture of {sample.name}: {digest}")


def _picture(ask: Ask, answer: bytes) -> bytes:
    if ask.protocol == "grpc":
        return generation_pb2.GenerateResponse.FromString(answer).images[0].data
    return b64decode(json.loads(answer)["data"][0]["b64_json"])


class Rounds:
    """Measures; `upstream` is the process id of the upstream's stand-in, `say` hears how far it is."""

    def __init__(
        self, callers: Conversation, systems: Mapping[str, System], upstream: int, say: Callable[[str], None]
    ) -> None:
        self._callers = callers
        self._systems = systems
        self._upstream = upstream
        self._say = say
        self.measured = Measured()

    async def run(self, contests: Sequence[tuple[Case, Sequence[Contestant]]], rounds: int, seconds: float) -> Measured:
        """All contests, round after round; the first one is not counted. Raises WrongPictureError."""
        for number in range(rounds + 1):
            for case, contestants in contests:
                for contestant in rotated(contestants, number):
                    ask = self._systems[contestant.system].asks[contestant.scenario, case.sample]
                    if number == 0:
                        await probe(self._callers, contestant, ask, SAMPLES[case.sample])
                    cell = await self._cell(contestant, ask, case, seconds)
                    if number:
                        self.measured.add(case, contestant, cell)
                self._say(f"round {number or '0 (not counted)'} of {rounds}: {case}")
        return self.measured

    async def _cell(self, contestant: Contestant, ask: Ask, case: Case, seconds: float) -> Cell:
        processes = self._systems[contestant.system].processes[contestant.scenario]
        tried: list[Cell] = []
        while not tried or (tried[-1].foreign > NOISY_FOREIGN and len(tried) < NOISY_TRIES):
            tried.append(await self._once(processes, ask, case, seconds))
        return min(tried, key=lambda cell: cell.foreign)

    async def _once(self, processes: Mapping[str, Running], ask: Ask, case: Case, seconds: float) -> Cell:
        least = 0 if ask.fails else len(SAMPLES[case.sample].png)
        told = {"ask": ask.plain(), "callers": case.callers, "least": least}
        await self._callers.ask(**told, seconds=seconds * WARM_UP_SHARE)
        behind, known, machine = usage(self._upstream).cpu_seconds, _own_seconds(), machine_seconds()
        before = _usages(processes)
        said = await self._callers.ask(**told, seconds=seconds)
        after = _usages(processes)
        behind = usage(self._upstream).cpu_seconds - behind
        foreign = (machine_seconds() - machine) - (_own_seconds() - known)
        times = [each * 1000 for each in said["times"]]
        return Cell(
            pictures_per_second=len(times) / said["seconds"],
            p50=percentile(times, 0.50),
            p99=percentile(times, 0.99),
            calls=len(times),
            wrong=said["wrong"],
            cpu_ms={name: (after[name].cpu_seconds - before[name].cpu_seconds) * 1000 / len(times) for name in before},
            faults={name: (after[name].minor_faults - before[name].minor_faults) / len(times) for name in before},
            resident_mib={name: after[name].resident_bytes / MIB for name in before},
            foreign=foreign / said["seconds"],
            upstream=behind / said["seconds"],
        )


def _own_seconds() -> float:
    """Of this process and everything that it has started, which is everybody who takes part."""
    return usage(getpid()).cpu_seconds


def _usages(processes: Mapping[str, Running]) -> Mapping[str, Usage]:
    return {name: usage(process.pid) for name, process in processes.items()}
