"""The configuration file: what is good, and how what is wrong is told."""

from itertools import chain
from pathlib import Path

import pytest

from imagegate.providers.__main__ import create
from imagegate.router.config import PACKAGED, ConfigError, ModelOverrides, QualityRoute, dump, load
from imagegate.runtime.access import Role
from imagegate.runtime.bearer import hashed
from imagegate.runtime.callers import Caller
from imagegate.runtime.redaction import Redactor

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


WITH_MODELS = """
providers:
  huggingface:
    target: "127.0.0.1:1"
    attempt_timeout: 90s
    latency_objective: 30s
    models:
      flux-dev: {attempt_timeout: 2m}
      flux-schnell: {latency_objective: 5s}
  fal: {target: "127.0.0.1:2"}
routes:
  default: [huggingface/default, fal/flux-schnell]
  avatar: [huggingface/flux-dev, fal/flux-pro]
route_options:
  avatar: {attempt_timeout: 45s, fall_back_on_refused_content: true}
"""


@pytest.mark.parametrize(
    ("provider", "model", "route", "seconds"),
    [
        ("huggingface", "flux-dev", "avatar", 45),
        ("huggingface", "flux-dev", "default", 120),
        ("huggingface", "flux-schnell", "default", 90),
        ("huggingface", "default", "", 90),
        ("fal", "flux-pro", "avatar", 45),
        ("fal", "flux-pro", "", None),
    ],
)
def test_an_attempts_limit_is_the_routes_else_the_models_else_the_providers(
    tmp_path: Path, provider: str, model: str, route: str, seconds: float | None
) -> None:
    """`attempt_timeout` can be set per route, model and provider, the first of these deciding."""
    assert load(written(tmp_path, WITH_MODELS)).attempt_timeout(provider, model, route) == seconds


@pytest.mark.parametrize(
    ("provider", "model", "seconds"),
    [
        ("huggingface", "flux-schnell", 5),
        ("huggingface", "flux-dev", 30),
        ("huggingface", "default", 30),
        ("fal", "flux-schnell", None),
    ],
)
def test_what_is_not_slow_is_the_models_word_else_the_providers(
    tmp_path: Path, provider: str, model: str, seconds: float | None
) -> None:
    """`latency_objective` can be set per model and provider; without one a model's own past decides alone."""
    assert load(written(tmp_path, WITH_MODELS)).latency_objective(provider, model) == seconds


