"""Others' calls while somebody attacks, and what memory our processes take meanwhile (S16, S17, S19, M20 to M22)."""

from pathlib import Path

import pytest

from integration.abuse.stage import MIB, Times, attacked, staged, timed

# The kind of attack, and how many connections (of resets: how many on each).
ATTACKS = {"half_heads": 300, "slow_readers": 50, "resets": 20_000, "pings": 4, "half_messages": 50}


async def under_attack(folder: Path, kind: str, rounds: int, calls: int) -> tuple[Times, dict[str, int]]:
    """The times of an honest caller, and the most memory of each process in MiB."""
    times = Times()
    async with staged(folder) as system:
        port = int(system.members["router"].address.rpartition(":")[2])
        await timed(port, 50)
        for _ in range(rounds):
            times.quiet.append(await timed(port, calls))
            async with attacked(kind, port, ATTACKS[kind]):
                times.loud.append(await timed(port, calls))
        return times, {name: member.peak_memory() // MIB for name, member in system.members.items()}


@pytest.mark.parametrize("kind", ATTACKS)
async def test_others_hardly_notice(kind: str, tmp_path: Path) -> None:
    """S16, S17, S19: whatever one connection does, others get their pictures, and memory has a bound."""
    times, memory = await under_attack(tmp_path, kind, rounds=1, calls=100)
    print(f"{kind}: {times}; {memory} MiB")  # noqa: T201
    assert max(memory.values()) < 512
