"""What is installed in a webui: its samplers and schedulers, its checkpoints and the catalogue they make. Pure.

LoRAs and ControlNet: see `extensions`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from imagegate.providers.automatic1111.extensions import Extensions
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import MAX_MODELS, Catalogue, Model
from imagegate.runtime.redaction import clip
from imagegate.runtime.samplers import Named, Samplers, samplers_to_proto
from imagegate.v1 import catalog_pb2

SAMPLERS = "/sdapi/v1/samplers"
SCHEDULERS = "/sdapi/v1/schedulers"
CHECKPOINTS = "/sdapi/v1/sd-models"
OPTIONS = "/sdapi/v1/options"

# Some keep thousands of them; a catalogue is read by people and goes over the wire whole.
MAX_CHECKPOINTS = 200
MAX_TITLE_CHARACTERS = 256
# Of the 1 MiB that a router takes of a catalogue, what samplers may have: every model tells them, as long as they fit.
SAMPLERS_BYTES = 320 * 1024
NO_EXTENSIONS = Extensions()
NO_SAMPLERS = Samplers()
# Seconds that a checkpoint takes to load before its first picture: several GB from a disk. Ours.
LOADING_SECONDS = 20.0

# ── Samplers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_samplers(samplers: Answer, schedulers: Answer | None) -> Samplers:
    """What the webui lists; before 1.9 it has no schedulers, and the samplers' names say it all.

    Raises Failure: UPSTREAM_ERROR where it lists nothing, BAD_OUTPUT where it answers something else.
    """
    known = _named(samplers)
    if not known:
        raise Failure(Reason.UPSTREAM_ERROR, "the webui lists no sampler", remedy="look at its console")
    return Samplers(known, _named(schedulers) if schedulers else ())


def _named(answer: Answer) -> tuple[Named, ...]:
    """What the answer lists, and what else it is called, each spelling once in any case."""
    return tuple(
        Named(name, tuple(spelling for spelling in _others(item) if spelling.casefold() != name.casefold()))
        for item in _items(answer)
        if (name := _text(item, "name"))
    )


def _others(item: Mapping[str, Any]) -> Collection[str]:
    spellings = (_text(item, "label"), *_texts(item, "aliases"))
    return {spelling.casefold(): spelling for spelling in spellings if spelling}.values()


# ── Checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model file: the title that selects it, its name, and ten hexadecimal digits of its hash once that is known."""

    title: str
    name: str
    hash: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it can be told in a catalogue and asked for again."""
        is_told = bool(self.title and self.name) and (self.title + self.name).isprintable()
        return is_told and len(self.title) <= MAX_TITLE_CHARACTERS

    def made(self, info: Mapping[str, Any]) -> bool:
        """Whether a picture comes from this checkpoint, as far as the webui's word on the picture tells."""
        used = _text(info, "sd_model_hash")
        if used and self.hash:
            return used == self.hash
        return _text(info, "sd_model_name") in ("", self.name)


def to_checkpoints(answer: Answer) -> list[Checkpoint]:
    """The checkpoints that the webui lists, as many as a catalogue bears. Raises Failure(BAD_OUTPUT)."""
    listed = [
        Checkpoint(_text(item, "title"), _text(item, "model_name"), _text(item, "hash")) for item in _items(answer)
    ]
    return [each for each in listed if each.is_usable][:MAX_CHECKPOINTS]


def to_loaded(answer: Answer) -> str:
    """The title of the checkpoint that is loaded, empty where the webui does not tell. Raises Failure(BAD_OUTPUT)."""
    options = answer.json()
    return _text(options, "sd_model_checkpoint") if isinstance(options, dict) else ""


def find(checkpoints: Sequence[Checkpoint], model: Model) -> Checkpoint | None:
    """The checkpoint that a catalogue entry stands for.

    By its name where the title is another one now: a file's hash joins its title when it is first loaded.
    """
    titled = (each for each in checkpoints if each.title == model.wire["checkpoint"])
    named = (each for each in checkpoints if each.name == model.wire["name"])
    return next(titled, None) or next(named, None)


