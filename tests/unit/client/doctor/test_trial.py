"""Which models the doctor tries with a picture, and what a picture shows."""

from collections.abc import Sequence
from typing import Any

import pytest

from imagegate.client.doctor.row import Made, Trouble
from imagegate.client.doctor.trial import Trial, planned, result_of, trial_of
from imagegate.client.result import Result
from imagegate.runtime.models import Model
from imagegate.runtime.parameters import Parameter
from imagegate.v1 import error_pb2, generation_pb2

SIDE = Parameter(minimum=64, maximum=2048, multiple_of=8, default=1024)
SQUARE = {"width": SIDE, "height": SIDE}


def a_trial(key: str = "model", provider: str = "fal", **fields: Any) -> Trial:
    fields = {"credits": 3, "typical_seconds": (1.0, 2.0), "parameters": SQUARE} | fields
    model = Model(key=key, display_name=key, upstream_model=f"{provider}/{key}", **fields)
    return trial_of(f"{provider}/{key}", provider, model)


def names(trials: Sequence[Trial]) -> list[str]:
    return [trial.name for trial in trials]


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"parameters": SQUARE}, (256, 256)),
        ({"parameters": {"width": Parameter(minimum=512, maximum=1024), "height": SIDE}}, (512, 256)),
        ({"parameters": {"width": SIDE, "height": Parameter(maximum=128)}}, (256, 128)),
        ({"parameters": {}, "sizes": ((1024, 1024), (768, 512), (512, 768))}, (768, 512)),
        ({"parameters": {}}, (None, None)),
    ],
)
def test_the_picture_is_small(fields: dict[str, Any], size: tuple[int | None, int | None]) -> None:
    """R12: 256 px a side, or what the model takes that is nearest; nothing is asked for where it takes no size."""
    trial = a_trial(**fields)
    assert (trial.width, trial.height) == size
    assert trial.fields == {name: value for name, value in zip(("width", "height"), size, strict=True) if value}


def test_the_cheapest_of_each_provider_by_what_that_picture_costs() -> None:
    """R12: by the price of the small picture, the first of equals; a price by megapixel counts as such."""
    trials = [
        a_trial("dear", credits=20),
        a_trial("first", credits=4),
        a_trial("second", credits=4),
        a_trial("by_size", credits=5, priced_by="megapixel"),
        a_trial("free", "local", credits=0),
    ]
    plan = planned(trials, lambda _: True, all_models=False)
    assert names(plan.trials) == ["fal/first", "local/free"]
    assert plan.told() == "making 2 small pictures: 4 credits"
    plan = planned(trials, lambda _: True, all_models=True)
    assert (len(plan.trials), plan.credits) == (5, 33)


def test_what_cannot_be_tried_is_not() -> None:
    """R12: what makes no picture from words, and what is known to fail for free, is not asked for a picture."""
    trials = [a_trial("poses", tasks=("pose_extraction",), credits=1), a_trial("gone", credits=2), a_trial("well")]
    for all_models in (False, True):
        plan = planned(trials, lambda name: name != "fal/gone", all_models=all_models)
        assert names(plan.trials) == ["fal/well"]
    assert planned([], lambda _: True, all_models=False).told() == "making no picture"


def test_an_unknown_price_is_said_before() -> None:
    """R12: unknown is not cheap: such a model is made where it is the only one, or where each is wanted."""
    one, two, priced = a_trial("one", credits=None), a_trial("two", credits=None), a_trial("priced")
    alone = planned([one], lambda _: True, all_models=False)
    assert alone.told() == "making one small picture: the price of fal/one is not known"
    assert names(planned([one, priced], lambda _: True, all_models=False).trials) == ["fal/priced"]
    several = planned([one, two], lambda _: True, all_models=False)
    assert several.trials == []
    assert several.told().startswith("making no picture; none of fal: ")
    each = planned([one, two, priced], lambda _: True, all_models=True)
    assert each.told() == "making 3 small pictures: 3 credits, and the price of fal/one, fal/two is not known"
    assert each.to_dict() == {
        "models": ["fal/one", "fal/two", "fal/priced"],
        "credits": 3,
        "unpriced": ["fal/one", "fal/two"],
        "left_out": [],
    }


def a_result(seconds: float = 1.5, **changes: Any) -> Result:
    """A picture of 256 × 256 that took `seconds`; `changes` are of the picture."""
    fields = {"data": b"12345", "mime_type": "image/png", "width": 256, "height": 256, "seed": 7} | changes
    answer = generation_pb2.GenerateResponse(images=[generation_pb2.Image(**fields)], cost=3)
    answer.attempts.add(provider="fal", model="model").duration.FromMilliseconds(round(seconds * 1000))
    return Result.of(answer)


SEEDED = a_trial(parameters={**SQUARE, "seed": Parameter(minimum=0)})


def test_a_picture_as_the_catalogue_says() -> None:
    """R12: its type, bytes, file, cost and time, and nothing else to say."""
    made = result_of(SEEDED, a_result(), "a.png")
    assert made == Made("image/png", 5, "a.png", 3, 1.5, (), ())


def test_where_the_upstream_does_not_do_what_the_catalogue_says() -> None:
    """R12: another size, no seed, something in the place of what was asked, and what the inspection found odd."""
    result = a_result(width=512, seed=None)
    result.proto.warnings.append("it is one colour throughout")
    for parameter, action in (
        ("sampler", generation_pb2.ACTION_SUBSTITUTED),
        ("width", generation_pb2.ACTION_SUBSTITUTED),
        ("steps", generation_pb2.ACTION_CLAMPED),
    ):
        change = {"requested": "a", "applied": "b", "action": action, "why": "it has none"}
        result.proto.adjustments.add(parameter=parameter, **change)
    made = result_of(SEEDED, Result.of(result.proto), "a.png")
    assert isinstance(made, Made)
    assert made.differences == (
        "asked for 256 × 256, it made 512 × 256",
        "the catalogue says that it takes a seed, and none was told",
        "it took b for sampler a (it has none)",
        "it is one colour throughout",
    )


def test_a_slow_picture_is_worth_a_note() -> None:
    """R12: more than twice the upper end of the usual time is told, and is no difference."""
    made = result_of(SEEDED, a_result(seconds=4.1), "a.png")
    assert isinstance(made, Made)
    assert (made.differences, made.notes) == ((), ("it took 4 s; the catalogue says 1 to 2",))
    assert result_of(SEEDED, a_result(seconds=4.0), "a.png").notes == ()  # type: ignore[union-attr]


def test_what_is_no_picture_is_trouble() -> None:
    """R4: a provider of somebody else's may call anything a picture."""
    trouble = result_of(SEEDED, a_result(mime_type="application/json"), "a.bin")
    assert isinstance(trouble, Trouble)
    assert trouble.reason == error_pb2.ErrorReason.Name(error_pb2.ERROR_REASON_BAD_OUTPUT).removeprefix("ERROR_REASON_")
    assert "application/json" in trouble.message
