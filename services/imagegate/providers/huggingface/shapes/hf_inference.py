"""Hugging Face's own machines: a diffusers pipeline's keyword arguments, answered with the picture itself.

https://huggingface.co/docs/inference-providers/providers/hf-inference
"""

from collections.abc import Mapping

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.order import Order

NAME = "hf-inference"
# https://github.com/huggingface/api-inference-community/blob/main/api_inference_community/routes.py
LORA_HEADER = "lora"

to_error = wire.to_error


def url(router: str, model: str) -> str:
    """By the model's id on the Hub."""
    return f"{router}/{NAME}/models/{model}"


def headers(order: Order) -> Mapping[str, str]:
    """The LoRA, by its id on the Hub: as a parameter it would be refused, the whole request with it."""
    return {LORA_HEADER: order.inputs.loras[0].name} if order.inputs.loras else {}


def fit(order: Order, model: str) -> None:
    """The catalogue's words are this one's, but for the weight of a LoRA, which is always 1."""
    wire.drop_lora_weights(order, f"{NAME}, which serves the model, takes a LoRA's name only")


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """One unknown parameter, and the whole request is refused."""
    return {"inputs": order.prompt, "parameters": wire.named(order, index) | wire.sides(order)}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The seed is the one that was sent: none is reported."""
    if not answer.content_type.startswith("image/") or answer.body.lstrip()[:1] in (b"{", b"[", b"<", b""):
        raise to_error(answer, order.model.upstream_model)
    return Output(order.seed(index), data=answer.body)
