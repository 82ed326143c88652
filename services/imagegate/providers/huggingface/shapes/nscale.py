"""nscale through the router: OpenAI's words, answered with the picture in base64.

Nobody documents that it takes more than these, so nothing more is sent; of what was asked for beyond them it is told
that it was left out.

https://huggingface.co/docs/inference-providers/providers/nscale
"""

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.order import Order

NAME = "nscale"
NOT_TAKEN = ("negative_prompt", "steps", "guidance_scale", "seed")

headers = wire.no_headers
to_error = wire.to_error


def url(router: str, model: str) -> str:
    """One address for all models."""
    return wire.images_url(router, NAME)


def fit(order: Order, model: str) -> None:
    """Leave out what it does not take, the seed too: its pictures cannot be made again."""
    wire.drop_idle_guidance(order)
    for name in NOT_TAKEN:
        wire.drop(order, name, f"{NAME}, which serves the model, takes none")
    wire.close_open_side(order)


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """Both sides in one word."""
    sides = wire.sides(order)
    size = {"size": f"{sides['width']}x{sides['height']}"} if sides else {}
    return {"prompt": order.prompt, "model": model, "response_format": "b64_json", **size}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """Without a seed: none was sent, and none is reported."""
    return Output(None, data=wire.to_inline(answer, order))
