"""What every peer is told: how long it waits, whom it asks in which scenario, and for what."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.asking import Ask
from bench.pictures import SAMPLES
from bench.systems import ATTEMPT_SECONDS, DEAD, HAPPY, UPSTREAM_FAULTS

HOST = "127.0.0.1"
PATH = "/v1/images/generations"
SMALL, BIG = SAMPLES
# The behaviours of the upstream that are asked one after the other, by scenario and sample.
BEHAVIOURS: Mapping[tuple[str, str], Sequence[str]] = {
    (HAPPY, SMALL): ["small"],
    (HAPPY, BIG): ["big"],
    **{(fault, SMALL): [fault, "small"] for fault in UPSTREAM_FAULTS},
}
# Peers wait for a first upstream that hangs as long as we do.
HANGING, HANGING_SECONDS = "hanging", ATTEMPT_SECONDS


@dataclass(frozen=True, slots=True)
class Launch:
    """How a peer is started: its command, the variables that it gets, what is written into its folder beforehand, and
    the path that is answered 200 once it works.
    """

    command: Sequence[str]
    environ: Mapping[str, str]
    ready: str
    files: Mapping[str, str] = field(default_factory=dict)


def base_url(upstream: str, behaviour: str) -> str:
    """Where an OpenAI-compatible upstream with this behaviour is; `upstream` is the stand-in's URL."""
    return f"{DEAD if behaviour == 'dead' else f'{upstream}/{behaviour}'}/v1"


def asking(port: int, model: str, headers: Mapping[str, str]) -> Ask:
    """One call for one picture."""
    body = json.dumps({"model": model, "prompt": "a lighthouse at dusk"}).encode()
    return Ask("http", f"http://{HOST}:{port}{PATH}", body, {"Content-Type": "application/json", **headers})


def behaviours() -> Iterator[str]:
    """Every one that is asked, once."""
    yield from dict.fromkeys(each for asked in BEHAVIOURS.values() for each in asked)
