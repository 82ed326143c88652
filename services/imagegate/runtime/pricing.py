"""What pictures cost, in credits. Pure."""

from collections.abc import Mapping

from imagegate.runtime.adjustments import Value
from imagegate.runtime.models import Model

# As upstreams count that price by it: 1024 pixels squared.
MEGAPIXEL = 1024 * 1024


def price(model: Model, parameters: Mapping[str, Value], count: int) -> int | None:
    """The credits for `count` pictures of a request fitted to `parameters`; None where nobody knows.

    By the size that goes to the model, whatever it makes of it: what was estimated is never exceeded.
    """
    if not model.credits or model.priced_by == "picture":  # what is free is free at every size
        return None if model.credits is None else model.credits * count
    usual = model.usual_size or (None, None)
    width, height = (parameters.get(name, side) for name, side in zip(("width", "height"), usual, strict=True))
    if width is None or height is None:
        return None
    megapixels = max(-(-int(width) * int(height) // MEGAPIXEL), 1)
    return model.credits * megapixels * count
