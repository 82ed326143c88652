"""The requests that the kit makes."""

from pathlib import Path

import pytest

from imagegate import providers
from imagegate.conformance import asking
from imagegate.runtime.fitting import fit
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.parameters import Parameter
from imagegate.runtime.validation import violations

FILES = sorted(Path(next(iter(providers.__path__))).glob("*/models.yaml"))
MODELS = [model for path in FILES for model in load_catalogue(path.parent.name, path).models]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.provider}/{model.key}")
def test_a_small_request_fits_as_it_is(model: Model) -> None:
    """What is asked of a model is valid, and is sent as it is asked."""
    request = asking.small(model, prompt="x")
    assert violations(request) == []
    assert fit(request, model, 0).adjustments == ()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.provider}/{model.key}")
def test_an_unfit_request_needs_exactly_one_change(model: Model) -> None:
    """R1: the change that a model has to tell of is one of one field, within the bounds of every request."""
    fields = asking.unfit(model)
    assert fields is not None
    request = asking.small(model, prompt="x", **fields)
    assert violations(request) == []
    assert [each.parameter for each in fit(request, model, 0).adjustments] == list(fields)


def test_a_model_that_takes_everything() -> None:
    """A model without any bounds has nothing to adjust, and is asked for no change."""
    names = ("width", "height", "steps", "guidance_scale", "sampler", "negative_prompt")
    model = Model(key="any", display_name="any", upstream_model="any", parameters={name: Parameter() for name in names})
    assert asking.unfit(model) is None


def test_every_bad_field_is_bad() -> None:
    """The bad request is bad in each of the fields that have to be named, and in no other."""
    assert sorted(violation.field for violation in violations(asking.BAD)) == sorted(asking.BAD_FIELDS)


def test_a_misspelt_name_is_nobodys() -> None:
    """A name that is asked for in vain is neither a model's nor one outside the catalogue."""
    outside = Model(key="outside", display_name="outside", upstream_model="outside")
    models = (Model(key="a", display_name="a", upstream_model="u", aliases=("ax",)),)
    catalogue = Catalogue(provider="p", models=models, outside=outside, outside_pattern="axx")
    assert asking.misspelt(catalogue, models[0]) == "axxx"
