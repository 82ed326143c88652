"""The benchmark in its short form."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SECONDS = 240.0


@pytest.mark.timeout(SECONDS + 30)
async def test_the_router_stays_near_the_bare_pass_through(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In two minutes the benchmark shows every picture unharmed, the router at most twice as dear as the bare one, and
    under a hundred page faults per picture: what a change must have gone far astray to break.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--short", f"--out={tmp_path}"),
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = (each.decode() for each in await asyncio.wait_for(process.communicate(), SECONDS))
    record_property("figures", printed.partition("\ngoal ")[2])
    assert process.returncode == 0, printed + errors
    assert (tmp_path / "bench.json").stat().st_size
    assert "<svg" in (tmp_path / "bench.svg").read_text(encoding="utf-8")
