"""together through the router: OpenAI's address with words of its own, answered with the picture in base64.

https://docs.together.ai/reference/post-images-generations
"""

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.order import Order

NAME = "together"

headers = wire.no_headers
to_error = wire.to_error


def url(router: str, model: str) -> str:
    """One address for all models."""
    return wire.images_url(router, NAME)


def fit(order: Order, model: str) -> None:
    """It documents no guidance of 0."""
    wire.drop_idle_guidance(order)


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """Steps have a name of their own."""
    words = wire.named(order, index, steps="steps") | wire.sides(order)
    return {"prompt": order.prompt, "model": model, "response_format": "base64", **words}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The seed is the one that was sent: none is reported."""
    return Output(order.seed(index), data=wire.to_inline(answer, order))
