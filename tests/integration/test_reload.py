"""The router takes a changed configuration while it serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from imagegate.router.config import ModelOverrides, load
from imagegate.router.events import ConfigLoaded, Event, Listeners
from imagegate.router.reload import keep_reloading
from imagegate.router.router import Router

GOOD = 'providers: {{a: {{target: "127.0.0.1:9", enabled: {enabled}}}}}\nroutes: {{default: [a/model]}}\n'


@dataclass(slots=True)
class Following:
    """A router that follows a file, and what it says of that."""

    file: Path
    router: Router
    events: list[Event]

    async def until(self, what: Event) -> None:
        """Wait until this was said last."""
        async with asyncio.timeout(15):
            while not (self.events and self.events[-1] == what):
                if self.file.exists():
                    self.file.touch()  # the watch may not have begun yet
                await asyncio.sleep(0.05)


@asynccontextmanager
async def following(file: Path, in_force: Path | None = None) -> AsyncIterator[Following]:
    """A router with the configuration `in_force`, or else the one that it follows."""
    events: list[Event] = []
    listeners = Listeners()
    listeners.add(events.append)
    router = Router(ModelOverrides(), listeners)
    await router.configure(load(in_force or file))
    task = asyncio.create_task(keep_reloading(router, file, {}, listeners, retry_seconds=0.05))
    try:
        yield Following(file, router, events)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await router.close()


async def test_a_good_file_is_taken_and_a_bad_one_keeps_the_old(tmp_path: Path) -> None:
    """A changed file is in force within a moment; a bad one is told and changes nothing; the next good one counts."""
    file = tmp_path / "imagegate.yaml"
    file.write_text(GOOD.format(enabled="true"))
    async with following(file) as it:
        file.write_text("providers: {a: 7}\n")
        await it.until(ConfigLoaded(""))
        assert it.router.configured().providers["a"].enabled
        part = tmp_path / "part"
        part.write_text(GOOD.format(enabled="false"))
        part.replace(file)  # as editors and mounted volumes do it
        await it.until(ConfigLoaded(load(file).hash))
        assert not it.router.configured().providers["a"].enabled


async def test_a_bad_file_that_is_put_right_is_told_as_good(tmp_path: Path) -> None:
    """A refused file that becomes again what is in force was read well: the alert about it ends."""
    file = tmp_path / "imagegate.yaml"
    file.write_text(GOOD.format(enabled="true"))
    in_force = load(file)
    async with following(file) as it:
        file.write_text("providers: {a: 7}\n")
        await it.until(ConfigLoaded(""))
        file.write_text(GOOD.format(enabled="true"))
        await it.until(ConfigLoaded(in_force.hash))


async def test_a_folder_that_cannot_be_watched_is_told_and_tried_again(tmp_path: Path) -> None:
    """Where the file cannot be followed the router goes on with what it has, says so, and follows it once it can."""
    before = tmp_path / "before.yaml"
    before.write_text(GOOD.format(enabled="true"))
    file = tmp_path / "later" / "imagegate.yaml"
    async with following(file, in_force=before) as it:
        await it.until(ConfigLoaded(""))
        file.parent.mkdir()
        file.write_text(GOOD.format(enabled="false"))
        await it.until(ConfigLoaded(load(file).hash))
        assert not it.router.configured().providers["a"].enabled
