"""Whether another attempt may follow, as far as money goes."""

import pytest

from imagegate.router.payment import Charge, charge_of, is_free, pays_once
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.v1 import generation_pb2, terms_pb2


def model(**fields: object) -> Model:
    return Model.model_validate({"key": "m", "display_name": "m", "upstream_model": "m", **fields})


@pytest.mark.parametrize(
    ("reason", "dispatch", "billed", "charge"),
    [
        # refused, DNS, TLS, no local slot
        (Reason.UNREACHABLE, Dispatch.NOT_SENT, False, Charge.NONE),
        (Reason.BUSY, Dispatch.NOT_SENT, None, Charge.NONE),
        # any HTTP answer ≥ 400 to the submission
        (Reason.RATE_LIMITED, Dispatch.REFUSED, False, Charge.NONE),
        (Reason.UPSTREAM_ERROR, Dispatch.REFUSED, None, Charge.NONE),
        # accepted, then failed or cancelled by the upstream's own word
        (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, False, Charge.NONE),
        (Reason.TIMEOUT, Dispatch.ACCEPTED, False, Charge.NONE),
        # 200 but BAD_OUTPUT
        (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, True, Charge.LOST),
        (Reason.BAD_OUTPUT, Dispatch.ACCEPTED, None, Charge.LOST),
        # reset, 502 or 504 of an ingress, silence, provider process gone
        (Reason.UPSTREAM_ERROR, Dispatch.UNKNOWN, None, Charge.UNKNOWN),
        (Reason.TIMEOUT, Dispatch.UNKNOWN, None, Charge.UNKNOWN),
        (Reason.TIMEOUT, Dispatch.ACCEPTED, None, Charge.UNKNOWN),
        (Reason.UNREACHABLE, Dispatch.ACCEPTED, None, Charge.UNKNOWN),
        (Reason.UPSTREAM_ERROR, Dispatch.ACCEPTED, True, Charge.UNKNOWN),
        (Reason.BAD_OUTPUT, Dispatch.UNKNOWN, None, Charge.UNKNOWN),
        # a provider that says nothing
        (Reason.UPSTREAM_ERROR, Dispatch.UNSPECIFIED, None, Charge.UNKNOWN),
    ],
)
def test_what_a_failed_attempt_will_have_cost(
    reason: Reason, dispatch: Dispatch, billed: bool | None, charge: Charge
) -> None:
    """Each row of the table of "Paying once", from what is known of the dispatch and the bill."""
    assert charge_of(Failure(reason, "", dispatch=dispatch, billed=billed)) is charge


@pytest.mark.parametrize(
    ("asked", "models", "once"),
    [
        (terms_pb2.PAYMENT_UNSPECIFIED, "pay_once", True),
        (terms_pb2.PAYMENT_UNSPECIFIED, "available", False),
        (terms_pb2.PAYMENT_PAY_ONCE, "available", True),
        (terms_pb2.PAYMENT_AVAILABLE, "pay_once", False),
    ],
)
def test_the_requests_word_stands_above_the_models(
    asked: "terms_pb2.Payment.ValueType", models: str, once: bool
) -> None:
    """`routing.payment` overrides what the model says of itself."""
    request = generation_pb2.GenerateRequest(routing=generation_pb2.Routing(payment=asked))
    assert pays_once(request, model(payment=models)) is once


def test_a_model_that_nobody_knows_does_not_stop_the_request() -> None:
    """Without a catalogue an attempt is available, unless the request says otherwise."""
    request = generation_pb2.GenerateRequest()
    assert not pays_once(request, None)
    request.routing.payment = terms_pb2.PAYMENT_PAY_ONCE
    assert pays_once(request, None)


def test_free_is_what_costs_no_credit_by_its_own_word() -> None:
    """A price of 0 is free; an unknown price is not."""
    assert is_free(model(credits=0))
    assert not is_free(model(credits=1))
    assert not is_free(model())
    assert not is_free(None)