def test_a_route_says_for_itself_whether_a_refused_prompt_is_shown_to_the_next(tmp_path: Path) -> None:
    """Falling back on CONTENT_REJECTED is off unless a route's options switch it on."""
    config = load(written(tmp_path, WITH_MODELS))
    assert config.route_options["avatar"].fall_back_on_refused_content
    assert not load(written(tmp_path, GOOD)).route_options
    without = WITH_MODELS.replace(", fall_back_on_refused_content: true", "")
    assert not load(written(tmp_path, without)).route_options["avatar"].fall_back_on_refused_content


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("avatar: {attempt", "avatars: {attempt", "route_options.avatars: no such route; did you mean 'avatar'?"),
        (
            "fall_back_on_refused_content",
            "fall_back_on_refused_contents",
            "route_options.avatar.fall_back_on_refused_contents: unknown key; "
            "did you mean 'fall_back_on_refused_content'?",
        ),
        (
            "flux-dev: {attempt_timeout",
            "flux-dev: {attempt_timeouts",
            "providers.huggingface.models.flux-dev.attempt_timeouts: unknown key; did you mean 'attempt_timeout'?",
        ),
        (
            "    models:",
            "    model:",
            "providers.huggingface.model: unknown key; did you mean 'models'?",
        ),
    ],
)
def test_a_mistake_in_what_holds_for_one_model_or_route_is_told_by_its_place(
    tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    """Options of models and routes are checked as strictly as the rest, with the nearest known name."""
    assert problems(tmp_path, WITH_MODELS.replace(right, wrong, 1)) == [told]


def test_options_of_one_model_can_be_overridden_by_a_variable(tmp_path: Path) -> None:
    """R13: what the file says of one model or route is overridden like every other value."""
    config = load(
        written(tmp_path, WITH_MODELS),
        {
            "IMAGEGATE_PROVIDERS__HUGGINGFACE__MODELS__FLUX_DEV__ATTEMPT_TIMEOUT": "3s",
            "IMAGEGATE_ROUTE_OPTIONS__AVATAR__ATTEMPT_TIMEOUT": "4s",
        },
    )
    assert config.attempt_timeout("huggingface", "flux-dev", "") == 3
    assert config.attempt_timeout("huggingface", "flux-dev", "avatar") == 4


def test_the_hash_changes_with_every_option(tmp_path: Path) -> None:
    """A configuration that differs in one model's option is another one."""
    former = load(written(tmp_path, WITH_MODELS)).hash
    assert load(written(tmp_path, WITH_MODELS)).hash == former
    assert load(written(tmp_path, WITH_MODELS.replace("5s", "6s"))).hash != former


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


# ── Routes by quality ────────────────────────────────────────────────────────────────────────────────────────────────

WITH_POSE = (
    GOOD
    + """
  pose: {sd: [huggingface/sd15], hd: [fal/flux-dev, fal/flux-schnell], default: [huggingface/default]}
route_options:
  pose: {attempt_timeout: 45s}
"""
)


def test_a_route_may_be_by_quality(tmp_path: Path) -> None:
    """P2: a route may have one list of candidates per quality; `default` stands for the others, and for none."""
    config = load(written(tmp_path, WITH_POSE))
    pose = config.routes["pose"]
    assert isinstance(pose, QualityRoute)
    assert [list(pose.candidates(quality)) for quality in ("sd", "hd", "ultra", "")] == [
        ["huggingface/sd15"], ["fal/flux-dev", "fal/flux-schnell"], ["huggingface/default"], ["huggingface/default"],
    ]  # fmt: skip
    assert config.attempt_timeout("fal", "flux-dev", "pose") == 45


def test_a_route_by_quality_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """P2: what is shown of a configuration loads again as the same, and another list makes another hash."""
    config = load(written(tmp_path, WITH_POSE))
    assert load(written(tmp_path, dump(config))) == config
    other = load(written(tmp_path, WITH_POSE.replace("huggingface/sd15", "huggingface/sdxl")))
    assert other.hash != config.hash


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("hd: [", "hdd: [", ["routes.pose.hdd: unknown key; did you mean 'hd'?"]),
        (", default: [", ", else: [", ["routes.pose.default: Field required", "routes.pose.else: unknown key; "]),
        ("[huggingface/sd15]", "[]", ["routes.pose.sd: List should have at least 1 item"]),
        ("[huggingface/sd15]", "huggingface/sd15", ["routes.pose.sd: Input should be a valid list"]),
        ("[huggingface/sd15]", "[sd15]", ["routes.pose.sd.0: String should match"]),
        ("[huggingface/sd15]", "[hugingface/sd15]", ["routes.pose.sd: 'hugingface/sd15' names no configured provider"]),
        ("fal/flux-schnell],", "fal/flux-dev],", ["routes.pose.hd: lists a candidate twice"]),
        ("  pose: {sd", "  fal: {sd", ["routes.fal: a provider has this name too", "route_options.pose: no such"]),
    ],
)
def test_a_wrong_route_by_quality_is_told_by_its_place(tmp_path: Path, right: str, wrong: str, told: list[str]) -> None:
    """P2: the lists of a route by quality are checked as strictly as plain ones, each problem with its place."""
    found = problems(tmp_path, WITH_POSE.replace(right, wrong, 1))
    for beginning in told:
        assert any(problem.startswith(beginning) for problem in found), found


def test_mistakes_in_a_route_by_quality_are_told_beside_others(tmp_path: Path) -> None:
    """A mistake elsewhere does not hide what is wrong with the candidates of a route by quality."""
    found = problems(
        tmp_path, WITH_POSE.replace("45s", "-1s").replace("huggingface/sd15", "hugingface/sd15").replace("hd:", "hdd:")
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "routes.pose.hdd", "route_options.pose.attempt_timeout", "routes.pose.sd",
    ]  # fmt: skip


