"""Width and height depend on each other: the shape of a picture comes before its number of pixels. Pure."""

import math
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from imagegate.runtime.adjustments import Adjustment, Value, adjusted
from imagegate.runtime.models import Model
from imagegate.runtime.parameters import Parameter, nearest_on_grid
from imagegate.v1 import generation_pb2

SIDES = ("width", "height")
# A model may make 64 sizes; so many are named where another one is asked for.
NAMED_SIZES = 12

Size = tuple[int, int]
# By request field: what is sent, and the adjustment where that is a change.
FittedSides = dict[str, tuple[int, Adjustment | None]]


def fit_sides(
    asked: Mapping[str, Value], model: Model, kept: Collection[str], preset: Mapping[str, int]
) -> FittedSides:
    """The sides that are fitted together, in pixels; empty where each is fitted by itself.

    A model with `sizes` makes the nearest of them; where none is asked for that of the `preset` if it is one of them,
    else its usual one. One with ranges is sent both sides moved into them together where one is out. A side that is
    `kept` is not changed for the other's sake.
    """
    if model.sizes:
        size = _preferred(preset, model.sizes) if asked.keys().isdisjoint(SIDES) else None
        size = size or nearest_size([_whole(asked.get(side)) for side in SIDES], _keeping(asked, model.sizes, kept))
        why = f"the model makes {_named(model.sizes)} only"
        return {
            side: (own, _told(side, asked.get(side), own, generation_pb2.ACTION_TRANSLATED, why))
            for side, own in zip(SIDES, size, strict=True)
        }
    ranges = [model.parameters[side] for side in SIDES if side in model.parameters and side in asked]
    if len(ranges) < len(SIDES) or not set(SIDES).isdisjoint(kept):
        return {}
    sides = [int(asked[side]) for side in SIDES]
    if all(own.allows(side) for own, side in zip(ranges, sides, strict=True)):
        return {}
    shaped = zip(SIDES, sides, in_shape(sides, ranges), ranges, strict=True)
    return {name: (sent, _moved(name, side, sent, own)) for name, side, sent, own in shaped}


def sides_of(size: Size, model: Model) -> FittedSides:
    """The sides of a picture that is made from another one of this `size`, where none are asked for; no change is told,
    as nothing was asked.
    """
    sides = [model.parameters[side] for side in SIDES if side in model.parameters]
    if not model.sizes and len(sides) < len(SIDES):
        return {}
    own = nearest_size(size, model.sizes) if model.sizes else in_shape(size, sides)
    return {side: (value, None) for side, value in zip(SIDES, own, strict=True)}


def nearest_size(asked: Sequence[int | None], sizes: Sequence[Size]) -> Size:
    """The one of `sizes` that is nearest to the asked width and height: by shape, then by pixels.

    Where one side is left open the other alone decides; the first of equals is taken, so the usual one where both are.
    """
    width, height = asked
    if width is None or height is None:
        return min(sizes, key=lambda size: sum(abs(own - side) for own, side in zip(size, asked, strict=True) if side))
    shape, pixels = Fraction(width, height), width * height
    return min(sizes, key=lambda size: (_times(Fraction(*size), shape), _times(Fraction(math.prod(size)), pixels)))


def in_shape(sides: Sequence[int], ranges: Sequence[Parameter]) -> list[int]:
    """Both sides made larger or smaller by one factor, as little as their ranges ask for, and then put on their grids.

    Where no factor fits both ranges each side ends at a bound, as near to the shape as that allows.
    """
    least = max((own.minimum or 0) / side for own, side in zip(ranges, sides, strict=True))
    most = min(math.inf if own.maximum is None else own.maximum / side for own, side in zip(ranges, sides, strict=True))
    factor = min(max(1.0, least), most)
    return [round(nearest_on_grid(side * factor, own)) for own, side in zip(ranges, sides, strict=True)]


def _preferred(preset: Mapping[str, int], sizes: Sequence[Size]) -> Size | None:
    """The size that a quality stands for, where the model makes it."""
    return next((size for size in sizes if size == tuple(preset.get(side) for side in SIDES)), None)


def _keeping(asked: Mapping[str, Value], sizes: Sequence[Size], kept: Collection[str]) -> Sequence[Size]:
    """The sizes that leave the sides alone that are `kept`; all where there is none, which is refused elsewhere."""
    held = [(place, asked[side]) for place, side in enumerate(SIDES) if side in kept and side in asked]
    return [size for size in sizes if all(size[place] == side for place, side in held)] or sizes


def _times(one: Fraction, other: Fraction | int) -> Fraction:
    """How many times larger or smaller one is than the other: from 1, exactly, so that equals stay equal."""
    return max(one / other, other / one)


def _moved(name: str, side: int, sent: int, own: Parameter) -> Adjustment | None:
    if own.allows(side):
        why = "the other side is out of the model's range; the shape is kept as far as possible"
        return _told(name, side, sent, generation_pb2.ACTION_TRANSLATED, why)
    why = f"the model takes {own.range}; the shape is kept as far as possible"
    return _told(name, side, sent, generation_pb2.ACTION_CLAMPED, why)


def _told(
    name: str, side: Value | None, sent: int, action: "generation_pb2.Action.ValueType", why: str
) -> Adjustment | None:
    return None if side is None or side == sent else adjusted(name, side, sent, action, why)


def _named(sizes: Sequence[Size]) -> str:
    named = ", ".join(f"{width}x{height}" for width, height in sizes[:NAMED_SIZES])
    return named if len(sizes) <= NAMED_SIZES else f"{named} and {len(sizes) - NAMED_SIZES} others"


def _whole(side: Value | None) -> int | None:
    return None if side is None else int(side)
