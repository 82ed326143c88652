"""Keys never appear, nor any part of them (R14). All keys here are made up."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from threading import Thread
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imagegate.runtime.redaction import (
    MAX_DEPTH,
    MAX_REMEMBERED,
    MAX_REMEMBERED_CHARACTERS,
    MAX_TEXT_BYTES,
    MAX_VALUES,
    WINDOW,
    Redactor,
    clip,
    one_line,
)

UUID = "00000000-1111-2222-3333-eeeeeeeeeeee"
FAL = f"{UUID}:0123456789abcdef0123456789abcdef"
SECRETS = st.text(min_size=WINDOW, max_size=40) | st.text("ab*:%=", min_size=WINDOW, max_size=20)
SURROUNDINGS = st.text(max_size=30) | st.text("ab*:%=& ", max_size=12)


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    for secret in secrets:
        made.add(secret)
    return made


def windows(text: str) -> set[str]:
    return {text[at : at + WINDOW] for at in range(len(text) - WINDOW + 1)}


def survivors(secret: str, scrubbed: str) -> list[str]:
    return [window for window in windows(secret) if window in scrubbed]


@settings(deadline=None)
@given(SECRETS, SURROUNDINGS, SURROUNDINGS, st.data())
def test_secret_and_slices(secret: str, before: str, after: str, data: st.DataObject) -> None:
    """R14: of a secret, or of any 8 characters or more of it, in any text, no 8 characters are left."""
    start = data.draw(st.integers(0, len(secret) - WINDOW))
    end = data.draw(st.integers(start + WINDOW, len(secret)))
    known = redactor(secret)
    for echoed in (secret, secret[start:end]):
        assert not survivors(secret, known.scrub(before + echoed + after))


@settings(deadline=None)
@given(SECRETS, SURROUNDINGS, SURROUNDINGS)
def test_quoted(secret: str, before: str, after: str) -> None:
    """R14: a secret that was quoted for a URL, in whatever way, is hidden."""
    known = redactor(secret)
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        assert not survivors(quoted, known.scrub(before + quoted + after))


@settings(deadline=None)
@given(SECRETS, st.text(max_size=9), st.text(max_size=9), st.sampled_from([b64encode, urlsafe_b64encode]))
def test_base64(secret: str, before: str, after: str, encode: Callable[[bytes], bytes]) -> None:
    """R14: a secret inside base64, alone in a Basic header or anywhere in a longer text, is hidden."""
    known = redactor(secret)
    alone = encode(secret.encode()).decode()
    assert not survivors(alone, known.scrub(f"Authorization: Basic {alone}"))
    # What surrounds it shares at most one character of base64 with it at each end.
    first, last = -(-len(before.encode()) * 8 // 6), len((before + secret).encode()) * 8 // 6
    within = encode((before + secret + after).encode()).decode()
    assert not survivors(within[first:last], known.scrub(within))


@settings(deadline=None)
@given(st.lists(SECRETS | st.text("ab*", min_size=4, max_size=6), max_size=4), st.text() | st.text("ab*:%=/@ "))
def test_idempotent(secrets: list[str], text: str) -> None:
    """Scrubbing what was scrubbed changes nothing."""
    known = redactor(*secrets)
    scrubbed = known.scrub(text)
    assert known.scrub(scrubbed) == scrubbed


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="=:@_-")), st.integers(0))
def test_clean(text: str, number: int) -> None:
    """A text that holds no secret comes back as it was, apart from control characters."""
    secret = f"EXAMPLE{number:09}/Q"
    assume(not windows(text) & windows(secret))
    assume(not any(word in text.lower() for word in ("bearer", "basic", "key")))
    assert redactor(secret).scrub(text) == one_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "Invalid bearer token. Bearer authentication is required, basic authentication is not supported.",
        "Requires the Basic plan, key features: none; ask hf_inference, sk-learn or the task-scheduler.",
        "https://fal.run/fal-ai/flux?seed=42&monkey=banana at 12:30, mail help@example.com",
        "0.05 byte per pixel — naïve Ünïcode 漢字 👩‍🚀",
    ],
)
def test_prose(text: str) -> None:
    """An ordinary message of an upstream stays readable."""
    assert redactor(FAL, "admin:correct-horse").scrub(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token hf_EXAMPLEexample0123456789 is invalid", "token *** is invalid"),
        ("r8_EXAMPLEexample0123456789", "***"),
        ("rpa_EXAMPLEEXAMPLE0123456789", "***"),
        ("is ig_EXAMPLEexample-0123_456789 known?", "is *** known?"),
        ("whsec_EXAMPLEexample/0123+456=, then", "***, then"),
        ("key ig_EXAMPLE-example_0123456789 is not known", "key *** is not known"),
        ("AKIAEXAMPLE012345678 signed it", "*** signed it"),
        ("a -----BEGIN EC PRIVATE KEY-----\nEXAMPLE\n-----END EC PRIVATE KEY----- b", "a *** b"),
        ("-----BEGIN PRIVATE KEY-----\nEXAMPLE, cut", "***"),
        ("Incorrect API key provided: sk-EXAM****************MPLE.", "Incorrect API key provided: ***."),
        ("a task-scheduler and sk-proj-EXAMPLE_1234-5678", "a task-scheduler and ***"),
        ("authorization: bearer EXAMPLE.abc-123~x", "authorization: bearer ***"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic ***"),
        ("Authorization: Key some-id1:EXAMPLE99", "Authorization: Key ***"),
        (f"no such key {FAL}!", "no such key ***!"),
        (f"id={FAL[:44]}", "id=***"),
        ("postgresql://user:pass@db:5432/x", "postgresql://***@db:5432/x"),
        ("http://user:p@ss@host/", "http://***@host/"),
        ("GET /x?seed=1&key=EXAMPLE&n=2", "GET /x?seed=1&key=***&n=2"),
        ("?api_key=EXAMPLE", "?api_key=***"),
        ("?access_token=EXAMPLE#a", "?access_token=***#a"),
        ("?token=EXAMPLE", "?token=***"),
        ("?Signature=EXAMPLE", "?Signature=***"),
        ("?X-Amz-Credential=EXAMPLE%2F1&X-Amz-Signature=00ff", "?X-Amz-Credential=***&X-Amz-Signature=***"),
        (r"x?a=1\u0026token=EXAMPLE", r"x?a=1\u0026token=***"),
        ("redirect%3Dhf_EXAMPLEexample", "redirect%3D***"),
    ],
)
def test_shapes(text: str, expected: str) -> None:
    """R14: what looks like a key is hidden although nobody registered it."""
    assert Redactor().scrub(text) == expected


def test_parts() -> None:
    """R14: the halves of `id:secret` are hidden on their own, but a short user's name is not."""
    known = redactor("bob:hunter2")
    assert known.scrub("bob said hunter2 or bob:hunter2") == "bob said *** or ***"


