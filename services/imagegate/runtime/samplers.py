"""The samplers and schedulers that a model tells of, by every spelling that it knows for them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from imagegate.runtime.adjustments import Adjustment, Value, adjusted
from imagegate.runtime.nearest import nearest
from imagegate.runtime.redaction import clip, one_line
from imagegate.v1 import catalog_pb2, generation_pb2

# What a catalogue may say at most. Names that a model does not have are compared with these, which takes time that
# grows with both.
MAX_SAMPLERS = 200
MAX_SPELLINGS = 16
MAX_SAMPLER_CHARACTERS = 64

Name = Annotated[str, Field(min_length=1, max_length=MAX_SAMPLER_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sampler, and the scheduler that an old name had in it; both as the upstream spells them."""

    sampler: str
    scheduler: str = ""

    def as_parameters(self) -> dict[str, Value]:
        """What an order holds for it."""
        both: dict[str, Value] = {"sampler": self.sampler, "scheduler": self.scheduler}
        return {name: value for name, value in both.items() if value}


@dataclass(frozen=True, slots=True)
class Named:
    """A sampler, or a scheduler: its name, and what else it is called."""

    name: Name
    spellings: Annotated[tuple[Name, ...], Field(max_length=MAX_SPELLINGS)] = ()

    @property
    def can_be_told(self) -> bool:
        """Whether it keeps to the bounds of a catalogue, and is a name for a line."""
        words = (self.name, *self.spellings)
        return len(words) <= MAX_SPELLINGS + 1 and all(map(_is_a_name, words))


@dataclass(frozen=True)
class Samplers:
    """All samplers and schedulers that an upstream has; without samplers nobody knows which these are."""

    samplers: Annotated[tuple[Named, ...], Field(max_length=MAX_SAMPLERS)] = ()
    schedulers: Annotated[tuple[Named, ...], Field(max_length=MAX_SAMPLERS)] = ()

    def __bool__(self) -> bool:
        return bool(self.samplers)

    @property
    def can_be_told(self) -> bool:
        """Whether a catalogue can tell all of it; a part would say of the rest that it does not exist."""
        fit = max(len(self.samplers), len(self.schedulers)) <= MAX_SAMPLERS
        return fit and all(each.can_be_told for each in (*self.samplers, *self.schedulers))

    def find(self, asked: str) -> Sampling | None:
        """The sampler called `asked` by name or alias, or by its name of before 1.9 ("DPM++ 2M Karras")."""
        folded = asked.strip().casefold()
        if folded in self._samplers:
            return Sampling(self._samplers[folded])
        for spelling, scheduler in self._schedulers.items():
            base = folded.removesuffix(f" {spelling}")
            if base != folded and base in self._samplers:
                return Sampling(self._samplers[base], scheduler)
        return None

    def nearest(self, asked: str) -> list[str]:
        """The three samplers whose names look most like `asked`, best first, of those that can be told in a line."""
        names = dict.fromkeys(each.name for each in self.samplers)
        return nearest(asked, [name for name in names if _is_a_name(name)][:MAX_SAMPLERS])

    @cached_property
    def _samplers(self) -> Mapping[str, str]:
        return _by_spelling(self.samplers)

    @cached_property
    def _schedulers(self) -> Mapping[str, str]:
        return _by_spelling(self.schedulers)


def settle(asked: str, known: Samplers, usual: object) -> tuple[Sampling | None, Adjustment | None]:
    """What the upstream is sent for the sampler called `asked`, and the change that this is.

    None for both where it does not have it; of the `usual` one, which a catalogue names for every upstream of its kind,
    it is told that the upstream takes its own.
    """
    found = known.find(asked)
    if found is None and asked == usual:
        why = "the model has no such sampler, and takes its own usual one"
        return None, adjusted("sampler", asked, "", generation_pb2.ACTION_DROPPED, why)
    if found is None or not found.scheduler:
        return found, None
    why = "the model takes sampler and scheduler apart"
    applied = f"{found.sampler}, scheduler {found.scheduler}"
    return found, adjusted("sampler", asked, applied, generation_pb2.ACTION_TRANSLATED, why)


def fit_sampler(
    sampler: str, told: Adjustment | None, known: Samplers, usual: object
) -> tuple[Mapping[str, Value], Adjustment | None]:
    """What an order holds for the sampler, by request field, and the change from what was asked, of which a part may be
    `told` already. One that is not `known` stays as it is: nobody is sent it (`fitting.lack`).
    """
    found, change = settle(sampler, known, usual)
    if found is None and change is None:
        return {"sampler": sampler}, told
    sampling = found.as_parameters() if found is not None else {}
    if told is None:
        return sampling, change
    applied = change.applied if change is not None else str(sampling["sampler"])
    last = change if change is not None and not sampling else told
    return sampling, adjusted("sampler", told.requested, applied, last.action, last.why)


def is_no_reason_to_refuse(change: Adjustment, *, is_asked: bool) -> bool:
    """Whether it only tells that a sampler's name was split in two, or of a sampler that nobody asked for."""
    is_the_same = change.action == generation_pb2.ACTION_TRANSLATED
    return change.parameter == "sampler" and (is_the_same or not is_asked)


def shown(name: str) -> str:
    """A name that somebody asked for as a message repeats it: cut, and on one line."""
    return repr(clip(one_line(name), 128))


def samplers_to_proto(known: Iterable[Named]) -> list[catalog_pb2.Sampler]:
    """Samplers, or schedulers, as the wire tells them."""
    return [catalog_pb2.Sampler(name=each.name, spellings=each.spellings) for each in known]


def samplers_from_proto(message: catalog_pb2.Model) -> dict[str, object]:
    """The fields of the `Samplers` that the wire tells."""
    return {
        kind: tuple({"name": each.name, "spellings": tuple(each.spellings)} for each in getattr(message, kind))
        for kind in ("samplers", "schedulers")
    }


def _by_spelling(known: Iterable[Named]) -> Mapping[str, str]:
    """Case-folded spelling → name; a name outweighs another one's alias."""
    known = list(known)
    aliases = {spelling.casefold(): each.name for each in known for spelling in each.spellings}
    return aliases | {each.name.casefold(): each.name for each in known}


def _is_a_name(text: str) -> bool:
    return 0 < len(text) <= MAX_SAMPLER_CHARACTERS and text.isprintable()
