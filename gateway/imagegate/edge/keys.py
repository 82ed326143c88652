"""Bearer keys: kept as hashes, read again when their file changes. `imagegate.client.key` makes them.

Several may belong to one user: a new one is added, put into use, the old one removed.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Literal

import structlog
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from imagegate.client.key import KEYS_VARIABLE, MAX_NOTE_LENGTH, USER, USER_RULE
from imagegate.edge.caller import Caller, Role
from imagegate.runtime import strict_yaml
from imagegate.runtime.bearer import MAX_KEY_LENGTH, hashed
from imagegate.runtime.settings import Secret, SettingsError

__all__ = ["USER", "Entry", "Keyring", "entries_of", "hashed"]

log = structlog.get_logger(__name__)


def _user(value: str) -> str:
    if not USER.fullmatch(value):
        raise ValueError(f"is {USER_RULE}")
    return value


class Entry(BaseModel):
    """One key: whose, what for, and its SHA-256 in hexadecimal; the key itself is nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    user: Annotated[str, AfterValidator(_user)]
    role: Role = Role.USER
    tier: Literal["", "free", "basic", "pro", "enterprise"] = ""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    # For people: which of a user's keys this is.
    note: str = Field(default="", max_length=MAX_NOTE_LENGTH)

    @property
    def caller(self) -> Caller:
        """Who has this key."""
        return Caller(self.user, self.role, self.tier)


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keys: list[Entry] = Field(min_length=1)


def entries_of(text: str) -> list[Entry]:
    """The keys of a YAML document: `keys: [{user: alice, role: user, tier: pro, sha256: …, note: laptop}]`.

    Raises SettingsError naming everything that is wrong with it, and none of what is in it.
    """
    try:
        entries = _Keys.model_validate(strict_yaml.parse(text)).keys
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(f"{KEYS_VARIABLE}: not YAML{where}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SettingsError(f"{KEYS_VARIABLE}: {'; '.join(problems)}") from None
    hashes = [entry.sha256 for entry in entries]
    if len(set(hashes)) < len(hashes):
        raise SettingsError(f"{KEYS_VARIABLE}: the same key is there twice")
    return entries


class Keyring:
    """Who has which key, as the secret says now. A text that cannot be used keeps what was there before."""

    def __init__(self, read: Callable[[], str]) -> None:
        """`read` gives the YAML text as it is now. Raises SettingsError where it cannot be used."""
        self._read = read
        self._seen = self._text = read()
        self._callers = _by_hash(self._text)

    @classmethod
    def of(cls, secret: Secret) -> "Keyring":
        """The keys of a variable or of its file. Raises SettingsError."""
        return cls(secret.value)

    def caller(self, key: str) -> Caller | None:
        """Who has `key`; None for nobody. It is looked up by its hash, which tells a clock nothing about any key."""
        self._refresh()
        return self._callers.get(hashed(key)) if 0 < len(key) <= MAX_KEY_LENGTH else None

    @property
    def is_current(self) -> bool:
        """Whether what is in force is what the secret says now."""
        self._refresh()
        return self._seen == self._text

    @property
    def revision(self) -> str:
        """Which keys are in force: the same for the same text."""
        self._refresh()
        return sha256(self._text.encode()).hexdigest()[:12]

    def _refresh(self) -> None:
        text = self._read()
        if text == self._seen:
            return
        self._seen = text
        try:
            self._callers = _by_hash(text)
            self._text = text
            log.info("keys_reloaded", keys=len(self._callers))
        except SettingsError as error:
            log.error("keys_not_reloaded", problem=str(error))  # noqa: TRY400 - the operator's mistake, told in full


def _by_hash(text: str) -> dict[str, Caller]:
    return {entry.sha256: entry.caller for entry in entries_of(text)}
