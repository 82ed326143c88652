"""A catalogue that follows its operator's overlay (P1, R13)."""

from pathlib import Path

import pytest
import structlog

from imagegate.runtime.catalogue_source import CatalogueSource, strangers
from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import CatalogueError

PACKAGED = """
models: {m: {display_name: M, upstream_model: x/m, credits: 1}}
outside: {credits: 1}
outside_pattern: "[a-z]+/[a-z]+"
"""
BAD = "models: {m: {tier: gold}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for overlays, empty."""
    (tmp_path / "models.yaml").write_text(PACKAGED)
    (tmp_path / "overlays").mkdir()
    return tmp_path / "overlays"


def source(folder: Path, **environ: str) -> CatalogueSource:
    """The catalogue of `fal` with the overlays in `folder`."""
    settings = {"IMAGEGATE_MODELS": str(folder), **environ}
    return CatalogueSource("fal", folder.parent / "models.yaml", settings)


def price(of: CatalogueSource) -> int | None:
    """What the one model costs."""
    model = of.current.find("m")
    assert model is not None
    return model.credits


def write(folder: Path, text: str) -> None:
    """Put an overlay in its place as editors and mounted volumes do."""
    (folder / "part").write_text(text)
    (folder / "part").replace(folder / "fal.yaml")


def test_without_an_overlay_the_packaged_models_are_in_force(folder: Path) -> None:
    """R13: neither an unset variable, an empty one nor a folder with other providers' files changes anything."""
    (folder / "huggingface.yaml").write_text("models: [")
    found = source(folder)
    assert price(found) == 1
    for environ in ({}, {"IMAGEGATE_MODELS": ""}):
        assert CatalogueSource("fal", folder.parent / "models.yaml", environ).current == found.current
    assert (found.refresh(), found.problem) == (False, "")


def test_an_overlay_is_followed(folder: Path) -> None:
    """P1: a price changes without a restart; the revision tells; without the file the packaged price is back."""
    found = source(folder)
    revision = found.current.revision
    write(folder, "models: {m: {credits: 7}}")
    assert (found.refresh(), price(found)) == (True, 7)
    assert found.current.revision != revision
    assert found.refresh() is False
    write(folder, "models: {m: {credits: 7}} # the same again")
    assert found.refresh() is False
    (folder / "fal.yaml").unlink()
    assert (found.refresh(), price(found), found.current.revision) == (True, 1, revision)


def test_a_bad_overlay_keeps_the_old_catalogue_and_is_logged_once(folder: Path) -> None:
    """P1: what cannot be used changes nothing, is told once for each change of the file, and until it is mended."""
    write(folder, "models: {m: {credits: 7}}")
    found = source(folder)
    with structlog.testing.capture_logs() as logs:
        for text in (BAD, BAD, "models: ["):
            write(folder, text)
            for _ in range(3):
                assert (found.refresh(), price(found)) == (False, 7)
                assert found.problem.startswith(str(folder / "fal.yaml"))
        write(folder, "models: {m: {credits: 8}}")
        assert (found.refresh(), price(found), found.problem) == (True, 8, "")
    assert [line["log_level"] for line in logs] == ["warning"] * 3 + ["info"]
    assert "models.m.tier: " in logs[0]["problems"][0]


def test_a_file_that_is_put_right_as_it_was_is_no_problem_any_more(folder: Path) -> None:
    """P1: the catalogue need not be another one for the trouble to be over."""
    write(folder, "models: {m: {credits: 7}}")
    found = source(folder)
    write(folder, BAD)
    assert (found.refresh(), bool(found.problem)) == (False, True)
    write(folder, "models: {m: {credits: 7}}")
    assert (found.refresh(), found.problem) == (False, "")


