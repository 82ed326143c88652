"""What a reason means for routing: go on to the next? count it? whom to leave alone, for how long? Pure.

This is the table of reasons as code; nothing else decides on a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from imagegate.runtime.errors import Reason


class Next(Enum):
    """Whether another candidate is tried after this one."""

    ANY = "any"
    ONE = "one"  # one other may see the same input; if it refuses too, the input is to blame
    NONE = "none"


class Effect(Enum):
    """What the breaker makes of it."""

    NEUTRAL = "neutral"  # in no denominator; the permit is given back
    MODEL_FAILURE = "model failure"
    PROVIDER_FAILURE = "provider failure"
    OPENS_MODEL = "opens the model"
    OPENS_PROVIDER = "opens the provider"


class Group(Enum):
    """The metric label `outcome_group`: the failure rate is failed ÷ (ok + failed)."""

    OK = "ok"
    FAILED = "failed"
    LIMITED = "limited"
    REJECTED = "rejected"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one reason. `gates` asks nobody before `retry_after` has passed."""

    next: Next = Next.ANY
    effect: Effect = Effect.NEUTRAL
    group: Group = Group.NEUTRAL
    gates: bool = False


_FAILURE = Verdict(effect=Effect.MODEL_FAILURE, group=Group.FAILED)
_REFUSED_ACCOUNT = Verdict(effect=Effect.OPENS_PROVIDER, group=Group.FAILED)
_REFUSED_MODEL = Verdict(effect=Effect.OPENS_MODEL, group=Group.FAILED)

VERDICTS: Mapping[Reason, Verdict] = {
    Reason.INVALID_REQUEST: Verdict(next=Next.NONE, group=Group.REJECTED),
    Reason.UPSTREAM_REJECTED_INPUT: Verdict(next=Next.ONE, group=Group.REJECTED),
    Reason.CONTENT_REJECTED: Verdict(next=Next.NONE, group=Group.REJECTED),
    Reason.CREDENTIALS_REJECTED: _REFUSED_ACCOUNT,
    Reason.OUT_OF_CREDIT: _REFUSED_ACCOUNT,
    Reason.MODEL_ACCESS_DENIED: _REFUSED_MODEL,
    Reason.MODEL_NOT_FOUND: _REFUSED_MODEL,
    Reason.RATE_LIMITED: Verdict(group=Group.LIMITED, gates=True),
    Reason.OVER_QUOTA: Verdict(group=Group.LIMITED, gates=True),
    Reason.BUSY: Verdict(group=Group.LIMITED),
    Reason.MODEL_LOADING: Verdict(group=Group.LIMITED, gates=True),
    Reason.OVERLOADED: Verdict(effect=Effect.MODEL_FAILURE, group=Group.FAILED, gates=True),
    Reason.UPSTREAM_ERROR: _FAILURE,
    Reason.UNREACHABLE: Verdict(effect=Effect.PROVIDER_FAILURE, group=Group.FAILED),
    Reason.TIMEOUT: _FAILURE,
    Reason.BAD_OUTPUT: _FAILURE,
    Reason.CANCELLED: Verdict(next=Next.NONE),
    Reason.INTERNAL: Verdict(next=Next.NONE),
    Reason.UNSUPPORTED: Verdict(group=Group.REJECTED),
    Reason.DISABLED: Verdict(),
}


# A time-out of an attempt that was given less than the model's usual time.
STARVED = Verdict()


def verdict_on(reason: Reason) -> Verdict:
    """The verdict; a reason that this version cannot meet in an attempt is neutral and falls back."""
    return VERDICTS.get(reason, Verdict())
