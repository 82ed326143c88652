"""The requests that the kit makes: small, cheap, and each with a prompt of its own. Pure."""

from collections.abc import Mapping

from imagegate.runtime.adjustments import Value
from imagegate.runtime.fitting import fit
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.parameters import nearest_on_grid
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest

# Pixels a side, if the model takes so few.
SIDE = 256
# Values inside the wide bounds of every request, of which most models exclude at least one; the cheap ones first.
UNUSUAL: tuple[tuple[str, Value], ...] = (
    ("steps", 1),
    ("guidance_scale", 50.0),
    ("sampler", "imagegate conformance"),
    ("negative_prompt", "fog"),
    ("width", 64),
    ("steps", 150),
    ("width", 4096),
)
# Every one of them wrong, each in its own way.
BAD = Request(
    prompt=" ",
    width=1,
    height=99_999,
    steps=0,
    guidance_scale=float("nan"),
    seed=-2,
    count=9,
    must_keep=["colour"],
)
BAD_FIELDS = ("prompt", "width", "height", "steps", "guidance_scale", "seed", "count", "must_keep")


def small(model: Model, **fields: Value) -> Request:
    """The cheapest request that `model` takes as it is; `fields` go before."""
    asked: dict[str, Value] = {}
    for name, wanted in (("width", SIDE), ("height", SIDE), ("steps", 1)):
        if name in model.parameters:
            asked[name] = int(nearest_on_grid(wanted, model.parameters[name]))
    return Request(**{**asked, **fields})  # type: ignore[arg-type]


def unfit(model: Model) -> Mapping[str, Value] | None:
    """One field that `model` cannot take as asked; None where it takes everything."""
    for name, value in UNUSUAL:
        request = small(model, prompt="x", **{name: value})
        if [each.parameter for each in fit(request, model, 0).adjustments] == [name]:
            return {name: value}
    return None


def misspelt(catalogue: Catalogue, model: Model) -> str:
    """A name that no model has, and that looks like the key of `model`."""
    name = model.key + "x"
    while catalogue.find(name) or catalogue.find_outside(name):
        name += "x"
    return name
