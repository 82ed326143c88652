"""Where a picture that comes along with a request is. Pure."""

import binascii
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from imagegate.edge.api.strict import Strict, Text
from imagegate.runtime.validation import MAX_INPUT_BYTES, MAX_URI_CHARACTERS

MAX_BASE64_CHARACTERS = -(-MAX_INPUT_BYTES // 3) * 4
SLICE_CHARACTERS = 256 * 1024
SOURCES = ("data", "template", "picture", "uri")


def _decoded(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("takes a text in base64")  # noqa: TRY004 - pydantic tells of a ValueError only
    if len(value) > MAX_BASE64_CHARACTERS:
        raise ValueError(f"is longer than {MAX_INPUT_BYTES // 1024**2} MiB")
    try:
        return b"".join(binascii.a2b_base64(each, strict_mode=True) for each in _slices(value))
    except ValueError:
        raise ValueError("is not base64") from None


def _slices(text: str) -> Iterator[str]:
    """The text in parts that are base64 themselves: others get a turn between any two of them, where each takes its
    time in a thread.
    """
    if "=" in text[:-2]:
        raise ValueError("ends before its end")
    return (text[start : start + SLICE_CHARACTERS] for start in range(0, len(text), SLICE_CHARACTERS))


def _in_short(value: bytes | None) -> str | None:
    return None if value is None else f"({len(value):,} bytes)"


Base64 = Annotated[
    bytes | None,
    PlainValidator(_decoded),
    PlainSerializer(_in_short),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "contentEncoding": "base64", "maxLength": MAX_BASE64_CHARACTERS},
                {"type": "null"},
            ]
        }
    ),
]


class InputImage(Strict):
    """A picture that comes along: exactly one of these. All of a request have at most 24 MiB together."""

    data: Base64 = Field(None, repr=False, description="The picture itself: PNG, JPEG or WEBP, in base64.")
    template: Text | None = Field(None, min_length=1, max_length=MAX_URI_CHARACTERS, description="The name of a pose.")
    picture: Text | None = Field(None, min_length=1, max_length=64, description="The id of a picture of your gallery.")
    uri: Text | None = Field(
        None,
        pattern="^https://",
        max_length=MAX_URI_CHARACTERS,
        description="An https address that anybody could fetch it from; only where the operator allows it.",
    )

    @model_validator(mode="after")
    def _is_one_of_them(self) -> "InputImage":
        given = [name for name in SOURCES if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"takes one of {', '.join(SOURCES)}" + (f", not {' and '.join(given)}" if given else ""))
        return self
