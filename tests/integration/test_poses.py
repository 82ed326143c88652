"""The poses over sockets: at the router and at each provider, from the packaged set and the operator's folder."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from imagegate.client import AsyncClient
from imagegate.runtime.poses import PoseTemplates
from imagegate.testing import ScriptedProvider, serving_provider, serving_router
from imagegate.testing.pictures import picture
from imagegate.testing.system import system


async def test_provider_and_router_tell_of_the_same_poses(tmp_path: Path) -> None:
    """P5: both list names and sizes, pictures where they are asked for, and what the operator brings while serving."""
    async with (
        serving_provider(ScriptedProvider("a")) as provider,
        serving_router({"a": provider.target}, {"default": ["a/model"]}, poses=PoseTemplates(tmp_path)) as router,
        AsyncClient(router.target) as at_router,
        AsyncClient(provider.target) as at_provider,
    ):
        packaged = await at_provider.poses(include_images=True)
        assert packaged == await at_router.poses(include_images=True)
        assert {(each.width, each.height, each.own) for each in packaged.templates} == {(512, 768, False)}
        assert "standing" in {each.name for each in packaged.templates}
        (tmp_path / "jumping.png").write_bytes(picture())
        listed = await at_router.poses()
        assert [each.name for each in listed.templates if each.own] == ["jumping"]
        assert not any(each.image for each in listed.templates)


async def test_every_process_takes_the_operator_s_folder(tmp_path: Path) -> None:
    """P5: IMAGEGATE_POSE_TEMPLATES is read by the router and by providers."""
    (tmp_path / "jumping.png").write_bytes(picture())
    async with system({"IMAGEGATE_POSE_TEMPLATES": str(tmp_path)}) as running:
        for member in ("router", "fal"):
            async with running.client(member) as client:
                listed = await client.poses(include_images=True)
            assert [each.image for each in listed.templates if each.own] == [picture()]


@pytest.mark.parametrize("command", [("imagegate.router",), ("imagegate.providers", "sketch")])
async def test_a_folder_that_is_not_there_stops_a_start(command: tuple[str, ...], tmp_path: Path) -> None:
    """P5: a wrong path is told at once, with its variable, not by the first request."""
    environ = {**os.environ, "IMAGEGATE_POSE_TEMPLATES": str(tmp_path / "nowhere"), "IMAGEGATE_LOG_LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"cannot start: IMAGEGATE_POSE_TEMPLATES: there is no folder" in err
