"""A folder of pictures: whole or not there, for good, and clear words where it cannot be."""

import asyncio
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from imagegate.edge.objects import Objects
from imagegate.edge.problem import Problem
from imagegate.edge.room import Room
from imagegate.runtime.settings import SettingsError

WRITER = """
import asyncio, sys
from hashlib import sha256
from imagegate.edge.objects import Objects

async def main():
    objects = Objects.at(sys.argv[1])
    print("begun", flush=True)
    for number in range(10**9):
        data = f"{number:09}".encode() * 200_000
        await objects.put(sha256(data).hexdigest(), data)

asyncio.run(main())
"""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to a process, without one: no file of this process gets any larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_in(folder: Path) -> list[Path]:
    """All of them."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_is_put_can_be_read_in_whole_and_in_part(tmp_path: Path) -> None:
    """The same bytes come back, all of them or from one place to another, in pieces."""
    data = bytes(range(256)) * 4096
    name = sha256(data).hexdigest()
    objects = Objects.at(tmp_path.joinpath("a folder#1").as_uri())
    await objects.put(name, data)
    await objects.put(name, data)
    assert await objects.get(name) == data
    assert await objects.size(name) == len(data)
    assert b"".join([piece async for piece in await objects.open(name, 1000, 700_001)]) == data[1000:700_001]
    assert [path.name for path in files_in(tmp_path)] == [name]
    assert (tmp_path / "a folder#1").is_dir()


async def test_nobody_else_on_the_machine_can_look_in(tmp_path: Path) -> None:
    """The folder is its owner's alone."""
    Objects.at(tmp_path.joinpath("pictures").as_uri())
    assert stat.S_IMODE((tmp_path / "pictures").stat().st_mode) == 0o700


async def test_what_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    """Reading it is FileNotFoundError, asking for it is no, removing it is done."""
    objects = Objects.at(tmp_path.as_uri())
    assert not await objects.has("0" * 64)
    for ask in (objects.get("0" * 64), objects.size("0" * 64), objects.open("0" * 64, 0, 1)):
        with pytest.raises(FileNotFoundError):
            await ask
    await objects.put("1" * 64, b"there")
    await objects.remove(["0" * 64, "1" * 64, "2" * 64])
    assert not await objects.has("1" * 64)


def test_a_process_that_is_killed_leaves_nothing_half(tmp_path: Path) -> None:
    """P10: however a writer ends, every picture that is there is whole."""
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path.as_uri()], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
            give_up = time.monotonic() + 30
            while len(files_in(tmp_path)) < 2 and time.monotonic() < give_up:
                time.sleep(0.001)
            time.sleep(delay)
            writer.kill()
    whole = [path for path in files_in(tmp_path) if path.parent.name != "incoming"]
    assert whole
    for path in whole:
        assert sha256(path.read_bytes()).hexdigest() == path.name
    objects = Objects.at(tmp_path.as_uri())
    asyncio.run(objects.tidy(time.time() + 60))
    assert files_in(tmp_path / "incoming") == []


async def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """F38: what does not fit is told as such; nothing of it stays, what was there stays."""
    objects = Objects.at(tmp_path.as_uri())
    await objects.put("1" * 64, b"small")
    with files_of_at_most(10_000), pytest.raises(Problem, match="507 INSUFFICIENT_STORAGE"):
        await objects.put("2" * 64, b"x" * 20_000)
    assert [path.name for path in files_in(tmp_path)] == ["1" * 64]
    assert await objects.get("1" * 64) == b"small"


async def test_what_does_not_work_otherwise_is_a_clear_error_too(tmp_path: Path) -> None:
    """F39: a storage that fails is unavailable, and when to come again is said."""
    objects = Objects.at(tmp_path.as_uri())
    (tmp_path / "11").write_text("a file where a folder is expected")
    with pytest.raises(Problem, match="503 STORE_UNAVAILABLE") as told:
        await objects.put("1" * 64, b"small")
    assert told.value.retry_after == 5
    assert str(tmp_path) not in told.value.detail


@pytest.mark.parametrize(
    "url", ["/var/pictures", "http://example.org/pictures", "memory:///", "s3:///", "file:///proc/1/no"]
)
async def test_a_place_where_nothing_can_be_kept_is_refused_at_the_start(url: str) -> None:
    """An address that is none, or not one of a folder or a bucket, names the variable."""
    with pytest.raises(SettingsError, match="IMAGEGATE_EDGE_PICTURES"):
        await Objects.at(url).check()


async def test_before_the_disk_is_full_nothing_more_is_made(tmp_path: Path) -> None:
    """F38: with less than the least room left, or no right to write, it says so before anything is paid for."""
    await Room([tmp_path], 1).check()
    with pytest.raises(Problem, match=r"507 INSUFFICIENT_STORAGE: .* MiB left, fewer than"):
        await Room([tmp_path], 2**40).check()
    with pytest.raises(Problem, match=r"507 INSUFFICIENT_STORAGE: .* cannot be written to"):
        await Room([tmp_path / "missing"], 0).check()
