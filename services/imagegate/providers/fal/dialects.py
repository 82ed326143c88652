"""How each family of fal's apps names what it takes, and at which path it does what. Pure.

fal has a path for each task: `wire` of a catalogue entry names the dialect, and the path of every task that is not done
at the model's own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from imagegate.runtime.models import Catalogue, Model, Task
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Order

# Tasks that have paths of their own; a control or a person goes along to whichever path it is.
PATHED_TASKS: tuple[Task, ...] = ("image_to_image", "inpainting")
# Owner and alias, and perhaps a path below them: it becomes part of a URL that the key goes to.
APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){1,4}")
CONTROL_KINDS = ("openpose", "canny", "depth")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of models names what it takes.

    `constants` go along with every request, but for those that an option of the request names. `sizeless` are the tasks
    at whose path no size is taken: the picture becomes as large as the one that it begins with. `least_steps` are the
    fewest steps of a task at whose path there are more to be than at the model's own.
    """

    steps: str = "num_inference_steps"
    takes_words: bool = True
    takes_size: bool = True
    constants: Mapping[str, str] = field(default_factory=dict)
    sizeless: frozenset[Task] = frozenset()
    least_steps: Mapping[Task, int] = field(default_factory=dict)
    # Whether the prompt has to name the person by the word `img`.
    wants_trigger: bool = False


# The safety checker is left as fal has it, on, unless an option says otherwise. Who takes a format gives JPEG unless
# asked.
PNG = {"output_format": "png"}
DIALECTS = {
    "plain": Dialect(),
    "flux": Dialect(constants=PNG),
    "flux-dev": Dialect(constants=PNG, sizeless=frozenset({"image_to_image"}), least_steps={"image_to_image": 10}),
    "cascade": Dialect(steps="first_stage_steps"),
    "aura": Dialect(takes_size=False),
    "union": Dialect(constants={"format": "png"}),
    # Unless a style is asked for the words alone say what is drawn; fal's own default is "Photographic".
    "photomaker": Dialect(takes_size=False, constants={"style": "(No style)"}, wants_trigger=True),
    "dwpose": Dialect(takes_words=False, takes_size=False),
}
# What a request says in fields of its own, and how a picture comes back: no option of a model's may be one of these.
OURS = frozenset({
    "prompt", "negative_prompt", "image_size", "guidance_scale", "seed", "num_images", "output_format", "format",
    "sync_mode", "strength", "loras", "controlnet_conditioning_scale", "draw_mode",
    *(f"{kind}_preprocess" for kind in CONTROL_KINDS), *(dialect.steps for dialect in DIALECTS.values()),
})  # fmt: skip


def dialect_of(model: Model) -> Dialect:
    """The dialect of a model that was `checked`."""
    return DIALECTS[_name_of(model)]


def path_of(order: Order) -> str:
    """The app that does what the order wants done."""
    return order.model.wire.get(order.inputs.task, order.model.upstream_model)


def takes_size(order: Order) -> bool:
    """Whether a size may be sent to that app."""
    dialect = dialect_of(order.model)
    return dialect.takes_size and order.inputs.task not in dialect.sizeless


def is_ours(option: str) -> bool:
    """Whether no request may name `option`: we say it ourselves, or it would have fal fetch what a caller names."""
    return option in OURS or option.endswith(("_url", "_urls"))


def checked(catalogue: Catalogue) -> Catalogue:
    """The catalogue, if all that it says can be said here. Raises CatalogueError with every problem."""
    entries = {f"models.{model.key}": model for model in catalogue.models}
    if catalogue.outside is not None:
        entries["outside"] = catalogue.outside
    problems = [f"{place}.{problem}" for place, model in entries.items() for problem in _problems(model)]
    if problems:
        raise CatalogueError(*problems)
    return catalogue


def _problems(model: Model) -> Iterator[str]:
    if (name := _name_of(model)) not in DIALECTS:
        yield f"wire.dialect: {name!r} is not one of {', '.join(DIALECTS)}"
    for task in PATHED_TASKS:
        if task in model.tasks and len(model.tasks) > 1 and task not in model.wire:
            yield f"wire.{task}: names no app that does it; fal has one for each task"
    for key, app in model.wire.items():
        if key == "dialect":
            continue
        if key not in PATHED_TASKS or key not in model.tasks:
            yield f"wire.{key}: is neither dialect nor a task of this model that has an app of its own"
        elif not APP.fullmatch(app):
            yield f"wire.{key}: {app[:64]!r} is no app's id"
    yield from (f"options.{name}: imagegate says it itself" for name in sorted(filter(is_ours, model.options)))


def _name_of(model: Model) -> str:
    return model.wire.get("dialect", "plain")
