"""Fit a request to a model: what is sent, and every change that this takes. Pure.

Nothing that the model does not declare is ever sent, nothing the caller left out is sent unless the
model's entry gives a default, and no change goes unrecorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf import json_format

from imagegate.runtime.models import Model
from imagegate.runtime.options import OptionValue
from imagegate.runtime.parameters import (
    FITTED_FIELDS,
    INTEGER_FIELDS,
    TEXT_FIELDS,
    Parameter,
    nearest_on_grid,
    shortest,
)
from imagegate.v1 import generation_pb2

Value = int | float | str
Adjustment = generation_pb2.Adjustment

# The request's field for what only one provider understands.
OPTIONS_FIELD = "provider_options"

# Of a longer text adjustments show the beginning, and its length.
SHOWN_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Fitted:
    """What goes to the model, by request field; what goes along by the upstream's own names; and what had to be changed
    for it.
    """

    parameters: Mapping[str, Value]
    adjustments: tuple[Adjustment, ...]
    options: Mapping[str, OptionValue] = field(default_factory=dict)


def fit(request: generation_pb2.GenerateRequest, model: Model, drawn_seed: int) -> Fitted:
    """What `model` is sent for `request`.

    `drawn_seed` (0 to 2^32 - 1) is used where the model takes a seed and the request leaves it
    open. The request must be valid (`imagegate.runtime.validation`).
    """
    parameters: dict[str, Value] = {}
    adjustments: list[Adjustment] = []
    asked = _asked(request)
    for name in FITTED_FIELDS:
        parameter = model.parameters.get(name)
        if name not in asked:
            value = _unasked(name, parameter, drawn_seed)
        elif parameter is None:
            if asked[name] != "":
                adjustments.append(_dropped(name, asked[name], model))
            continue
        else:
            value, adjustment = _fit_one(name, asked[name], parameter)
            if adjustment is not None:
                adjustments.append(adjustment)
        if value is not None and value != "":
            parameters[name] = value
    options = _fit_options(request, model, adjustments)
    return Fitted(parameters, tuple(adjustments), options)


def forbidden(request: generation_pb2.GenerateRequest, adjustments: tuple[Adjustment, ...]) -> list[str]:
    """The parameters that were changed although the request forbids it, in order, each once."""
    refuse_all = request.on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE
    changed = dict.fromkeys(adjustment.parameter for adjustment in adjustments)
    return [name for name in changed if refuse_all or name.partition(".")[0] in request.must_keep]


def asked_fields(request: generation_pb2.GenerateRequest) -> frozenset[str]:
    """The names of the fields to fit that the caller set."""
    return frozenset(_asked(request))


def text_of(value: Value | OptionValue) -> str:
    """A parameter's value as adjustments and logs show it."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    if isinstance(value, bool):
        text = text.lower()
    if len(text) <= SHOWN_CHARACTERS:
        return text
    length = f"… ({len(text):,} characters)"
    return text[: SHOWN_CHARACTERS - len(length)] + length


def _asked(request: generation_pb2.GenerateRequest) -> dict[str, Value]:
    """The fields that the caller set. An empty negative prompt is set: it overrides a default."""
    asked: dict[str, Value] = {
        name: getattr(request, name)
        for name in FITTED_FIELDS
        if name != "sampler" and request.HasField(name)  # type: ignore[arg-type]
    }
    if asked.get("seed") == -1:
        del asked["seed"]
    if "guidance_scale" in asked:
        asked["guidance_scale"] = shortest(request.guidance_scale)
    if request.sampler:
        asked["sampler"] = request.sampler
    return asked


def _unasked(name: str, parameter: Parameter | None, drawn_seed: int) -> Value | None:
    if parameter is None:
        return None
    if name == "seed":
        return _wrapped(drawn_seed, parameter)
    if isinstance(parameter.default, float) and name in INTEGER_FIELDS:
        return int(parameter.default)
    return parameter.default


def _fit_one(name: str, value: Value, parameter: Parameter) -> tuple[Value | None, Adjustment | None]:
    if name == "seed":
        return _fit_seed(int(value), parameter)
    if name in TEXT_FIELDS:
        return _fit_text(name, str(value), parameter)
    return _fit_number(name, float(value), parameter)


