"""What an operator's overlay makes of the packaged models (P1)."""

import copy
from typing import Any

import pytest
import yaml

from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError, to_catalogue
from imagegate.runtime.overlay import laid_over, unfinished

PACKAGED = yaml.safe_load(
    """
models:
  dev:
    display_name: Dev
    upstream_model: x/dev
    aliases: [old/dev]
    tier: basic
    credits: 8
    parameters:
      negative_prompt: {}
      steps: {minimum: 28, maximum: 50, default: 30}
      guidance_scale: {minimum: 0, maximum: 20, default: 3.5}
    options: {speed: {kind: text, choices: [slow, fast]}, safe: {kind: boolean}}
    wire: {dialect: flux}
  pose: {display_name: Pose, upstream_model: x/pose, enabled: false, disabled_reason: needs an endpoint}
  soon: {display_name: Soon, upstream_model: x/soon, enabled: false, coming_soon: true, disabled_reason: not yet}
outside: {typical_seconds: [5, 60], parameters: {steps: {maximum: 50}}}
outside_pattern: "[a-z]+/[a-z]+"
"""
)


def over(overlay: str) -> Catalogue:
    """The packaged models with an overlay on top."""
    return to_catalogue("p", laid_over(PACKAGED, yaml.safe_load(overlay), "p.yaml"), "p.yaml")


def changed(overlay: str) -> dict[str, dict[str, Any]]:
    """What an overlay has changed: the fields of each model that differ, as they are now."""
    before = {model.key: model.model_dump() for model in to_catalogue("p", PACKAGED, "").models}
    return {
        model.key: {name: value for name, value in fields.items() if value != before.get(model.key, {}).get(name)}
        for model in over(overlay).models
        if (fields := model.model_dump()) != before.get(model.key)
    }


def steps_of(model: Model) -> tuple[float | str | None, ...]:
    """The range and the default of a model's steps."""
    steps = model.parameters["steps"]
    return steps.minimum, steps.maximum, steps.default


@pytest.mark.parametrize(
    ("overlay", "changes"),
    [
        ("models: {}", {}),
        ("models: {dev: {credits: 9, tier: pro}}", {"dev": {"credits": 9, "tier": "pro"}}),
        ("models: {dev: {credits: null}}", {"dev": {"credits": None}}),
        ("models: {dev: {aliases: [new/dev, old/dev]}}", {"dev": {"aliases": ("old/dev", "new/dev")}}),
        ("models: {dev: {enabled: false, disabled_reason: x}}", {"dev": {"enabled": False, "disabled_reason": "x"}}),
        ("models: {dev: {wire: {host: h}}}", {"dev": {"wire": {"dialect": "flux", "host": "h"}}}),
        (
            "models: {dev: {enabled: false}}",
            {"dev": {"enabled": False, "disabled_reason": "switched off in p.yaml"}},
        ),
        ("models: {pose: {enabled: true}}", {"pose": {"enabled": True, "disabled_reason": ""}}),
        ("models: {pose: {credits: 1}}", {"pose": {"credits": 1}}),
        (
            "models: {soon: {enabled: true}}",
            {"soon": {"enabled": True, "coming_soon": False, "disabled_reason": ""}},
        ),
    ],
)
def test_only_what_an_overlay_says_is_changed(overlay: str, changes: dict[str, object]) -> None:
    """P1: prices, tiers and switches change without a new image; what is not said stays, and nothing goes unsaid."""
    assert changed(overlay) == changes


def test_parameters_and_options_are_changed_one_by_one() -> None:
    """P1: another default leaves range and neighbours as they are; only null takes something out."""
    dev = over("models: {dev: {parameters: {steps: {default: 40}}, options: {safe: null, n: {kind: integer}}}}").find(
        "dev"
    )
    assert dev is not None
    assert steps_of(dev) == (28, 50, 40)
    assert list(dev.parameters) == ["negative_prompt", "steps", "guidance_scale"]
    assert list(dev.options) == ["speed", "n"]
    dev = over("models: {dev: {parameters: {steps: {default: null}, negative_prompt: null}}}").find("dev")
    assert dev is not None
    assert steps_of(dev) == (28, 50, None)
    assert list(dev.parameters) == ["steps", "guidance_scale"]


def test_models_are_added_behind_the_packaged_ones() -> None:
    """P1: a complete entry is a new model; it is found by its names, and the order of the others stays."""
    found = over("models: {mine: {display_name: Mine, upstream_model: me/mine, credits: 2}}")
    assert [model.key for model in found.models] == ["dev", "pose", "soon", "mine"]
    assert found.find("me/mine") is found.find("mine")


def test_what_stands_for_ids_outside_is_changed_alike() -> None:
    """P1: the entry of ids outside the catalogue is laid over like a model; the pattern is replaced."""
    found = over('{models: {}, outside: {parameters: {steps: {minimum: 4}}}, outside_pattern: "[a-z]+"}')
    assert found.outside is not None
    assert steps_of(found.outside) == (4, 50, None)
    assert found.outside.typical_seconds == (5, 60)
    assert found.find_outside("x") is not None


def test_neither_side_is_changed_by_laying_one_over_the_other() -> None:
    """P1: the packaged models stay as they were read, for the next overlay."""
    before = copy.deepcopy(PACKAGED)
    over("models: {dev: {aliases: [a], parameters: {steps: {default: 40}, negative_prompt: null}, wire: {x: y}}}")
    assert before == PACKAGED


@pytest.mark.parametrize(
    ("overlay", "problem"),
    [
        ("models: {dev: {tier: gold}}", "models.dev.tier: "),
        ("models: {dev: {colour: red}}", "models.dev.colour: Extra inputs"),
        ("models: {dev: {parameters: {steps: {default: 99}}}}", "steps: default lies outside the range"),
        ("models: {dev: {parameters: {lora: null}}}", "models.dev.parameters.lora: "),
        ("models: {dev: {parameters: 7}}", "models.dev.parameters: "),
        ("models: {dev: {aliases: x/pose}}", "models.dev.aliases: "),
        ("models: {dev: {aliases: [x/pose]}}", "dev and pose are both called 'x/pose'"),
        ("models: {dev: {enabled: true, coming_soon: true}}", "a model that is coming soon is not enabled yet"),
        ("{models: {}, surprise: 1}", "surprise: Extra inputs"),
    ],
)
def test_what_makes_no_catalogue_is_told_by_its_place(overlay: str, problem: str) -> None:
    """P1: the outcome is judged as a whole, and every problem has its place."""
    with pytest.raises(CatalogueError) as caught:
        over(overlay)
    assert caught.value.source == "p.yaml"
    assert any(problem in each for each in caught.value.problems), caught.value.problems


def test_a_mistyped_key_is_told_with_the_nearest() -> None:
    """P1: a key that no packaged model has, without what a new model needs, is most likely a mistyped one."""
    told = list(unfinished(PACKAGED, yaml.safe_load("models: {dve: {credits: 1}, dev: {credits: 1}}")))
    assert len(told) == 1
    assert told[0].startswith("models.dve: no packaged model has this key (near: dev, ")
    complete = "models: {mine: {display_name: Mine, upstream_model: me/mine}}"
    assert list(unfinished(PACKAGED, yaml.safe_load(complete))) == []
