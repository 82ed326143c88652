"""What is told of a model, of a provider and of a route. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

# What ends by itself while nobody does anything: not a failure of whoever asks for it.
PASSING = frozenset({"MODEL_LOADING", "WARMING", "RATE_LIMITED", "BACKING_OFF", "BUSY"})
WARMING = frozenset({"MODEL_LOADING", "WARMING"})


class Works(StrEnum):
    """Whether a model works, as far as was asked."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    OFF = "off"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What speaks against a model: a reason by its bare name, what happened, what to do about it, and the upstream's
    own status and words. `ready_in` is in seconds, where waiting helps and somebody said for how long.
    """

    reason: str
    message: str
    remedy: str = ""
    upstream_status: int = 0
    upstream_message: str = ""
    ready_in: float | None = None

    @property
    def passes(self) -> bool:
        """Whether it ends by itself."""
        return self.reason in PASSING


@dataclass(frozen=True, slots=True)
class Made:
    """A picture that was made to try a model. `seconds` is how long that took, `cost` is in credits; `differences`
    says where the upstream did not do what the catalogue says, `notes` what else is worth knowing.
    """

    content_type: str
    bytes: int
    file: str
    cost: int | None
    seconds: float
    differences: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One model. `status` says in short how it is; `trouble` is what speaks against it, `made` the picture that was
    made of it.
    """

    model: str
    works: Works
    status: str
    message: str = ""
    remedy: str = ""
    trouble: Trouble | None = None
    made: Made | None = None
    notes: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """Whether it does not work, covered by a fallback or not."""
        return self.trouble is not None and not self.trouble.passes

    @property
    def stands(self) -> bool:
        """Whether a route may count on it: nothing speaks against it but what passes."""
        return self.works is not Works.OFF and not self.failed

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values; what is not known is absent."""
        shown: dict[str, Any] = {"model": self.model, "works": str(self.works), "status": self.status}
        shown |= {"message": self.message, "remedy": self.remedy}
        if self.trouble is not None:
            shown |= {"reason": self.trouble.reason}
            shown |= _known(self.trouble, "upstream_status", "upstream_message", "ready_in")
        if self.made is not None:
            shown |= _known(self.made, "content_type", "bytes", "file", "cost", "seconds")
        shown["differences"] = list(self.made.differences) if self.made is not None else []
        shown["notes"] = list(self.notes)
        return shown


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider. `key` is how its key is, with the name of its variable and nothing of the key; `off` says why
    nothing is asked of it, `problem` why its process does not answer; both are empty where all is well.
    """

    name: str
    key: str
    off: str = ""
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return _all(self)


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route: its candidates in order, and those of them that work; `off` where all of them are."""

    name: str
    candidates: Sequence[str]
    working: Sequence[str] = ()
    off: bool = False

    @property
    def works(self) -> bool:
        """Whether anybody is left."""
        return bool(self.working)

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return _all(self) | {"works": self.works}


def _all(row: Any) -> dict[str, Any]:
    return {each.name: getattr(row, each.name) for each in fields(row)}


def _known(part: Any, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(part, name)) is not None}
