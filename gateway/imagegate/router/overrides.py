"""What operators have decided about breakers, for a while. Pure; `now` is the monotonic clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

DEFAULT_SECONDS = 3600.0
# For good is configuration (`enabled: false`), which reaches every replica.
LONGEST_SECONDS = 7 * 86_400.0

# A provider and the key of its model; an empty key is the whole provider.
Scope = tuple[str, str]


class Mode(Enum):
    """What can be decided."""

    OPEN = "open"  # nobody is sent there
    CLOSED = "closed"  # requests pass whatever the breaker says
    OBSERVE_ONLY = "observe_only"  # the breaker counts and moves, and holds nobody back


@dataclass(frozen=True, slots=True)
class Override:
    """One decision, who took it, why, and until when (monotonic seconds)."""

    mode: Mode
    reason: str
    actor: str
    until: float


class Overrides:
    """The decisions in force on this replica."""

    def __init__(self) -> None:
        self._overrides: dict[Scope, Override] = {}

    def __repr__(self) -> str:
        return f"<Overrides {len(self._overrides)}>"

    def put(self, scope: Scope, override: Override) -> None:
        """Take this decision instead of a former one."""
        self._overrides[scope] = override

    def clear(self, scope: Scope, now: float) -> bool:
        """Take a decision back; whether there was one in force."""
        was_there = self.on(scope, now) is not None
        self._overrides.pop(scope, None)
        return was_there

    def on(self, scope: Scope, now: float) -> Override | None:
        """The decision in force on exactly this scope."""
        override = self._overrides.get(scope)
        return override if override is not None and override.until > now else None

    def in_force(self, now: float) -> Mapping[Scope, Override]:
        """All of them."""
        return {scope: override for scope, override in self._overrides.items() if override.until > now}
