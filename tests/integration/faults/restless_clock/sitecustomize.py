"""Python imports this at its start where it finds it: the router's wall clock then jumps an hour at every reading.

Its own readings alone: gRPC reads the clock in Python and compares it in C, where this does not reach.
"""

import itertools
import sys
import time

_true_time, _jumps = time.time, itertools.cycle((3600.0, -3600.0, 0.0))


def _jump() -> float:
    reader = sys._getframe(2).f_globals.get("__name__", "")
    return next(_jumps) if reader.startswith("imagegate.router.") else 0.0


def _restless_time() -> float:
    return _true_time() + _jump()


def _restless_time_ns() -> int:
    return round((_true_time() + _jump()) * 1e9)


time.time, time.time_ns = _restless_time, _restless_time_ns
