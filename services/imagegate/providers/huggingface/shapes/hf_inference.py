"""Hugging Face's own machines: a diffusers pipeline's keyword arguments, answered with the picture itself.

https://huggingface.co/docs/inference-providers/providers/hf-inference
"""

from collections.abc import Mapping

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.order import Order

NAME = "hf-inference"

to_error = wire.to_error


def url(router: str, model: str) -> str:
    """By the model's id on the Hub."""
    return f"{router}/{NAME}/models/{model}"


def headers(order: Order) -> Mapping[str, str]:
    """None."""
    return {}


def fit(order: Order, model: str) -> None:
    """Nothing to do: the catalogue's words are this one's."""


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """One unknown parameter, and the whole request is refused."""
    return {"inputs": order.prompt, "parameters": wire.named(order, index) | wire.sides(order)}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The seed is the one that was sent: none is reported."""
    if not answer.content_type.startswith("image/") or answer.body.lstrip()[:1] in (b"{", b"[", b"<", b""):
        raise to_error(answer, order.model.upstream_model)
    return Output(order.seed(index), data=answer.body)
