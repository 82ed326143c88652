"""The packaged models against the table that was ordered (P1, P4), and what overlays make of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from imagegate.providers import __main__ as command
from imagegate.providers.automatic1111 import installed
from imagegate.providers.automatic1111 import provider as automatic1111
from imagegate.providers.automatic1111.installed import Checkpoint
from imagegate.providers.fal import provider as fal
from imagegate.providers.huggingface import provider as huggingface
from imagegate.providers.sketch import provider as sketch
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.models import Model
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.provider import model_called

SOURCES: Mapping[str, Callable[[Mapping[str, str]], CatalogueSource]] = {
    "huggingface": huggingface.models,
    "fal": fal.models,
    "automatic1111": automatic1111.models,
    "sketch": sketch.models,
}
SDXL, SD15 = "stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-v1-5/stable-diffusion-v1-5"
XL, SMALL = (1024, 1024), (512, 512)
TEXT, POSE = ("text_to_image",), ("control_openpose",)
FROM_A_PICTURE = ("image_to_image", "inpainting")
# Of these a webui's catalogue tells what it has what it takes for, once it was asked.
WEBUI = (
    "text_to_image", "image_to_image", "inpainting", "control_openpose", "control_canny", "control_depth",
    "control_blur", "pose_extraction",
)  # fmt: skip

# key: upstream, base, tier, credits, size, quality, seconds, tasks, state (on, endpoint, soon)
TABLE = {
    "huggingface/flux-dev": (
        "black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-dev", "basic", 8, XL, "hd", (30, 60), TEXT, "on"),
    "huggingface/flux-schnell": (
        "black-forest-labs/FLUX.1-schnell", "black-forest-labs/FLUX.1-schnell", "free", 3, XL, "hd", (3, 15), TEXT,
        "on"),
    "huggingface/sdxl": (SDXL, SDXL, "free", 5, XL, "hd", (15, 40), TEXT, "on"),
    "huggingface/sd15": (SD15, SD15, "free", 3, SMALL, "sd", (10, 30), TEXT, "on"),
    "huggingface/photomaker-v2": (
        "TencentARC/PhotoMaker-V2", SDXL, "pro", 8, XL, "hd", (30, 60), ("identity",), "endpoint"),
    "huggingface/controlnet-openpose-sd15": (
        "lllyasviel/control_v11p_sd15_openpose", SD15, "free", 3, SMALL, "sd", (15, 30), POSE, "endpoint"),
    "huggingface/controlnet-openpose-sdxl": (
        "thibaud/controlnet-openpose-sdxl-1.0", SDXL, "basic", 5, XL, "hd", (30, 60), POSE, "endpoint"),
    "huggingface/controlnet-openpose-sdxl-ultra": (
        "xinsir/controlnet-openpose-sdxl-1.0", SDXL, "pro", 8, XL, "ultra", (30, 60), POSE, "endpoint"),
    "huggingface/sd35-controlnet-canny": (
        "stabilityai/stable-diffusion-3.5-controlnets", "stabilityai/stable-diffusion-3.5-large", "enterprise", 12, XL,
        "premium", (60, 90), ("control_canny", "control_depth", "control_blur"), "soon"),
    "huggingface/flux-openpose": (
        "raulc0399/flux_dev_openpose_controlnet", "black-forest-labs/FLUX.1-dev", "pro", 8, XL, "ultra", (30, 60), POSE,
        "soon"),
    "huggingface/openpose-annotator": (
        "lllyasviel/Annotators", "", "free", 1, None, "unspecified", (5, 15), ("pose_extraction",), "endpoint"),
    "fal/flux-pro": (
        "fal-ai/flux-pro/v1.1", "FLUX1.1 [pro]", "pro", 50, XL, "ultra", (8, 15), TEXT, "on"),
    "fal/flux-dev": (
        "fal-ai/flux/dev", "black-forest-labs/FLUX.1-dev", "basic", 25, XL, "hd", (3, 10), (*TEXT, "image_to_image"),
        "on"),
    "fal/flux-schnell": (
        "fal-ai/flux/schnell", "black-forest-labs/FLUX.1-schnell", "free", 5, XL, "hd", (3, 10), TEXT, "on"),
    "fal/stable-cascade": (
        "fal-ai/stable-cascade", "stabilityai/stable-cascade", "basic", 25, XL, "hd", (7, 14), TEXT, "on"),
    "fal/aura-flow": ("fal-ai/aura-flow", "fal/AuraFlow-v0.3", "basic", 30, XL, "hd", (10, 20), TEXT, "on"),
    # Who serves today what the documents ask for beyond pictures from words.
    "fal/flux-lora": (
        "fal-ai/flux-lora", "black-forest-labs/FLUX.1-dev", "basic", 35, XL, "hd", (4, 15), (*TEXT, *FROM_A_PICTURE),
        "on"),
    "fal/sdxl-controlnet-union": (
        "fal-ai/sdxl-controlnet-union", SDXL, "basic", 25, XL, "hd", (5, 20),
        ("control_openpose", "control_canny", "control_depth", *FROM_A_PICTURE), "on"),
    "fal/photomaker": ("fal-ai/photomaker", SDXL, "pro", 30, XL, "hd", (10, 30), ("identity",), "on"),
    "fal/dwpose": ("fal-ai/dwpose", "", "free", 1, None, "unspecified", (2, 10), ("pose_extraction",), "on"),
    "automatic1111/local": ("local", "", "free", 0, SMALL, "sd", (5, 12), WEBUI, "on"),
}  # fmt: skip
MODELS = {
    f"{name}/{model.key}": model
    for name, source in SOURCES.items()
    for model in source({}).current.models
    if name != "sketch"
}


def state(model: Model) -> str:
    """How the table says whether a model can be had."""
    return "on" if model.enabled else "soon" if model.coming_soon else "endpoint"


def ranges(name: str, parameter: str) -> tuple[float | str | None, ...]:
    """Smallest and largest value and default of a model's parameter."""
    found = MODELS[name].parameters[parameter]
    return found.minimum, found.maximum, found.default


