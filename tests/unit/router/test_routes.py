"""Which candidates a name means."""

import pytest

from imagegate.router.config import ModelOverrides, ProviderConfig, RouterConfig
from imagegate.router.routes import resolve
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.v1 import generation_pb2

CONFIG = RouterConfig(
    providers={name: ProviderConfig(target="x") for name in ("huggingface", "fal", "automatic1111")},
    routes={
        "default": ["huggingface/default", "fal/flux-schnell"],
        "avatar": ["huggingface/flux-dev", "huggingface/flux-schnell", "fal/flux-pro"],
        "flux-dev": ["fal/flux-dev"],
    },
)


def model(key: str, upstream: str, *aliases: str) -> Model:
    return Model(key=key, display_name=key, upstream_model=upstream, aliases=aliases)


CATALOGUES = {
    "huggingface": Catalogue(
        provider="huggingface",
        models=(
            model("flux-schnell", "black-forest-labs/FLUX.1-schnell"),
            model("flux-dev", "black-forest-labs/FLUX.1-dev"),
            model("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"),
        ),
        outside=model("outside", "-"),
        outside_pattern=r"[\w.-]+/[\w.-]+",
    ),
    "fal": Catalogue(
        provider="fal",
        models=(model("flux-schnell", "fal-ai/flux/schnell"), model("flux-pro", "fal-ai/flux-pro/v1.1")),
    ),
}


def names(requested: str, overrides: ModelOverrides | None = None) -> tuple[str, list[str]]:
    found = resolve(requested, CONFIG, overrides or ModelOverrides(), CATALOGUES)
    rule = generation_pb2.ResolvedBy.Name(found.rule).removeprefix("RESOLVED_BY_")
    return rule, [str(candidate) for candidate in found.candidates]


@pytest.mark.parametrize(
    ("requested", "rule", "candidates"),
    [
        ("", "DEFAULT", ["huggingface/flux-schnell", "fal/flux-schnell"]),
        ("avatar", "ROUTE", ["huggingface/flux-dev", "huggingface/flux-schnell", "fal/flux-pro"]),
        ("flux-dev", "ROUTE", ["fal/flux-dev"]),
        ("huggingface/flux-dev", "EXACT", ["huggingface/flux-dev"]),
        ("huggingface/default", "EXACT", ["huggingface/flux-schnell"]),
        ("automatic1111/local", "EXACT", ["automatic1111/local"]),
        ("flux-schnell", "KEY", ["huggingface/flux-schnell", "fal/flux-schnell"]),
        ("black-forest-labs/FLUX.1-schnell", "ALIAS", ["huggingface/flux-schnell"]),
        ("runwayml/stable-diffusion-v1-5", "ALIAS", ["huggingface/sd15"]),
        ("fal-ai/flux/schnell", "ALIAS", ["fal/flux-schnell"]),
        ("huggingface:someone/model", "UPSTREAM_ID", ["huggingface/someone/model"]),
        ("automatic1111:any.safetensors", "UPSTREAM_ID", ["automatic1111/any.safetensors"]),
    ],
)
def test_the_first_rule_that_matches_decides(requested: str, rule: str, candidates: list[str]) -> None:
    """Empty, route, provider/key, key, alias or upstream id, provider:id, in this order."""
    assert names(requested) == (rule, candidates)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("avatr", "avatar"),
        ("flux-schnel", "flux-schnell"),
        ("huggingface/flux-dv", "huggingface/flux-dev"),
        ("fal:some/app", "fal/flux-pro"),
        ("FLUX-SCHNELL", "flux-schnell"),
    ],
)
def test_an_unknown_name_comes_back_with_the_nearest_three(requested: str, expected: str) -> None:
    """R7: nobody guesses a model; the nearest known names are told."""
    with pytest.raises(Failure) as caught:
        names(requested)
    assert caught.value.reason is Reason.MODEL_NOT_FOUND
    listed = caught.value.remedy.removeprefix("one of ").partition(";")[0].split(", ")
    assert len(listed) == 3
    assert expected in listed


def test_an_id_that_is_shut_out_comes_back_with_what_lets_it_in() -> None:
    """R7, R13: where the operator lets in no ids outside the catalogue the error names the nearest and the variable."""
    shut = model("outside", "-").model_copy(update={"enabled": False, "disabled_reason": "set THE_VARIABLE=true"})
    catalogues = CATALOGUES | {"huggingface": CATALOGUES["huggingface"].model_copy(update={"outside": shut})}
    for requested in ("huggingface:someone/model", "huggingface/someone/model"):
        with pytest.raises(Failure) as caught:
            resolve(requested, CONFIG, ModelOverrides(), catalogues)
        assert caught.value.reason is Reason.MODEL_NOT_FOUND
        assert caught.value.remedy.startswith("one of ")
        assert caught.value.remedy.endswith("; or set THE_VARIABLE=true")
    in_a_route = resolve("", CONFIG, ModelOverrides(default_model="someone/model"), catalogues)
    assert [str(candidate) for candidate in in_a_route.candidates] == ["huggingface/someone/model", "fal/flux-schnell"]


def test_the_hub_ids_of_the_environment_take_their_places() -> None:
    """R13: HF_IMAGE_MODEL is huggingface/default, and FLUX_MODEL stands in every route for huggingface/flux-dev."""
    overrides = ModelOverrides(default_model="runwayml/stable-diffusion-v1-5", flux_model="someone/flux-tuned")
    assert names("", overrides)[1] == ["huggingface/sd15", "fal/flux-schnell"]
    found = resolve("avatar", CONFIG, overrides, CATALOGUES)
    assert found.candidates[0].asked == "someone/flux-tuned"


def test_a_provider_that_is_switched_off_does_not_offer_its_keys() -> None:
    """A key means the providers that are switched on."""
    off = CONFIG.providers["huggingface"].model_copy(update={"enabled": False})
    config = CONFIG.model_copy(update={"providers": {**CONFIG.providers, "huggingface": off}})
    found = resolve("flux-schnell", config, ModelOverrides(), CATALOGUES)
    assert [str(candidate) for candidate in found.candidates] == ["fal/flux-schnell"]
