"""The poses that a request may name."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from imagegate.client.output.screen import line, row, table
from imagegate.v1 import catalog_pb2


def print_poses(out: Console, listed: catalog_pb2.ListPoseTemplatesResponse, paths: Mapping[str, Path]) -> None:
    """One row per pose, with the file that it was saved to; below, why pictures are missing."""
    rows = table("pose", "size", "whose", "what it shows", *(["file"] if paths else []))
    for pose in listed.templates:
        row(
            rows,
            pose.name,
            f"{pose.width}×{pose.height}",
            "the operator's" if pose.own else "packaged",
            pose.description,
            *([str(paths.get(pose.name, ""))] if paths else []),
        )
    out.print(rows)
    if listed.message:
        line(out, f"no pictures: {listed.message}", style="yellow")
