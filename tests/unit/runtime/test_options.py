"""What goes along of a request's provider options, and that every other change is told (R1)."""

import math

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagegate.runtime.fitting import Fitted, fit, forbidden
from imagegate.runtime.models import Model
from imagegate.runtime.options import MAX_OPTIONS, MAX_WHOLE, Option, OptionValue
from imagegate.runtime.validation import MAX_OPTIONS_BYTES, violations
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest

OPTIONS = {
    "tiling": Option(kind="boolean"),
    "clip_skip": Option(kind="integer", minimum=1, maximum=12),
    "eta": Option(kind="number", minimum=0, maximum=1),
    "free": Option(kind="number"),
    "many": Option(kind="integer"),
    "acceleration": Option(kind="text", choices=("none", "regular", "high")),
    "note": Option(kind="text", maximum=8),
}


def model(**options: Option) -> Model:
    return Model(provider="fal", key="m", display_name="The model", upstream_model="u/m", options=options)


def asking(provider: str = "fal", **options: object) -> Request:
    request = Request(prompt="a cat")
    request.provider_options[provider].update(options)
    return request


def told(result: Fitted) -> list[tuple[str, str, str, str]]:
    """Each adjustment as (parameter, requested, applied, action)."""
    return [
        (a.parameter, a.requested, a.applied, generation_pb2.Action.Name(a.action).removeprefix("ACTION_"))
        for a in result.adjustments
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tiling", False),
        ("clip_skip", 2),
        ("eta", 0.25),
        ("eta", 0),
        ("acceleration", "high"),
        ("note", ""),
        ("note", "ünï 🐈"),
        ("many", MAX_WHOLE),
    ],
)
def test_what_is_let_through(name: str, value: OptionValue) -> None:
    """R1: an option that the model declares, within its range or choices, goes along as it was told."""
    result = fit(asking(**{name: value}), model(**OPTIONS), 0)
    assert (result.options, result.adjustments) == ({name: value}, ())
    assert type(result.options[name]) is (float if name == "eta" else type(value))


@pytest.mark.parametrize(
    ("name", "value", "change", "why"),
    [
        ("clip_skip", 40, ("40", "12", "CLAMPED"), "the model takes at most 12"),
        ("eta", -0.5, ("-0.5", "0", "CLAMPED"), "the model takes at least 0"),
        ("eta", 1.00000000001, ("1.00000000001", "1", "CLAMPED"), "the model takes at most 1"),
        ("clip_skip", 1.5, ("1.5", "", "DROPPED"), "the model takes a whole number up to 2^53 here"),
        ("clip_skip", "2", ('"2"', "", "DROPPED"), "the model takes a whole number up to 2^53 here"),
        ("many", 1e300, ("1e+300", "", "DROPPED"), "the model takes a whole number up to 2^53 here"),
        ("free", math.nan, ("nan", "", "DROPPED"), "the model takes a finite number here"),
        ("free", -math.inf, ("-inf", "", "DROPPED"), "the model takes a finite number here"),
        ("tiling", None, ("null", "", "DROPPED"), "the model takes true or false here"),
        ("tiling", [True, 1], ("[2 values]", "", "DROPPED"), "the model takes true or false here"),
        ("note", {"a": 1}, ("{1 fields}", "", "DROPPED"), "the model takes a text here"),
        ("note", "ten letters", ('"ten letters"', "", "DROPPED"), "the model takes 8 characters"),
        ("acceleration", "HIGH", ('"HIGH"', "", "DROPPED"), "the model knows: none, regular, high"),
        ("loras", [1], ("[1 values]", "", "DROPPED"), "The model does not let it through"),
    ],
)
def test_what_is_changed_is_told(name: str, value: object, change: tuple[str, str, str], why: str) -> None:
    """R1: an option out of range is clamped, any other that the model does not take so is dropped, and each is told."""
    result = fit(asking(**{name: value}), model(**OPTIONS), 0)
    assert told(result) == [(f"provider_options.fal.{name}", *change)]
    assert result.adjustments[0].why == why


def test_options_of_others_are_ignored() -> None:
    """R1: what is meant for another provider is none of this one's business, and no adjustment."""
    result = fit(asking("huggingface", tiling=True, anything=1), model(**OPTIONS), 0)
    assert (result.options, result.adjustments) == ({}, ())


