"""What is read out of an upstream's answer."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagegate.runtime.answer import MAX_JSON_VALUES, VALUE_SIGNS, Answer, from_base64
from imagegate.runtime.errors import Failure, Reason


def answered(body: bytes) -> Answer:
    return Answer(200, {}, body)


def test_json_is_read_once() -> None:
    """Whoever asks an answer for its JSON again is given the same value: a body of megabytes is read once."""
    answer = answered(b'{"images": ["..."]}')
    assert answer.json() == {"images": ["..."]}
    assert answer.json() is answer.json()


@pytest.mark.parametrize(
    ("begin", "each", "end"), [(b"[0", b",0", b"]"), (b"[", b"{},", b"0]"), (b"[[", b"[],", b"0]]")]
)
def test_json_of_too_many_values(begin: bytes, each: bytes, end: bytes) -> None:
    """What has more commas and brackets than MAX_JSON_VALUES together is not read: its memory goes by their number."""
    signs = sum(map(each.count, VALUE_SIGNS))
    rest = sum(map(begin.count, VALUE_SIGNS))
    most = (MAX_JSON_VALUES - rest) // signs
    answered(begin + most * each + end).json()
    with pytest.raises(Failure, match="more values than anybody needs") as raised:
        answered(begin + (most + 1) * each + end).json()
    assert raised.value.reason is Reason.BAD_OUTPUT


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1} and more', b"[" * 5_000 + b"]" * 5_000])
def test_no_json(body: bytes) -> None:
    """What is no JSON, or nested deeper than anybody needs, is BAD_OUTPUT."""
    with pytest.raises(Failure, match="no content type instead of JSON") as raised:
        answered(body).json()
    assert raised.value.reason is Reason.BAD_OUTPUT


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "\u00e9"}'.encode("utf-16"), {"a": "\u00e9"}),
        (rb'{"a": "\ud800"}', {"a": "\ud800"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[" * 300 + b"7" + b"]" * 300, None),
        (b"[NaN, 1e400, 123456789012345678901234567890]", None),
    ],
)
def test_unusual_json(body: bytes, value: object) -> None:
    """What the standard library's parser takes is taken: other encodings, half a surrogate, the last of two names, deep
    nesting, numbers beyond all bounds.
    """
    seen = answered(body).json()
    assert value is None or seen == value


PLAIN = st.binary(max_size=12).map(lambda data: b64encode(data).decode())
# Characters of both alphabets, padding where it may not be, and what is no base64 at all.
ODD = st.text(alphabet="ABab01+/=-_ \n\u00e9\ud800\0", max_size=12)


@given(st.one_of(PLAIN, ODD, st.tuples(PLAIN, ODD, PLAIN).map("".join)))
@example("A-_A")
@example("AA")
@example("AB==")
@example("AA=A")
def test_base64(text: str) -> None:
    """Base64 of a picture is taken and refused as the standard library takes and refuses it, to the byte."""
    assert taken(from_base64, text) == taken(partial(b64decode, validate=True), text)


def taken(decode: Callable[[str], bytes], text: str) -> bytes | None:
    try:
        return decode(text)
    except ValueError:
        return None
