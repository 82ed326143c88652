"""Fit a request to a model: what is sent, and every change that this takes. Pure.

Nothing that the model does not declare is ever sent, nothing the caller left out is sent unless the
model's entry or the request's quality gives it, and no change goes unrecorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagegate.runtime.adjustments import Adjustment, Value, adjusted
from imagegate.runtime.inputs import size_of_image
from imagegate.runtime.models import Model
from imagegate.runtime.options import OptionValue, fit_options
from imagegate.runtime.parameters import (
    FITTED_FIELDS,
    INTEGER_FIELDS,
    TEXT_FIELDS,
    Parameter,
    nearest_on_grid,
    shortest,
)
from imagegate.runtime.samplers import fit_sampler, is_no_reason_to_refuse, shown
from imagegate.runtime.sizing import SIDES, fit_sides, sides_of
from imagegate.runtime.tasks import FittedInputs, fit_inputs, unread_words
from imagegate.v1 import generation_pb2, terms_pb2

# What a quality stands for where the request leaves it open: pixels a side, and steps.
PRESETS = {
    terms_pb2.QUALITY_SD: (512, 30),
    terms_pb2.QUALITY_HD: (1024, 50),
    terms_pb2.QUALITY_ULTRA: (1024, 50),
    terms_pb2.QUALITY_PREMIUM: (1024, 60),
}

# Drawn seeds are below this: what every upstream takes, and exact as a number in every language.
SEEDS = 2**32

# Fields that belong to what is done with a picture, and those of the request itself.
PICTURE_FIELDS = ("strength", "mask_blur")
PLAIN_FIELDS = [name for name in FITTED_FIELDS if name not in PICTURE_FIELDS]

# A model that takes at most so many steps was distilled to them.
MOST_DISTILLED_STEPS = 12


@dataclass(frozen=True, slots=True)
class Fitted:
    """What goes to the model, by request field; what goes along by the upstream's own names; what had to be changed for
    it; and as `notes` what is told as well and is no reason to refuse.
    """

    parameters: Mapping[str, Value]
    adjustments: tuple[Adjustment, ...]
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    inputs: FittedInputs = field(default_factory=FittedInputs)
    notes: tuple[Adjustment, ...] = ()

    @property
    def told(self) -> tuple[Adjustment, ...]:
        """All that the caller hears of."""
        return (*self.adjustments, *self.notes)


def fit(request: generation_pb2.GenerateRequest, model: Model, drawn_seed: int) -> Fitted:
    """What `model` is sent for `request`.

    `drawn_seed` (0 to SEEDS - 1) is used where the model takes a seed and the request leaves it
    open. The request must be valid (`imagegate.runtime.validation`).
    """
    parameters: dict[str, Value] = {}
    adjustments: list[Adjustment] = []
    notes = unread_words(request)
    asked, preset = _asked(request), _preset(request)
    sides = fit_sides(asked, model, request.must_keep, preset)
    if asked.keys().isdisjoint(SIDES) and (size := size_of_image(request)) is not None:
        sides = sides_of(size, model)
    fields = [*PLAIN_FIELDS, *_picture_fields(request)]
    for name in fields:
        parameter, adjustment = model.parameters.get(name), None
        value: Value | None
        if name in sides:
            value, adjustment = sides[name]
        elif name not in asked:
            value = _unasked(name, parameter, drawn_seed, preset.get(name))
        elif parameter is None:
            value, adjustment = _not_taken(name, asked[name], model)
        else:
            value, adjustment = _fit_one(name, asked[name], parameter)
        if name == "sampler" and value and _needs_sampler(request, model):
            usual = model.parameters["sampler"].default
            sampling, adjustment = fit_sampler(str(value), adjustment, model.samplers, usual)
            parameters |= sampling
            value = None
        if adjustment is not None:
            is_note = is_no_reason_to_refuse(adjustment, is_asked="sampler" in asked)
            (notes if is_note else adjustments).append(adjustment)
        if value is not None and value != "":
            parameters[name] = value
    inputs, changed = fit_inputs(request, model)
    adjustments += changed
    options: Mapping[str, OptionValue] = {}
    if (told := request.provider_options.get(model.provider)) is not None:
        options, dropped = fit_options(told, model.options, model.provider, model.display_name)
        adjustments += dropped
    return Fitted(parameters, tuple(adjustments), options, inputs, tuple(notes))


def forbidden(request: generation_pb2.GenerateRequest, adjustments: tuple[Adjustment, ...]) -> list[str]:
    """The parameters that were changed although the request forbids it, in order, each once."""
    refuse_all = request.on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE
    changed = dict.fromkeys(adjustment.parameter for adjustment in adjustments)
    return [name for name in changed if refuse_all or root_of(name) in request.must_keep]


def lack(request: generation_pb2.GenerateRequest, model: Model, fitted: Fitted) -> str:
    """What the model does not have of what was `fitted` to it, and so cannot be asked for; empty where it has all."""
    sampler = str(fitted.parameters.get("sampler", ""))
    if not sampler or not _needs_sampler(request, model) or model.samplers.find(sampler) is not None:
        return ""
    names = model.samplers.nearest(sampler)
    return f"it has no sampler {shown(sampler)}" + (f" (the nearest: {', '.join(names)})" if names else "")


def root_of(parameter: str) -> str:
    """The request field that an adjustment is about: `controls` for `controls[0].start`."""
    return parameter.partition(".")[0].partition("[")[0]


def asked_fields(request: generation_pb2.GenerateRequest) -> frozenset[str]:
    """The names of the fields to fit that the caller set."""
    return frozenset(_asked(request))


def leaves_seed_open(request: generation_pb2.GenerateRequest) -> bool:
    """Whether any seed will do."""
    return not request.HasField("seed") or request.seed == -1


def _asked(request: generation_pb2.GenerateRequest) -> dict[str, Value]:
    """The fields that the caller set. An empty negative prompt is set: it overrides a default."""
    asked: dict[str, Value] = {
        name: getattr(request, name)
        for name in PLAIN_FIELDS
        if name != "sampler" and request.HasField(name)  # type: ignore[arg-type]
    }
    for name in _picture_fields(request):
        part = getattr(request, str(request.WhichOneof("task")))
        if part.HasField(name):
            value = getattr(part, name)
            asked[name] = shortest(value) if isinstance(value, float) else value
    if leaves_seed_open(request):
        asked.pop("seed", None)
    if "guidance_scale" in asked:
        asked["guidance_scale"] = shortest(request.guidance_scale)
    if request.sampler:
        asked["sampler"] = request.sampler
    return asked


def _picture_fields(request: generation_pb2.GenerateRequest) -> list[str]:
    """The fields that belong to what this request wants done with a picture."""
    task = request.WhichOneof("task")
    known = getattr(request, task).DESCRIPTOR.fields_by_name if task else {}
    return [name for name in PICTURE_FIELDS if name in known]


def _preset(request: generation_pb2.GenerateRequest) -> Mapping[str, int]:
    """What the request's quality stands for, by request field."""
    if request.quality not in PRESETS:
        return {}
    side, steps = PRESETS[request.quality]
    return {"width": side, "height": side, "steps": steps}


