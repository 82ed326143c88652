"""Others' calls while somebody attacks, and what memory our processes take meanwhile (S16, S17, S19, M20 to M22)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from imagegate.testing.system import System
from integration.abuse.stage import MIB, Times, attacked, staged, timed, used

# The kind of attack, and how many connections (of resets: how many on each).
ATTACKS = {"half_heads": 300, "slow_readers": 50, "resets": 20_000, "pings": 4, "half_messages": 50}
# What the router says once such an attack has found its end: of half messages only so many are waited for as fit.
SETTLED: dict[str, Callable[[dict[str, float]], bool]] = {
    "slow_readers": lambda used: not used["calls"] and used["answer_bytes"] > MIB,
    "half_messages": lambda used: 0 < used["calls"] <= 3,
}


async def under_attack(folder: Path, kind: str, rounds: int, calls: int) -> tuple[Times, dict[str, int]]:
    """The times of an honest caller, and the most memory of each process in MiB; both are printed."""
    times = Times()
    async with staged(folder) as system:
        port = int(system.members["router"].address.rpartition(":")[2])
        await timed(port, 50)
        for _ in range(rounds):
            times.quiet.append(await timed(port, calls))
            async with attacked(kind, port, ATTACKS[kind]):
                if kind in SETTLED:  # beginning so many calls at once is load, and no attack
                    await until(system, SETTLED[kind])
                times.loud.append(await timed(port, calls))
            await until(system, lambda used: not any(used.values()))
        memory = {name: member.peak_memory() // MIB for name, member in system.members.items()}
    print(f"\n{kind}: {times}; {memory} MiB")  # noqa: T201
    return times, memory


async def until(system: System, condition: Callable[[dict[str, float]], bool]) -> None:
    """Wait for what the router says of its limits."""
    async with asyncio.timeout(60):
        while not condition(await used(system)):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", ATTACKS)
async def test_others_are_served_whatever_one_does(kind: str, tmp_path: Path) -> None:
    """S16, S17, S19: whatever some connections do, no call of another fails, what was taken is given back, and no
    process takes 512 MiB. How much slower others are is the nightly test's to say: here the machine may be busy.
    """
    times, memory = await under_attack(tmp_path, kind, rounds=1, calls=40)
    assert max(memory.values()) < 512
    assert times.slower < 20


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ATTACKS)
async def test_others_hardly_notice(kind: str, tmp_path: Path) -> None:
    """M20 to M22: the 99th percentile of others' times at most doubles, in the same run (medians of five rounds)."""
    times, memory = await under_attack(tmp_path, kind, rounds=5, calls=200)
    assert max(memory.values()) < 512
    assert times.slower < 2
