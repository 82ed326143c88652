"""What web backends call things."""

import pytest

from imagegate.edge.backend.naming import (
    camel,
    own_model,
    own_provider,
    shown_field,
    shown_model,
    shown_provider,
)


def test_the_local_engine_is_called_stable_diffusion() -> None:
    """P9: all others go by their own names."""
    assert (shown_provider("automatic1111"), shown_provider("fal")) == ("stable-diffusion", "fal")
    assert (own_provider("stable-diffusion"), own_provider("automatic1111")) == ("automatic1111", "automatic1111")
    assert shown_model("automatic1111", "v1-5-pruned.safetensors") == "stable-diffusion-local"
    assert shown_model("huggingface", "black-forest-labs/FLUX.1-schnell") == "black-forest-labs/FLUX.1-schnell"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("", "web"),
        ("stable-diffusion-local", "automatic1111/local"),
        ("stable-diffusion/dreamshaper", "automatic1111/dreamshaper"),
        ("fal/flux-schnell", "fal/flux-schnell"),
        ("black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-dev"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("avatar", "avatar"),
    ],
)
def test_a_model_is_found_by_what_it_is_called_here(name: str, meant: str) -> None:
    """P9: nothing is the route web; what an answer says is understood in a request."""
    assert own_model(name) == meant


def test_fields_go_by_camel_case_and_the_guide_s_names() -> None:
    """P9: also where the router has named them, and within a batch."""
    assert camel("negative_prompt") == "negativePrompt"
    assert camel("negativePrompt") == "negativePrompt"
    assert shown_field("requests[3].guidance_scale") == "requests[3].cfgScale"
    assert shown_field("routing.max_credits") == "routing.maxCredits"
