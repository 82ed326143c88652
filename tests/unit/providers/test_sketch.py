"""The reference provider: honest about being a sketch, and the same every time."""

import pytest
from PIL import ImageFont

from imagegate.providers.sketch import drawing
from imagegate.providers.sketch.provider import create
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch
from imagegate.runtime.fitting import fit
from imagegate.runtime.order import Order
from imagegate.v1 import generation_pb2


@pytest.fixture
def provider():
    return create({}, lambda _: None)


def an_order(provider, count=1, **fields):
    model = provider.catalogue.find("")
    fitted = fit(generation_pb2.GenerateRequest(prompt="a fox", **fields), model, drawn_seed=3)
    return Order(model=model, prompt="a fox", parameters=fitted.parameters, deadline=Deadline.after(20), count=count)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (333, 517), (64, 4096), (4096, 64), (2048, 2048)])
def test_every_size_is_a_whole_picture(width, height):
    """A sketch of any size that a request may have is one whole PNG of that size, and not a flat one."""
    data = drawing.draw("a fox in the snow", 7, width, height)
    seen = images.inspect(data)
    assert (seen.format, seen.width, seen.height) == ("PNG", width, height)
    assert images.look(data, seen) is images.Appearance.NORMAL


@pytest.mark.parametrize("prompt", ["a", "ä\n\t\0 ü", "狐 в снегу 🦊", "x" * 32_000, "word " * 6_400])
def test_every_prompt_can_be_drawn(prompt):
    """P4: a prompt in any language and of any legal length is drawn."""
    assert images.inspect(drawing.draw(prompt, 0, 256, 256)).width == 256


def test_the_same_recipe_gives_the_same_bytes():
    """The same prompt, seed and size give the same bytes; another one of them gives others."""
    recipes = [("a fox", 7, 128, 96), ("an owl", 7, 128, 96), ("a fox", 8, 128, 96), ("a fox", 7, 96, 128)]
    assert drawing.draw(*recipes[0]) == drawing.draw(*recipes[0])
    assert len({drawing.draw(*recipe) for recipe in recipes}) == 4


def test_nobody_can_take_it_for_a_model_s_work():
    """What is written on a sketch says that it is one, and what it was asked for, in few words."""
    assert drawing.TITLE == "SKETCH"
    assert drawing.opening("a  fox\nin the snow") == "a fox in the snow"
    assert drawing.opening("one two three four five six seven eight nine") == "one two three four five six seven eight…"
    assert drawing.opening("x" * 100) == "x" * 60 + "…"


@pytest.mark.parametrize("width", [64, 512, 4096])
def test_words_fit_the_picture(width):
    """The longest line is made small enough for the picture, down to the smallest letters that can be read."""
    font = drawing.fitting_font("m" * drawing.LONGEST_LINE, width, 4096 // 20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getlength("m" * drawing.LONGEST_LINE) <= width or font.size == drawing.SMALLEST_LETTERS


async def test_pictures_of_one_order(provider):
    """R2: picture i is the one of seed + i, and what it was drawn from is told."""
    order = an_order(provider, count=3, seed=7, width=64, height=80)
    delivery = await provider.generate(order)
    assert [picture.seed for picture in delivery.pictures] == [7, 8, 9]
    assert [picture.data for picture in delivery.pictures] == [drawing.draw("a fox", s, 64, 80) for s in (7, 8, 9)]
    assert (order.dispatch, order.phase) == (Dispatch.ACCEPTED, "run")
    assert delivery.run_seconds > 0


async def test_every_hill_is_told(provider):
    """R9: whoever watches sees it grow, hill by hill, through all pictures of the order."""
    told, order = [], an_order(provider, count=2, width=64, height=64)
    order.watch = told.append
    await provider.generate(order)
    assert [(each.step, each.steps) for each in told] == [(step, 8) for step in range(9)]


async def test_it_is_always_there(provider):
    """R7: nothing speaks against a sketch."""
    check = await provider.check(provider.catalogue.find(""))
    assert (check.exists, check.loaded, check.key_accepted, check.failure) == (True, True, None, None)


async def test_what_it_does_not_take_is_told(provider):
    """R1: steps, guidance, a sampler and a negative prompt mean nothing to a pen, and become adjustments."""
    model = provider.catalogue.find("imagegate/sketch")
    request = generation_pb2.GenerateRequest(
        prompt="a fox", steps=30, guidance_scale=7, negative_prompt="rain", sampler="Euler a"
    )
    fitted = fit(request, model, drawn_seed=3)
    assert fitted.parameters == {"width": 512, "height": 512, "seed": 3}
    assert {a.parameter for a in fitted.adjustments} == {"steps", "guidance_scale", "negative_prompt", "sampler"}


def test_it_costs_nothing_and_is_on(provider):
    """It needs no key and costs nothing; R10: it can be switched off, and says by what."""
    assert provider.disabled_reason == ""
    assert [(model.key, model.credits) for model in provider.catalogue.models] == [("sketch", 0)]
    off = create({"IMAGEGATE_SKETCH_ENABLED": "false"}, lambda _: None)
    assert off.disabled_reason == "switched off by IMAGEGATE_SKETCH_ENABLED=false"
