"""What web backends may say."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.edge.backend.asked import BatchRequest, EstimateRequest, ModelsQuery, PictureRequest, RecommendRequest
from imagegate.edge.backend.rules import of_texts
from imagegate.edge.body import parsed
from imagegate.edge.problem import Problem
from imagegate.runtime.errors import Violation


def wrong(model: Any, **said: Any) -> dict[str, str]:
    """The fields that are refused, with what is said of each."""
    with pytest.raises(Problem) as caught:
        parsed(model, said)
    assert caught.value.status == 400
    return {each.field: each.description for each in caught.value.violations}


def test_a_prompt_alone_is_a_request_for_512_by_512() -> None:
    """P9, R2: only the size has a default that is sent; all else is the model's own, and the picture is a PNG."""
    asked = PictureRequest.model_validate({"prompt": "a fox"})
    assert asked.fields() == {"width": 512, "height": 512, "seed": -1, "format": "PNG"}
    assert asked.model_meant == "web"
    assert asked.unknown() == []


def test_null_and_empty_texts_are_not_said() -> None:
    """R2: what is null, and an empty text, is never sent."""
    nothing = dict.fromkeys(("width", "height", "steps", "cfgScale", "seed", "sampler", "model", "negativePrompt"))
    assert PictureRequest.model_validate({"prompt": "a", **nothing}).fields() == {
        "width": 512,
        "height": 512,
        "format": "PNG",
    }
    empty = PictureRequest.model_validate({"prompt": "a", "negativePrompt": "", "sampler": "", "model": ""})
    assert not {"negative_prompt", "sampler"} & empty.fields().keys()
    assert empty.model_meant == "web"


def test_everything_that_the_guide_has_is_passed_on() -> None:
    """P9: each field by the name that the router knows, zero included."""
    said = {
        "prompt": "a fox",
        "negativePrompt": "fog",
        "width": 256,
        "height": 2048,
        "steps": 50,
        "cfgScale": 1,
        "sampler": "LMS",
        "seed": 0,
        "model": "flux-dev",
    }
    assert PictureRequest.model_validate(said).fields() == {
        "negative_prompt": "fog",
        "width": 256,
        "height": 2048,
        "steps": 50,
        "guidance_scale": 1,
        "sampler": "LMS",
        "seed": 0,
        "format": "PNG",
    }


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("width", 256, 2048), ("height", 256, 2048), ("steps", 10, 50), ("cfgScale", 1, 20)],
)
def test_the_ranges_are_the_guide_s(field: str, low: int, high: int) -> None:
    """P4, P9, P12: both ends are in, what lies beyond is refused with the value and what is allowed."""
    for inside in (low, high):
        PictureRequest.model_validate({"prompt": "a", field: inside})
    for outside in (low - 1, high + 1, -(10**30), 10**30):
        told = wrong(PictureRequest, prompt="a", **{field: outside})[field]
        assert told.startswith("is ")
        assert f"allowed is {low} to {high}" in told


@pytest.mark.parametrize("value", [True, "512", "", [512], {}, 512.5, float("nan"), float("inf")])
def test_a_number_is_a_number(value: Any) -> None:
    """P12: what is no whole number is none, whatever it looks like."""
    assert wrong(PictureRequest, prompt="a", width=value).keys() == {"width"}


def test_a_whole_number_may_have_a_point() -> None:
    """P9: some languages write 512 as 512.0."""
    assert PictureRequest.model_validate({"prompt": "a", "width": 512.0}).fields()["width"] == 512


def test_a_prompt_in_any_language_has_32000_characters_at_most() -> None:
    """P4, P12: by characters, not bytes; one that says nothing is refused."""
    PictureRequest.model_validate({"prompt": "灯" * 32_000})
    assert "prompt" in wrong(PictureRequest, prompt="灯" * 32_001)
    assert wrong(PictureRequest, prompt=" \n\t")["prompt"] == "is empty; say what to draw"
    assert wrong(PictureRequest)["prompt"] == "field required"


