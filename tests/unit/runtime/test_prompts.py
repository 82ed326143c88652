"""Prompts that upstreams quote."""

import json
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.prompts import HIDDEN, hide, without_prompts
from imagegate.v1 import generation_pb2

PROMPT = "Our merger with\n Société Générale, in oil"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"refused: '{PROMPT}' is not allowed", "refused: '[prompt]' is not allowed"),
        ("refused: our merger with société générale, in oil", "refused: [prompt]"),
        ("refused: our merger with Société…", "refused: [prompt]…"),
        (f"Input: {json.dumps({'p': PROMPT}, ensure_ascii=False)}", 'Input: {"p": "[prompt]"}'),
        (f"Input: {json.dumps({'p': PROMPT})}", 'Input: {"p": "[prompt]"}'),
        ("the word 'merger' is not allowed", "the word 'merger' is not allowed"),
        ("two  spaces", "two  spaces"),
        ("", ""),
    ],
)
def test_what_is_quoted_of_a_prompt_is_hidden(said: str, shown: str) -> None:
    """R14: a prompt is hidden as it is, in another case, with other spaces, in part and in JSON; all else stays."""
    assert hide(said, [PROMPT]) == shown


def test_a_short_prompt_is_hidden_as_a_whole() -> None:
    """A prompt of one word is hidden where it is a word, not inside of another."""
    assert hide("'Cat' is in no category, cat", ["cat"]) == "'[prompt]' is in no category, [prompt]"
    assert hide("a cat and a dog", ["cat", "dog"]) == "a [prompt] and a [prompt]"


@given(st.text('abc \n"\\é漢İß', min_size=12, max_size=60), st.text("xyz ", max_size=20))
def test_no_prompt_escapes(prompt: str, around: str) -> None:
    """Whatever a prompt is made of, a sentence that quotes it does so no more."""
    plain = " ".join(prompt.split())
    if len(plain) >= 12:
        told = hide(f"{around} '{prompt}' {around}", [prompt])
        assert HIDDEN in told
        assert plain not in told


def test_the_longest_prompt_costs_a_moment() -> None:
    """A prompt of 32,000 characters and all that is looked at of an answer are compared in no time."""
    prompt = "".join(f"{number:x} " for number in range(6_800))[:32_000]
    began = monotonic()
    assert hide(f"no: {prompt[:4000]}", [prompt, prompt[::-1]]).startswith("no: [prompt]")
    assert monotonic() - began < 1  # some 50 ms on an idle machine


def test_a_text_among_the_options_is_hidden_like_a_prompt() -> None:
    """R14: what a caller writes into an option in own words is quoted by upstreams as well; a mere choice is not."""
    request = generation_pb2.GenerateRequest(prompt="a fox")
    request.provider_options["fal"].update({"style": "as in our secret merger", "acceleration": "regular", "n": 3})
    said = "style 'as in our secret merger' is refused, acceleration 'regular' is not"
    failure = Failure(Reason.UPSTREAM_REJECTED_INPUT, "refused", upstream_message=said)
    without_prompts(failure, request)
    assert failure.upstream_message == "style '[prompt]' is refused, acceleration 'regular' is not"


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "provider_options"])
def test_a_request_that_is_too_large_costs_no_time(field: str) -> None:
    """R14: a request of megabytes, refused for that, keeps nobody waiting while its words are looked for."""
    request = generation_pb2.GenerateRequest(prompt="a fox")
    words = "".join(chr(97 + number * number % 26) for number in range(26)) * 120_000
    if field == "provider_options":
        request.provider_options["fal"].update({"style": words})
    else:
        setattr(request, field, words)
    began = monotonic()
    without_prompts(Failure(Reason.INVALID_REQUEST, "it is too long"), request)
    assert monotonic() - began < 2
