"""Who asks, and what they may. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from imagegate.client.key import Role

__all__ = ["Access", "Caller", "Role"]


class Access(StrEnum):
    """Who may ask: anybody, who has a key, or an operator."""

    ANYBODY = "anybody"
    USER = "user"
    OPERATOR = "operator"

    def admits(self, role: Role) -> bool:
        """Whether a key of `role` is enough."""
        return self is not Access.OPERATOR or role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it was. `tier` is the dearest tier of models that they may use; empty is no limit."""

    user: str
    role: Role = Role.USER
    tier: str = ""
