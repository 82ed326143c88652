"""What keys look like: the one place that knows, for hiding them in texts and for finding them in files. Pure.

The expressions err on the side of too much: clipped and starred keys are found as well.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyShape:
    """One kind of key. Of `pattern` group 1 is the key, 4 characters or more.

    One of the `markers` is in every text that holds one, in lower case: looking for them is much cheaper. A key that
    somebody can use has `least` characters or more; 0 where too much else looks like it for that to be told.
    """

    name: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]
    least: int = 0

    def may_be_in(self, lower: str) -> bool:
        """Whether `lower`, a text in lower case, is worth being searched."""
        return any(marker in lower for marker in self.markers)


_WORD_START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"
# Neither a word of prose ("Bearer authentication.") nor a name in code ("hf_inference").
_NO_WORD = r"(?=[a-z]*(?:[A-Z0-9+/=_*]|[.~-][A-Za-z0-9]))"
_PARAMETERS = (
    r"key|api[_-]?key|(?:access[_-]?|auth[_-]?|refresh[_-]?)?token|sig(?:nature)?|secret|password|x-amz-[a-z-]+"
)
_PARAMETER_ENDS = ("key=", "token=", "sig=", "signature=", "secret=", "password=", "x-amz-")


def _begins(name: str, prefix: str, signs: str, least: int) -> KeyShape:
    return KeyShape(name, (prefix,), re.compile(f"{_WORD_START}({prefix}{_NO_WORD}{signs})"), least)


def _follows(name: str, word: str, signs: str) -> KeyShape:
    return KeyShape(name, (word,), re.compile(rf"\b(?i:{word})(?:\s+|%20){_NO_WORD}({signs})"), 20)


SHAPES: tuple[KeyShape, ...] = (
    _begins("Hugging Face token", "hf_", "[A-Za-z0-9*]{6,}", 24),
    _begins("Replicate token", "r8_", "[A-Za-z0-9*]{6,}", 24),
    _begins("RunPod key", "rpa_", "[A-Za-z0-9*]{6,}", 24),
    _begins("OpenAI key", "sk-", "[A-Za-z0-9_*-]{8,}", 24),
    _begins("webhook secret", "whsec_", "[A-Za-z0-9+/=*]{6,}", 24),
    _begins("imagegate key", "ig_", "[A-Za-z0-9_*-]{6,}", 32),
    KeyShape("AWS key id", ("akia", "asia"), re.compile(r"(?<![A-Za-z0-9])((?:AKIA|ASIA)[A-Z0-9*]{8,})"), 20),
    # To its end, or that of the text: what was cut off is half a key all the same.
    KeyShape(
        "private key",
        ("private key",),
        re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))"),
        27,
    ),
    KeyShape(
        "bearer token", ("bearer",), re.compile(r"\b(?i:bearer)(?:\s+|%20)" + _NO_WORD + r"([\w.~+/=*:-]{6,})"), 20
    ),
    KeyShape(
        "basic credentials", ("basic",), re.compile(r"\b(?i:basic)(?:\s+|%20)" + _NO_WORD + r"([\w+/=*-]{6,})"), 20
    ),
    KeyShape(
        "key credentials",
        ("key",),
        re.compile(r"\b(?i:key)(?:\s+|%20)(?=[\w.*:+/=-]*[0-9])([\w.*-]+:[\w.*+/=-]{4,})"),
        24,
    ),
    KeyShape("user of a URL", ("://",), re.compile(r"://([^\s/?#\"'<>]{4,})@")),
    KeyShape(
        "credential in a query",
        _PARAMETER_ENDS,
        re.compile(rf"(?:(?<![\w-])|(?<=\\u0026))(?i:{_PARAMETERS})=([^\s&\"'<>#;]{{4,}})"),
        24,
    ),
    # A UUID, a colon, 32 hexadecimal digits.
    KeyShape(
        "fal key", (":",), re.compile(r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}:[0-9a-fA-F*]{6,})"), 60
    ),
)

# A text without any of these, in lower case, holds no key of a known shape.
MARKERS = tuple(dict.fromkeys(marker for shape in SHAPES for marker in shape.markers))
