"""The names that somebody may have meant. Pure."""

import difflib

# Longer names are not compared: it takes time that grows with the square of the length.
COMPARED_CHARACTERS = 256


def nearest(name: str, known: list[str]) -> list[str]:
    """The three names of `known` that look most like `name`, best first."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name[:COMPARED_CHARACTERS].casefold(), list(by_folded), n=3, cutoff=0.0)
    return [by_folded[match] for match in matches]
