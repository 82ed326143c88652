"""Replicate through the router: a prediction, waited for up to 60 s, answered with where the picture lies.

What a model takes is the model's own choice. Known are the two FLUX models, which take an aspect ratio and a number of
megapixels in place of a size; all others are sent the words of Hugging Face's own client. A prediction that is not
finished after 60 s cannot be asked for again: nobody documents that the router lets that through.

https://replicate.com/docs/reference/http, https://replicate.com/black-forest-labs/flux-schnell
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.loras import Adapter
from imagegate.providers.huggingface.shapes.shape import Output
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.order import Order
from imagegate.runtime.sizing import nearest_size
from imagegate.runtime.words import parsed
from imagegate.v1 import generation_pb2

NAME = "replicate"

to_error = wire.to_error


@dataclass(frozen=True, slots=True)
class Flux:
    """What one FLUX model takes: the most steps, the highest guidance (None where it takes no guidance), and whether a
    LoRA's weight.
    """

    steps: int
    guidance: float | None
    weighs_loras: bool = False


FLUX = {
    "black-forest-labs/flux-schnell": Flux(steps=4, guidance=None),
    "black-forest-labs/flux-dev": Flux(steps=50, guidance=10.0),
    "black-forest-labs/flux-dev-lora": Flux(steps=50, guidance=10.0, weighs_loras=True),
}
# What each aspect ratio means at one megapixel; at a quarter of one both sides are half as long.
SIZES = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
# Ratio and megapixels, as they are sent, by width and height in pixels.
WORDS = {
    (width // shrunk, height // shrunk): (ratio, megapixels)
    for ratio, (width, height) in SIZES.items()
    for megapixels, shrunk in (("1", 1), ("0.25", 2))
}


def url(router: str, model: str) -> str:
    """A version has no address of its own."""
    return f"{router}/{NAME}/v1/predictions" if ":" in model else f"{router}/{NAME}/v1/models/{model}/predictions"


def headers(order: Order) -> Mapping[str, str]:
    """Without it the answer would come at once, and without the picture."""
    return {"Prefer": "wait"}


def fit(order: Order, model: str) -> None:
    """The nearest of the sizes that FLUX makes there, and the steps and the guidance that it takes."""
    wire.drop_idle_guidance(order)
    flux = FLUX.get(model)
    if flux is None or not flux.weighs_loras:
        wire.drop_lora_weights(order, f"nobody documents that {NAME}'s {model} takes one")
    if flux is None:
        return
    _translate_size(order)
    wire.drop(order, "negative_prompt", f"{NAME}'s FLUX takes none")
    _clamp(order, "steps", flux.steps)
    if flux.guidance is None:
        wire.drop(order, "guidance_scale", f"{NAME}'s {model} takes none")
    else:
        _clamp(order, "guidance_scale", flux.guidance)


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """FLUX gives WebP of a low quality unless asked for another format."""
    if model in FLUX:
        words = {**wire.named(order, index, guidance="guidance"), **_ratio(order), "output_format": "png"}
    else:
        words = wire.named(order, index) | wire.sides(order)
    version = {"version": model.partition(":")[2]} if ":" in model else {}
    return {"input": {"prompt": order.prompt, **words}, **version}


def with_lora(payload: Mapping[str, object], order: Order, adapter: Adapter) -> dict[str, object]:
    """The LoRA by the address of its page on the Hub; which file of it, the machine finds out."""
    (lora,) = order.inputs.loras
    words: dict[str, object] = {"lora_weights": f"https://huggingface.co/{lora.name}"}
    if lora.weight is not None and adapter.model in FLUX and FLUX[adapter.model].weighs_loras:
        words["lora_scale"] = lora.weight
    given = payload["input"]
    return {**payload, "input": {**given, **words} if isinstance(given, Mapping) else words}


def to_output(answer: Answer, order: Order, index: int) -> Output:
    """The first picture, whatever the state is: official models may still be called `processing` then."""
    body = parsed(answer)
    told = body if isinstance(body, dict) else {}
    output = told.get("output")
    first = output[0] if isinstance(output, list) and output else output
    if told.get("status") in ("failed", "canceled", "aborted"):
        raise _failure(answer, order, told)
    if isinstance(first, str) and first:
        return Output(order.seed(index), url=first)
    if output is None and told.get("status") in ("starting", "processing"):
        raise _failure(answer, order, told)
    raise to_error(answer, order.model.upstream_model, body)


# By the state of a prediction: what it means that there is no picture, and whether it is charged. One that is not
# finished goes on, and is charged when it is: a model that only starts is no reason to ask for another one meanwhile.
WITHOUT_PICTURE: Mapping[str, tuple[Reason, bool | None]] = {
    "failed": (Reason.UPSTREAM_ERROR, False),
    "canceled": (Reason.UPSTREAM_ERROR, None),  # is charged for the time that it ran
    "aborted": (Reason.UPSTREAM_ERROR, False),
    "starting": (Reason.TIMEOUT, None),
    "processing": (Reason.TIMEOUT, None),
}
FILTERED = re.compile(r"\bnsfw\b", re.IGNORECASE)


def _failure(answer: Answer, order: Order, told: Mapping[str, object]) -> Failure:
    """What became of a prediction, by its own word."""
    reason, billed = WITHOUT_PICTURE[str(told["status"])]
    if FILTERED.search(str(told.get("error"))):
        reason = Reason.CONTENT_REJECTED
    failure = to_error(answer, order.model.upstream_model, told, reason=reason)
    failure.billed = billed
    return failure


def _translate_size(order: Order) -> None:
    wire.close_open_side(order)
    asked = wire.sides(order)
    if not asked:
        return
    nearest = nearest_size((asked["width"], asked["height"]), tuple(WORDS))
    ratio, megapixels = WORDS[nearest]
    why = f"{NAME}'s FLUX makes fixed sizes: this is {ratio} at {megapixels} megapixel"
    for name, pixels in zip(("width", "height"), nearest, strict=True):
        if asked[name] != pixels:
            order.change(name, pixels, generation_pb2.ACTION_TRANSLATED, why)


def _ratio(order: Order) -> dict[str, object]:
    sides = wire.sides(order)
    if not sides:
        return {}
    ratio, megapixels = WORDS[nearest_size((sides["width"], sides["height"]), tuple(WORDS))]
    return {"aspect_ratio": ratio, "megapixels": megapixels}


def _clamp(order: Order, name: str, maximum: float) -> None:
    value = order.parameters.get(name)
    if value is not None and float(value) > maximum:
        order.change(name, maximum, generation_pb2.ACTION_CLAMPED, f"{NAME} takes at most {maximum:g}")
