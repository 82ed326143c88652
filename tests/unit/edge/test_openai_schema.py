"""What OpenAI's parameters may be."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.edge.openai.error import error_of
from imagegate.edge.openai.schema import Edit, Generation, invalid, read, sides
from imagegate.edge.problem import Problem


def refusal(model: Any, value: object, **more: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(model, value, **more)
    return caught.value


def fields(problem: Problem) -> list[str]:
    return [each.field for each in problem.violations]


def test_what_is_null_was_not_asked_for() -> None:
    """Null, as some clients send it, is as good as nothing."""
    asked = read(Generation, {"prompt": "x", "n": None, "size": None, "stream": None})
    assert asked == read(Generation, {"prompt": "x"})


@pytest.mark.parametrize("size", ["1024x1024", "64x4096", "100x333"])
def test_any_size_is_two_sides(size: str) -> None:
    """A size is WIDTHxHEIGHT, whether or not OpenAI knows it; the model's own range decides later."""
    assert "x".join(map(str, sides(size))) == size
    assert read(Generation, {"prompt": "x", "size": size}).size == size


@pytest.mark.parametrize(
    "size", ["", "big", "63x64", "64x4097", "1024 x 1024", "-64x64", "64x64x64", "٦٤x٦٤", "1e3x1e3"]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    """P12: a size that nobody may ask for is said at its parameter."""
    assert fields(refusal(Generation, {"prompt": "x", "size": size})) == ["size"]


def test_in_json_a_number_is_a_number() -> None:
    """P12: a text, a fraction or a truth value is no number of pictures; a whole number is a guidance."""
    for value in ("2", 2.5, True, [2]):
        problem = refusal(Generation, {"prompt": "x", "n": value})
        assert (problem.reason, fields(problem)) == ("INVALID_TYPE", ["n"])
    assert read(Generation, {"prompt": "x", "guidance_scale": 4}).guidance_scale == 4


def test_in_a_form_a_number_is_a_text() -> None:
    """P12: a form has texts only: those that say a number or a truth value are one."""
    texts = {"prompt": "x", "n": "2", "stream": "true", "strength": "0.5", "seed": "9223372036854775807"}
    asked = read(Edit, texts, as_texts=True)
    assert (asked.n, asked.stream, asked.strength, asked.seed) == (2, True, 0.5, 2**63 - 1)
    problem = refusal(Edit, {"prompt": "x", "n": "two", "mask_blur": "65"}, as_texts=True)
    assert fields(problem) == ["n", "mask_blur"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1, 50.5])
def test_a_number_beyond_its_range_is_refused(value: float) -> None:
    """P12: what is not finite is beyond every range."""
    assert fields(refusal(Generation, {"prompt": "x", "guidance_scale": value})) == ["guidance_scale"]


def test_everything_that_is_wrong_is_told_and_the_first_gives_the_reason() -> None:
    """P12: all wrong parameters are in one problem, with what was wrong beside them; thousands are cut to a few."""
    problem = refusal(Edit, {"n": 0, "sed": 3}, also=[invalid("mask", "is an empty file")])
    assert fields(problem) == ["prompt", "n", "sed", "mask"]
    assert (problem.status, problem.reason) == (400, "MISSING_REQUIRED_PARAMETER")
    assert "the nearest are seed" in problem.detail
    assert refusal(Generation, {"prompt": "x", "credits": 1}).reason == "UNKNOWN_PARAMETER"
    assert len(refusal(Generation, {f"no-{n}": n for n in range(5000)}).violations) == 32
    assert len(refusal(Generation, {"prompt": "x", "y" * 9999: 1}).detail) < 300


def test_a_stream_cannot_be_a_link() -> None:
    """The events of a stream carry the picture itself; a link is refused while streaming."""
    assert fields(refusal(Generation, {"prompt": "x", "stream": True, "response_format": "url"})) == ["response_format"]
    assert read(Generation, {"prompt": "x", "stream": True, "response_format": "b64_json"}).stream


def test_what_belongs_to_the_other_route_is_unknown() -> None:
    """A style is of generations, a strength of edits."""
    assert refusal(Generation, {"prompt": "x", "strength": 0.5}).reason == "UNKNOWN_PARAMETER"
    assert refusal(Edit, {"prompt": "x", "style": "vivid"}, as_texts=True).reason == "UNKNOWN_PARAMETER"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_whatever_comes_is_read_or_refused(value: object) -> None:
    """P12: no value of any parameter, and no body, is more than a problem."""
    for body in (value, dict.fromkeys(Generation.model_fields, value)):
        with suppress(Problem):
            read(Generation, body)


@pytest.mark.parametrize(
    ("name", "called"), [("width", "size"), ("height", "size"), ("count", "n"), ("format", "output_format")]
)
def test_what_others_call_differently_is_told_by_its_name_here(name: str, called: str) -> None:
    """P12: the remedy for a parameter of another API is what stands for it here, and not whatever is spelt alike."""
    problem = refusal(Generation, {"prompt": "x", name: 256})
    assert problem.detail == f"the request is not valid: {called}: is what {name} is called here"
    shown = error_of(problem, "r-1")["error"]
    assert (shown["message"], shown["param"], shown["code"]) == (problem.detail, called, "unknown_parameter")