def selecting(packaged: Catalogue) -> Catalogue:
    """The catalogue with every model but the first, which is what is loaded, for the checkpoint of its upstream id.

    Others than the first come from an operator, who knows the title or the name of a checkpoint.
    """
    local, *others = packaged.models
    made = (
        model.model_copy(update={"wire": {"checkpoint": model.upstream_model, "name": model.upstream_model}})
        for model in others
    )
    return packaged.model_copy(update={"models": (local, *made)})


def to_catalogue(
    packaged: Catalogue,
    checkpoints: Iterable[Checkpoint],
    loaded: str,
    extensions: Extensions = NO_EXTENSIONS,
    samplers: Samplers = NO_SAMPLERS,
) -> Catalogue:
    """The packaged catalogue, whose first model is what is loaded, and a model for each checkpoint that has none; each
    with what the extensions let it do, and with the samplers, as far as they can be told.
    """
    declared, *others = packaged.models
    local = extensions.offered(declared, loaded)
    taken = {name for model in packaged.models for name in model.names}
    entered = {model.upstream_model for model in others}
    by_title = {each.title: each for each in checkpoints if each.title not in taken and each.name not in entered}
    taken |= by_title.keys()
    if loaded in by_title:
        local = local.model_copy(
            update={"display_name": f"{_shown(by_title[loaded].name)} (loaded in the local webui)"}
        )
    models = []
    for checkpoint in islice(by_title.values(), MAX_MODELS - len(packaged.models)):
        model = extensions.offered(declared, checkpoint.title)
        models.append(_model(model, checkpoint, taken, is_loaded=checkpoint.title == loaded))
        taken |= set(models[-1].names)
    entries = (extensions.offered(model, model.upstream_model) for model in others)
    return packaged.model_copy(update={"models": tuple(_telling(samplers, (local, *entries, *models)))})


def _telling(samplers: Samplers, models: Iterable[Model]) -> Iterator[Model]:
    """The models, with the samplers as long as there is room for them; of the others nobody knows."""
    told = samplers if samplers.can_be_told else NO_SAMPLERS
    each = catalog_pb2.Model(
        samplers=samplers_to_proto(told.samplers), schedulers=samplers_to_proto(told.schedulers)
    ).ByteSize()
    for number, model in enumerate(models, start=1):
        yield model.model_copy(update={"samplers": told if number * each <= SAMPLERS_BYTES else NO_SAMPLERS})


def _model(local: Model, checkpoint: Checkpoint, taken: set[str], *, is_loaded: bool) -> Model:
    key = _key(checkpoint.name, taken)
    low, high = local.typical_seconds
    return local.model_copy(
        update={
            "key": key,
            "display_name": f"{_shown(checkpoint.name)} (local webui)",
            "upstream_model": checkpoint.title,
            "aliases": () if checkpoint.name in taken | {key} else (checkpoint.name,),
            "typical_seconds": (low, high if is_loaded else high + LOADING_SECONDS),
            "wire": {"checkpoint": checkpoint.title, "name": checkpoint.name},
        }
    )


def _key(name: str, taken: set[str]) -> str:
    """A name as a catalogue key, with a number where it is taken."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")[:60] or "checkpoint"
    return next(key for key in (slug, *(f"{slug}-{n}" for n in range(2, MAX_CHECKPOINTS + 3))) if key not in taken)


def _shown(name: str) -> str:
    return clip(name, 128)


# ── Reading lists ────────────────────────────────────────────────────────────────────────────────────────────────────


def _items(answer: Answer) -> list[dict[str, Any]]:
    """The objects of a list. Raises Failure(BAD_OUTPUT) where the answer is none."""
    body = answer.json()
    if not isinstance(body, list):
        raise Failure(Reason.BAD_OUTPUT, "the webui answered something else instead of a list")
    return [item for item in body if isinstance(item, dict)]


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _texts(item: Mapping[str, Any], name: str) -> list[str]:
    value = item.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
