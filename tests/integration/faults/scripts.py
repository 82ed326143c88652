"""Made-up scripts: who is asked, how it pays, what every upstream does wrong, and whether the caller leaves."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.sandbox.app import Pace

from .rows import FAL, HF, WEBUI
from .spoiling import PICTURE, RESULT, STATUS, Rule, submission

CANCEL = {"upstream": FAL, "method": "PUT"}
# Seconds of an attempt where another follows, and of a whole request.
ATTEMPT, DEADLINE = 0.6, 2.5


@dataclass(frozen=True)
class Script:
    """One request and what it meets. `leaves_after` is in seconds, None for a caller who stays."""

    payment: str
    upstreams: Sequence[str]
    rules: Sequence[Rule]
    pace: Pace
    count: int
    leaves_after: float | None


def script(dice: random.Random) -> Script:
    """A script, by chance.

    It keeps to what "Paying once" takes for granted: an upstream that itself says no, or tells an error, made nothing.
    """
    upstreams = dice.sample((HF, FAL, WEBUI), dice.randint(1, 3))
    return Script(
        dice.choice(["UNSPECIFIED", "PAY_ONCE", "PAY_ONCE", "AVAILABLE"]),
        upstreams,
        [rule for upstream in upstreams for rule in _trouble(upstream, dice)],
        Pace(
            huggingface=dice.choice([0.0, 0.0, 0.3]),
            fal_queue=dice.choice([0.0, 0.05]),
            fal_run=dice.choice([0.0, 0.05, 0.3, 0.8]),
            automatic1111_step=0.0,
        ),
        dice.choice([1, 1, 1, 2]),
        dice.uniform(0.0, 1.0) if dice.random() < 0.2 else None,
    )


def _trouble(upstream: str, dice: random.Random) -> Sequence[Rule]:
    """What is wrong at one upstream: often the submission, at fal also anything after it, sometimes nothing."""
    rules: list[Rule] = []
    if upstream == FAL and dice.random() < 0.6:
        rules += [_after_submission(dice) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.75:
        rules += _of_submission(upstream, dice)
    return rules


def _of_submission(upstream: str, dice: random.Random) -> Sequence[Rule]:
    executed = dice.random() < 0.5
    refused = dice.choice([400, 401, 402, 404, 422, 429, 500, 503])
    kinds: list[Sequence[Rule]] = [
        submission(upstream, "status", code=refused),
        submission(upstream, "status", code=dice.choice([502, 504]), executed=executed),
        submission(upstream, "reset", executed=executed),
        submission(upstream, "hang", executed=executed),
        submission(upstream, "delay", seconds=dice.choice([0.1, 0.5, 1.0]), executed=executed),
        submission(upstream, "json_200", executed=executed and upstream == FAL),
        *(
            submission(upstream, fault)
            for fault in ("reset_mid_body", "truncate", "html", "wrong_size", "black", "bomb")
        ),
        submission(upstream, "slow", bytes=dice.choice([2_000, 50_000])),
        submission(upstream, "huge", bytes=0),
    ]
    if upstream == HF:
        kinds.append(submission(upstream, "loading", seconds=dice.choice([0.2, 100.0]), times=dice.randint(1, 3)))
    rules = dice.choice(kinds)
    return [{**rule, "times": 1} for rule in rules] if dice.random() < 0.2 else rules


def _after_submission(dice: random.Random) -> Rule:
    place = dice.choice([STATUS, RESULT, PICTURE, CANCEL])
    faults: list[Rule] = [
        {"fault": "status", "code": dice.choice([404, 429, 500, 502, 503, 504])},
        {"fault": "reset"},
        {"fault": "reset_mid_body"},
        {"fault": "hang"},
        {"fault": "html"},
        {"fault": "json_200"},
        {"fault": "delay", "seconds": dice.choice([0.1, 1.0]), "executed": dice.random() < 0.5},
        {"fault": "slow", "bytes": 2_000},
    ]
    if place is PICTURE:
        faults += [{"fault": "truncate"}, {"fault": "huge", "bytes": 0}]
    often = dice.choice([1, 2, 3, 6, None])
    return {**place, **dice.choice(faults), **({} if often is None else {"times": often})}
