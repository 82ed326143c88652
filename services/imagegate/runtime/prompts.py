"""Hides a request's own words in what is said of its failure, where prompts may not be logged. Pure.

Upstreams quote what they refuse: whole or in part, in lower case, with other spaces, inside of JSON. Hiding too much
costs a reader little, so whatever a sentence shares with a prompt for WINDOW characters is hidden.
"""

import json
import re
from collections.abc import Iterable, Iterator

from imagegate.runtime.errors import Failure
from imagegate.runtime.redaction import one_line
from imagegate.runtime.validation import MAX_OPTIONS_BYTES, MAX_PROMPT_CHARACTERS
from imagegate.v1 import generation_pb2

HIDDEN = "[prompt]"
# Characters. A shorter prompt is hidden where it stands as a whole.
WINDOW = 12


def without_prompts(failure: Failure, request: generation_pb2.GenerateRequest) -> None:
    """Hide the prompts of `request`, and texts among its options, in every text of `failure`. Clip afterwards: a cut
    prompt may escape.
    """
    prompts = list(_private(request))
    failure.message = hide(failure.message, prompts)
    failure.remedy = hide(failure.remedy, prompts)
    failure.upstream_message = hide(failure.upstream_message, prompts)


def _private(request: generation_pb2.GenerateRequest) -> Iterator[str]:
    """The caller's own words, at most as many as may be sent: a request that is refused for more comes here too."""
    for prompt in (request.prompt, request.negative_prompt):
        if prompt.strip():
            yield prompt[:MAX_PROMPT_CHARACTERS]
    if sum(options.ByteSize() for options in request.provider_options.values()) > MAX_OPTIONS_BYTES:
        return
    for options in request.provider_options.values():
        for value in options.fields.values():
            if len(value.string_value) >= WINDOW:  # a shorter one is a choice among few, not somebody's words
                yield value.string_value


def hide(text: str, prompts: Iterable[str]) -> str:
    """The text with HIDDEN in the place of what it quotes of `prompts`; as it is where it quotes nothing."""
    plain = _plain(text)
    spans = sorted(_spans(_folded(plain), {form for prompt in prompts for form in _forms(prompt)}))
    if not spans:
        return text
    pieces: list[str] = []
    shown_from = 0
    for start, end in spans:
        if start > shown_from or not pieces:
            pieces += (plain[shown_from:start], HIDDEN)
        shown_from = max(shown_from, end)
    return "".join(pieces) + plain[shown_from:]


def _spans(text: str, forms: Iterable[str]) -> Iterator[tuple[int, int]]:
    windows: set[str] = set()
    for form in forms:
        if len(form) < WINDOW:
            yield from (found.span() for found in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text))
        else:
            windows.update(form[at : at + WINDOW] for at in range(len(form) - WINDOW + 1))
    if windows:
        places = range(len(text) - WINDOW + 1)
        yield from ((at, at + WINDOW) for at in places if text[at : at + WINDOW] in windows)


def _forms(prompt: str) -> Iterator[str]:
    """The ways in which a prompt is quoted: as it is, and in JSON."""
    yield _folded(_plain(prompt))
    yield _folded(_plain(json.dumps(prompt, ensure_ascii=False)[1:-1]))
    yield _folded(json.dumps(prompt)[1:-1])


def _plain(text: str) -> str:
    return " ".join(one_line(text).split())


def _folded(text: str) -> str:
    """The text in lower case, of the same length."""
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)
