"""A dedicated Inference Endpoint with the standard container: hf-inference's words at an address of one's own.

It makes squares only, and answers every error, its machine's too, with 400. Scaled to zero, its proxy answers 503 until
a replica has started, unless it is asked to hold the request.

https://huggingface.co/docs/inference-endpoints, https://github.com/huggingface/huggingface-inference-toolkit
"""

import math
import re
from collections.abc import Mapping

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.shapes import hf_inference
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.order import Order
from imagegate.runtime.parameters import Parameter, nearest_on_grid
from imagegate.runtime.words import words
from imagegate.v1 import generation_pb2

NAME = "endpoint"
WHO = "the dedicated endpoint"
# Whole seconds for which the proxy holds a request while a replica starts.
HOLD_HEADER = "X-Scale-Up-Timeout"
HEALTH = "/health"

to_payload = hf_inference.to_payload


def url(router: str, model: str) -> str:
    """The endpoint's own address is what it calls the model."""
    return model


def headers(order: Order) -> Mapping[str, str]:
    """Held for as long as there is still time for a picture afterwards; then it is a loading model, and no silence."""
    seconds = int(order.deadline.remaining() - order.model.typical_seconds[0])
    return {HOLD_HEADER: str(seconds)} if seconds >= 1 else {}


def fit(order: Order, model: str) -> None:
    """Squares only: as long as the one side that was asked for, else of about as many pixels."""
    wire.close_open_side(order)
    sides = wire.sides(order)
    if not sides or sides["width"] == sides["height"]:
        return
    asked = [name for name in sides if name in order.asked]
    wanted = sides[asked[0]] if len(asked) == 1 else math.sqrt(sides["width"] * sides["height"])
    for name in sides:
        wanted = nearest_on_grid(wanted, order.model.parameters.get(name, Parameter()))
    side = round(wanted)
    for name, pixels in sides.items():
        if pixels != side:
            order.change(name, side, generation_pb2.ACTION_TRANSLATED, f"{WHO} makes squares only")


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The seed is the one that was sent: none is reported."""
    if not answer.content_type.startswith("image/"):
        raise to_error(answer, order.model.upstream_model)
    return hf_inference.to_output(answer, order, index)


# Words that outweigh the status, the first that fit.
BY_WORDS: tuple[tuple[int, re.Pattern[str], Reason], ...] = tuple(
    (status, re.compile(pattern, re.IGNORECASE), reason)
    for status, pattern, reason in (
        (400, r"\bthe handler failed\b", Reason.UPSTREAM_ERROR),  # ours alone tells whose fault it is
        (400, r"\binvalid state\b", Reason.MODEL_NOT_FOUND),  # paused: no request starts it
        (400, r"\bout of memory\b|\bcuda\b|\bcudnn\b", Reason.UPSTREAM_ERROR),
    )
)
SAYINGS = {
    **wire.SAYINGS,
    Reason.CREDENTIALS_REJECTED: (
        "does not accept the key",
        "set HUGGINGFACE_API_KEY to a key of the endpoint's owner: https://huggingface.co/settings/tokens",
    ),
    Reason.MODEL_NOT_FOUND: (
        "for {model} is not running",
        "resume it at https://endpoints.huggingface.co, or correct HUGGINGFACE_ENDPOINTS",
    ),
    Reason.UPSTREAM_REJECTED_INPUT: ("refused the input for {model}", "correct what the endpoint names"),
    Reason.MODEL_LOADING: ("for {model} is starting", "try again when it has started, or keep one replica running"),
    Reason.OVERLOADED: ("is overloaded", "give it more replicas at https://endpoints.huggingface.co"),
    Reason.UPSTREAM_ERROR: ("failed", "look at its log at https://endpoints.huggingface.co"),
}


def to_error(answer: Answer, model: str) -> Failure:
    """As the router's, but for what only an endpoint means by its status or its words."""
    return wire.to_error(answer, model, reason=_reason(answer), sayings=SAYINGS, who=WHO)


def to_check(answer: Answer, model: str, key_accepted: bool | None) -> Check:
    """What the answer to the question for its health says. Raises Failure."""
    if answer.status == 503:
        return Check(f"{WHO} is starting", exists=True, loaded=False, key_accepted=key_accepted)
    if answer.status != 200:
        raise to_error(answer, model)
    return Check(f"served by {WHO}", exists=True, loaded=True, key_accepted=key_accepted)


def _reason(answer: Answer) -> Reason | None:
    """None: as the router's."""
    if answer.status == 503:
        return Reason.MODEL_LOADING
    told = words(answer)
    return next((reason for status, text, reason in BY_WORDS if answer.status == status and text.search(told)), None)
