"""The body of a generation: what it may say, and what is told of one that says it wrong."""

import base64
import json
from typing import Any

import pytest

from imagegate.edge.api.ordering import parameters_of, size_violations, to_fields
from imagegate.edge.api.schema import Generation
from imagegate.edge.body import parsed
from imagegate.edge.problem import Problem
from imagegate.runtime.validation import MAX_INPUT_BYTES, RANGES

DATA = base64.b64encode(b"a picture").decode()


def wrong(**said: Any) -> dict[str, str]:
    """What is told of a body that says this, by field."""
    with pytest.raises(Problem) as caught:
        parsed(Generation, said)
    assert (caught.value.status, caught.value.reason) == (400, "INVALID_REQUEST")
    return {each.field: each.description for each in caught.value.violations}


def accepted(**said: Any) -> Generation:
    return parsed(Generation, {"prompt": "a fox", **said})


def test_every_bad_field_is_told_at_once() -> None:
    """P12, S29: all that is wrong is told in one answer, each at its own place."""
    told = wrong(
        prompt=" ",
        width=2**31,
        height="512",
        steps=-1,
        guidance_scale=51,
        seed=-2,
        count=10**9,
        quality="BEST",
        must_keep=["taste"],
        max_credits=-1,
        provider_options={"fal": {"x": [10**400]}},
        controls=[{"type": "MOOD", "image": {}, "start": 2}],
        loras=[{"name": "\n"}],
        image_to_image={"image": {"data": "not base64!"}},
    )
    assert set(told) == {
        *("prompt", "width", "height", "steps", "guidance_scale", "seed", "count", "quality", "must_keep[0]"),
        *("max_credits", "provider_options", "controls[0].type", "controls[0].image", "controls[0].start"),
        *("loras[0].name", "image_to_image.image.data"),
    }


def test_words_are_needed_unless_a_pose_is_looked_for() -> None:
    """P12: a body without words is refused, but for the extraction of a pose."""
    assert wrong() == {"prompt": "is empty; say what to draw"}
    assert set(wrong(prompt="", width=1)) == {"prompt", "width"}
    assert parsed(Generation, {"pose_extraction": {"image": {"data": DATA}}}).prompt == ""
    assert set(wrong(pose_extraction={"image": {"data": "?"}})) == {"pose_extraction.image.data"}


@pytest.mark.parametrize("name", RANGES)
def test_the_bounds_are_the_routers_own(name: str) -> None:
    """P12: what the router takes is taken, what is beyond it is refused here already."""
    low, high, _ = RANGES[name]
    for inside in (low, high):
        assert getattr(accepted(**{name: inside}), name) == inside
    for outside in (low - 1, high + 1, 1e400 if name == "guidance_scale" else True, "8", [8]):
        assert set(wrong(prompt="a", **{name: outside})) == {name}


@pytest.mark.parametrize("name", ["user", "tier", "credits", "request_id", "cost", "owner", "role", "delivery"])
def test_what_a_caller_does_not_decide_cannot_be_said(name: str) -> None:
    """S28: nothing of the body decides who it is for, what they may, or what it costs."""
    assert "there is no such field" in wrong(prompt="a", **{name: "root"})[name]


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """P12: a misspelt field is named together with what was probably meant, at every level."""
    told = wrong(prompt="a", negativ_prompt="b", controls=[{"type": "CANNY", "image": {"dta": DATA}}])
    assert told["negativ_prompt"] == "there is no such field; did you mean negative_prompt?"
    assert told["controls[0].image.dta"] == "there is no such field; did you mean data?"


def test_a_million_unknown_names_are_not_told_one_by_one() -> None:
    """S29: an answer stays small, whatever came: a few names, each clipped, none that cannot be written."""
    told = wrong(prompt="a", **{f"{number}{'é' * 500}{{}}": 1 for number in range(1000)})
    assert len(told) == 16
    assert len(json.dumps(told)) < 16_000
    assert wrong(prompt="a", **{"\ud800": 1})


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"data": ""},
        {"data": DATA, "template": "standing"},
        {"data": f"data:image/png;base64,{DATA}"},
        {"data": 5},
        {"uri": "http://example.org/a.png"},
        {"uri": "file:///etc/passwd"},
        {"template": ""},
        {"picture": "x" * 65},
        "standing",
    ],
)
def test_a_picture_is_one_of_four(image: Any) -> None:
    """P12: a picture is exactly one of data, template, picture and uri, and nothing that only looks like one."""
    assert all(field.startswith("identity[0].image") for field in wrong(prompt="a", identity=[{"image": image}]))


