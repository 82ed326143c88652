"""The benchmark in its short form."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# It takes one and a quarter minutes, and repeats what a busy machine disturbs.
SECONDS = 240.0
END_SECONDS = 60.0
# A machine that is busy all the while proves nothing: then it is run again.
RUNS = 3


async def benchmark(out: Path) -> tuple[int | None, str]:
    """The exit code of `python -m bench --short` (None: it took too long), and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--short", f"--out={out}"),
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printing = asyncio.create_task(process.communicate())
    done, _ = await asyncio.wait((printing,), timeout=SECONDS)
    if not done:
        process.send_signal(signal.SIGINT)  # by which it ends what it has started
        await asyncio.wait((printing,), timeout=END_SECONDS)
        if process.returncode is None:
            process.kill()
        return None, (await printing)[0].decode()
    return process.returncode, printing.result()[0].decode()


@pytest.mark.timeout(RUNS * (SECONDS + END_SECONDS) + END_SECONDS)
async def test_the_short_benchmark_keeps_its_limits(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every picture arrives unharmed; the router takes at most twice the CPU of the bare pass-through."""
    for run in range(RUNS):
        out = tmp_path / str(run)
        code, printed = await benchmark(out)
        record_property("figures", printed)
        if code is not None:
            cells = json.loads((out / "bench.json").read_text(encoding="utf-8"))["cells"] if out.exists() else ()
            assert cells, printed
            assert not sum(round_["wrong"] for cell in cells for round_ in cell["rounds"]), printed
        if code == 0:
            break
    assert code == 0, printed
    assert "<svg" in (out / "bench.svg").read_text(encoding="utf-8")
