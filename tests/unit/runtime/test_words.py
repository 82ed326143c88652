"""What an upstream says in its error, read from a body of any shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime import words as module
from imagegate.runtime.answer import Answer
from imagegate.runtime.redaction import one_line
from imagegate.runtime.words import MAX_WORDS_BYTES, parsed, words, words_of

INGRESS = b"<html>\n<head><title>502 Bad Gateway</title></head><body><h1>502 Bad\nGateway</h1>nginx</body></html>"
TWO_WRONG = [{"loc": ["body", "image_size", 0], "msg": "too large", "type": "t"}, {"loc": ["body"], "msg": "no"}]


def answer(body: object, status: int = 500) -> Answer:
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "no"}, "no"),
        ({"error": ["Error in `inputs`", "and more"]}, "Error in `inputs`; and more"),
        ({"error": {"message": "deep", "status": 403}}, "deep"),
        ({"error": "unknown error", "warnings": ["CUDA out of memory."]}, "unknown error; CUDA out of memory."),
        ({"error": "RuntimeError", "detail": "", "body": "", "errors": "no such model"}, "RuntimeError; no such model"),
        ({"error": "HTTPException", "detail": "Not authenticated"}, "Not authenticated"),
        ({"error": "twice", "detail": "twice"}, "twice"),
        ({"detail": "x", "error_type": "startup_timeout"}, "x"),
        ({"detail": TWO_WRONG}, "image_size.0: too large; no"),
        ({"detail": [{"loc": 5, "msg": "odd"}]}, "odd"),
        ({"detail": [{"loc": {"a": 1}, "msg": ["a", "b"]}]}, "a; b"),
        ({"detail": [{"loc": ["body", "prompt"], "type": "missing"}]}, "prompt: missing"),
        ([{"msg": "a list"}, "and a text"], "a list; and a text"),
        ("a text", "a text"),
        ({"status": "odd"}, '{"status": "odd"}'),
        ({"error": 403, "detail": None, "errors": []}, '{"error": 403, "detail": null, "errors": []}'),
        (b"404: Not Found", "404: Not Found"),
        (b"5", "5"),
        (b"", ""),
        (b"\xff\xfe\x00teapot", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} teapot"),
        (INGRESS, "502 Bad Gateway nginx"),
        (b"<HEAD><style>a{}</style><BODY class='x'>down</BODY>", "down"),
        (b"<script>if (a<b && c>d) f()</script>up<br/>and up<!-- no -->", "up and up"),
        (b"<header>kept</header>", "kept"),
        ({"error": "<p>1 < 2</p> and <3"}, "1 < 2 and <3"),
        ({"error": "cut <b"}, "cut b"),
        ({"detail": "two\r\nlines\x1b[31m\u2028"}, "two lines [31m"),
        ({"error": "\ud800half"}, "half"),
    ],
)
def test_the_words_of_every_shape(body: object, said: str) -> None:
    """R5: the upstream's own words are found in a body of any shape, and nothing else."""
    assert words(answer(body)) == said


def test_what_was_parsed_already_is_not_parsed_again() -> None:
    """An answer's JSON may be handed on; null is a value as well."""
    assert words(answer(b"anything"), {"error": "handed on"}) == "handed on"
    assert words(answer(b"not JSON"), parsed(answer(b"not JSON"))) == "not JSON"


HOSTILE = {
    "heads": b"<head " * 65_536,
    "closed heads": b"<head>" * 65_536,
    "scripts": b"<script></script" * 20_000,
    "brackets": b"<" * 65_536,
    "comments": b"<!--" * 20_000,
    "spaces": b" " * 300_000,
    "a text of brackets": json.dumps({"error": "<<" * 150_000}).encode(),
    "a text of heads": json.dumps({"error": "<head " * 50_000}).encode(),
    "lists": b'{"detail":' + b"[" * 900 + b"]" * 900 + b"}",
    "objects": b'{"error":' * 300 + b"1" + b"}" * 300,
    "too deep to be read": b"[" * 100_000,
    "many values": json.dumps({"errors": [{"msg": f"{n} " * 50, "loc": [n] * 50} for n in range(300)]}).encode(),
    "many numbers": json.dumps([0] * 60_000).encode(),
    "a long number": b'{"detail": [{"loc": [1' + b"0" * 4_000 + b'], "msg": "x"}]}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_read_in_bounds(body: bytes) -> None:
    """No body freezes the process or fills an error: what is looked at is bounded before it is."""
    assert len(words(answer(body)).encode()) <= MAX_WORDS_BYTES


def test_the_values_that_are_looked_at_are_counted() -> None:
    """Of a list without end only the first values are read."""
    walk = module._Walk()
    seen = list(walk.texts([f"{n}" for n in range(100_000)], module.MAX_DEPTH))
    assert len(seen) < module.MAX_VALUES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*module.TELLING, "msg", "loc", "type", "x"]), inner)
    ),
)


def check(said: str) -> None:
    assert len(said.encode()) <= MAX_WORDS_BYTES
    assert said == one_line(said)
    assert said == " ".join(said.split())


@given(st.binary(max_size=2000) | st.text(alphabet='<>/! "headscriptyl', max_size=2000).map(str.encode))
def test_any_bytes_have_words(body: bytes) -> None:
    """R5: whatever an upstream sends becomes one bounded line, and never an exception."""
    check(words(answer(body)))


@given(JSON)
def test_any_json_has_words(body: object) -> None:
    """R5: so does whatever JSON it sends, odd types in every place included."""
    check(words_of(body))
    check(words(answer(body)))