def test_the_catalogue_is_the_one_that_was_ordered() -> None:
    """P1: every model of the documents, no other, and of each what the table says."""
    assert {
        name: (
            m.upstream_model, m.base_model, m.tier, m.credits, m.usual_size, m.quality, m.typical_seconds, m.tasks,
            state(m),
        )
        for name, m in MODELS.items()
    } == TABLE  # fmt: skip


def test_every_model_says_what_it_is_for_and_what_its_licence_asks() -> None:
    """P1: name, use case and licence note are there for each of them."""
    assert [name for name, m in MODELS.items() if not (m.display_name and m.use_case and m.licence_note)] == []


def test_the_documents_recommendations() -> None:
    """P1: flux-pro first, stable-cascade on a budget, aura-flow for art; nobody else."""
    assert {name: m.recommended_for for name, m in MODELS.items() if m.recommended_for} == {
        "fal/flux-pro": "primary",
        "fal/stable-cascade": "budget",
        "fal/aura-flow": "artistic",
    }


def test_what_is_priced_by_the_megapixel() -> None:
    """P1: fal's FLUX models, and nothing else; a picture of the usual size costs what the table says."""
    assert {name for name, m in MODELS.items() if m.priced_by == "megapixel"} == {
        "fal/flux-pro",
        "fal/flux-dev",
        "fal/flux-schnell",
        "fal/flux-lora",
    }


def test_whoever_cannot_be_had_says_what_has_to_be_done() -> None:
    """P1: what nobody serves names HUGGINGFACE_ENDPOINTS with its own key; what is coming says what must come first."""
    for name, model in MODELS.items():
        if state(model) == "endpoint":
            assert model.disabled_reason.startswith("needs a dedicated endpoint"), name
            assert f"HUGGINGFACE_ENDPOINTS={model.key}=https://" in model.disabled_reason
        elif state(model) == "soon":
            assert model.disabled_reason.startswith("coming soon: "), name
            assert "first" in model.disabled_reason


def test_the_names_of_before_still_find_their_models() -> None:
    """P1, R7: the moved SD 1.5 and the unversioned flux-pro are found; ids that never existed are not."""
    found = huggingface.models({}).current
    assert found.find("runwayml/stable-diffusion-v1-5") is found.find("sd15")
    offered = fal.models({}).current
    assert offered.find("fal-ai/flux-pro") is offered.find("flux-pro")
    assert offered.find("fal-ai/flux-dev") is offered.find("fal-ai/flux-schnell") is None


def test_hugging_faces_ranges() -> None:
    """P4: 4 to 50 steps and guidance 0 to 20, less where a model asks for less; SD 3.5 has its 60 steps."""
    others = [name for name in MODELS if name.startswith("huggingface/") and "steps" in MODELS[name].parameters]
    for name in set(others) - {"huggingface/flux-schnell", "huggingface/flux-dev", "huggingface/flux-openpose"}:
        most = 60 if name == "huggingface/sd35-controlnet-canny" else 50
        assert ranges(name, "steps")[:2] == (4, most), name
        assert ranges(name, "guidance_scale")[:2] == (0, 20), name
    assert ranges("huggingface/flux-dev", "steps") == (28, 50, 30)
    assert ranges("huggingface/flux-dev", "guidance_scale")[2] == 3.5
    assert ranges("huggingface/flux-schnell", "steps")[1:] == (4, 4)
    assert ranges("huggingface/flux-schnell", "guidance_scale") == (0, 0, 0)
    assert ranges("huggingface/sd35-controlnet-canny", "steps")[2] == 60
    assert "negative_prompt" not in MODELS["huggingface/flux-schnell"].parameters


