"""What the webui makes of a prompt: comments and instructions to extra networks are taken out and carried out."""

import re
from typing import NamedTuple

from imagegate.sandbox.webui_extensions import Lora, find_lora

_COMMENT_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
_COMMENT = re.compile(r"#[^\n]*(\n|$)")
_INSTRUCTION = re.compile(r"<(\w+):([^>]+)>")


class Read(NamedTuple):
    """What is left to draw, every instruction in order ("lora:name:1"), and the LoRAs that were loaded."""

    text: str
    instructions: tuple[str, ...]
    loras: tuple[Lora, ...]


def read(prompt: str) -> Read:
    """An instruction to a network that is not there, or about a file that is not, does nothing."""
    told = _COMMENT.sub("\n", _COMMENT_LINE.sub("\n", prompt))
    found = _INSTRUCTION.findall(told)
    named = [find_lora(arguments.split(":")[0]) for network, arguments in found if network == "lora"]
    return Read(
        _INSTRUCTION.sub("", told),
        tuple(f"{network}:{arguments}" for network, arguments in found),
        tuple(each for each in named if each),
    )
