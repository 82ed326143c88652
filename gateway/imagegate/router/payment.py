"""Whether another attempt may follow one that failed, as far as money goes. Pure.

The table of "Paying once": what is known of the failed attempt, against what the caller or the
model prefers.
"""

from enum import Enum

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.v1 import generation_pb2, terms_pb2

# The upstream has finished, and what it made is no picture that anybody may have.
UNUSABLE = frozenset({Reason.BAD_OUTPUT, Reason.CONTENT_REJECTED})


class Charge(Enum):
    """What a failed attempt will have cost."""

    NONE = "none"  # provably nothing
    LOST = "lost"  # it may be charged for a picture that cannot be used, so nobody can deliver it later
    UNKNOWN = "unknown"  # there may be a finished picture somewhere, and a bill for it


def charge_of(failure: Failure) -> Charge:
    """What is known of the money after `failure`."""
    if failure.dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED) or failure.billed is False:
        return Charge.NONE
    if failure.reason in UNUSABLE and failure.dispatch is Dispatch.ACCEPTED:
        return Charge.LOST
    return Charge.UNKNOWN


def pays_once(request: generation_pb2.GenerateRequest, model: Model | None) -> bool:
    """Whether an attempt at `model` of which nobody knows the charge stays the last: the request's word, else the
    model's; an unknown model's attempt does not.
    """
    if request.routing.payment != terms_pb2.PAYMENT_UNSPECIFIED:
        return request.routing.payment == terms_pb2.PAYMENT_PAY_ONCE
    return model is not None and model.payment == "pay_once"


def is_free(model: Model | None) -> bool:
    """Whether the model costs nothing, so that it may always follow."""
    return model is not None and model.credits == 0