def test_a_folder_that_goes_and_comes_back(folder: Path) -> None:
    """P1: overlays that were unmounted leave the catalogue as it was, and are taken again once they are there."""
    write(folder, "models: {m: {credits: 7}}")
    found = source(folder)
    folder.rename(folder.parent / "gone")
    assert (found.refresh(), price(found)) == (False, 7)
    assert "there is no folder" in found.problem
    (folder.parent / "gone").rename(folder)
    assert (found.refresh(), price(found), found.problem) == (False, 7, "")


def test_a_folder_that_comes_back_empty(folder: Path) -> None:
    """P1: as long as there is a problem it is looked for, also where no file has changed: here there is none before
    and after.
    """
    write(folder, "models: {m: {credits: 7}}")
    found = source(folder)
    folder.rename(folder.parent / "gone")
    assert (found.refresh(), price(found), bool(found.problem)) == (False, 7, True)
    folder.mkdir()
    assert (found.refresh(), price(found), found.problem) == (True, 1, "")


@pytest.mark.parametrize("text", [BAD, "models: [", "- a"])
def test_a_bad_overlay_stops_a_start(folder: Path, text: str) -> None:
    """P1: before anything is served a file that cannot be used ends the process, by its name and every problem."""
    write(folder, text)
    with pytest.raises(CatalogueError) as caught:
        source(folder)
    assert str(caught.value).startswith(f"{folder / 'fal.yaml'}: ")


def test_a_folder_that_is_not_there_stops_a_start(tmp_path: Path) -> None:
    """R13: a mistyped IMAGEGATE_MODELS is named, and not taken for no overlay."""
    (tmp_path / "models.yaml").write_text(PACKAGED)
    with pytest.raises(CatalogueError, match=r"IMAGEGATE_MODELS: there is no folder .*nope"):
        source(tmp_path / "nope")


def test_a_catalogue_that_its_provider_cannot_serve_is_refused(folder: Path) -> None:
    """P1: what only the provider can judge is judged whenever the overlay changes, and told with the overlay's name."""

    def adapt(catalogue: Catalogue) -> Catalogue:
        if any(model.wire for model in catalogue.models):
            raise CatalogueError("models.m.wire: nobody speaks that")
        return catalogue

    found = CatalogueSource("fal", folder.parent / "models.yaml", {"IMAGEGATE_MODELS": str(folder)}, adapt)
    write(folder, "models: {m: {wire: {x: y}}}")
    assert found.refresh() is False
    assert found.problem == f"{folder / 'fal.yaml'}: models.m.wire: nobody speaks that"


@pytest.mark.parametrize(
    ("overlay", "switch", "is_on", "reason"),
    [
        ("models: {}", "", True, ""),
        ("models: {}", "true", True, ""),
        ("models: {}", "false", False, "switched off by IMAGEGATE_FAL_ANY_MODEL=false"),
        ("{models: {}, outside: {enabled: false, disabled_reason: ask me}}", "", False, "ask me"),
        ("{models: {}, outside: {enabled: false, disabled_reason: ask me}}", "true", True, ""),
    ],
)
def test_ids_outside_the_catalogue_are_let_in_by_the_operator(
    folder: Path, overlay: str, switch: str, is_on: bool, reason: str
) -> None:
    """R13: IMAGEGATE_<PROVIDER>_ANY_MODEL decides, and where it is not set the models' files do."""
    write(folder, overlay)
    outside = source(folder, IMAGEGATE_FAL_ANY_MODEL=switch).current.find_outside("some/model")
    assert outside is not None
    assert (outside.enabled, outside.disabled_reason) == (is_on, reason)


def test_overlays_that_nobody_reads_are_found(folder: Path) -> None:
    """R13: a file called after no provider, or with another ending, is named; what is hidden is the mount's own."""
    for name in ("fal.yaml", "fall.yaml", "fal.yml", "..data"):
        (folder / name).write_text("")
    assert strangers({"IMAGEGATE_MODELS": str(folder)}, ["fal", "huggingface"]) == ["fal.yml", "fall.yaml"]
    assert strangers({"IMAGEGATE_MODELS": str(folder / "nope")}, ["fal"]) == strangers({}, ["fal"]) == []
