"""Bearer keys: made, hashed, and found in a header. Pure but for the random bits.

A key is 256 random bits, so that SHA-256 alone keeps it (there is nothing to guess from), and begins with `ig_`, so
that scanners find one that got lost.
"""

import hashlib
import secrets

PREFIX = "ig_"
# What a request may bring along as a key at all; anything else is not worth a hash.
MAX_KEY_LENGTH = 256
SCHEME = "Bearer"
# A SHA-256 in hexadecimal, as it is kept.
HASH_PATTERN = r"^[0-9a-f]{64}$"


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """What is kept of `key`. What comes in a header may be any bytes."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def header_of(key: str) -> str:
    """What `authorization` says of `key`."""
    return f"{SCHEME} {key}"


def key_in(header: str) -> str:
    """The key in `authorization`; empty where there is none, or another kind of credential."""
    scheme, _, key = header.strip().partition(" ")
    return key.strip() if scheme.lower() == SCHEME.lower() else ""