def test_what_is_not_known_is_named_with_the_nearest() -> None:
    """P9: eight by name, each cut, and how many more."""
    said = {"prompt": "a", "Width": 3, "x" * 100: 1, **{f"n{number}": 0 for number in range(10)}}
    warnings = PictureRequest.model_validate(said).unknown()
    assert "'Width' is not known here and was left out; did you mean 'width'?" in warnings[0]
    assert f"'{'x' * 40}'" in warnings[1]
    assert warnings[8:] == ["4 more fields are not known here and were left out"]


def test_a_batch_has_1_to_20_pictures() -> None:
    """P8: no more, and each is checked."""
    assert len(parsed(BatchRequest, {"requests": [{"prompt": "a"}] * 20}).requests) == 20
    assert wrong(BatchRequest, requests=[{"prompt": "a"}] * 21).keys() == {"requests"}
    assert wrong(BatchRequest, requests=[{"prompt": "a"}, {"prompt": "b", "steps": 1}]).keys() == {"requests[1].steps"}


def test_a_cost_is_asked_for_without_a_prompt() -> None:
    """P8: the prompt plays no part in it."""
    assert parsed(EstimateRequest, {}).fields() == {"width": 512, "height": 512, "seed": -1, "count": 1}
    assert wrong(EstimateRequest, count=0).keys() == {"count"}


@pytest.mark.parametrize(
    ("said", "own", "meant"),
    [("", "", None), ("pro", "", "pro"), ("", "basic", "basic"), ("pro", "basic", "basic"), ("free", "pro", "free")],
)
def test_a_recommendation_stays_within_the_key_s_tier(said: str, own: str, meant: str | None) -> None:
    """P12: the lower of what is said and what the key has."""
    asked = parsed(RecommendRequest, {"tier": said} if said else {})
    assert asked.fields(own).get("tier") == meant


def test_words_go_by_any_case_and_by_hyphens() -> None:
    """P8: `text-to-image` is TEXT_TO_IMAGE; another word is refused with those that there are."""
    assert parsed(ModelsQuery, {"task": "Text-to-Image", "tier": "FREE"}).task == "text_to_image"
    assert "control_openpose" in wrong(ModelsQuery, task="pose")["task"]


def test_a_form_says_the_same_as_json() -> None:
    """P9: numbers become numbers, what is empty was not said, what is there twice is refused by name."""
    texts = {"prompt": ["12"], "width": ["640"], "cfgScale": ["7.5"], "seed": ["-1"], "steps": [""]}
    numbers = ("width", "cfgScale", "seed", "steps")
    assert of_texts(texts, numbers) == {"prompt": "12", "width": 640, "cfgScale": 7.5, "seed": -1}
    assert of_texts({"width": ["wide"]}, numbers) == {"width": "wide"}
    with pytest.raises(Problem) as caught:
        of_texts({"width": ["1", "2"], "seed": ["1", "2", "3"]}, numbers)
    assert [each.field for each in caught.value.violations] == ["width", "seed"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([
    "prompt", "negativePrompt", "width", "height", "steps", "cfgScale", "sampler", "seed", "model", "requests", "x",
])  # fmt: skip


@given(st.dictionaries(NAMES, json))
def test_whatever_comes_is_taken_or_refused_by_name(said: dict[str, Any]) -> None:
    """P12: any JSON object is a request within the guide's ranges, or a Problem that names each bad field."""
    asked, violations = taken_or_refused(said)
    assert (asked is None) == bool(violations)
    assert all(each.field and each.description for each in violations)
    if asked is not None:
        fields = asked.fields()
        assert 256 <= fields["width"] <= 2048
        assert 10 <= fields.get("steps", 10) <= 50
        assert 1 <= fields.get("guidance_scale", 1) <= 20
        assert asked.prompt.strip()


def taken_or_refused(said: dict[str, Any]) -> tuple[PictureRequest | None, Sequence[Violation]]:
    """The request, or what is wrong with it."""
    try:
        return parsed(PictureRequest, said), ()
    except Problem as problem:
        return None, problem.violations
