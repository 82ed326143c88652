"""`doctor` against a scripted router on a real socket: what it asks, and what it prints."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from imagegate.client.doctor.examining import AT_A_TIME
from imagegate.runtime.errors import Failure, Reason
from imagegate.v1 import catalog_pb2, router_pb2


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_people_get_tables(router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """R12: keys, models and routes, and what --generate would tell besides; nothing is said on standard error."""
    assert await imagegate("doctor", "--router", router.address) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert "fal/flux-schnell ok exists" in lines
    assert "default yes fal/flux-schnell" in lines
    assert any(line.startswith("huggingface") and "off: set HUGGINGFACE_API_KEY" in line for line in lines)
    assert "--generate" in lines[-1]
    assert router.requests == []


async def test_a_picture_is_asked_for_alone_and_kept(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R12: what it costs is said before, on standard error; no fallback; the file has the model's name."""

    place = ("--out", str(tmp_path / "pictures"), "--router", router.address)
    assert await imagegate("doctor", "--generate", *place) == 0
    told = capsys.readouterr()
    assert told.err == "making one small picture: 5 credits\n"
    (request,) = router.requests
    assert (request.model, request.routing.no_fallback) == ("fal/flux-schnell", True)
    (file,) = files_in(tmp_path / "pictures")
    assert file.name.startswith("imagegate-doctor-fal-flux-schnell-")
    assert "image/png" in told.out
    router.fail(Failure(Reason.UPSTREAM_ERROR, "it fell over", remedy="pick it up"))
    assert await imagegate("doctor", "--all-models", *place) == 1
    assert "it fell over" in capsys.readouterr().out


async def test_few_questions_at_a_time(router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """R12: a provider with hundreds of models is asked about four at a time, and about each once."""
    keys = [f"model-{number}" for number in range(20)]
    asked: list[str] = []
    under_way = most = 0

    async def check(name: str) -> catalog_pb2.ModelCheck:
        nonlocal under_way, most
        asked.append(name)
        under_way += 1
        most = max(most, under_way)
        await all_at_once.wait()
        under_way -= 1
        return catalog_pb2.ModelCheck(exists=True)

    all_at_once = asyncio.Event()
    router.catalogue.ClearField("models")
    router.catalogue.models.extend(catalog_pb2.Model(provider="fal", key=key, enabled=True) for key in keys)
    router.check, router.statuses[0] = check, router_pb2.RouterStatus()
    running = asyncio.create_task(imagegate("doctor", "--router", router.address))
    async with asyncio.timeout(20):
        while under_way < AT_A_TIME:
            await asyncio.sleep(0.01)
    all_at_once.set()
    assert await running == 0
    assert most == AT_A_TIME
    assert sorted(asked) == sorted(f"fal/{key}" for key in keys)


async def test_an_entry_of_a_newer_router_is_left_out(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R12: what this version cannot read is not asked for a picture, and that is said."""
    router.catalogue.models[0].tier = "galactic"
    assert await imagegate("doctor", "--generate", "--out", str(tmp_path), "--router", router.address) == 0
    assert "none of fal/flux-schnell: this version cannot read its entry" in capsys.readouterr().err
    assert router.requests == []


async def test_programs_get_one_object(router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """R12: everything that the tables have, and the exit code, on one line."""
    assert await imagegate("doctor", "--json", "--strict", "--router", router.address) == 0
    told = capsys.readouterr()
    assert told.err == ""
    (line,) = told.out.splitlines()
    shown = json.loads(line)
    assert list(shown) == ["providers", "models", "routes", "exit_code"]
    assert shown["models"][0]["works"] == "ok"
    assert shown["routes"][0] == {
        "name": "default",
        "candidates": ["fal/flux-schnell"],
        "working": ["fal/flux-schnell"],
        "off": False,
        "works": True,
    }


@pytest.mark.usefixtures("terminal")
async def test_somebody_who_looks_sees_how_far_it_is(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """R12: progress goes to standard error, on a terminal only."""
    assert await imagegate("doctor", "--router", router.address) == 0
    told = capsys.readouterr()
    assert "asking" in told.err
    assert "asking" not in told.out


@pytest.mark.usefixtures("terminal")
async def test_a_narrow_terminal_breaks_no_path(
    router: Any, imagegate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R12: where there is no room in the table, files and remedies stand below it, each on a line of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    place = ("--out", str(tmp_path), "--router", router.address)
    assert await imagegate("doctor", "--generate", *place) == 0
    (file,) = files_in(tmp_path)
    assert f"fal/flux-schnell: {file}" in capsys.readouterr().out.splitlines()
    router.fail(Failure(Reason.UPSTREAM_ERROR, "it fell over", remedy="pick it up"))
    assert await imagegate("doctor", "--generate", *place) == 1
    assert any("fal/flux-schnell: it fell over" in line for line in capsys.readouterr().out.splitlines())
