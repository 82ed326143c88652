"""OpenAI's words in ours, and what is left out."""

from typing import Any

import pytest

from imagegate.edge.openai.order import Ordered, edit, generation
from imagegate.edge.openai.schema import Edit, Generation, read
from imagegate.edge.problem import Problem


def ordered(**asked: Any) -> Ordered:
    return generation(read(Generation, {"prompt": "a fox", **asked}))


def edited(*images: bytes, mask: bytes | None = None, **asked: Any) -> Ordered:
    return edit(read(Edit, {"prompt": "a fox", **asked}), images, mask)


def left_out(order: Ordered) -> list[str]:
    return [each.parameter for each in order.dropped]


@pytest.mark.parametrize(
    ("quality", "ours"),
    [("low", "SD"), ("standard", "SD"), ("medium", "HD"), ("hd", "HD"), ("high", "HD"), ("xhigh", "ULTRA"),
     ("max", "ULTRA"), ("auto", None), (None, None)],
)  # fmt: skip
def test_each_quality_is_one_of_ours(quality: str | None, ours: str | None) -> None:
    """Their qualities are levels of ours; auto leaves it to the route."""
    assert ordered(quality=quality).order.fields.get("quality") == ours


def test_only_what_was_asked_is_ordered() -> None:
    """R2: nothing is sent that the caller has not set, and auto is nothing."""
    for model in (None, "", "auto"):
        order = ordered(model=model, size="auto", quality="auto", background="opaque").order
        assert (order.prompt, order.model, order.fields) == ("a fox", "", {})


def test_every_parameter_has_its_field() -> None:
    """Theirs are translated, ours go by their own names; zero is a value."""
    asked = {"n": 3, "size": "640x480", "output_format": "jpeg", "seed": 0, "steps": 5, "guidance_scale": 0,
             "negative_prompt": "fog", "sampler": "Euler a", "project": "p", "no_fallback": False, "max_credits": 0,
             "on_unsupported": "ADJUST", "model": "web"}  # fmt: skip
    order = ordered(**asked).order
    same = {name: asked[name] for name in list(asked)[3:-1]}
    assert order.model == "web"
    assert order.fields == {"count": 3, "width": 640, "height": 480, "format": "JPEG", **same}


def test_what_nobody_keeps_is_left_out_and_told() -> None:
    """R1: a parameter of theirs that no model has is told as an adjustment; what asks for nothing is not."""
    asked: Any = {"style": "natural", "moderation": "low", "output_compression": 0, "complexity": "high"}
    assert left_out(ordered(**asked)) == ["complexity", "moderation", "output_compression", "style"]
    told = ordered(style="natural").dropped[0].to_dict()
    assert (told["requested"], told["applied"], told["action"]) == ("natural", "", "DROPPED")
    assert left_out(ordered(moderation="auto", output_compression=100, background="auto")) == []
    assert left_out(edited(b"1", input_fidelity="low")) == ["input_fidelity"]


def test_who_would_rather_be_refused_is() -> None:
    """R1: with on_unsupported=REFUSE all that cannot be kept is refused at once, but not what is about a person."""
    with pytest.raises(Problem) as caught:
        ordered(style="vivid", moderation="low", user="u", on_unsupported="REFUSE")
    assert [each.field for each in caught.value.violations] == ["moderation", "style"]
    assert left_out(ordered(user="u", safety_identifier="s", on_unsupported="REFUSE")) == ["safety_identifier", "user"]


def test_partial_images_are_of_a_stream() -> None:
    """A number of partial images without a stream is told to have no meaning."""
    assert left_out(ordered(partial_images=2)) == ["partial_images"]
    assert left_out(ordered(partial_images=0)) == []
    assert left_out(ordered(partial_images=2, stream=True)) == []


def test_an_edit_is_inpainting_with_a_mask_and_a_picture_from_a_picture_without() -> None:
    """What belongs to the task goes with it; a blur without a mask is told to have no meaning."""
    assert edited(b"1", strength=0.5).order.fields == {"image_to_image": {"image": b"1", "strength": 0.5}}
    with_mask = edited(b"1", mask=b"m", mask_blur=0)
    assert with_mask.order.fields == {"inpainting": {"image": b"1", "mask": b"m", "mask_blur": 0}}
    without = edited(b"1", mask_blur=0)
    assert (without.order.fields, left_out(without)) == ({"image_to_image": {"image": b"1"}}, ["mask_blur"])


def test_of_several_pictures_the_first_is_taken() -> None:
    """R1: the others are left out and told, or refused."""
    order = edited(b"1", b"2", b"3")
    assert order.order.fields == {"image_to_image": {"image": b"1"}}
    assert [(each.parameter, each.requested, each.applied) for each in order.dropped] == [
        ("image", "3 pictures", "the first")
    ]
    with pytest.raises(Problem):
        edited(b"1", b"2", on_unsupported="REFUSE")
