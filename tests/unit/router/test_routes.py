"""Which candidates a name means."""

import pytest

from imagegate.router.config import ModelOverrides, ProviderConfig, RouterConfig
from imagegate.router.routes import Quality, resolve, unknown_providers
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.v1 import generation_pb2, terms_pb2

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


# ── Quality ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SD, HD, ULTRA, PREMIUM = (terms_pb2.Quality.Value(f"QUALITY_{name}") for name in ("SD", "HD", "ULTRA", "PREMIUM"))
BY_QUALITY = RouterConfig.model_validate(
    {
        "providers": {name: {"target": "x"} for name in ("a", "b", "c")},
        "routes": {
            "default": ["a/one", "b/one", "c/two", "c/unread", "c/one"],
            "pose": {"hd": ["a/one", "c/two"], "ultra": ["b/one"], "default": ["a/one", "c/one"]},
        },
    }
)


def graded(provider: str, **qualities: str) -> Catalogue:
    models = [
        Model(key=key, display_name=key, upstream_model=f"x/{key}", quality=quality)
        for key, quality in qualities.items()
    ]
    return Catalogue(provider=provider, models=tuple(models))


GRADED = {
    "a": graded("a", one="sd"),
    "b": graded("b", one="hd"),
    "c": graded("c", one="sd", two="hd"),
}


@pytest.mark.parametrize(
    ("requested", "quality", "candidates"),
    [
        ("", 0, "a/one b/one c/two c/unread c/one"),
        ("", SD, "a/one c/one b/one c/two c/unread"),
        ("", HD, "b/one c/two a/one c/unread c/one"),
        ("", ULTRA, "a/one b/one c/two c/unread c/one"),
        ("one", HD, "b/one a/one c/one"),
        ("x/one", HD, "b/one a/one c/one"),
        ("a/one", HD, "a/one"),
        ("pose", 0, "a/one c/one"),
        ("pose", SD, "a/one c/one"),
        ("pose", HD, "a/one c/two"),
        ("pose", ULTRA, "b/one"),
        ("pose", PREMIUM, "a/one c/one"),
    ],
)
def test_the_quality_chooses_among_the_candidates(requested: str, quality: Quality, candidates: str) -> None:
    """P2: candidates of exactly the quality come first, in their order; a route by quality has a list for it,
    which stays in its order, or takes its default; a model that is named exactly stays.
    """
    found = resolve(requested, BY_QUALITY, ModelOverrides(), GRADED, quality)
    assert [str(candidate) for candidate in found.candidates] == candidates.split()


def test_the_environments_models_stand_in_lists_by_quality_too() -> None:
    """R13, P2: FLUX_MODEL takes the place of huggingface/flux-dev in every list of a route."""
    config = RouterConfig.model_validate(
        {
            "providers": {"huggingface": {"target": "x"}},
            "routes": {"default": {"hd": ["huggingface/flux-dev"], "default": ["huggingface/default"]}},
        }
    )
    overrides = ModelOverrides(flux_model="someone/flux-tuned")
    for quality, asked in ((HD, "someone/flux-tuned"), (SD, "black-forest-labs/FLUX.1-schnell")):
        assert [each.asked for each in resolve("", config, overrides, {}, quality).candidates] == [asked]


# ── Provider options ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_for_providers_that_are_not_configured() -> None:
    """P12: options for a provider that is not configured are a mistake, told with the nearest names."""
    request = generation_pb2.GenerateRequest(prompt="a")
    request.provider_options["fal"].update({"anything": 1})
    assert unknown_providers(request, CONFIG) == []
    request.provider_options["hugingface"].update({"anything": 1})
    [told] = unknown_providers(request, CONFIG)
    assert told.field == "provider_options"
    assert told.description == "names 'hugingface'; known here: huggingface, fal, automatic1111"
    for number in range(4):
        request.provider_options[f"x{number}"].update({})
    assert "names 'hugingface', 'x0', 'x1' and 2 others;" in unknown_providers(request, CONFIG)[0].description
