"""What is removed, and what never is."""

import asyncio
from hashlib import sha256
from pathlib import Path
from time import time

from imagegate.edge import database
from imagegate.edge.janitor import DAY, HOUR, Removed, at_work
from imagegate.testing.clock import FakeClock
from imagegate.testing.galleries import opened_gallery
from imagegate.testing.pictures import picture

MANY = 600


def clock() -> FakeClock:
    """One that begins now: objects carry the time of the machine."""
    return FakeClock(time())


async def test_what_is_too_old_is_forgotten_and_its_bytes_with_it(database_url: str, tmp_path: Path) -> None:
    """Pictures older than the retention go, with their bytes; those that another, younger one has stay."""
    now, place = clock(), tmp_path.joinpath("pictures").as_uri()
    async with opened_gallery(database_url, place, retention_days=2, now=now) as opened:
        [old] = await opened.keep(picture(seed=1))
        [shared] = await opened.keep(picture(seed=2))
        now.advance(DAY)
        [young] = await opened.keep(picture(seed=2), owner="bob")
        assert await opened.janitor.clean() == Removed()
        now.advance(DAY + 1)
        assert await opened.janitor.clean() == Removed(pictures=2, objects=1)
        assert await opened.gallery.page("alice") == []
        assert not await opened.objects.has(old.sha256)
        assert await opened.gallery.data(young) == await opened.gallery.data(shared)
        assert await opened.janitor.clean() == Removed()


async def test_without_a_retention_pictures_stay(database_url: str, tmp_path: Path) -> None:
    """Nothing that somebody can see is ever removed unless an operator has said after how long."""
    now = clock()
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri(), now=now) as opened:
        await opened.keep()
        now.advance(10_000 * DAY)
        assert await opened.janitor.clean() == Removed()
        assert len(await opened.gallery.page("alice")) == 1


async def test_bytes_that_belong_to_no_picture_go_after_an_hour(database_url: str, tmp_path: Path) -> None:
    """What was removed by its owner, or never recorded, goes; what was written within the hour does not."""
    now = clock()
    async with opened_gallery(database_url, tmp_path.joinpath("pictures").as_uri(), now=now) as opened:
        for number in range(MANY):
            data = str(number).encode()
            await opened.objects.put(sha256(data).hexdigest(), data)
        [kept] = await opened.keep()
        [removed] = await opened.keep(picture(seed=1))
        await opened.gallery.remove("alice", removed.id)
        assert await opened.janitor.clean() == Removed()
        now.advance(HOUR + 60)
        assert await opened.janitor.clean() == Removed(objects=MANY + 1)
        assert await opened.gallery.data(kept) == picture()
        [again] = await opened.keep(picture(seed=1))
        assert await opened.gallery.data(again) == picture(seed=1)


async def test_while_others_keep_the_same_picture_no_sweep_takes_it_away(database_url: str, tmp_path: Path) -> None:
    """A picture whose bytes lie there, old and nobody's, is kept again while janitors of two replicas sweep: whoever
    was told that it is kept can see it.
    """
    ahead = FakeClock(time() + 2 * HOUR)  # to this clock everything is old at once
    place = tmp_path.joinpath("pictures").as_uri()
    async with (
        opened_gallery(database_url, place, now=ahead) as one,
        opened_gallery(database_url, place, now=ahead) as two,
    ):
        done = asyncio.Event()

        async def sweep(opened: object) -> None:
            while not done.is_set():
                await opened.janitor.clean()  # type: ignore[attr-defined]

        async def keep_and_remove(number: int) -> None:
            opened = (one, two)[number % 2]
            for _ in range(15):
                [kept] = await opened.keep(picture(seed=number % 3), owner=f"owner{number}")
                assert await opened.gallery.data(kept) == picture(seed=number % 3)
                await opened.gallery.remove(kept.owner, kept.id)

        sweeps = [asyncio.create_task(sweep(opened)) for opened in (one, two)]
        await asyncio.gather(*(keep_and_remove(number) for number in range(8)))
        done.set()
        await asyncio.gather(*sweeps)


async def test_pictures_of_another_database_are_left_alone(database_url: str, tmp_path: Path) -> None:
    """A new database in front of old pictures knows none of them, and takes none away."""
    now, place = clock(), tmp_path.joinpath("pictures").as_uri()
    async with opened_gallery(database_url, place, now=now) as opened:
        [kept] = await opened.keep()
        await opened.janitor.clean()
        now.advance(2 * HOUR)
        (tmp_path / "new").mkdir()
        async with opened_gallery(database.sqlite_in(tmp_path / "new"), place, now=now) as other:
            assert await other.janitor.clean() == Removed()
        assert await opened.gallery.data(kept) == picture()


async def test_what_is_not_ours_is_left_alone(database_url: str, tmp_path: Path) -> None:
    """Whatever else lies in the folder stays; what a write left that came to no end goes after a day."""
    folder, now = tmp_path / "pictures", clock()
    async with opened_gallery(database_url, folder.as_uri(), now=now) as opened:
        foreign = [folder / "notes.txt", folder / "ab" / "notes.txt", folder / "zz" / ("a" * 64)]
        leftovers = [folder / "incoming" / "half", folder / "incoming" / "half#1"]
        for file in (*foreign, *leftovers):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("whatever")
        assert await opened.janitor.clean() == Removed()
        now.advance(DAY + 60)
        assert await opened.janitor.clean() == Removed(leftovers=2)
        assert all(file.exists() for file in foreign)
        assert not any(file.exists() for file in leftovers)


async def test_it_cleans_at_once_and_again_and_survives_what_goes_wrong(tmp_path: Path) -> None:
    """A janitor that meets a storage which does not work tries again later, and ends when it is told to."""
    folder, now = tmp_path / "pictures", clock()
    async with opened_gallery(database.sqlite_in(tmp_path), folder.as_uri(), now=now) as opened:
        await opened.objects.put("0" * 64, b"nobody's")
        now.advance(2 * HOUR)
        (folder / "owner").mkdir()  # where a file is expected
        async with at_work(opened.janitor, seconds=0.01):
            await asyncio.sleep(0)
            assert await opened.objects.has("0" * 64)
            (folder / "owner").rmdir()
            async with asyncio.timeout(10):
                while await opened.objects.has("0" * 64):
                    await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1
