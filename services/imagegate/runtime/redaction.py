"""Keys, and parts of keys, never leave the process in a log, an error, a status or a metric.

Upstreams echo what they were sent: whole keys, clipped keys, URLs with a signature in the query. So
every text of foreign origin goes through one `Redactor` that knows the process's own secrets by
value, in the forms in which they travel, and other people's by their shape. It errs on the side of
hiding too much. Scrubbing comes before clipping: a cut key is harder to recognise.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from threading import Lock
from urllib.parse import quote, quote_plus

from imagegate.runtime.key_shapes import MARKERS, SHAPES

HIDDEN = "***"

# Characters. This many in a row of a secret are hidden wherever they stand.
WINDOW = 8
# Characters. A shorter secret is not registered: hiding it would hide half of every sentence.
MIN_SECRET = 4
# Characters. Parts of a secret are often a user's name, so more is asked of them.
MIN_PART = 6

# The bounds of one log event: bytes of UTF-8 per text, levels, and values in all.
MAX_TEXT_BYTES = 8192
MAX_DEPTH = 6
MAX_VALUES = 500
# Characters of one text that are looked at for a log event; eight times what is kept.
MAX_CHARACTERS = 65_536
# Texts that are remembered with what was made of them, and how many characters each may have.
MAX_REMEMBERED = 1024
MAX_REMEMBERED_CHARACTERS = 512
# Characters before such a cut that are dropped; the longest key known here has 69.
_CUT = 256

# C0 and C1 controls (newlines, NUL, the start of ANSI escapes), line separators, overrides of the
# writing direction, characters of no width, and halves of surrogate pairs, which UTF-8 cannot hold.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def one_line(text: str) -> str:
    """The text with every control character turned into a space: it cannot forge a log line."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(" ", text)


