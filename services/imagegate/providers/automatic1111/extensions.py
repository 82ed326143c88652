"""What a webui has beside its checkpoints: LoRAs, and the ControlNet extension with its models and preprocessors. Pure.

Nothing that it lacks is refused by it: it leaves out a LoRA that it does not know, and a control whose model does not
fit the checkpoint, without a word. So both are looked up here first.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from imagegate.runtime.answer import Answer
from imagegate.runtime.models import Model, Task
from imagegate.runtime.nearest import nearest

LORAS = "/sdapi/v1/loras"
CONTROL_MODELS = "/controlnet/model_list"
CONTROL_MODULES = "/controlnet/module_list"
CONTROL_SETTINGS = "/controlnet/settings"

# Some keep thousands of LoRAs; of these so many are compared with a name that is none, which takes 0.1 s.
MAX_LORAS = 10_000
MAX_COMPARED = 1_000
MAX_NAME_CHARACTERS = 256
# Far more than there are.
MAX_LISTED = 2_000
MAX_UNITS = 16

# ── LoRAs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# What would end the tag that a name stands in, or stand for something else in it; a "#" begins a comment.
NOT_IN_A_TAG = frozenset("<>:=#")


@dataclass(frozen=True, slots=True)
class Loras:
    """The LoRAs of a webui: their names, which are those of files, and the names by their other names."""

    names: Sequence[str] = ()
    by_alias: Mapping[str, str] = field(default_factory=dict)

    def find(self, asked: str) -> str | None:
        """The name of the one that is called exactly `asked`, by name or else by alias."""
        return asked if asked in self.names else self.by_alias.get(asked)

    def nearest(self, asked: str) -> list[str]:
        """The three names that look most like `asked`, best first."""
        return nearest(asked, list(self.names[:MAX_COMPARED]))


_TEXT = rb'"((?:[^"\\]|\\.){0,1024})"'
_LORA = re.compile(rb'"name"\s*:\s*' + _TEXT + rb'\s*,\s*"alias"\s*:\s*(?:' + _TEXT + rb'|null)\s*,\s*"path"\s*:')


def to_loras(answer: Answer) -> Loras:
    """The LoRAs that can be put into a prompt.

    Each comes with every word that it was trained on, a hundred thousand together: only the beginnings are read.
    """
    aliases: dict[str, list[str]] = {}
    names: dict[str, None] = {}
    for found in islice(_LORA.finditer(answer.body), MAX_LORAS):
        name, alias = _unquoted(found[1]), _unquoted(found[2] or b"")
        if _is_usable(name):
            names[name] = None
            aliases.setdefault(alias, []).append(name)
    # What two are called the webui takes for neither.
    return Loras(tuple(names), {alias: own[0] for alias, own in aliases.items() if alias and len(own) == 1})


def _is_usable(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and NOT_IN_A_TAG.isdisjoint(name)


def _unquoted(text: bytes) -> str:
    try:
        return str(json.loads(b'"' + text + b'"'))
    except ValueError:
        return ""


# ── ControlNet ───────────────────────────────────────────────────────────────────────────────────────────────────────

# What a model for each kind of control has in its name, and what does the kind's work on a photo, the best first.
WORDS = {"openpose": "openpose", "canny": "canny", "depth": "depth", "blur": "tile"}
PREPROCESSORS = {
    "openpose": ("openpose_full", "dw_openpose_full", "openpose"),
    "canny": ("canny",),
    "depth": ("depth_midas", "depth", "depth_anything_v2", "depth_anything", "depth_zoe", "depth_leres"),
    "blur": ("tile_resample", "blur_gaussian"),
}
# Made for other bodies than ours.
OTHER_BODIES = "animal"
# By whether hands and face are drawn as well.
POSE_DETECTORS = {
    (True, True): "openpose_full",
    (True, False): "openpose_hand",
    (False, True): "openpose_face",
    (False, False): "openpose",
}
# What a name tells of the family that a checkpoint or a model of ControlNet belongs to.
FAMILIES = {
    "flux": re.compile(r"flux"),
    "sd3": re.compile(r"sd_?3"),
    "sdxl": re.compile(r"xl|pony|illustrious|noobai|animagine"),
    "sd2": re.compile(r"sd_?2|v2-[01]"),
    "sd1": re.compile(r"sd_?1[._-]?[456]|v1-[45]|v1\.5"),
}


def family_of(name: str) -> str:
    """The family that a name tells; empty where it tells none."""
    return next((family for family, sign in FAMILIES.items() if sign.search(name.casefold())), "")


@dataclass(frozen=True, slots=True)
class ControlNet:
    """The extension: the titles of its models, the names of its preprocessors, and how many controls it takes at once.

    Empty where it is not installed.
    """

    models: Sequence[str] = ()
    modules: frozenset[str] = frozenset()
    units: int = 0

    def model(self, kind: str, checkpoint: str) -> str | None:
        """The title of a model for this kind of control that fits the checkpoint, as far as names tell."""
        named = [each for each in self.models if WORDS[kind] in each.casefold() and OTHER_BODIES not in each.casefold()]
        family = family_of(checkpoint)
        same = [each for each in named if family and family_of(each) == family]
        untold = [each for each in named if not family or not family_of(each)]
        return next(iter([*same, *untold]), None)

    def module(self, kind: str) -> str | None:
        """The preprocessor that finds this kind of control in a photo."""
        return next((each for each in PREPROCESSORS[kind] if each in self.modules), None)

    @property
    def detects_poses(self) -> bool:
        """Whether it can draw the pose in a photo, with and without hands and face."""
        return self.modules.issuperset(POSE_DETECTORS.values())


def to_controlnet(models: Answer, modules: Answer, settings: Answer) -> ControlNet:
    """What the extension lists. Raises Failure(BAD_OUTPUT) where an answer is not even JSON."""
    units = _object(settings).get("control_net_unit_count")
    is_told = isinstance(units, int) and not isinstance(units, bool)
    return ControlNet(
        _names(models, "model_list"),
        frozenset(_names(modules, "module_list")),
        min(max(int(units), 0), MAX_UNITS) if is_told else 1,  # type: ignore[call-overload]
    )


def _names(answer: Answer, field: str) -> tuple[str, ...]:
    listed = _object(answer).get(field)
    names = listed[:MAX_LISTED] if isinstance(listed, list) else ()
    return tuple(each for each in names if isinstance(each, str) and 0 < len(each) <= MAX_NAME_CHARACTERS)


def _object(answer: Answer) -> Mapping[str, object]:
    body = answer.json()
    return body if isinstance(body, dict) else {}


# ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Extensions:
    """What was found; `loras` is None while nobody has told: that extension comes with the webui."""

    loras: Loras | None = None
    controlnet: ControlNet = field(default_factory=ControlNet)

    def offered(self, model: Model, checkpoint: str) -> Model:
        """The model with what the webui can do now, of what it is declared to do, with the checkpoint of that name."""
        tasks = tuple(task for task in model.tasks if self._can(task, checkpoint))
        is_controlled = any(task.startswith("control_") for task in tasks)
        return model.model_copy(
            update={
                "tasks": tasks,
                "max_controls": min(model.max_controls, self.controlnet.units) if is_controlled else 0,
                "max_loras": model.max_loras if self.loras is None or self.loras.names else 0,
            }
        )

    def _can(self, task: Task, checkpoint: str) -> bool:
        if task == "pose_extraction":
            return self.controlnet.detects_poses
        kind = task.removeprefix("control_")
        if kind == task:
            return True
        return self.controlnet.units > 0 and self.controlnet.model(kind, checkpoint) is not None