def test_controlnets_defaults() -> None:
    """P2, P4: ControlNet's guidance is 7.5; the steps are those of the presets sd, hd and ultra."""
    for name, steps in (("sd15", 30), ("sdxl", 50), ("sdxl-ultra", 50)):
        assert ranges(f"huggingface/controlnet-openpose-{name}", "guidance_scale")[2] == 7.5
        assert ranges(f"huggingface/controlnet-openpose-{name}", "steps")[2] == steps


def test_what_goes_to_hugging_face_with_a_request() -> None:
    """P1, P3, P4, U1: a LoRA for what is served, a pose at a scale of 0 to 2 (1) and a person where an endpoint is."""
    taken = {
        name.removeprefix("huggingface/"): (model.max_loras, model.max_controls, model.max_identity)
        for name, model in MODELS.items()
        if name.startswith("huggingface/") and (model.max_loras or model.max_controls or model.max_identity)
    }
    poses = [f"controlnet-openpose-{name}" for name in ("sd15", "sdxl", "sdxl-ultra")]
    poses += ["sd35-controlnet-canny", "flux-openpose"]
    assert taken == {
        **dict.fromkeys(("flux-schnell", "flux-dev", "sdxl", "sd15"), (1, 0, 0)),
        **dict.fromkeys(poses, (0, 1, 0)),
        "photomaker-v2": (0, 0, 4),
    }
    for name in poses:
        assert ranges(f"huggingface/{name}", "conditioning_scale") == (0, 2, 1)


def test_the_local_webuis_ranges() -> None:
    """U3, P4: 256 to 2048 px, 10 to 50 steps, guidance 1 to 20, with the guide's defaults and not the API's."""
    assert ranges("automatic1111/local", "width") == ranges("automatic1111/local", "height") == (256, 2048, 512)
    assert ranges("automatic1111/local", "steps") == (10, 50, 20)
    assert ranges("automatic1111/local", "guidance_scale") == (1, 20, 7)
    assert ranges("automatic1111/local", "sampler")[2] == "Euler a"


def test_what_belongs_to_a_picture_of_the_local_webui() -> None:
    """P4: strength 0 to 1 (0.75), mask blur 0 to 64 (4), conditioning scale 0 to 2 (1), a LoRA's weight -4 to 4 (1)."""
    assert ranges("automatic1111/local", "strength") == (0, 1, 0.75)
    assert ranges("automatic1111/local", "mask_blur") == (0, 64, 4)
    assert ranges("automatic1111/local", "conditioning_scale") == (0, 2, 1)
    assert ranges("automatic1111/local", "lora_weight") == (-4, 4, 1)


def test_what_takes_no_size_makes_one() -> None:
    """P1: aura-flow is sent no size, and its pictures have one."""
    assert MODELS["fal/aura-flow"].sizes == (XL,)
    assert not {"width", "height"} & set(MODELS["fal/aura-flow"].parameters)


# ── Ids outside the catalogues ───────────────────────────────────────────────────────────────────────────────────────


def test_any_app_of_fal_where_the_operator_allows_it() -> None:
    """P1, R13: an app outside the catalogue has no known price; without IMAGEGATE_FAL_ANY_MODEL the error names it."""
    catalogue = fal.models({"IMAGEGATE_FAL_ANY_MODEL": "true"}).current
    for app in ("fal-ai/fast-sdxl", "fal-ai/flux-2/klein/4b", "me/my_app", "fal-ai/stable-diffusion-v3.5"):
        model = model_called(app, catalogue)
        assert (model.upstream_model, model.credits, model.wire) == (app, None, {"dialect": "plain"})
    with pytest.raises(Failure) as caught:
        model_called("fal-ai/flux-dev", fal.models({}).current)
    assert caught.value.reason is Reason.MODEL_NOT_FOUND
    assert caught.value.remedy.startswith("one of flux-dev, ")
    assert "IMAGEGATE_FAL_ANY_MODEL=true" in caught.value.remedy


@pytest.mark.parametrize(
    "app", ["flux", "fal-ai/", "/x", "a/../b", "a/b/../../c", "a/b/.hidden", "a/b?x=1", "a/b#c", "a b/c"]
)
def test_what_could_lead_elsewhere_is_no_app(app: str) -> None:
    """R7, R14: an id becomes a path of the queue's address, so that it may hold nothing that leads out of it."""
    assert fal.models({"IMAGEGATE_FAL_ANY_MODEL": "true"}).current.find_outside(app) is None


