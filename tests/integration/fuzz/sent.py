"""What an upstream was sent, read back in the words of a request, and judged by what was asked and told."""

import math
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from imagegate.providers.huggingface.shapes.replicate import WORDS
from imagegate.runtime.adjustments import Adjustment, Value, text_of
from imagegate.runtime.fitting import PLAIN_FIELDS, PRESETS, leaves_seed_open
from imagegate.runtime.models import Model
from imagegate.v1 import generation_pb2

# Second names that a webui has for its samplers: as little a change as another spelling.
ALIASES = {"k_euler_a": "euler a"}

# What replicate's shapes mean.
SIZES = {words: size for size, words in WORDS.items()}

# Objects within a payload that only group what they hold.
GROUPS = ("parameters", "image_size", "input")
OURS = {
    "inputs": "prompt",
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "width": "width",
    "height": "height",
    "steps": "steps",
    "num_inference_steps": "steps",
    "first_stage_steps": "steps",
    "guidance_scale": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "guidance": "guidance_scale",
    "seed": "seed",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
}
# What our wires send with every request: one picture a call, as a picture, and kept nowhere.
CONSTANTS: Mapping[str, object] = {
    "num_images": 1,
    "output_format": "png",
    "batch_size": 1,
    "send_images": True,
    "save_images": False,
    "do_not_save_samples": True,
    "do_not_save_grid": True,
    "override_settings_restore_afterwards": True,
}
# The webui's, which checkpoint and how many pictures; others', which model, and that the answer holds the picture.
OF_THE_ORDER = ("override_settings", "n_iter", "model", "response_format")


def read_back(payload: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, object]]:
    """A payload by request field, and what else it holds; a scheduler is a part of a sampler's name, a size may be one
    word, or a shape and megapixels.
    """
    flat = {name: value for name, value in payload.items() if name not in GROUPS}
    for group in GROUPS:
        flat |= payload.get(group, {})
    if size := flat.pop("size", None):
        flat["width"], flat["height"] = map(int, size.split("x"))
    if ratio := flat.pop("aspect_ratio", None):
        flat["width"], flat["height"] = SIZES[ratio, flat.pop("megapixels")]
    said = {OURS[name]: value for name, value in flat.items() if name in OURS}
    if "scheduler" in said:
        said["sampler"] = f"{said['sampler']}, scheduler {said.pop('scheduler')}"
    rest = {name: value for name, value in flat.items() if name not in OURS and name not in OF_THE_ORDER}
    return said, rest


def problems(
    request: generation_pb2.GenerateRequest,
    model: Model,
    payload: Mapping[str, Any],
    adjustments: Sequence[Adjustment],
    *,
    seed: int | None,
    free: Collection[str] = (),
) -> list[str]:
    """Where `payload` is not what was asked for and `adjustments` tell, or not what the model takes.

    `seed` is the picture's, by the answer or as it was drawn; fields in `free` may be sent though nobody asked.
    """
    said, rest = read_back(payload)
    if len(model.sizes) == 1:  # an upstream that makes one size only may take none
        said = {**dict(zip(("width", "height"), model.sizes[0], strict=True)), **said}
    told = {each.parameter: each for each in adjustments}
    found = [f"{name} is told twice" for name in told if sum(each.parameter == name for each in adjustments) > 1]
    if said.pop("prompt", None) != request.prompt:
        found.append("the prompt is another one")
    for name in PLAIN_FIELDS:
        if _is_asked(request, name):
            found += _asked_for(name, getattr(request, name), said.get(name), told.get(name))
        else:
            found += _left_open(request, model, name, said.get(name), seed, free)
            found += [f"{name} is told, and nobody asked for it"] if name in told else []
    found += _not_taken(model, said)
    return found + _options(request, model, rest, told)


def _is_asked(request: generation_pb2.GenerateRequest, name: str) -> bool:
    if name == "seed":
        return not leaves_seed_open(request)
    return bool(request.sampler) if name == "sampler" else request.HasField(name)  # type: ignore[arg-type]


def _asked_for(name: str, asked: Value, sent: Value | None, told: Adjustment | None) -> list[str]:
    if told is not None:
        is_told = ("" if sent is None else text_of(sent)) == told.applied and told.applied != told.requested
        return [] if is_told and told.why and told.action else [f"{name}: {sent!r} was sent, and told {told}"]
    if sent is None:
        return [] if asked == "" else [f"{name}: {asked!r} was not sent, and nothing is told"]
    if name == "sampler":
        one, other = (ALIASES.get(str(name), str(name).casefold()) for name in (asked, sent))
        is_same = one == other
    elif isinstance(asked, float):
        is_same = struct.pack("f", asked) == struct.pack("f", float(sent))
    else:
        is_same = asked == sent
    return [] if is_same else [f"{name}: {sent!r} was sent for {asked!r}, and nothing is told"]


def _left_open(
    request: generation_pb2.GenerateRequest,
    model: Model,
    name: str,
    sent: Value | None,
    seed: int | None,
    free: Collection[str],
) -> list[str]:
    """What is sent of a field that nobody asked for: the model's default, the quality's number, the drawn seed."""
    if sent is None or name in free:
        return []
    side, steps = PRESETS.get(request.quality, (None, None))
    allowed = [side if name in ("width", "height") else steps if name == "steps" else None]
    if name in model.parameters:
        allowed.append(model.parameters[name].default)  # type: ignore[arg-type]
    if name == "seed":
        allowed.append(seed)
    if name in ("width", "height"):
        allowed += [size[("width", "height").index(name)] for size in model.sizes]
    return [] if sent in allowed else [f"{name}: {sent!r} was sent, and nobody asked for it"]


def _not_taken(model: Model, said: Mapping[str, Value]) -> list[str]:
    """What the model does not declare, or not so."""
    found = []
    for name, value in said.items():
        declared = model.parameters.get(name)
        if model.sizes and name in ("width", "height"):
            if value not in {size[("width", "height").index(name)] for size in model.sizes}:
                found.append(f"{name}: {value!r} is none of its sizes")
        elif declared is None:
            found.append(f"{name} was sent, and the model does not take it")
        elif isinstance(value, str):
            found += [f"{name} is too long"] if len(value) > (declared.maximum or math.inf) else []
        elif not declared.takes(value):
            found.append(f"{name}: {value!r} is not in the model's range")
    return found


def _options(
    request: generation_pb2.GenerateRequest,
    model: Model,
    rest: Mapping[str, object],
    told: Mapping[str, Adjustment],
) -> list[str]:
    """Options are sent by their own names as they were asked for or told, and nothing else is sent but constants."""
    asked = dict(request.provider_options[model.provider]) if model.provider in request.provider_options else {}
    found = []
    for name, value in asked.items():
        change = told.get(f"provider_options.{model.provider}.{name}")
        applied = text_of(rest[name]) if name in rest else ""  # type: ignore[arg-type]
        if change is None and (name not in model.options or rest.get(name) != value):
            found.append(f"option {name}: {rest.get(name)!r} was sent for {value!r}, and nothing is told")
        if change is not None and change.applied != applied and not (name in CONSTANTS or name in OURS):
            found.append(f"option {name}: {applied!r} was sent, and told {change}")
    unknown = {name: value for name, value in rest.items() if name not in asked and CONSTANTS.get(name) != value}
    return found + ([f"{unknown} was sent, and nobody asked for it"] if unknown else [])
