"""The configuration file: what is good, and how what is wrong is told."""

from pathlib import Path

import pytest

from imagegate.router.config import PACKAGED, ConfigError, ModelOverrides, load

GOOD = """
providers:
  huggingface: {target: "127.0.0.1:1", attempt_timeout: 90s}
  fal: {target: "127.0.0.1:2"}
routes:
  default: [huggingface/default, fal/flux-schnell]
  flux-dev: [fal/flux-dev]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "imagegate.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ)
    return caught.value.problems


def test_the_packaged_configuration_is_good() -> None:
    """R10: the packaged configuration has the guide's pair as route `web`, in its order."""
    config = load(PACKAGED)
    assert list(config.providers) == ["huggingface", "fal", "automatic1111"]
    assert config.routes["web"] == ["huggingface/default", "automatic1111/local"]
    assert config.routes["avatar"][:2] == ["huggingface/flux-dev", "huggingface/flux-schnell"]


@pytest.mark.parametrize(("written_as", "seconds"), [("90s", 90), ("2m", 120), ("500ms", 0.5), ("1h", 3600), ("7", 7)])
def test_a_time_out_is_a_number_with_a_unit(tmp_path: Path, written_as: str, seconds: float) -> None:
    """Times are written as 500ms, 90s, 2m or a number of seconds."""
    config = load(written(tmp_path, GOOD.replace("90s", written_as)))
    assert config.providers["huggingface"].attempt_timeout == seconds


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    """A mistyped key is refused by its place, with what was probably meant."""
    assert problems(tmp_path, GOOD.replace("attempt_timeout", "atempt_timeout")) == [
        "providers.huggingface.atempt_timeout: unknown key; did you mean 'attempt_timeout'?"
    ]
    assert problems(tmp_path, GOOD.replace("routes:", "rotues:"))[1].startswith("rotues: unknown key; did you mean")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    """A file with several mistakes is refused once, with all of them."""
    text = GOOD.replace("fal/flux-schnell", "fall/flux-schnell").replace("default:", "standard:")
    found = problems(tmp_path, text)
    assert any("'fall/flux-schnell' names no configured provider; did you mean 'fal'?" in problem for problem in found)
    assert any("the route 'default' is missing" in problem for problem in found)
    with_more = problems(tmp_path, text.replace("attempt_timeout", "patience"))
    assert len(with_more) == len(found) + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping"),
        ("- a\n- b", "must be a mapping"),
        ("providers: {a: {target: x", "is not YAML"),
        (GOOD.replace("90s", "2024-13-45"), "is not YAML"),
        (GOOD + "\nproviders: {}", "written more than once: providers"),
        (GOOD.replace('"127.0.0.1:2"', "7"), "providers.fal.target"),
        (GOOD.replace("90s", "-1s"), "providers.huggingface.attempt_timeout"),
        (GOOD.replace("[fal/flux-dev]", "[]"), "routes.flux-dev"),
        (GOOD.replace("[fal/flux-dev]", "[fal]"), "routes.flux-dev.0"),
        (GOOD.replace("[fal/flux-dev]", "[fal/a, fal/a]"), "lists a candidate twice"),
        (GOOD.replace("flux-dev:", "fal:"), "a provider has this name too"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    """Every kind of mistake is told by its place and never by a traceback."""
    assert any(words in problem for problem in problems(tmp_path, text))


def test_a_missing_file_names_the_variable(tmp_path: Path) -> None:
    """A configuration that does not exist is told with the variable that names it."""
    with pytest.raises(ConfigError, match="set IMAGEGATE_CONFIG"):
        load(tmp_path / "nowhere.yaml")


def test_every_value_can_be_overridden_by_a_variable(tmp_path: Path) -> None:
    """R13: variables override the file, hyphens being underscores, values being YAML."""
    config = load(
        written(tmp_path, GOOD),
        {
            "IMAGEGATE_PROVIDERS__FAL__TARGET": "127.0.0.1:9",
            "IMAGEGATE_PROVIDERS__FAL__ENABLED": "false",
            "IMAGEGATE_PROVIDERS__HUGGINGFACE__ATTEMPT_TIMEOUT": "2s",
            "IMAGEGATE_ROUTES__FLUX_DEV": "[fal/flux-dev, huggingface/flux-dev]",
            "IMAGEGATE_FAL_CONCURRENCY": "3",
        },
    )
    assert config.providers["fal"].target == "127.0.0.1:9"
    assert not config.providers["fal"].enabled
    assert config.providers["huggingface"].attempt_timeout == 2
    assert config.routes["flux-dev"] == ["fal/flux-dev", "huggingface/flux-dev"]


def test_a_mistyped_variable_is_refused(tmp_path: Path) -> None:
    """A variable that leads nowhere is a problem, not silence."""
    found = problems(tmp_path, GOOD, IMAGEGATE_PROVIDRS__FAL__TARGET="x", IMAGEGATE_PROVIDERS__FAL__TARGT="y")
    assert any("IMAGEGATE_PROVIDRS__FAL__TARGET" in problem and "providers" in problem for problem in found)
    assert any("providers.fal.targt" in problem and "target" in problem for problem in found)


def test_the_two_well_known_model_variables_replace_models() -> None:
    """R13: HF_IMAGE_MODEL is huggingface/default, FLUX_MODEL stands in for huggingface/flux-dev."""
    overrides = ModelOverrides.read({"HF_IMAGE_MODEL": "a/b", "FLUX_MODEL": "c/d"})
    assert overrides.apply("huggingface", "default", in_route=True) == "a/b"
    assert overrides.apply("huggingface", "flux-dev", in_route=True) == "c/d"
    assert overrides.apply("fal", "flux-dev", in_route=True) == "flux-dev"
    assert overrides.apply("huggingface", "flux-dev", in_route=False) == "flux-dev"
    plain = ModelOverrides.read({"HF_IMAGE_MODEL": ""})
    assert plain.apply("huggingface", "default", in_route=True) == "black-forest-labs/FLUX.1-schnell"
    assert plain.apply("huggingface", "flux-dev", in_route=True) == "flux-dev"