def test_options_may_be_forbidden_to_change() -> None:
    """R1: REFUSE, or provider_options in must_keep, makes a changed option a reason to refuse, named in full."""
    request = asking(eta=3)
    assert forbidden(request, fit(request, model(**OPTIONS), 0).adjustments) == []
    request.must_keep.append("provider_options")
    assert forbidden(request, fit(request, model(**OPTIONS), 0).adjustments) == ["provider_options.fal.eta"]
    assert forbidden(request, fit(asking(eta=1), model(**OPTIONS), 0).adjustments) == []


def test_what_is_long_is_shown_short() -> None:
    """R1: of a long text an adjustment shows the beginning and its length, of a long name the beginning."""
    result = fit(asking(**{"n" * 900: "é" * 9000}), model(**OPTIONS), 0)
    [(name, requested, _, _)] = told(result)
    assert name == f"provider_options.fal.{'n' * 64}"
    assert (len(requested), requested.endswith("… (9,002 characters)")) == (256, True)


def test_deep_nesting() -> None:
    """R1: an option as deep as anybody can nest is dropped like any other."""
    deep = struct_pb2.Value(number_value=1)
    for _ in range(45):  # protobuf itself refuses messages that are more than 100 deep
        outer = struct_pb2.Value()
        outer.list_value.values.append(deep)
        deep = outer
    request = asking()
    request.provider_options["fal"].fields["eta"].CopyFrom(deep)
    assert told(fit(request, model(**OPTIONS), 0)) == [("provider_options.fal.eta", "[1 values]", "", "DROPPED")]


SCALARS = st.none() | st.booleans() | st.floats() | st.integers(-(2**60), 2**60) | st.text(max_size=300)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
NAMES = st.sampled_from(sorted(OPTIONS)) | st.text(max_size=80)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.sets(st.sampled_from(sorted(OPTIONS))))
def test_whatever_is_told(options: dict[str, object], declared: set[str]) -> None:
    """R1: whatever is told, only what is declared goes along, of its kind and in its range, and every difference is
    told, in the order of the names.
    """
    of = model(**{name: OPTIONS[name] for name in declared})
    result = fit(asking(**options), of, 0)
    assert set(result.options) <= declared & options.keys()
    for name, value in result.options.items():
        option = OPTIONS[name]
        assert type(value) in {"boolean": (bool,), "integer": (int,), "number": (float,), "text": (str,)}[option.kind]
        assert not option.choices or value in option.choices
        if not isinstance(value, str):
            assert option.minimum is None or value >= option.minimum
            assert option.maximum is None or value <= option.maximum
    kept = {name for name, value in result.options.items() if value == options[name]}
    changed = [f"provider_options.fal.{name[:64]}" for name in sorted(options) if name not in kept]
    assert [a.parameter for a in result.adjustments] == changed
    assert all(a.why and a.requested != a.applied for a in result.adjustments)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"kind": "integer", "minimum": 0.5}, "minimum and maximum must be whole numbers"),
        ({"kind": "text", "maximum": 3.5}, "minimum and maximum must be whole numbers"),
        ({"kind": "text", "maximum": 0}, "maximum, the number of characters, must be above 0"),
        ({"kind": "text", "minimum": 1}, "a text has no minimum"),
        ({"kind": "number", "minimum": 2, "maximum": 1}, "minimum is above maximum"),
        ({"kind": "number", "choices": ["1"]}, "only a text has choices"),
        ({"kind": "boolean", "maximum": 1}, "true and false have no range"),
    ],
)
def test_declarations_that_cannot_be_kept(declared: dict[str, object], problem: str) -> None:
    """R1: an option under which something wrong would be sent is refused when the file is read."""
    with pytest.raises(ValidationError) as caught:
        model(eta=Option.model_validate(declared))
    assert f"eta: {problem}" in str(caught.value)


def test_options_are_bounded() -> None:
    """P12: a request has at most 64 options for one provider, for at most 16 providers, with 64 KiB together."""
    full = asking(**{f"o{number}": 1 for number in range(MAX_OPTIONS)})
    assert violations(full) == []
    full.provider_options["fal"].update({"one": "more"})
    assert [each.description for each in violations(full)] == ["has more than 64 options for one provider"]
    long = asking(text="x" * MAX_OPTIONS_BYTES)
    assert [each.description for each in violations(long)] == ["has more than 64 KiB"]
    many = Request(prompt="a", provider_options={f"p{number}": struct_pb2.Struct() for number in range(17)})
    assert [each.description for each in violations(many)] == ["names more than 16 providers"]
