"""A pattern that one stranger wrote and another one's name is matched against: a provider and a caller. Pure.

It is matched on the loop on which a router passes everybody's pictures, so only what is provably cheap is taken.
Without groups nothing but single characters can be repeated, and two quantifiers can share a name of n characters in
n²/2 ways at most: a match takes less than 10 ms, whatever the pattern and the name.
"""

import re

MAX_CHARACTERS = 128
MAX_QUANTIFIERS = 2
MAX_NAME_CHARACTERS = 200

_ESCAPES_AND_SETS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def problem_of(pattern: str) -> str:
    """Why `pattern` is not taken; empty where it is."""
    if len(pattern) > MAX_CHARACTERS:
        return f"is longer than {MAX_CHARACTERS} characters"
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        return f"is not a regular expression: {error}"
    plain = _ESCAPES_AND_SETS.sub("", pattern)
    if set(plain) & set("()|") or sum(plain.count(each) for each in "*+?{") > MAX_QUANTIFIERS:
        return f"may have neither groups nor alternatives, and at most {MAX_QUANTIFIERS} of * + ? {{}}"
    return ""


def matches(pattern: str, name: str) -> bool:
    """Whether the whole `name` looks like `pattern`, which has no problem.

    One beyond MAX_NAME_CHARACTERS does not, nor one of which a part begins with a dot: it may become a path.
    """
    return len(name) <= MAX_NAME_CHARACTERS and "/." not in f"/{name}" and re.fullmatch(pattern, name) is not None
