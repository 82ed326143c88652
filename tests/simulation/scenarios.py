"""The faults that are played, and the assumptions behind every number."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagegate.runtime.errors import Reason
from simulation import cooldown, faults
from simulation.cooldown import Cooldown
from simulation.count_window import CountWindow
from simulation.faults import Fault
from simulation.gateway import Gateway
from simulation.measure import Figures, Ledger
from simulation.ours import ATTEMPT_SECONDS, TYPICAL_SECONDS, Ours
from simulation.replay import CHECK_SECONDS, replay
from simulation.traffic import LONGEST_SECONDS, MEDIAN_SECONDS, P99_SECONDS, PATIENCE_SECONDS, script

CANDIDATES = ("first", "second")
RATES = (0.2, 2.0, 20.0)
# Policies learn what is usual before anything happens.
BEGINS = 600.0
ENDS = 900.0
LONG_OUTAGE_ENDS = 1500.0
LOADING_SECONDS = 40.0
FLAP_OFF, FLAP_ON = 20.0, 40.0
DAY = 86_400.0

POLICIES = ("imagegate", "cooldown", "count window")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault of the first candidate. `fault` makes it for a rate of traffic; `seconds` is how long is played.

    `own_timeouts` gives the baselines the time-outs that they have where nobody sets any, instead of ours.
    """

    name: str
    fault: Callable[[float], Fault]
    seconds: float = 1800.0
    own_timeouts: bool = False


_OUTAGE = ((BEGINS, ENDS),)
_FLAPS = tuple((BEGINS + n * (FLAP_OFF + FLAP_ON), BEGINS + n * (FLAP_OFF + FLAP_ON) + FLAP_OFF) for n in range(10))


def _quarter(rate: float) -> int:
    return max(round(rate * 60 / 4), 1)


SCENARIOS: Sequence[Scenario] = (
    Scenario("dead upstream", lambda _: faults.Dead(_OUTAGE)),
    Scenario("hang", lambda _: faults.Hang(_OUTAGE)),
    Scenario("hang, own time-outs", lambda _: faults.Hang(_OUTAGE), own_timeouts=True),
    Scenario("flapping", lambda _: faults.Failing(_FLAPS), 2400.0),
    Scenario("slow tail ×10", lambda _: faults.SlowTail(), 3600.0),
    Scenario("rate limit, says when", lambda rate: faults.RateLimit(_OUTAGE, _quarter(rate), says_when=True)),
    Scenario("rate limit, silent", lambda rate: faults.RateLimit(_OUTAGE, _quarter(rate), says_when=False)),
    Scenario("cold model", lambda _: faults.Cold(BEGINS, LOADING_SECONDS)),
    Scenario("revoked key", lambda _: faults.Refuses(_OUTAGE, Reason.CREDENTIALS_REJECTED, 401), 2400.0),
    Scenario("rejects everything", lambda _: faults.Refuses(_OUTAGE, Reason.UPSTREAM_REJECTED_INPUT, 400)),
    Scenario("recovery", lambda _: faults.Failing(((BEGINS, LONG_OUTAGE_ENDS),)), 3000.0),
)

ASSUMPTIONS: Sequence[str] = (
    f"Pictures take a lognormal time: half within {MEDIAN_SECONDS:g} s, one in a hundred above {P99_SECONDS:g} s, none "
    f"above {LONGEST_SECONDS:g} s; the catalogue says {TYPICAL_SECONDS[0]:g} to {TYPICAL_SECONDS[1]:g} s. Callers "
    f"arrive at random (Poisson) and leave after {PATIENCE_SECONDS:g} s. All policies get the same ones.",
    f"An attempt gets at most {ATTEMPT_SECONDS:g} s, with every policy. Only in “hang, own time-outs” the baselines "
    f"have what they have where nobody sets any: {cooldown.DEFAULT_TIMEOUT:,.0f} s, and none.",
    "A time-out was cancelled by the upstream's own word, so the next candidate may follow.",
    f"{BEGINS:g} s of health come first. The fault lasts {ENDS - BEGINS:g} s and hits the first candidate only; the "
    "second is always well. Calls under way when it begins are hit too.",
    "Dead: connections are refused. Hang: everything is taken and nothing answered. Flapping: 500 for "
    f"{FLAP_OFF:g} s of every {FLAP_OFF + FLAP_ON:g} s, ten times. Recovery: 500 for {LONG_OUTAGE_ENDS - BEGINS:g} s. "
    "Slow tail: one call in twenty takes ten times as long, all the time; to leave is a false trip.",
    "Rate limit: room for a quarter of the traffic, by the clock minute, and 429 with or without a Retry-After. Cold: "
    f"503 with an estimate; loads for {LOADING_SECONDS:g} s from the first request on, which a free check every "
    f"{CHECK_SECONDS:g} s sees. Revoked key: 401; a free check once a minute shows that the new one is taken. "
    "Rejects everything: 400.",
    "The baselines are written from what LiteLLM and resilience4j publish, with their defaults, and with a fallback to "
    "the second candidate after every failure.",
)


def play(scenario: Scenario, policy: str, candidates: int, rate: float, seed: int) -> Figures:
    """The figures of one policy in one cell."""
    fault = scenario.fault(rate)
    upstreams: dict[str, Fault] = {CANDIDATES[0]: fault}
    if candidates > 1:
        upstreams[CANDIDATES[1]] = faults.Well()
    gateway = _gateway(policy, list(upstreams), scenario, random.Random(seed))  # noqa: S311 it must repeat
    ledger = Ledger(CANDIDATES[0])
    replay(script(rate, scenario.seconds, seed), gateway, upstreams, ledger)
    return ledger.figures(fault.begins, fault.ends)


def _gateway(policy: str, candidates: Sequence[str], scenario: Scenario, rng: random.Random) -> Gateway:
    match policy:
        case "cooldown":
            timeout = cooldown.DEFAULT_TIMEOUT if scenario.own_timeouts else ATTEMPT_SECONDS
            return Cooldown(candidates, timeout, rng)
        case "count window":
            return CountWindow(candidates, math.inf if scenario.own_timeouts else ATTEMPT_SECONDS)
        case _:
            return Ours(candidates, rng)
