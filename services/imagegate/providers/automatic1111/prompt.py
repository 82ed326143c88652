"""A prompt as the webui reads it, which is half words and half instructions. Pure."""

import re
from collections.abc import Sequence

from imagegate.runtime.tasks import FittedLora

# The webui takes `<word:arguments>` for an instruction to one of its extra networks.
_TAG_BEGINS = re.compile(r"<(?=\w+:)")
_TAG = re.compile(r"<\w+:[^<>]*>?")


def plain(text: str) -> str:
    """The text without instructions to the webui: each loses the bracket that makes it one.

    A space takes its place, so that nothing around it can close up to another instruction.
    """
    return _TAG_BEGINS.sub(" ", text)


def with_loras(text: str, loras: Sequence[FittedLora]) -> str:
    """The text without instructions of its own, and then ours, on a line of their own.

    The webui takes what follows a "#" for a comment, as far as the end of its line.
    """
    ours = (f"<lora:{lora.name}:{1.0 if lora.weight is None else lora.weight:g}>" for lora in loras)
    return "\n".join([plain(text), " ".join(ours)]) if loras else plain(text)


def tags(text: str) -> list[str]:
    """What in the text the webui would take for instructions."""
    return _TAG.findall(text)