def _fit_number(name: str, value: float, parameter: Parameter) -> tuple[Value, Adjustment | None]:
    whole = name in INTEGER_FIELDS
    fitted = nearest_on_grid(value, parameter)
    result: Value = round(fitted) if whole else fitted
    if fitted == value:
        return result, None
    requested: Value = round(value) if whole else value
    if parameter.allows(value):
        why = f"the model takes multiples of {parameter.multiple_of:g}"
        return result, _adjustment(name, requested, result, generation_pb2.ACTION_ROUNDED, why)
    why = f"the model takes {_range_of(parameter)}"
    return result, _adjustment(name, requested, result, generation_pb2.ACTION_CLAMPED, why)


def _range_of(parameter: Parameter) -> str:
    if parameter.minimum is None:
        return f"at most {parameter.maximum:.10g}"
    if parameter.maximum is None:
        return f"at least {parameter.minimum:.10g}"
    return f"{parameter.minimum:.10g} to {parameter.maximum:.10g}"


def _fit_text(name: str, value: str, parameter: Parameter) -> tuple[Value | None, Adjustment | None]:
    if not value:
        return None, None
    if parameter.choices:
        return _choose(name, value, parameter)
    if parameter.maximum is not None and len(value) > parameter.maximum:
        cut = value[: int(parameter.maximum)]
        why = f"the model takes {parameter.maximum:g} characters"
        return cut, _adjustment(name, value, cut, generation_pb2.ACTION_CLAMPED, why)
    return value, None


def _choose(name: str, value: str, parameter: Parameter) -> tuple[Value | None, Adjustment | None]:
    # Another spelling of the same name is no change.
    for choice in parameter.choices:
        if choice.casefold() == value.casefold():
            return choice, None
    why = f"the model knows: {', '.join(parameter.choices)}"
    if isinstance(parameter.default, str):
        return parameter.default, _adjustment(name, value, parameter.default, generation_pb2.ACTION_SUBSTITUTED, why)
    return None, _adjustment(name, value, "", generation_pb2.ACTION_DROPPED, why)


def _fit_seed(value: int, parameter: Parameter) -> tuple[Value, Adjustment | None]:
    """Seeds wrap around instead of being clamped: two large seeds must stay two pictures."""
    wrapped = _wrapped(value, parameter)
    if wrapped == value:
        return value, None
    why = f"the model takes seeds up to {parameter.maximum:.0f}; this is the remainder"
    return wrapped, _adjustment("seed", value, wrapped, generation_pb2.ACTION_TRANSLATED, why)


def _wrapped(seed: int, parameter: Parameter) -> int:
    return seed if parameter.maximum is None else seed % (int(parameter.maximum) + 1)


def _fit_options(
    request: generation_pb2.GenerateRequest, model: Model, adjustments: list[Adjustment]
) -> Mapping[str, OptionValue]:
    """What of this provider's options goes along; every other change is added to `adjustments`."""
    fitted: dict[str, OptionValue] = {}
    if model.provider not in request.provider_options:
        return fitted
    for name, told in request.provider_options[model.provider].fields.items():
        parameter, asked = f"{OPTIONS_FIELD}.{model.provider}.{name[:64]}", json_format.MessageToJson(told, indent=None)
        option = model.options.get(name)
        if option is None:
            why = f"{model.display_name} does not let it through"
            adjustments.append(_adjustment(parameter, asked, "", generation_pb2.ACTION_DROPPED, why))
            continue
        value, action, why = option.fit(told)
        if action != generation_pb2.ACTION_UNSPECIFIED:
            adjustments.append(_adjustment(parameter, asked, "" if value is None else value, action, why))
        if value is not None:
            fitted[name] = value
    return fitted


def _dropped(name: str, value: Value, model: Model) -> Adjustment:
    why = f"{model.display_name} does not take it"
    return _adjustment(name, value, "", generation_pb2.ACTION_DROPPED, why)


def _adjustment(
    name: str, requested: Value, applied: Value, action: "generation_pb2.Action.ValueType", why: str
) -> Adjustment:
    return Adjustment(parameter=name, requested=text_of(requested), applied=text_of(applied), action=action, why=why)
