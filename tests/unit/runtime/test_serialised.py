"""What is read off serialised messages without parsing them."""

from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.serialised import MAX_FIELDS, holds, read_varint, varint
from imagegate.v1 import generation_pb2

IMAGES = generation_pb2.GenerateResponse.IMAGES_FIELD_NUMBER
PICTURE = generation_pb2.GenerateResponse(images=[generation_pb2.Image(mime_type="image/png")]).SerializeToString()
REST = generation_pb2.GenerateResponse(provider="p", cost=3, sandbox=True, warnings=["w"]).SerializeToString()
OTHERS = b"\xf9\x06" + bytes(8) + b"\xfd\x06" + bytes(4)  # unknown fields of eight and of four bytes


@pytest.mark.parametrize("answer", [PICTURE, PICTURE + REST, REST + PICTURE, OTHERS + REST + PICTURE + REST])
def test_a_picture_is_found_wherever_it_stands(answer: bytes) -> None:
    """An answer with a picture is one, in whichever order its fields were written."""
    assert holds(answer, IMAGES)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        REST,
        b"\x0a\x00",  # a picture of which nothing is told
        PICTURE[:-1],
        b"<!doctype html>",
        b"\x0b",  # a group
        b"\xff" * 20,
        b"\x00" * 20,
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_where_there_is_no_picture_there_is_none(answer: bytes) -> None:
    """An answer without a picture, or that is no answer, is told apart."""
    assert not holds(answer, IMAGES)


@given(st.binary(max_size=200))
def test_any_bytes_come_to_an_end(answer: bytes) -> None:
    """Whatever was sent is looked at without an error."""
    holds(answer, IMAGES)


def test_looking_costs_no_time() -> None:
    """An answer of 32 MB is looked at in a moment, whether it is a picture or a million fields of nothing."""
    large = generation_pb2.GenerateResponse(images=[generation_pb2.Image(data=bytes(32_000_000))]).SerializeToString()
    began = monotonic()
    assert holds(REST + large, IMAGES)
    assert not holds(b"\x58\x01" * 16_000_000 + PICTURE, IMAGES)
    assert not holds(b"\x58\x01" * MAX_FIELDS + PICTURE, IMAGES)
    assert monotonic() - began < 0.5


@given(st.integers(0, 2**64 - 1))
def test_numbers_as_the_wire_has_them(number: int) -> None:
    """A number is read as it was written."""
    assert read_varint(b"x" + varint(number) + b"y", 1) == (number, 1 + len(varint(number)))
