"""What every request must keep: each bound, all bad fields at once, one readable sentence each."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.errors import invalid_request, to_status
from imagegate.runtime.validation import KEEPABLE, MAX_PROMPT_CHARACTERS, RANGES, REQUEST_ID, violations
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest
REFUSE = generation_pb2.ON_UNSUPPORTED_REFUSE


def bad(**fields: object) -> dict[str, str]:
    """The bad fields of a request with these fields, each with its description."""
    found = violations(Request(**{"prompt": "a cat", **fields}))  # type: ignore[arg-type]
    assert len({each.field for each in found}) == len(found), "a field is told once"
    return {each.field: each.description for each in found}


@pytest.mark.parametrize("name", sorted(set(RANGES) - {"seed"}))
def test_each_bound(name: str) -> None:
    """P12: the bounds themselves are allowed, one beyond is not."""
    low, high, _ = RANGES[name]
    assert bad(**{name: low}) == bad(**{name: high}) == {}
    for beyond in (low - 1, high + 1):
        assert bad(**{name: beyond})[name].startswith(f"is {beyond}; allowed is {low} to {high}")


def test_seed_bounds() -> None:
    """P4: any seed from 0 is allowed, and -1, which is random."""
    assert bad(seed=-1) == bad(seed=0) == bad(seed=2**63 - 1) == {}
    assert bad(seed=-2) == {"seed": "is -2; allowed is -1 (random) or more"}


def test_numbers_are_written_out() -> None:
    """P12: a number is told as it was written, not as 1e+06."""
    assert bad(width=1_000_000) == {"width": "is 1000000; allowed is 64 to 4096 px"}
    assert bad(steps=2**31 - 1) == {"steps": "is 2147483647; allowed is 1 to 150"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 50.001, -0.001])
def test_not_finite(value: float) -> None:
    """P12: a number that is not finite, or outside the range by a hair, is refused."""
    assert set(bad(guidance_scale=value)) == {"guidance_scale"}


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u3000\u00a0"])
def test_empty_prompt(prompt: str) -> None:
    """P12: a prompt of nothing but blanks is empty."""
    assert bad(prompt=prompt) == {"prompt": "is empty; say what to draw"}


@pytest.mark.parametrize("prompt", ["一只猫", "قطة", "кот 🐈‍⬛", "e\u0301" * 100, "🐈" * MAX_PROMPT_CHARACTERS])
def test_any_language(prompt: str) -> None:
    """P4: prompts may be in any language; the bound counts characters, not bytes."""
    assert bad(prompt=prompt, negative_prompt=prompt) == {}


def test_too_long() -> None:
    """P12: a prompt of a megabyte is refused with its length, and without being repeated."""
    found = bad(prompt="x" * 1_000_000, negative_prompt="x" * 32_001, model="m" * 257, sampler="s" * 257)
    assert found == {
        "prompt": "has 1,000,000 characters; at most 32,000 are allowed",
        "negative_prompt": "has 32,001 characters; at most 32,000 are allowed",
        "model": "is longer than 256 characters",
        "sampler": "is longer than 256 characters",
    }


@pytest.mark.parametrize("name", ["a\n", "ä", "a b", "x" * 129, '"', "../x"])
def test_illegal_request_ids(name: str) -> None:
    """A request id stands in logs and file names, so it takes few characters."""
    assert set(bad(request_id=name)) == {"request_id"}


@given(st.from_regex(REQUEST_ID, fullmatch=True))
def test_legal_request_ids(name: str) -> None:
    """Every id of the told form is taken."""
    assert bad(request_id=name) == {}


def test_unknown_choices() -> None:
    """R1: what the caller says about changes is understood, or refused: never ignored."""
    assert bad(on_unsupported=7) == {"on_unsupported": "takes ADJUST or REFUSE"}
    assert bad(on_unsupported=REFUSE, must_keep=list(KEEPABLE)) == {}
    assert bad(must_keep=["seed", "lora"])["must_keep"].startswith("has 'lora'; it takes negative_prompt, width")


def everything_wrong() -> Request:
    return Request(
        prompt=" ",
        negative_prompt="x" * 40_000,
        width=1,
        height=9999,
        steps=0,
        guidance_scale=math.nan,
        seed=-5,
        count=9,
        model="m" * 300,
        sampler="s" * 300,
        request_id="no good",
        on_unsupported=9,  # type: ignore[arg-type]
        must_keep=["nonsense"],
    )


def test_all_at_once() -> None:
    """P12: every bad field is told at once, each in one readable sentence, and all of them reach the caller."""
    found = violations(everything_wrong())
    names = {"prompt", "negative_prompt", "model", "sampler", "request_id", "on_unsupported", "must_keep", *RANGES}
    assert {each.field for each in found} == names
    assert all(each.description and "\n" not in each.description for each in found)
    status = to_status(invalid_request(found), "id")
    assert all(name in status.message for name in names)


def test_any_number_of_nonsense_names() -> None:
    """A hundred thousand wrong names make one short sentence."""
    found = bad(must_keep=[f"{'x' * 50}{number}" for number in range(100_000)])
    assert "and 99997 more" in found["must_keep"]
    assert len(found["must_keep"]) < 512


def test_a_prompt_may_be_left_out_where_it_plays_no_part() -> None:
    """P8: an estimate needs no prompt; one that is there keeps its bound, and everything else is checked as ever."""
    assert violations(Request(prompt=" "), needs_prompt=False) == []
    wrong = Request(prompt="x" * (MAX_PROMPT_CHARACTERS + 1), width=1)
    assert [each.field for each in violations(wrong, needs_prompt=False)] == ["prompt", "width"]
