"""The poses that a request may name: those that come with imagegate, and the operator's own."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imagegate.runtime import images, pose_folder, poses
from imagegate.runtime.poses import PoseTemplates, list_pose_templates
from imagegate.runtime.settings import SettingsError
from imagegate.runtime.stick_figure import KEYPOINTS
from imagegate.testing.pictures import picture
from imagegate.v1 import catalog_pb2

PACKAGED = [
    "arms-raised", "crossed-arms", "hands-on-hips", "portrait", "running", "sitting", "standing", "walking",
]  # fmt: skip


def test_the_packaged_poses_are_drawn_by_us() -> None:
    """P5: eight poses come along, each a whole PNG of 512 × 768 with a description; all their keypoints lie in it."""
    templates = PoseTemplates()
    assert list(templates.names()) == PACKAGED
    for each in templates.list():
        data = templates.get(each.name)
        assert data is not None
        seen = images.inspect(data)
        assert (seen.format, seen.width, seen.height) == ("PNG", each.width, each.height) == ("PNG", 512, 768)
        assert each.description
        assert not each.own
    for _, keypoints in poses._packaged().values():
        assert set(keypoints) <= set(KEYPOINTS)
        assert all(0 < x < 512 and 0 < y < 768 for x, y in keypoints.values())


@pytest.mark.parametrize("name", ["juggling", "", "../standing", "STANDING", "x" * 10_000])
def test_what_is_not_there_is_none(name: str, tmp_path: Path) -> None:
    """P5: a name finds a pose or nothing: no file outside the folder, whatever it looks like."""
    (tmp_path / "poses").mkdir()
    (tmp_path / "standing.png").write_bytes(picture())
    assert PoseTemplates(tmp_path / "poses").get(name) is None


def test_the_operators_poses_come_from_a_folder(tmp_path: Path) -> None:
    """P5: name and description come from the files; one with a packaged name takes its place; changes are seen."""
    (tmp_path / "jumping.webp").write_bytes(picture(80, 96, "WEBP"))
    (tmp_path / "jumping.txt").write_text("somebody\n who \x1b[31m jumps")
    (tmp_path / "standing.JPG").write_bytes(picture(64, 72, "JPEG"))
    (tmp_path / "notes.md").write_text("not a picture, and not looked at")
    templates = PoseTemplates(tmp_path)
    own = {each.name: each for each in templates.list() if each.own}
    assert {name: (each.width, each.height) for name, each in own.items()} == {
        "jumping": (80, 96),
        "standing": (64, 72),
    }
    assert own["jumping"].description == "somebody who [31m jumps"
    assert list(templates.names()) == sorted([*PACKAGED, "jumping"])
    assert templates.get("standing") == picture(64, 72, "JPEG")

    (tmp_path / "standing.JPG").unlink()
    (tmp_path / "jumping.webp").write_bytes(picture(64, 64, "WEBP", seed=2))
    (tmp_path / "jumping.txt").write_text("higher")
    (tmp_path / "lying.png").write_bytes(picture())
    again = {each.name: each for each in templates.list()}
    assert not again["standing"].own
    assert (again["jumping"].width, again["jumping"].description) == (64, "higher")
    assert templates.get("jumping") == picture(64, 64, "WEBP", seed=2)
    assert templates.get("lying") == picture()


def test_what_cannot_be_used_is_told_once_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: no picture, too large, a wrong or a second name: each is logged once, and again only after it has changed."""
    monkeypatch.setattr(pose_folder, "MAX_BYTES", 30_000)
    (tmp_path / "good.png").write_bytes(picture())
    (tmp_path / "good.webp").write_bytes(picture(64, 64, "WEBP"))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(picture()[:-20])
    (tmp_path / "large.png").write_bytes(picture(128, 128))
    (tmp_path / "My Pose.png").write_bytes(picture())
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    templates = PoseTemplates(tmp_path)
    with capture_logs() as logs:
        assert [each.name for each in templates.list() if each.own] == ["good"]
        templates.list()
        assert templates.get("text") is None
    told = {Path(log["file"]).name: log["why"] for log in logs if log["event"] == "a pose is left out"}
    assert len(logs) == len(told) == 8
    assert "letter or a digit" in told["My Pose.png"]
    assert "same name" in told["good.webp"]
    assert "text" in told["text.png"]
    (tmp_path / "text.png").write_text("still no picture")
    with capture_logs() as logs:
        templates.list()
    assert [Path(log["file"]).name for log in logs] == ["text.png"]


def test_a_folder_is_bounded_and_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: of too many the first by name are taken; without the folder a start fails, and later there are ours."""
    monkeypatch.setattr(pose_folder, "MAX_PICTURES", 2)
    folder = tmp_path / "poses"
    with pytest.raises(SettingsError, match="IMAGEGATE_POSE_TEMPLATES"):
        PoseTemplates(folder)
    folder.mkdir()
    for name in "cab":
        (folder / f"{name}.png").write_bytes(picture())
    templates = PoseTemplates(folder)
    with capture_logs() as logs:
        assert [each.name for each in templates.list() if each.own] == ["a", "b"]
        templates.list()
    assert [log["why"] for log in logs] == ["of 3 pictures the first 2 by name are taken"]
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with capture_logs() as logs:
        assert list(templates.names()) == PACKAGED
        assert templates.get("a") is None
    assert len(logs) == 1


async def test_pictures_are_listed_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: without being asked none is; beyond 32 MiB together none is either, and the answer says so."""
    (tmp_path / "own.png").write_bytes(picture())
    templates = PoseTemplates(tmp_path)
    asked = catalog_pb2.ListPoseTemplatesRequest(include_images=True)
    bare = await list_pose_templates(templates, catalog_pb2.ListPoseTemplatesRequest())
    full = await list_pose_templates(templates, asked)
    assert [each.name for each in bare.templates] == [each.name for each in full.templates] == list(templates.names())
    assert not any(each.image for each in bare.templates)
    assert {each.name: each.image for each in full.templates}["own"] == picture()
    assert not bare.message + full.message
    monkeypatch.setattr(poses, "MAX_LISTED_BYTES", 10_000)
    over = await list_pose_templates(templates, asked)
    assert [each.name for each in over.templates] == list(templates.names())
    assert not any(each.image for each in over.templates)
    assert "together" in over.message