def test_there_is_one_task() -> None:
    """P12: tasks that exclude one another are refused together."""
    image = {"image": {"data": DATA}}
    told = wrong(prompt="a", image_to_image=image, inpainting={**image, "mask": {"data": DATA}}, pose_extraction=image)
    assert told == {
        "inpainting": "cannot go together with image_to_image",
        "pose_extraction": "cannot go together with image_to_image",
    }


def test_half_a_character_is_told_in_our_words() -> None:
    """P12: what a reader of JSON lets through is said so that its sender understands it."""
    assert wrong(prompt="a\ud800b") == {"prompt": "has half of a character"}


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 32_001])
def test_words_that_nothing_can_draw_or_keep_are_refused(text: str) -> None:
    """P12: what the wire or a database cannot hold is refused before anything is paid for."""
    assert set(wrong(prompt=text)) == {"prompt"}
    assert set(wrong(prompt="a", negative_prompt=text)) == {"negative_prompt"}


@pytest.mark.parametrize(
    "options",
    [
        {"fal": {"x": 1e400}},
        {"fal": {str(number): 1 for number in range(65)}},
        {str(number): {} for number in range(17)},
        {"fal": {"x": "y" * 70_000}},
        {"fal": {"x": [1] * 70_000}},
        {"fal": json.loads('{"x": ' + "[" * 40 + "]" * 40 + "}")},
        {"fal": 1},
    ],
)
def test_options_are_bounded_before_they_are_looked_at(options: Any) -> None:
    """S29: options of a provider have bounds in number, size, depth and value."""
    assert all(field.startswith("provider_options") for field in wrong(prompt="a", provider_options=options))


def test_an_order_says_what_the_body_says() -> None:
    """What was left out stays out, zeros stay, and pictures come as the client takes them."""
    body = accepted(
        model="web",
        width=512,
        guidance_scale=0,
        negative_prompt="",
        must_keep=["seed"],
        project="avatars",
        no_fallback=False,
        format="PNG",
        image_to_image={"image": {"picture": "p1"}, "strength": 0},
        controls=[{"type": "OPENPOSE", "image": {"template": "standing"}, "start": 0.5}],
        identity=[{"image": {"data": DATA}}, {"image": {"uri": "https://example.org/a.png"}}],
        loras=[{"name": "ink", "weight": -1}],
        provider_options={"fal": {"acceleration": "none"}},
    )
    assert to_fields(body, {"p1": b"own"}) == {
        "width": 512,
        "guidance_scale": 0,
        "negative_prompt": "",
        "must_keep": ["seed"],
        "project": "avatars",
        "no_fallback": False,
        "format": "PNG",
        "image_to_image": {"image": b"own", "strength": 0},
        "controls": [{"type": "OPENPOSE", "image": "template:standing", "start": 0.5}],
        "identity": [{"image": b"a picture"}, {"image": "https://example.org/a.png"}],
        "loras": [{"name": "ink", "weight": -1}],
        "provider_options": {"fal": {"acceleration": "none"}},
    }


def test_what_is_kept_of_a_body_is_a_body_again() -> None:
    """P10: the parameters of a record can be posted again; only a picture that came as data is not kept with them."""
    said = {
        "model": "web",
        "steps": 4,
        "negative_prompt": "",
        "image_to_image": {"image": {"picture": "0" * 32}, "strength": 0.25},
        "controls": [{"type": "OPENPOSE", "image": {"template": "standing"}}],
    }
    kept = parameters_of(accepted(**said, project=""))
    assert kept == said
    assert parameters_of(accepted(**kept)) == said
    [gone] = parameters_of(accepted(identity=[{"image": {"data": DATA}}]))["identity"]
    assert gone == {"image": {"data": "(9 bytes)"}}
    assert wrong(prompt="a", identity=[gone]) == {"identity[0].image.data": "is not base64"}


def test_all_pictures_together_are_bounded() -> None:
    """S29: what comes along and what is taken from the gallery count together, each gallery picture as often as it is
    named.
    """
    body = accepted(identity=[{"image": {"picture": "p1"}}, {"image": {"picture": "p1"}}, {"image": {"data": DATA}}])
    half = MAX_INPUT_BYTES // 2
    assert size_violations(body, {"p1": half - 5}) == []
    [told] = size_violations(body, {"p1": half})
    assert told.description == "all pictures together have 25,165,833 bytes; at most 24 MiB are allowed"


def test_the_schema_has_every_field_with_its_bounds() -> None:
    """The schema that /openapi.json shows says of every field what it is, and refuses all others."""
    schema = Generation.model_json_schema()
    assert schema["additionalProperties"] is False
    width = schema["properties"]["width"]["anyOf"][0]
    assert (width["minimum"], width["maximum"]) == (64, 4096)
    for name, part in schema["properties"].items():
        assert "description" in part or "$ref" in json.dumps(part), name
