"""The fault matrix, row by row, over real sockets: every fault has one reason, one effect and one price."""

import pytest

from imagegate.runtime.errors import Dispatch, Reason
from imagegate.v1 import terms_pb2

from .rows import ROWS, GoesOn, Row
from .stage import MODELS, PATIENT, SECOND, Outcome, staged, until


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_alone(row: Row) -> None:
    """Where nothing else is there the row's reason and code are the final ones, and the record tells the whole."""
    async with staged(row) as stage:
        outcome = await stage.ask(terms_pb2.PAYMENT_UNSPECIFIED, row.attempt + 1.0 if row.hangs else PATIENT)
        assert outcome.code == row.code, outcome
        assert outcome.reasons == [f"{row.upstream} {row.reason or 'OK'}"], outcome
        attempt = outcome.attempts[0]
        billed = attempt.billed if attempt.HasField("billed") else None
        assert (Dispatch.from_proto(attempt.dispatch), billed) == (row.dispatch, row.billed), outcome
        assert await stage.effect() == row.effect
        await until(lambda: (stage.asked, stage.made) == (row.asked, row.made))
        check_words(row, outcome)


def check_words(row: Row, outcome: Outcome) -> None:
    """The answer, or the error: who it was, what was wrong, what to do about it and when to come back."""
    if outcome.failure is None:
        assert outcome.answer is not None
        told = [f"{a.parameter} {a.why}" for a in outcome.answer.adjustments] + list(outcome.answer.warnings)
        assert any(row.says in each for each in told or [""]), told
        return
    assert outcome.failure.reason is row.reason
    assert f"1 candidate tried: {row.model or MODELS[row.upstream]} {row.reason}" in outcome.message
    assert row.says in outcome.message
    assert "; try: " in outcome.message
    retry_after = outcome.failure.retry_after
    if row.retry_after is None:
        assert retry_after is None
    else:
        assert retry_after is not None
        assert row.retry_after[0] <= retry_after <= row.retry_after[1]


# Another candidate that makes pictures from words alone is never asked for one from a picture.
FALLING_BACK = [row for row in ROWS if row.reason is not None and not row.from_picture]


@pytest.mark.parametrize("payment", ["AVAILABLE", "PAY_ONCE"])
@pytest.mark.parametrize("row", FALLING_BACK, ids=str)
async def test_with_another_candidate(row: Row, payment: str) -> None:
    """Another candidate delivers, unless none would change anything, or nobody knows what was charged and the request
    pays once; what may have been charged twice is counted.
    """
    goes_on = row.goes_on is GoesOn.YES or (row.goes_on is GoesOn.UNLESS_ONCE and payment == "AVAILABLE")
    async with staged(row, MODELS[SECOND[row.upstream]]) as stage:
        outcome = await stage.ask(terms_pb2.Payment.Value(f"PAYMENT_{payment}"))
        first, second = f"{row.upstream} {row.reason}", SECOND[row.upstream]
        if goes_on:
            assert (outcome.code, outcome.reasons) == (0, [first, f"{second} OK"]), outcome
        else:
            stopped = [] if row.goes_on is GoesOn.NO else [f"[{second} NOT_ALLOWED]"]
            assert outcome.reasons == [first, *stopped], outcome
            assert (outcome.code, outcome.failure and outcome.failure.reason) == (row.code, row.reason)
        assert stage.fallbacks == goes_on
        is_charged = row.billed is not False and row.upstream != "automatic1111"
        assert stage.risks == (goes_on and is_charged)
        await until(lambda: (stage.asked, stage.made) == (row.asked, row.made))


def test_every_row_is_there() -> None:
    """F1 to F31 but F8, which has no upstream in it (see test_faults_of_ours)."""
    assert {row.id for row in ROWS} == {f"F{number}" for number in range(1, 32)} - {"F8"}
    assert {row.reason for row in ROWS} >= {Reason.UNREACHABLE, Reason.BAD_OUTPUT, Reason.OVERLOADED, None}