def test_any_model_of_the_hub_unless_the_operator_forbids_it() -> None:
    """P1, R13: HF_IMAGE_MODEL may name any Hub id; IMAGEGATE_HUGGINGFACE_ANY_MODEL=false shuts all others out."""
    assert model_called("someone/model", huggingface.models({}).current).upstream_model == "someone/model"
    with pytest.raises(Failure, match="someone/model") as caught:
        model_called("someone/model", huggingface.models({"IMAGEGATE_HUGGINGFACE_ANY_MODEL": "false"}).current)
    assert "IMAGEGATE_HUGGINGFACE_ANY_MODEL=false" in caught.value.remedy


@pytest.mark.parametrize("key", ["photomaker-v2", "flux-openpose"])
def test_whoever_has_an_endpoint_comes_alive(key: str) -> None:
    """U6, P1: a model with a dedicated endpoint is on, whatever kept it off, and no longer to come."""
    environ = {"HUGGINGFACE_ENDPOINTS": f"{key}=https://one.example"}
    found = huggingface.models(environ).current.find(key)
    assert found is not None
    assert (found.enabled, found.coming_soon, found.disabled_reason) == (True, False, "")
    assert Model.from_proto(found.to_proto()).enabled


# ── Overlays ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SOURCES)
def test_every_provider_takes_an_overlay(name: str, tmp_path: Path) -> None:
    """P1: price, tier and switch of any packaged model change by IMAGEGATE_MODELS, at every provider alike."""
    key = SOURCES[name]({}).current.models[0].key
    (tmp_path / f"{name}.yaml").write_text(f"models: {{{key}: {{credits: 77, tier: enterprise}}}}")
    found = SOURCES[name]({"IMAGEGATE_MODELS": str(tmp_path)}).current.find(key)
    assert found is not None
    assert (found.credits, found.tier) == (77, "enterprise")


def test_an_unknown_dialect_of_fal_is_refused(tmp_path: Path) -> None:
    """P1: an entry that could not be said to fal is refused when it is read, not at its first request."""
    (tmp_path / "fal.yaml").write_text("models: {flux-dev: {wire: {dialect: welsh}}}")
    with pytest.raises(CatalogueError, match=r"models\.flux-dev\.wire\.dialect: 'welsh' is not one of"):
        fal.models({"IMAGEGATE_MODELS": str(tmp_path)})


def test_an_operators_checkpoint_takes_the_place_of_its_own_entry(tmp_path: Path) -> None:
    """U3, P1: a model of an overlay selects the checkpoint of its upstream id, by title or name; the others stay."""
    entry = "models: {dream: {display_name: Dream, upstream_model: dream_8, credits: 2}}"
    (tmp_path / "automatic1111.yaml").write_text(entry)
    packaged = automatic1111.models({"IMAGEGATE_MODELS": str(tmp_path)}).current
    checkpoints = [Checkpoint("dream_8.ckpt [abc]", "dream_8", "abc"), Checkpoint("v1-5.ckpt [def]", "v1-5", "def")]
    found = installed.to_catalogue(packaged, checkpoints, "v1-5.ckpt [def]")
    assert [model.key for model in found.models] == ["local", "dream", "v1-5"]
    assert installed.find(checkpoints, found.models[1]) is checkpoints[0]
    assert installed.find(checkpoints[1:], found.models[1]) is None


@pytest.mark.parametrize("key", ["local", "dream"])
def test_a_checkpoint_is_named_in_one_place_only(key: str, tmp_path: Path) -> None:
    """U3, P1: what an overlay says in `wire` to the webui is refused when it is read, not at its first request."""
    entry = "{display_name: Dream, upstream_model: dream_8, wire: {checkpoint: dream_7}}"
    (tmp_path / "automatic1111.yaml").write_text(f"models: {{{key}: {entry}}}")
    with pytest.raises(CatalogueError, match=rf"models\.{key}\.wire: a checkpoint is named in upstream_model"):
        automatic1111.models({"IMAGEGATE_MODELS": str(tmp_path)})


def test_overlays_are_checked_without_serving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """P1: every problem of several files is told, as its provider would; a file that nobody would read is one."""
    good, bad, stray = (tmp_path / name for name in ("sketch.yaml", "fal.yaml", "fall.yaml"))
    good.write_text("models: {sketch: {credits: 1}}")
    bad.write_text("models: {flux-dev: {tier: gold, credits: -1}}")
    stray.write_text("models: {}")
    files = [str(each) for each in (good, bad, stray, tmp_path / "huggingface.yaml")]
    assert command.main(["--check", *files]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{good}: good"
    assert [line.partition(": ")[2].split(":")[0] for line in lines[1:]] == [
        "models.flux-dev.tier",
        "models.flux-dev.credits",
        "an overlay is called after its provider",
        "there is no such file",
    ]
    assert command.main(["--json", "--check", str(good)]) == 0
    assert '"problems": []' in capsys.readouterr().out
