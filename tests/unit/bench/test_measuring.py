"""What is read off the machine while somebody is measured."""

import sys
from os import getpid

from bench.asking import Ask
from bench.cells import SMALL, Case, Contestant
from bench.measuring import Rounds
from bench.processes import conversing, environment
from bench.systems import HAPPY, System

SECONDS = 0.2
# Callers who do nothing but keep a core busy, and tell that every call fails.
BUSY = f"""
import json, sys, time
for line in sys.stdin:
    end = time.process_time() + ({SECONDS} if "seconds" in json.loads(line) else 0)
    while time.process_time() < end:
        pass
    print(json.dumps({{"answer": "", "problem": "no", "times": [1], "wrong": 0, "seconds": {SECONDS}}}), flush=True)
"""


async def test_who_takes_part_is_not_foreign_and_not_counted_twice() -> None:
    """Work of the harness's own processes is taken off what the machine did once: what is left is not negative."""
    systems = {"own": System("own", {HAPPY: {}}, {(HAPPY, SMALL): Ask("grpc", "", b"", fails=True)})}
    case = Case(HAPPY, SMALL, 1)
    async with conversing(sys.executable, "-c", BUSY, environ=environment()) as callers:
        rounds = Rounds(callers, systems, getpid(), lambda _: None)
        measured = await rounds.run([(case, [Contestant("own", HAPPY)])], rounds=1, seconds=1)
    [cell] = measured.of(case, "own")
    assert cell.foreign > -0.5  # of a core; ticks are a hundredth of a second
    assert cell.calls == 1
