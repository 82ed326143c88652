"""What a body may hold."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from imagegate.edge.body import MAX_VALUES, json_value, parsed
from imagegate.edge.problem import Problem


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str
    count: int = 1


def refusal(text: bytes) -> str:
    with pytest.raises(Problem) as told:
        json_value(text)
    assert told.value.status == 400
    return told.value.detail


@pytest.mark.parametrize("value", [{}, {"a": [1, 2.5, None, True, "ü", {"b": []}]}, "words", 12, []])
def test_json_is_read_as_it_is(value: Any) -> None:
    """P9: whatever is JSON is read."""
    assert json_value(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1}x', b"\xff\xfe", b"'a'", b'{"a": "\\ud800"}']
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """P12: neither numbers that are none nor halves of characters come in."""
    assert refusal(text) == "the body is not JSON"


@pytest.mark.parametrize("text", [b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000 + b"1" + b"}" * 5000])
def test_json_is_not_nested_without_end(text: bytes) -> None:
    """S29: five thousand levels are refused, and crash nothing."""
    assert refusal(text)


@pytest.mark.parametrize("text", [b"[" + b"[]," * 10**6 + b"[]]", b'{"a":[' + b"{}," * 10**6 + b"1]}"])
def test_a_small_text_does_not_become_a_large_value(text: bytes) -> None:
    """S29: a million empty lists would take a hundred times the memory of their text."""
    assert refusal(text) == f"the body has more than {MAX_VALUES:,} values"


def test_all_wrong_fields_are_told_at_once() -> None:
    """P12: each by its name, and none by what was in it."""
    with pytest.raises(Problem) as told:
        parsed(Wanted, {"count": "many", "colour": "ig_secret_EXAMPLE"})
    assert [each.field for each in told.value.violations] == ["prompt", "count", "colour"]
    assert "ig_secret" not in str(told.value)
    with pytest.raises(Problem, match="one JSON object"):
        parsed(Wanted, [])
