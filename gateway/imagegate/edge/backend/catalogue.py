"""What web backends are told of models: what there is, what it costs, what to use. Pure."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from imagegate.client.plain import plain
from imagegate.edge.backend.naming import Shape, shown_field, shown_provider
from imagegate.v1 import catalog_pb2

Low = Annotated[str, BeforeValidator(str.lower)]
Lows = Annotated[list[Low], BeforeValidator(list)]
Field = Annotated[str, BeforeValidator(shown_field)]
Provider = Annotated[str, BeforeValidator(shown_provider)]


class ParameterShape(Shape):
    """A parameter that a model takes, with its range, grid and default where it has one."""

    name: Field
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: float | None = None
    default: str | None = None
    choices: list[str]


class ModelShape(Shape):
    """A model. `key` finds it in any request; `credits` are for one picture or one megapixel (`pricedBy`), null where
    nobody knows; `seconds` is the usual time, from and to.
    """

    key: str
    provider: Provider
    display_name: str
    upstream_model: str
    base_model: str
    aliases: list[str]
    tier: str
    credits: int | None = None
    priced_by: Low = "picture"
    quality: Low = ""
    seconds: tuple[float, float]
    width: int
    height: int
    tasks: Lows
    use_case: str
    licence_note: str
    enabled: bool
    disabled_reason: str
    coming_soon: bool
    recommended_for: str
    parameters: list[ParameterShape]

    @classmethod
    def of(cls, model: catalog_pb2.Model) -> "ModelShape":
        """The model as it is told here."""
        told = plain(model)
        usual = (told["typical_seconds_low"], told["typical_seconds_high"])
        return cls.model_validate({**told, "key": f"{model.provider}/{model.key}", "seconds": usual})


class ProviderShape(Shape):
    """A provider, and why it is off."""

    name: Provider
    enabled: bool
    disabled_reason: str


class ModelsAnswer(Shape):
    """The models, and the providers they belong to."""

    models: list[ModelShape]
    providers: list[ProviderShape]
    warnings: list[str]


class CandidateCost(Shape):
    """What a request costs at one model; null where nobody knows."""

    key: str
    provider: Provider
    credits: int | None = None
    certainty: Low = ""


class EstimateAnswer(Shape):
    """What a request costs at least and at most, whoever delivers; null where nobody knows."""

    low: int | None = None
    high: int | None = None
    certainty: Low = ""
    candidates: list[CandidateCost]
    warnings: list[str]


class Recommended(ModelShape):
    """A model, why it stands where it stands, what a picture of its usual size costs and whether it can be used now."""

    why: str
    cost: int | None
    available: bool


class RecommendAnswer(Shape):
    """Models, best first; where none fits, `message` says what is in the way."""

    recommendations: list[Recommended]
    message: str
    warnings: list[str]


def models_answer(listed: catalog_pb2.ListModelsResponse, unknown: Sequence[str]) -> ModelsAnswer:
    """The catalogue."""
    return ModelsAnswer(
        models=[ModelShape.of(model) for model in listed.models],
        providers=[ProviderShape.model_validate(plain(provider)) for provider in listed.providers],
        warnings=list(unknown),
    )


def estimate_answer(estimate: catalog_pb2.CostEstimate, unknown: Sequence[str]) -> EstimateAnswer:
    """What it costs."""
    told = plain(estimate)
    candidates = [{**each, "key": f"{each['provider']}/{each['model']}"} for each in told["candidates"]]
    return EstimateAnswer.model_validate({**told, "candidates": candidates, "warnings": list(unknown)})


def recommend_answer(found: catalog_pb2.RecommendModelsResponse, unknown: Sequence[str]) -> RecommendAnswer:
    """What to use."""
    return RecommendAnswer(
        recommendations=[
            Recommended(
                **dict(ModelShape.of(each.model)),
                why=each.why,
                cost=each.cost if each.HasField("cost") else None,
                available=each.available,
            )
            for each in found.recommendations
        ],
        message=found.message,
        warnings=list(unknown),
    )
