"""What a request wants done, who can do it, and how what belongs to each of its inputs is fitted. Pure.

A task is what a model can do (`Model.tasks`); a request may need several of them together: a photo and a pose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagegate.runtime.adjustments import Adjustment, adjusted
from imagegate.runtime.models import TASKS, Model, Task
from imagegate.runtime.parameters import nearest_on_grid, shortest
from imagegate.v1 import catalog_pb2, generation_pb2

TEXT_TO_IMAGE: Task = "text_to_image"
POSE_EXTRACTION: Task = "pose_extraction"
IDENTITY: Task = "identity"
# Tasks that work on a picture which the request brings along, by the field that holds it.
FROM_A_PICTURE: Sequence[Task] = ("image_to_image", "inpainting", "pose_extraction")

CONTROLS: dict["generation_pb2.ControlType.ValueType", Task] = {
    generation_pb2.CONTROL_TYPE_OPENPOSE: "control_openpose",
    generation_pb2.CONTROL_TYPE_CANNY: "control_canny",
    generation_pb2.CONTROL_TYPE_DEPTH: "control_depth",
    generation_pb2.CONTROL_TYPE_BLUR: "control_blur",
}


@dataclass(frozen=True, slots=True)
class FittedControl:
    """How one control goes to the model; what is None is not sent. `kind` is openpose, canny, depth or blur."""

    kind: str
    scale: float | None = None
    start: float | None = None
    end: float | None = None
    preprocess: bool = False


@dataclass(frozen=True, slots=True)
class FittedLora:
    """A LoRA by the upstream's own name, and how much of it; None leaves that to the upstream."""

    name: str
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class FittedInputs:
    """What goes along with each input, in the request's order; of identity pictures their strengths."""

    controls: tuple[FittedControl, ...] = ()
    identity: tuple[float | None, ...] = ()
    loras: tuple[FittedLora, ...] = ()


def needed(request: generation_pb2.GenerateRequest) -> tuple[Task, ...]:
    """Everything that a model must be able to do for the request, each once."""
    task = request.WhichOneof("task")
    tasks: list[Task] = [TASKS[catalog_pb2.Task.Value(f"TASK_{task.upper()}")]] if task else []
    tasks += [CONTROLS[control.type] for control in request.controls if control.type in CONTROLS]
    if request.identity:
        tasks.append(IDENTITY)
    return tuple(dict.fromkeys(tasks)) or (TEXT_TO_IMAGE,)


def inability(request: generation_pb2.GenerateRequest, model: Model) -> str:
    """Why the model cannot do what the request wants; empty where it can."""
    for task in needed(request):
        if why := model.inability(task):
            return why
    for what, asked, most in (
        ("LoRAs", len(request.loras), model.max_loras),
        ("controls", len(request.controls), model.max_controls),
        ("pictures of a person", len(request.identity), model.max_identity),
    ):
        if asked > most:
            return f"it takes {f'at most {most}' if most else 'no'} {what}"
    return ""


def count_of(request: generation_pb2.GenerateRequest) -> int:
    """How many pictures the request makes, and is charged for: in a photo there is one pose, however often it is asked
    for.
    """
    return 1 if request.HasField("pose_extraction") else request.count or 1


def unread_words(request: generation_pb2.GenerateRequest) -> list[Adjustment]:
    """That the prompt is not read where nothing is drawn by it, which is no reason to refuse."""
    if not request.HasField("pose_extraction") or not request.prompt:
        return []
    why = "finding a pose takes nothing but the photo"
    return [adjusted("prompt", request.prompt, "", generation_pb2.ACTION_DROPPED, why)]


def fit_inputs(request: generation_pb2.GenerateRequest, model: Model) -> tuple[FittedInputs, list[Adjustment]]:
    """What goes to the model along with each input, and what had to be changed for it."""
    changed: list[Adjustment] = []

    def fitted(field: str, place: str, asked: float | None) -> float | None:
        value, adjustment = _fit(field, place, asked, model)
        if adjustment is not None:
            changed.append(adjustment)
        return value

    controls = tuple(
        FittedControl(
            CONTROLS[control.type].removeprefix("control_"),
            fitted("conditioning_scale", f"controls[{n}].conditioning_scale", _asked(control, "conditioning_scale")),
            fitted("control_start", f"controls[{n}].start", _asked(control, "start")),
            fitted("control_end", f"controls[{n}].end", _asked(control, "end")),
            control.preprocess,
        )
        for n, control in enumerate(request.controls)
        if control.type in CONTROLS
    )
    identity = tuple(
        fitted("identity_strength", f"identity[{n}].strength", _asked(each, "strength"))
        for n, each in enumerate(request.identity)
    )
    loras = tuple(
        FittedLora(lora.name, fitted("lora_weight", f"loras[{n}].weight", _asked(lora, "weight")))
        for n, lora in enumerate(request.loras)
    )
    if request.count > (count := count_of(request)):
        why = "in a photo there is one pose, the same each time"
        changed.append(adjusted("count", request.count, count, generation_pb2.ACTION_CLAMPED, why))
    return FittedInputs(controls, identity, loras), changed


def pictures(request: generation_pb2.GenerateRequest) -> Iterator[tuple[str, generation_pb2.InputImage]]:
    """Every picture that the request brings along, with its place in it ("controls[0].image")."""
    task = request.WhichOneof("task")
    if task:
        yield f"{task}.image", getattr(request, task).image
    if task == "inpainting":
        yield f"{task}.mask", request.inpainting.mask
    for n, control in enumerate(request.controls):
        yield f"controls[{n}].image", control.image
    for n, each in enumerate(request.identity):
        yield f"identity[{n}].image", each.image


def _asked(part: object, name: str) -> float | None:
    return shortest(getattr(part, name)) if part.HasField(name) else None  # type: ignore[attr-defined]


def _fit(field: str, place: str, asked: float | None, model: Model) -> tuple[float | None, Adjustment | None]:
    parameter = model.parameters.get(field)
    if asked is None:
        default = parameter.default if parameter is not None else None
        return (default if isinstance(default, float) else None), None
    if parameter is None:
        why = f"{model.display_name} does not take it"
        return None, adjusted(place, asked, "", generation_pb2.ACTION_DROPPED, why)
    value = nearest_on_grid(asked, parameter)
    if value == asked:
        return value, None
    return value, adjusted(place, asked, value, generation_pb2.ACTION_CLAMPED, f"the model takes {parameter.range}")
