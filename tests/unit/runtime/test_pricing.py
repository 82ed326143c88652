"""What pictures cost."""

import pytest

from imagegate.runtime.models import Model
from imagegate.runtime.pricing import price

SIDES = {"width": {"minimum": 64, "default": 1024}, "height": {"minimum": 64, "default": 1024}}


def model(**fields: object) -> Model:
    return Model.model_validate({"key": "m", "display_name": "m", "upstream_model": "m", **fields})


@pytest.mark.parametrize(
    ("width", "height", "megapixels"),
    [(1024, 1024, 1), (2048, 1024, 2), (1032, 1024, 2), (512, 512, 1), (64, 64, 1), (2048, 2048, 4), (1440, 1440, 2)],
)
def test_each_megapixel_that_has_begun_costs(width: int, height: int, megapixels: int) -> None:
    """P7: priced by megapixel, 1024² counts once and 2048 × 1024 twice, for each picture."""
    by_size = model(credits=7, priced_by="megapixel", parameters=SIDES)
    assert price(by_size, {"width": width, "height": height}, 1) == 7 * megapixels
    assert price(by_size, {"width": width, "height": height}, 3) == 21 * megapixels


def test_a_price_by_picture_does_not_ask_for_the_size() -> None:
    """P7: priced by picture, only their number counts."""
    assert price(model(credits=7), {"width": 2048, "height": 2048}, 2) == 14


def test_a_size_that_is_not_sent_is_the_usual_one() -> None:
    """A model that takes no size makes its usual one: its first, or its defaults."""
    assert price(model(credits=7, priced_by="megapixel", sizes=[(2048, 1024), (512, 512)]), {}, 1) == 14
    assert price(model(credits=7, priced_by="megapixel", parameters=SIDES), {}, 1) == 7


def test_what_nobody_knows_is_not_zero() -> None:
    """P8: an unknown price, or a price by a size that nobody knows, is None."""
    assert price(model(), {}, 1) is None
    assert price(model(credits=7, priced_by="megapixel"), {}, 1) is None
    assert price(model(credits=7, priced_by="megapixel"), {"width": 1024}, 1) is None


def test_what_is_free_is_free_at_every_size() -> None:
    """A price of 0 stays 0, whether or not anybody knows the size."""
    assert price(model(credits=0, priced_by="megapixel"), {}, 8) == 0
    assert price(model(credits=0), {}, 8) == 0