def test_one_list_of_a_route_by_quality_can_be_overridden_by_a_variable(tmp_path: Path) -> None:
    """R13: a variable names the route and the quality."""
    config = load(written(tmp_path, WITH_POSE), {"IMAGEGATE_ROUTES__POSE__ULTRA": "[fal/flux-pro]"})
    pose = config.routes["pose"]
    assert isinstance(pose, QualityRoute)
    assert (pose.ultra, pose.sd) == (["fal/flux-pro"], ["huggingface/sd15"])


def test_the_packaged_pose_route_is_by_quality() -> None:
    """P2: sd, hd and ultra are the three OpenPose models, premium is SD 3.5; the local engine is in every list, and
    without a quality some candidate needs neither it nor an endpoint.
    """
    pose = load(PACKAGED).routes["pose"]
    assert isinstance(pose, QualityRoute)
    firsts = {quality: pose.candidates(quality)[0] for quality in ("sd", "hd", "ultra", "premium")}
    assert firsts == {
        "sd": "huggingface/controlnet-openpose-sd15",
        "hd": "huggingface/controlnet-openpose-sdxl",
        "ultra": "huggingface/controlnet-openpose-sdxl-ultra",
        "premium": "huggingface/sd35-controlnet-canny",
    }
    assert all("automatic1111/local" in pose.candidates(quality) for quality in (*firsts, ""))
    assert pose.default[-1] == "huggingface/default"


def test_the_packaged_routes_name_models_that_there_are() -> None:
    """R7: every candidate of the packaged routes is a key of a packaged catalogue, or huggingface/default."""
    config = load(PACKAGED)
    listed = {
        f"{name}/{model.key}" for name in config.providers for model in create(name, {}, Redactor()).catalogue.models
    }
    for route in config.routes.values():
        lists = route.model_dump(exclude_none=True).values() if isinstance(route, QualityRoute) else [route]
        assert set(chain(*lists)) <= listed | {"huggingface/default"}


HASH = hashed("ig_EXAMPLE")
WITH_CALLERS = f"""{GOOD}
callers:
  web: {{weight: 4, max_inflight: 32, tier: pro, identities: ["spiffe://imagegate/edge", edge.svc], keys: [{HASH}]}}
  batch: {{weight: 0.5}}
  olga: {{role: operator, keys: [{hashed("ig_OTHER")}]}}
"""


def test_callers_are_known_by_what_they_show(tmp_path: Path) -> None:
    """S13: by the names of their certificates and by keys; whoever has neither by a certificate with their own name."""
    callers = load(written(tmp_path, WITH_CALLERS)).known_callers()
    web = Caller("web", Role.CALLER, "pro", 4.0, 32)
    assert set(callers.by_identity) == {"spiffe://imagegate/edge", "edge.svc", "batch"}
    assert callers.with_key("ig_EXAMPLE") == callers.by_identity["edge.svc"] == web
    assert callers.by_identity["batch"] == Caller("batch", weight=0.5)
    assert callers.with_key("ig_OTHER") == Caller("olga", Role.OPERATOR)
    assert callers.with_key("ig_REVOKED") is None


def test_without_callers_everything_is_open() -> None:
    """Nothing changes for whoever names no callers."""
    assert load(PACKAGED).known_callers().is_open


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("weight: 0.5", "weight: 0", "callers.batch.weight: Input should be greater than 0"),
        ("weight: 0.5", "wait: 1", "callers.batch.wait: unknown key; did you mean 'weight'?"),
        ("tier: pro", "tier: gold", "callers.web.tier: Input should be"),
        ("role: operator", "role: root", "callers.olga.role: Input should be"),
        (HASH, "ig_EXAMPLE", "callers.web.keys.0: String should match pattern"),
        ("weight: 0.5", f"keys: [{HASH}]", "callers.batch: shares a key with callers.web"),
        ("weight: 0.5", "identities: [edge.svc]", "callers.batch: shares the identity 'edge.svc' with callers.web"),
    ],
)
def test_what_is_wrong_with_callers_is_told(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    """Two callers that cannot be told apart are refused like any mistake; a key in a hash's place is not repeated."""
    found = problems(tmp_path, WITH_CALLERS.replace(right, wrong))
    assert any(problem.startswith(told) for problem in found), found
    assert not any("ig_EXAMPLE" in problem for problem in found)
