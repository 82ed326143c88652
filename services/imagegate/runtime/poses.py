"""The poses that a request may refer to by name: those that come with imagegate, and the operator's own.

The former are in `poses.yaml` and drawn when they are asked for; the latter are pictures in the folder that
IMAGEGATE_POSE_TEMPLATES names (`pose_folder`), and take the place of one of ours with the same name.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from imagegate.runtime import stick_figure, strict_yaml
from imagegate.runtime.pose_folder import PoseFolder, PoseTemplate
from imagegate.runtime.stick_figure import Point
from imagegate.v1 import catalog_pb2

VARIABLE = "IMAGEGATE_POSE_TEMPLATES"
PACKAGED = Path(__file__).with_name("poses.yaml")
# Pixels of those that come with imagegate.
WIDTH, HEIGHT = 512, 768
# Bytes of all pictures that are listed together.
MAX_LISTED_BYTES = 32 * 1024 * 1024


class PoseTemplates:
    """The poses there are, as they are now; `folder` has the operator's own. Any thread may ask.

    Asking looks at the folder, and may read files: a thread is the place for it. Raises SettingsError where there is no
    such folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = PoseFolder(folder, VARIABLE) if folder is not None else None
        self._packaged = {
            name: PoseTemplate(name, description, WIDTH, HEIGHT) for name, (description, _) in _packaged().items()
        }

    def __repr__(self) -> str:
        return f"<PoseTemplates {len(self._packaged)} packaged, {self._folder}>"

    def list(self) -> Sequence[PoseTemplate]:
        """All of them, by name."""
        found = {**self._packaged, **(self._folder.templates() if self._folder is not None else {})}
        return [found[name] for name in sorted(found)]

    def names(self) -> Sequence[str]:
        """The names of all of them, in order."""
        return [template.name for template in self.list()]

    def get(self, name: str) -> bytes | None:
        """The picture of a pose, a whole PNG, JPEG or WEBP; None where no pose has this name."""
        own = self._folder.picture(name) if self._folder is not None else None
        if own is not None:
            return own
        return _drawn(name) if name in self._packaged else None


async def list_pose_templates(
    poses: PoseTemplates, request: catalog_pb2.ListPoseTemplatesRequest
) -> catalog_pb2.ListPoseTemplatesResponse:
    """What `ListPoseTemplates` answers."""
    return await asyncio.to_thread(_listed, poses, request.include_images)


def _listed(poses: PoseTemplates, include_images: bool) -> catalog_pb2.ListPoseTemplatesResponse:
    answer = catalog_pb2.ListPoseTemplatesResponse(
        templates=[
            catalog_pb2.PoseTemplate(
                name=each.name, description=each.description, width=each.width, height=each.height, own=each.own
            )
            for each in poses.list()
        ]
    )
    if not include_images:
        return answer
    listed = 0
    for template in answer.templates:
        template.image = poses.get(template.name) or b""
        listed += len(template.image)
        if listed > MAX_LISTED_BYTES:
            for each in answer.templates:
                each.ClearField("image")
            answer.message = f"the pictures have more than {MAX_LISTED_BYTES // 1024**2} MiB together: none is listed"
            break
    return answer


@cache
def _packaged() -> Mapping[str, tuple[str, Mapping[str, Point]]]:
    """Description and keypoints of those that come with imagegate, by name."""
    content = strict_yaml.parse(PACKAGED.read_text(encoding="utf-8"))
    return {
        name: (entry["description"], {point: (x, y) for point, (x, y) in entry["keypoints"].items()})
        for name, entry in content.items()
    }


@cache
def _drawn(name: str) -> bytes:
    """The picture of a pose that came with imagegate."""
    _, keypoints = _packaged()[name]
    return stick_figure.draw(keypoints, WIDTH, HEIGHT)
