"""`make bench`: imagegate beside a bare pass-through, and beside the peers that `make bench-peers` has installed."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import tables
from bench import chart, report
from bench.about import about
from bench.cells import contests
from bench.goals import GOALS, SHORT_GOALS
from bench.measuring import Rounds, WrongPictureError
from bench.peers.running import installed, peer
from bench.pictures import SAMPLES
from bench.processes import conversing, environment, python
from bench.systems import ours, upstream

CALLERS = (1, 16, 64)
SHORT_SYSTEMS = ("bare", "imagegate")


def say(line: str) -> None:
    """How far it is, which is no result."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


async def measure(asked: argparse.Namespace) -> int:
    """Measure, print and keep the figures; 1 where a limit is not kept."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="imagegate-bench-")))
        behind = await stack.enter_async_context(upstream(folder))
        url = f"http://{behind.address}"
        systems = {each.name: each for each in await stack.enter_async_context(ours(folder, url))}
        peers = {} if asked.short else installed()
        for name in filter(peers.get, peers):
            systems[name] = await stack.enter_async_context(peer(name, folder, url))
        callers = await stack.enter_async_context(conversing(*python("bench.callers"), environ=environment()))
        taking_part = [each for each in systems if not asked.short or each in SHORT_SYSTEMS]
        planned = list(contests(taking_part, (16,) if asked.short else CALLERS, with_faults=not asked.short))
        rounds = Rounds(callers, systems, behind.pid, say)
        measured = await rounds.run(planned, asked.rounds, asked.seconds)
    judgements = [goal.judge(measured) for goal in (SHORT_GOALS if asked.short else GOALS)]
    told = about() | {name: version or "absent (make bench-peers)" for name, version in peers.items()}
    print("\n".join(f"{name}: {value}" for name, value in told.items()))  # noqa: T201
    for rows in (report.cell_rows(measured), report.goal_rows(judgements)):
        print(f"\n{(tables.markdown if asked.markdown else tables.plain)(rows)}")  # noqa: T201
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "bench.json").write_text(json.dumps(report.document(told, measured, judgements)), encoding="utf-8")
    chart.by_system(measured, list(SAMPLES), asked.out / "bench.svg")
    say(f"everything is in {asked.out}/bench.json, a chart in {asked.out}/bench.svg")
    return int(any(each.decides for each in judgements) or measured.wrong(but_of=peers) > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each contestant in each case and round (2)")
    parser.add_argument("--short", action="store_true", help="75 seconds, without faults and peers; wider limits")
    parser.add_argument("--markdown", action="store_true", help="tables for a README")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where figures are kept (build/bench)")
    try:
        return asyncio.run(measure(parser.parse_args(arguments)))
    except (WrongPictureError, RuntimeError) as error:
        say(f"no figures: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
