"""What a reason means."""

import pytest

from imagegate.router.verdict import STARVED, VERDICTS, Effect, Group, Next, verdict_on
from imagegate.runtime.errors import Reason

TABLE = [
    (Reason.INVALID_REQUEST, Next.NONE, Effect.NEUTRAL, Group.REJECTED, False),
    (Reason.UPSTREAM_REJECTED_INPUT, Next.ONE, Effect.NEUTRAL, Group.REJECTED, False),
    (Reason.CONTENT_REJECTED, Next.NONE, Effect.NEUTRAL, Group.REJECTED, False),
    (Reason.CREDENTIALS_REJECTED, Next.ANY, Effect.OPENS_PROVIDER, Group.FAILED, False),
    (Reason.OUT_OF_CREDIT, Next.ANY, Effect.OPENS_PROVIDER, Group.FAILED, False),
    (Reason.MODEL_ACCESS_DENIED, Next.ANY, Effect.OPENS_MODEL, Group.FAILED, False),
    (Reason.MODEL_NOT_FOUND, Next.ANY, Effect.OPENS_MODEL, Group.FAILED, False),
    (Reason.RATE_LIMITED, Next.ANY, Effect.NEUTRAL, Group.LIMITED, True),
    (Reason.MODEL_LOADING, Next.ANY, Effect.NEUTRAL, Group.LIMITED, True),
    (Reason.OVERLOADED, Next.ANY, Effect.MODEL_FAILURE, Group.FAILED, True),
    (Reason.UPSTREAM_ERROR, Next.ANY, Effect.MODEL_FAILURE, Group.FAILED, False),
    (Reason.UNREACHABLE, Next.ANY, Effect.PROVIDER_FAILURE, Group.FAILED, False),
    (Reason.TIMEOUT, Next.ANY, Effect.MODEL_FAILURE, Group.FAILED, False),
    (Reason.BAD_OUTPUT, Next.ANY, Effect.MODEL_FAILURE, Group.FAILED, False),
    (Reason.CANCELLED, Next.NONE, Effect.NEUTRAL, Group.NEUTRAL, False),
    (Reason.INTERNAL, Next.NONE, Effect.NEUTRAL, Group.NEUTRAL, False),
    (Reason.OVER_QUOTA, Next.ANY, Effect.NEUTRAL, Group.LIMITED, True),
    (Reason.BUSY, Next.ANY, Effect.NEUTRAL, Group.LIMITED, False),
    (Reason.UNSUPPORTED, Next.ANY, Effect.NEUTRAL, Group.REJECTED, False),
    (Reason.DISABLED, Next.ANY, Effect.NEUTRAL, Group.NEUTRAL, False),
]


@pytest.mark.parametrize(("reason", "next_", "effect", "group", "gates"), TABLE)
def test_the_table_of_reasons(reason: Reason, next_: Next, effect: Effect, group: Group, gates: bool) -> None:
    """Each reason has one verdict, and nothing else decides."""
    verdict = VERDICTS[reason]
    assert (verdict.next, verdict.effect, verdict.group, verdict.gates) == (next_, effect, group, gates)


def test_the_table_is_complete_here() -> None:
    """No verdict exists that the table above does not tell."""
    assert set(VERDICTS) == {reason for reason, *_ in TABLE}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in VERDICTS])
def test_what_no_attempt_can_meet_is_neutral_and_falls_back(reason: Reason) -> None:
    """The reasons of skips, told by a router behind this one, hold nobody back and stop nothing."""
    verdict = verdict_on(reason)
    assert (verdict.next, verdict.effect, verdict.gates) == (Next.ANY, Effect.NEUTRAL, False)


def test_a_starved_time_out_is_neutral() -> None:
    """A time-out of an attempt that was given less than the usual time counts for nothing, and falls back."""
    assert (STARVED.next, STARVED.effect, STARVED.gates) == (Next.ANY, Effect.NEUTRAL, False)
