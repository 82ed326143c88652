"""fal's apps through the router, called synchronously: flat words, answered with where the picture lies.

https://huggingface.co/docs/inference-providers/providers/fal-ai
"""

from collections.abc import Mapping
from urllib.parse import quote

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.loras import Adapter
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.order import Order
from imagegate.runtime.words import parsed

NAME = "fal-ai"
# Our wire carries seeds as int64.
MAX_SEED = 2**63 - 1
LORA_APP = "fal-ai/lora"

headers = wire.no_headers
to_error = wire.to_error


def url(router: str, model: str) -> str:
    """By the app's id, which itself begins with fal-ai."""
    return f"{router}/{NAME}/{model}"


def fit(order: Order, model: str) -> None:
    """fal takes no guidance of 0, and both sides of a picture or none."""
    wire.drop_idle_guidance(order)
    wire.close_open_side(order)


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """Both sides stand together."""
    sides = wire.sides(order)
    return {"prompt": order.prompt, **wire.named(order, index), **({"image_size": sides} if sides else {})}


def with_lora(payload: Mapping[str, object], order: Order, adapter: Adapter) -> dict[str, object]:
    """The LoRA by the address of its file on the Hub, and how much of it where that was asked for."""
    (lora,) = order.inputs.loras
    path = f"https://huggingface.co/{lora.name}/resolve/main/{quote(adapter.weights)}"
    loras = [{"path": path, **({} if lora.weight is None else {"scale": lora.weight})}]
    # That app alone serves many models.
    named = {"model_name": order.model.base_model or order.model.upstream_model} if adapter.model == LORA_APP else {}
    return {**payload, **named, "loras": loras}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The seed is the one that fal reports, else the one that was sent."""
    body = parsed(answer)
    images = body.get("images") if isinstance(body, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    if not isinstance(first, dict) or not isinstance(first.get("url"), str):
        raise to_error(answer, order.model.upstream_model, body)
    seed = body.get("seed")
    is_reported = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED
    flags = body.get("has_nsfw_concepts")
    filtered = isinstance(flags, list) and flags[:1] == [True]
    return Output(seed if is_reported else order.seed(index), url=first["url"], filtered=filtered)
