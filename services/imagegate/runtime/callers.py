"""Who asks, by what they show: a certificate's names or a key. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imagegate.runtime.access import Role
from imagegate.runtime.bearer import MAX_KEY_LENGTH, hashed


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known by name. `tier` is the dearest tier of models that they may use (empty: no limit);
    `weight` their share where there is not enough for all, `max_inflight` how many requests of theirs may be under way
    at a time (None: no limit).
    """

    name: str
    role: Role = Role.CALLER
    tier: str = ""
    weight: float = 1.0
    max_inflight: int | None = None


# How a configuration names a caller, and the most that one may weigh.
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
MAX_WEIGHT = 1000.0
# Everybody, where callers are not told apart.
ANONYMOUS = Caller("", Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a call shows of its caller: the names in its verified certificate, its key (empty: none), and the address
    that it came from.
    """

    identities: Sequence[str] = ()
    key: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Callers:
    """Those who are known: by the names of their certificates (SAN URI, SAN DNS or CN), and by the SHA-256 of their
    keys. Where nobody is, nobody is told apart.
    """

    by_identity: Mapping[str, Caller] = field(default_factory=dict)
    by_hash: Mapping[str, Caller] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether anybody may do anything, since nobody is configured."""
        return not self.by_identity and not self.by_hash

    def with_key(self, key: str) -> Caller | None:
        """Who has `key`; None for nobody. It is looked up by its hash, which tells a clock nothing about any key."""
        return self.by_hash.get(hashed(key)) if 0 < len(key) <= MAX_KEY_LENGTH else None

    def with_identity(self, identities: Iterable[str]) -> Caller | None:
        """Who has the first of these names that is known; None for nobody."""
        return next((self.by_identity[name] for name in identities if name in self.by_identity), None)


OPEN = Callers()


def known_by_name(names: Iterable[str]) -> Callers:
    """Callers whose certificates bear these names, each called by it."""
    return Callers(by_identity={name: Caller(name) for name in names})


def told_of(name: str, weight: str) -> Caller | None:
    """The caller as a router tells of it; None where it tells of none, or nonsense. A weight that is none is 1."""
    if not re.fullmatch(NAME_PATTERN, name):
        return None
    try:
        told = float(weight)
    except ValueError:
        told = math.nan
    return Caller(name, weight=told if 0 < told <= MAX_WEIGHT else 1.0)
