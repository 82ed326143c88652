"""The two pictures that are passed on, and an upstream's answers with them. Pure; the same in every run."""

import io
import json
import random
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from PIL import Image


@dataclass(frozen=True)
class Sample:
    """A picture of noise, which a PNG holds in about `bits` of the 8 of each value."""

    name: str
    width: int
    height: int
    bits: int

    @cached_property
    def png(self) -> bytes:
        """The file."""
        chance = random.Random(self.name)  # noqa: S311 - noise
        shift = 8 - self.bits
        values = bytes(value >> shift << shift for value in chance.randbytes(self.width * self.height * 3))
        file = io.BytesIO()
        Image.frombytes("RGB", (self.width, self.height), values).save(file, "PNG")
        return file.getvalue()

    @property
    def digest(self) -> str:
        """What is compared at the other end."""
        return sha256(self.png).hexdigest()

    @cached_property
    def webui(self) -> bytes:
        """The answer of AUTOMATIC1111's webui."""
        info = {"all_seeds": [7], "index_of_first_image": 0, "width": self.width, "height": self.height}
        return json.dumps({"images": [self._text], "parameters": {}, "info": json.dumps(info)}).encode()

    @cached_property
    def openai(self) -> bytes:
        """The answer of OpenAI's images API, which the peers call."""
        return json.dumps({"created": 1, "data": [{"b64_json": self._text}]}).encode()

    @property
    def _text(self) -> str:
        return b64encode(self.png).decode()


# What a small avatar has, and what a picture of a megapixel.
SAMPLES: Mapping[str, Sample] = {
    each.name: each for each in (Sample("32 kB", 256, 256, 1), Sample("1.2 MB", 736, 736, 6))
}
