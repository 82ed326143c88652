"""Requests made up for a model: what it takes, what it does not, and everything around its bounds."""

import math
import random
from typing import Any

from imagegate.runtime.models import Model
from imagegate.runtime.options import Option
from imagegate.v1 import generation_pb2, terms_pb2

Request = generation_pb2.GenerateRequest

WORDS = ("a lighthouse", "kucing di pasar", "قطة على السطح", "夜の猫 🐈", 'says "no"', "x < y > z", "two\nlines")
# The webui has all of these, some by two names; a catalogue that was not asked for them refuses none.
SAMPLERS = ("Euler a", "euler", "LMS", "DPM++ 2M Karras", "DPM++ 2M", "Heun", "k_euler_a")
ANY_SAMPLERS = (*SAMPLERS, "no such sampler")


def request_for(dice: random.Random, model: Model, *, largest: int = 4096) -> Request:
    """A valid request for `model` with up to `largest` pixels a side; two in three fields are left open."""
    fields: dict[str, Any] = {}
    for name, value in {
        "negative_prompt": dice.choice((*WORDS, "", "blur " * dice.randint(1, 200))),
        "width": _side(dice, model, 0, largest),
        "height": _side(dice, model, 1, largest),
        "steps": dice.choice((1, 4, 5, 12, 13, 20, 28, 50, 51, 150, dice.randint(1, 150))),
        "guidance_scale": dice.choice((0, 1, 3.5, 7.1, 20, 20.000002, 50, dice.uniform(0, 50))),
        "seed": dice.choice((-1, 0, 7, 2**32 - 1, 2**32, 2**63 - 1, dice.randrange(2**63))),
        "sampler": dice.choice(ANY_SAMPLERS if model.samplers or "sampler" not in model.parameters else SAMPLERS),
        "quality": dice.choice([each for each in terms_pb2.Quality.values() if each]),
    }.items():
        if dice.random() < 1 / 3:
            fields[name] = value
    request = Request(prompt=f"{dice.choice(WORDS)} {dice.randrange(2**40)}", **fields)
    if dice.random() < 0.1:
        request.on_unsupported = generation_pb2.ON_UNSUPPORTED_REFUSE
    elif dice.random() < 0.2:
        request.must_keep.append(
            dice.choice(("width", "height", "steps", "seed", "negative_prompt", "sampler", "provider_options"))
        )
    if dice.random() < 0.3:
        _tell_options(dice, model, request)
    return request


def _side(dice: random.Random, model: Model, place: int, largest: int) -> int:
    made = dice.choice(model.sizes)[place] if model.sizes else 512
    side = dice.choice((64, 256, 512, 999, 1000, 1024, 1440, 1441, 2048, 4096, made, dice.randint(64, 4096)))
    return min(side, largest)


def _tell_options(dice: random.Random, model: Model, request: Request) -> None:
    others = {"anything": 1} if dice.random() < 0.3 else {}
    request.provider_options["fal" if model.provider != "fal" else "huggingface"].update(others)
    own = {name: _value(dice, option) for name, option in model.options.items() if dice.random() < 0.5}
    if dice.random() < 0.3:
        own |= {dice.choice(("lora", "scheduler", "prompt", "seed")): dice.choice((1, "x", [1, 2], {"a": None}))}
    request.provider_options[model.provider].update(own)


def _value(dice: random.Random, option: Option) -> object:
    low, high = option.minimum or 0, 100 if option.maximum is None else option.maximum
    wrong = (None, "no such choice", math.nan, math.inf, -1e300, low - 1, high + 1, 0.5, [1], {"a": 1})
    right = {
        "boolean": dice.random() < 0.5,
        "integer": dice.randint(math.ceil(low), math.floor(high)),
        "number": dice.uniform(low, high),
        "text": dice.choice(option.choices or ("a text",)),
    }
    return dice.choice(wrong) if dice.random() < 0.3 else right[option.kind]