def _unasked(name: str, parameter: Parameter | None, drawn_seed: int, preset: int | None) -> Value | None:
    if parameter is None:
        return None
    if name == "seed":
        return _wrapped(drawn_seed, parameter)
    if preset is not None and parameter.takes(preset):
        return preset
    if isinstance(parameter.default, float) and name in INTEGER_FIELDS:
        return int(parameter.default)
    return parameter.default


def _not_taken(name: str, value: Value, model: Model) -> tuple[None, Adjustment | None]:
    if value == "":  # an empty text is not sent anywhere
        return None, None
    why = f"{model.display_name} does not take it"
    return None, adjusted(name, value, "", generation_pb2.ACTION_DROPPED, why)


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
    if why := _in_own_terms(name, value, parameter):
        action = generation_pb2.ACTION_TRANSLATED
    elif parameter.allows(value):
        action, why = generation_pb2.ACTION_ROUNDED, f"the model takes multiples of {parameter.multiple_of:g}"
    else:
        action, why = generation_pb2.ACTION_CLAMPED, f"the model takes {parameter.range}"
    return result, adjusted(name, round(value) if whole else value, result, action, why)


def _in_own_terms(name: str, value: float, parameter: Parameter) -> str:
    """Why a model of this kind has no use for so large a number, which others do; empty where it is only too large."""
    if parameter.maximum is None or value <= parameter.maximum:
        return ""
    if name == "guidance_scale" and parameter.maximum == 0:
        return "the model works without guidance"
    if name == "steps" and parameter.maximum <= MOST_DISTILLED_STEPS:
        return f"the model is distilled to {parameter.range} steps"
    return ""


def _fit_text(name: str, value: str, parameter: Parameter) -> tuple[Value | None, Adjustment | None]:
    if not value:
        return None, None
    if parameter.choices:
        return _choose(name, value, parameter)
    if parameter.maximum is not None and len(value) > parameter.maximum:
        cut = value[: int(parameter.maximum)]
        why = f"the model takes {parameter.maximum:g} characters"
        return cut, adjusted(name, value, cut, generation_pb2.ACTION_CLAMPED, why)
    return value, None


def _choose(name: str, value: str, parameter: Parameter) -> tuple[Value | None, Adjustment | None]:
    # Another spelling of the same name is no change.
    for choice in parameter.choices:
        if choice.casefold() == value.casefold():
            return choice, None
    why = f"the model knows: {', '.join(parameter.choices)}"
    if isinstance(parameter.default, str):
        return parameter.default, adjusted(name, value, parameter.default, generation_pb2.ACTION_SUBSTITUTED, why)
    return None, adjusted(name, value, "", generation_pb2.ACTION_DROPPED, why)


def _needs_sampler(request: generation_pb2.GenerateRequest, model: Model) -> bool:
    """Whether the model will use one, and tells which it has; finding a pose takes nothing but the photo."""
    return bool(model.samplers) and not request.HasField("pose_extraction")


def _fit_seed(value: int, parameter: Parameter) -> tuple[Value, Adjustment | None]:
    """Seeds wrap around instead of being clamped: two large seeds must stay two pictures."""
    wrapped = _wrapped(value, parameter)
    if wrapped == value:
        return value, None
    why = f"the model takes seeds up to {parameter.maximum:.0f}; this is the remainder"
    return wrapped, adjusted("seed", value, wrapped, generation_pb2.ACTION_TRANSLATED, why)


def _wrapped(seed: int, parameter: Parameter) -> int:
    return seed if parameter.maximum is None else seed % (int(parameter.maximum) + 1)