def test_short() -> None:
    """A secret of 4 characters is hidden as a whole, one of 3 is not registered."""
    assert redactor("abcd").scrub("xabcdx abc") == "x***x abc"
    assert redactor("abc").scrub("abc") == "abc"


def test_overlapping() -> None:
    """Secrets that overlap leave no rest between them, and one mark stands for both."""
    assert redactor("abcdefgh", "efghijkl").scrub("<abcdefghijkl>") == "<***>"
    assert redactor("abcd", "cdef").scrub("<abcdef>") == "<***>"


def test_halves_that_meet() -> None:
    """R14: a secret that comes into being because another was hidden inside it is hidden too."""
    assert "ab***cdefgh" not in redactor("ab***cdefgh", "012345678").scrub("ab012345678cdefgh")


def test_trailing_newline() -> None:
    """R14: a key that was read from a file with its last newline is known without it."""
    assert redactor("tiny12\n").scrub("tiny12.") == "***."


def test_rotated() -> None:
    """R14: a key that was replaced by another stays hidden."""
    known = redactor("EXAMPLE-old-key", "EXAMPLE-new-key")
    assert known.scrub("EXAMPLE-old-key") == "***"


def test_repr() -> None:
    """R14: the redactor's own repr says how many secrets it knows and nothing of them."""
    assert repr(redactor("EXAMPLE-secret", "EXAMPLE-other")) == "<Redactor 2 secrets>"


def test_threads() -> None:
    """Secrets may be added in one thread while another scrubs."""
    known = redactor("EXAMPLE-first")

    def add_many() -> None:
        for number in range(50):
            known.add(f"{number}-EXAMPLE-{number}")

    adding = Thread(target=add_many)
    adding.start()
    while adding.is_alive():
        assert known.scrub("EXAMPLE-first") == "***"
    adding.join()
    assert known.scrub("49-EXAMPLE-49") == "***"


