"""Keys of the edge, as entries of its keys file. Pure but for the random bits of a new one (`runtime.bearer`)."""

import math
import re
from collections.abc import Mapping
from enum import StrEnum

import yaml

from imagegate.runtime.bearer import hashed

# YAML text, or with _FILE a file of it: who may ask the edge.
KEYS_VARIABLE = "IMAGEGATE_EDGE_KEYS"
# Whose keys these are, in the file and in the addresses of their pictures.
USER = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")
USER_RULE = "1 to 64 of a-z 0-9 _ . - and begins and ends with a letter or a digit"
MAX_NOTE_LENGTH = 200


class Role(StrEnum):
    """What a key is for: a user makes pictures and sees their own; an operator decides about breakers as well."""

    USER = "user"
    OPERATOR = "operator"


def entry(key: str, user: str, role: Role = Role.USER, *, tier: str = "", note: str = "") -> dict[str, str]:
    """The entry of `key` in a keys file, without what is empty: its hash, and the key nowhere."""
    told = {"user": user, "role": role.value, "tier": tier, "sha256": hashed(key), "note": note}
    return {name: value for name, value in told.items() if value}


def as_yaml(entry: Mapping[str, str]) -> str:
    """The entry as one line of YAML, as it stands below `keys:`."""
    text = yaml.safe_dump(dict(entry), default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return f"- {text.strip()}"


def as_document(entry: Mapping[str, str]) -> str:
    """A keys file that holds this entry only."""
    return f"keys:\n  {as_yaml(entry)}\n"