def clip(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` bytes (0 or more) of UTF-8, cut between characters and ended by "…".

    The ellipsis takes 3 bytes; below that the text is cut without one. Scrub first.
    """
    if text.isascii() and len(text) <= limit_bytes:
        return text
    data = text.encode(errors="replace")
    if len(data) <= limit_bytes:
        return data.decode()
    ellipsis = "…" if limit_bytes >= 3 else ""
    return data[: limit_bytes - len(ellipsis.encode())].decode(errors="ignore") + ellipsis


class Redactor:
    """Knows secrets and hides them. One per process; may be used from any thread.

    Nothing is ever forgotten: a key that was rotated away is still a key that was in use.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._secrets: set[str] = set()
        self._learn(())

    def __repr__(self) -> str:
        return f"<Redactor {len(self._secrets)} secrets>"

    def add(self, secret: str) -> None:
        """Register a secret of at least MIN_SECRET characters; a shorter one is ignored.

        Registered with it are its parts between colons (`id:secret`, `user:password`) of at least
        MIN_PART characters, and the forms of all of them in a URL, in JSON and in base64.
        """
        with self._lock:
            self._secrets |= {part for value in {secret, secret.strip()} for part in _parts(value)}
            self._learn(self._secrets)

    def _learn(self, secrets: AbstractSet[str] | tuple[()]) -> None:
        self._scrubbed = _Known.of(secrets).scrubbed
        # Most texts of a log event stood in the one before. What a new secret makes of them is not known yet.
        self._remembered = lru_cache(MAX_REMEMBERED)(self._scrubbed)
        self._remembered_names = lru_cache(MAX_REMEMBERED)(self._name)

    def scrub(self, text: str) -> str:
        """The text as one line with HIDDEN in the place of every secret.

        That is: every registered form, every run of at least WINDOW characters of one, and whatever
        has the shape of a key. Scrubbing twice changes nothing more.
        """
        return self._remembered(text) if len(text) <= MAX_REMEMBERED_CHARACTERS else self._scrubbed(text)

    def scrub_and_clip(self, text: str, limit_bytes: int) -> str:
        """At most `limit_bytes` bytes of the scrubbed text: the only order that is safe."""
        return clip(self.scrub(text), limit_bytes)

    def scrub_object(self, value: object) -> object:
        """A copy of a log event's value, nested as it is, with every text scrubbed and clipped.

        Mappings, lists, tuples and sets (as lists) are kept to MAX_DEPTH levels and MAX_VALUES values in
        all, and "…" stands for the rest. Numbers and None pass. Exceptions, bytes and anything else become
        text, and what cannot say what it is becomes its type's name. Fields named like a credential
        ("authorization", "password") are hidden whatever they hold.
        """
        return _Walk(self).copy(value, MAX_DEPTH)

    def field_name(self, name: str) -> tuple[str, bool]:
        """The scrubbed and clipped name of a log event's field, and whether that says that a credential is in it."""
        return self._remembered_names(name) if len(name) <= MAX_REMEMBERED_CHARACTERS else self._name(name)

    def _name(self, name: str) -> tuple[str, bool]:
        scrubbed = self.text(name)
        return scrubbed, scrubbed.lower() in _CREDENTIALS

    def text(self, text: str) -> str:
        """A text of a log event, scrubbed and clipped."""
        if len(text) <= MAX_REMEMBERED_CHARACTERS:  # what is hidden of it makes it shorter: there is nothing to clip
            return self._remembered(text)
        if len(text) <= MAX_CHARACTERS:
            return self.scrub_and_clip(text, MAX_TEXT_BYTES)
        # The cut may have split a key, too short now to be recognised: what stands before it goes as well.
        return clip(self.scrub(text[:MAX_CHARACTERS])[:-_CUT] + "…", MAX_TEXT_BYTES)


# ── Registered secrets ───────────────────────────────────────────────────────────────────────────

# Any 8 characters in a row hold the 5 that begin at one of four neighbouring places, so looking at
# every fourth place is enough to rule a text out, at a quarter of the cost.
_STRIDE = 4
_PROBE = WINDOW - _STRIDE + 1


@dataclass(frozen=True, slots=True)
class _Known:
    """An immutable index of all forms of all secrets; readers in other threads keep the one they have."""

    windows: frozenset[str]
    probes: frozenset[str]
    short: re.Pattern[str] | None

    @classmethod
    def of(cls, secrets: AbstractSet[str] | tuple[()]) -> "_Known":
        forms = {form for secret in secrets for form in _forms(secret)}
        windows = frozenset(piece for form in forms for piece in _pieces(form, WINDOW))
        probes = frozenset(piece for window in windows for piece in _pieces(window, _PROBE))
        # The longest first: an alternation takes the first that fits.
        short = sorted((form for form in forms if len(form) < WINDOW), key=len, reverse=True)
        # Inside a lookahead, so that secrets which overlap are all found.
        pattern = re.compile(f"(?=({'|'.join(map(re.escape, short))}))") if short else None
        return cls(windows, probes, pattern)

    def scrubbed(self, text: str) -> str:
        """The text as `Redactor.scrub` has it."""
        text = one_line(text)
        while spans := [*self._spans(text), *_shapes(text)]:
            # Two halves of a secret may meet where a third was hidden. It ends, since whatever is
            # hidden is longer than HIDDEN: the text shrinks with every turn.
            scrubbed = _hide(text, spans)
            if scrubbed == text:
                break
            text = scrubbed
        return text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        if self.short:
            yield from (found.span(1) for found in self.short.finditer(text))
        if self._may_hold(text):
            places = range(len(text) - WINDOW + 1)
            yield from ((at, at + WINDOW) for at in places if text[at : at + WINDOW] in self.windows)

    def _may_hold(self, text: str) -> bool:
        return not self.probes.isdisjoint([text[at : at + _PROBE] for at in range(0, len(text), _STRIDE)])


def _pieces(text: str, length: int) -> Iterator[str]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _parts(secret: str) -> Iterator[str]:
    if len(secret) >= MIN_SECRET:
        yield secret
    yield from (part for part in secret.split(":") if len(part) >= MIN_PART)


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret is written: as it is, in a URL, in JSON, in base64."""
    yield one_line(secret)
    yield one_line(json.dumps(secret, ensure_ascii=False)[1:-1])
    yield json.dumps(secret)[1:-1]
    for quoted in (quote(secret, errors="replace"), quote(secret, safe="", errors="replace")):
        yield quoted
        yield re.sub("%..", lambda found: found[0].lower(), quoted)
    yield quote_plus(secret, errors="replace")
    for encoded in _base64(secret.encode(errors="replace")):
        yield encoded
        yield encoded.translate(_TO_URL_SAFE)


_TO_URL_SAFE = str.maketrans("+/", "-_")


def _base64(secret: bytes) -> Iterator[str]:
    """The base64 of the secret alone, and what its bytes become at each of three places in a longer text."""
    yield b64encode(secret).decode()
    for before in range(3):
        encoded = b64encode(bytes(before) + secret).decode()
        # A character holds 6 bits; one that shares them with a neighbour of the secret is not known.
        inside = encoded[ceil(before * 8 / 6) : (before + len(secret)) * 8 // 6]
        if len(inside) >= WINDOW:
            yield inside


def _shapes(text: str) -> Iterator[tuple[int, int]]:
    lower = text.lower()
    if not any(map(lower.__contains__, MARKERS)):
        return
    for shape in SHAPES:
        if shape.may_be_in(lower):
            yield from (found.span(1) for found in shape.pattern.finditer(text))


def _hide(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with one HIDDEN for every group of spans that overlap or touch."""
    pieces: list[str] = []
    shown_from = 0
    for start, end in sorted(spans):
        if start > shown_from or not pieces:
            pieces += (text[shown_from:start], HIDDEN)
        shown_from = max(shown_from, end)
    return "".join(pieces) + text[shown_from:]


# ── Log events ───────────────────────────────────────────────────────────────────────────────────

# Names of fields whose value is a credential whatever it looks like.
_CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "set-cookie", "password", "secret", "token"}
_CREDENTIALS |= {"api_key", "api-key", "apikey", "x-api-key", "access_token", "access-token"}

_NUMBERS = (bool, int, float)
_COLLECTIONS = (list, tuple, AbstractSet)


class _Walk:
    """One copy of one value: counts what it has seen, so that a list inside itself comes to an end."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left = MAX_VALUES

    def copy(self, value: object, depth: int) -> object:
        self._left -= 1
        if type(value) is str:  # as most are; a text of another kind says itself how it is shown
            return self._redactor.text(value)
        if value is None or isinstance(value, _NUMBERS):
            return value
        if isinstance(value, _COLLECTIONS):
            copied = self._items(value, depth)
            return tuple(copied) if isinstance(value, tuple) else copied
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        return self._redactor.text(_as_text(value))

    def _mapping(self, value: Mapping[object, object], depth: int) -> dict[str, object]:
        copied: dict[str, object] = {}
        for key, item in value.items() if depth else ():
            if self._left <= 0:
                break
            name, is_credential = self._redactor.field_name(key if type(key) is str else _as_text(key))
            copied[name] = HIDDEN if is_credential else self.copy(item, depth - 1)
        return copied if len(copied) == len(value) else copied | {"…": len(value) - len(copied)}

    def _items(self, value: Sequence[object] | AbstractSet[object], depth: int) -> list[object]:
        copied: list[object] = []
        for item in value if depth else ():
            if self._left <= 0:
                break
            copied.append(self.copy(item, depth - 1))
        return copied if len(copied) == len(value) else [*copied, "…"]


def _as_text(value: object) -> str:
    """What a log shows of a value that is neither a number nor a collection."""
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return _as_text_of_bytes(value)
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 -- somebody else's __str__; logging must not fail for it
        return f"<{type(value).__name__} that cannot be shown>"


def _as_text_of_bytes(value: bytes | bytearray | memoryview) -> str:
    data = bytes(value)
    # Longer ones are pictures.
    return data.decode(errors="replace") if len(data) <= MAX_TEXT_BYTES else f"<{len(data)} bytes>"
