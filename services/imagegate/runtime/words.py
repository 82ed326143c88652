"""An upstream's own words about what went wrong, in a body of any shape. Pure.

Bodies are hostile: everything is bounded before it is looked at, and the work is linear in what is looked at.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Failure
from imagegate.runtime.redaction import clip, one_line

# More than anybody is shown: keys are scrubbed before the text is cut to its final length, lest one be cut in two.
MAX_WORDS_BYTES = 4096
# How much is looked at: characters of each text, values in all, levels of lists and objects.
MAX_TEXT_CHARACTERS = 8192
MAX_VALUES = 64
MAX_DEPTH = 4
# How much of a place in the input ("body", "image_size", "width").
MAX_PLACES = 8
MAX_PLACE_CHARACTERS = 64

# Where an object tells. An "unknown error" of Hugging Face has its cause in `warnings`.
TELLING = ("error", "errors", "message", "detail", "warnings")
# Starlette's class for every refusal: the words stand beside it.
SAYS_NOTHING = "HTTPException"


def parsed(answer: Answer) -> Any:
    """The body as JSON; None where it is something else."""
    try:
        return answer.json()
    except Failure:
        return None


def words(answer: Answer, body: object = ...) -> str:
    """The upstream's own words, on one line, without markup and in at most MAX_WORDS_BYTES; not scrubbed.

    `body` is what `parsed` made of the answer, where that was called already.
    """
    told = words_of(parsed(answer) if body is ... else body)
    return told or words_of(answer.body[:MAX_TEXT_CHARACTERS].decode(errors="replace"))


def words_of(value: object) -> str:
    """The words in a text or in another value of JSON, as `words` gives them; empty where there are none."""
    said: dict[str, None] = {}  # each once, in order
    size = 0
    for text in _Walk().texts(value, MAX_DEPTH):
        sentence = _plain(text)
        if sentence and sentence not in said:
            said[sentence] = None
            size += len(sentence)
        if size > MAX_WORDS_BYTES:
            break
    return clip("; ".join(said), MAX_WORDS_BYTES)


class _Walk:
    """One walk through one value: counts what it has seen."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def texts(self, value: object, depth: int) -> Iterator[str]:
        """Every text that tells; numbers, null and what lies deeper tell nothing."""
        self._left -= 1
        if isinstance(value, str):
            if value != SAYS_NOTHING:
                yield value[:MAX_TEXT_CHARACTERS]
        elif isinstance(value, list) and depth:
            for each in value:
                if self._left <= 0:
                    return
                yield from self.texts(each, depth - 1)
        elif isinstance(value, dict) and depth:
            yield from self._of_object(value, depth - 1)

    def _of_object(self, value: Mapping[str, object], depth: int) -> Iterator[str]:
        if "msg" in value or "loc" in value:  # FastAPI's and fal's: what is wrong where
            where = _place(value.get("loc"))
            for text in self.texts(value.get("msg") or value.get("type"), depth):
                yield f"{where}: {text}" if where else text
            return
        for name in TELLING:
            if name in value and self._left > 0:
                yield from self.texts(value[name], depth)


def _place(loc: object) -> str:
    """Where in the input something is wrong; empty where that is not told as a list of names and indices."""
    parts = loc[:MAX_PLACES] if isinstance(loc, list) else ()
    return ".".join(
        str(part)[:MAX_PLACE_CHARACTERS] for part in parts if isinstance(part, str | int) and part != "body"
    )


def _plain(text: str) -> str:
    """The text on one line, without markup."""
    return " ".join(one_line(_without_markup(text)).split())


# Only what follows at once makes "<" the beginning of a tag: "a < b" is prose.
_TAG = re.compile(r"<(?:(script|style|head)\b|[a-z/!?])", re.IGNORECASE)
# A head may end without saying so.
_ENDS = {
    "script": re.compile("</script", re.IGNORECASE),
    "style": re.compile("</style", re.IGNORECASE),
    "head": re.compile("</head|<body", re.IGNORECASE),
}


def _without_markup(text: str) -> str:
    """The text with every tag turned into a space, and what only a browser reads left out.

    One pass: every search begins where the one before has ended, or is the last.
    """
    pieces: list[str] = []
    at = 0
    while tag := _TAG.search(text, at):
        pieces.append(text[at : tag.start()])
        closed = text.find(">", tag.end())
        if closed < 0:  # no tag: what is left are words, as far as anybody can tell
            pieces.append(text[tag.start() :].replace("<", " "))
            return " ".join(pieces)
        at = closed + 1
        if tag[1]:
            end = _ENDS[tag[1].lower()].search(text, at)
            if end is None:  # the rest is a part of it
                return " ".join(pieces)
            at = end.start()
    return " ".join([*pieces, text[at:]])