@settings(deadline=None)
@given(st.text())
def test_one_line(text: str) -> None:
    """Control characters become spaces one for one, and a line can be printed, logged and sent."""
    line = one_line(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    assert line.encode().decode() == line


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\ud800"])
def test_forged(sign: str) -> None:
    """Newlines, escapes, overrides of direction and half characters cannot forge a log or a terminal."""
    assert Redactor().scrub(f"a{sign}[31mb") == "a [31mb"


@settings(deadline=None)
@given(st.text(), st.integers(0, 60))
def test_clip(text: str, limit: int) -> None:
    """A clipped text fits its limit in bytes and is a beginning of the text, with an ellipsis if it was cut."""
    cut = clip(text, limit)
    assert len(cut.encode()) <= limit
    if cut != text:
        assert text.startswith(cut.removesuffix("…"))
        assert cut.endswith("…") or limit < 3


@settings(deadline=None)
@given(SECRETS, st.integers(0, 60))
def test_scrub_and_clip(secret: str, limit: int) -> None:
    """R14: clipping goes after scrubbing, so that not even the beginning of a secret is left."""
    scrubbed = redactor(secret).scrub_and_clip("a " + secret, limit)
    assert scrubbed in ("a ***", "a …") or limit < 5


def test_object() -> None:
    """R14: a nested log event is scrubbed in keys, values, bytes, exceptions and foreign objects."""
    secret = "EXAMPLE-secret"
    event = {
        "n": 1, "ok": True, "none": None, "share": 0.5,
        secret: [secret, (secret, b"x " + secret.encode()), {secret}],
        "error": ValueError(f"bad {secret}"),
        "object": Redactor,
        "headers": {"Authorization": "whatever", "X-Api-Key": ["whatever"], "Accept": "image/png"},
        "picture": bytes(1_000_000),
    }  # fmt: skip
    assert redactor(secret).scrub_object(event) == {
        "n": 1, "ok": True, "none": None, "share": 0.5,
        "***": ["***", ("***", "x ***"), ["***"]],
        "error": "ValueError: bad ***",
        "object": str(Redactor),
        "headers": {"Authorization": "***", "X-Api-Key": "***", "Accept": "image/png"},
        "picture": "<1000000 bytes>",
    }  # fmt: skip


def test_text_that_becomes_secret() -> None:
    """R14: a text that was logged before is hidden from the moment on in which it is known as a secret."""
    known = Redactor()
    event = {"EXAMPLE-secret": "EXAMPLE-secret"}
    assert known.scrub_object(event) == event
    known.add("EXAMPLE-secret")
    assert known.scrub_object(event) == {"***": "***"}


def test_texts_beyond_those_remembered() -> None:
    """R14: texts beyond those that are remembered, in number and length, are scrubbed all the same."""
    known = redactor("EXAMPLE-secret")
    for number in range(MAX_REMEMBERED + 1):
        assert known.scrub(f"EXAMPLE-secret {number}") == f"*** {number}"
    assert known.scrub("EXAMPLE-secret 0") == "*** 0"
    long = "a" * MAX_REMEMBERED_CHARACTERS
    assert known.scrub(f"{long} EXAMPLE-secret") == f"{long} ***"


def test_object_depth() -> None:
    """A value inside itself ends at the depth that is allowed."""
    value: list[object] = []
    value.append(value)
    assert str(Redactor().scrub_object(value)) == "[" * (MAX_DEPTH + 1) + "'…'" + "]" * (MAX_DEPTH + 1)


def test_object_size() -> None:
    """A value of more parts than are allowed is cut, and says so."""
    wide: list[object] = []
    wide += [wide] * 100
    assert str(Redactor().scrub_object(wide)).count("[") <= MAX_VALUES
    assert Redactor().scrub_object(list(range(1000)))[-1] == "…"  # type: ignore[index]
    cut = Redactor().scrub_object({str(number): number for number in range(1000)})
    assert isinstance(cut, dict)
    assert cut["…"] == 1001 - len(cut)


def test_object_long_text() -> None:
    """R14: a text too long to look at is cut, without the beginning of a key at the cut."""
    cut = redactor("0123456789").scrub_object("0123456789" * 10_000)
    assert cut == "…" or (isinstance(cut, str) and "0" not in cut)
    longest = Redactor().scrub_object("é" * 100_000)
    assert isinstance(longest, str)
    assert MAX_TEXT_BYTES - 4 < len(longest.encode()) <= MAX_TEXT_BYTES


def test_object_that_fails() -> None:
    """A value whose own text fails is named instead, since logging must not fail."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("EXAMPLE")

    assert Redactor().scrub_object(Broken()) == "<Broken that cannot be shown>"
