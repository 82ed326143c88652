"""The router takes a changed configuration while it serves."""

import asyncio
from pathlib import Path

from imagegate.router.config import ModelOverrides, load
from imagegate.router.events import ConfigLoaded, Event, Listeners
from imagegate.router.reload import keep_reloading
from imagegate.router.router import Router

GOOD = 'providers: {{a: {{target: "127.0.0.1:9", enabled: {enabled}}}}}\nroutes: {{default: [a/model]}}\n'


async def test_a_good_file_is_taken_and_a_bad_one_keeps_the_old(tmp_path: Path) -> None:
    """A changed file is in force within a moment; a bad one is told and changes nothing; the next good one counts."""
    file = tmp_path / "imagegate.yaml"
    file.write_text(GOOD.format(enabled="true"))
    events: list[Event] = []
    listeners = Listeners()
    listeners.add(events.append)
    router = Router(ModelOverrides(), listeners)
    await router.configure(load(file))
    following = asyncio.create_task(keep_reloading(router, file, {}, listeners))

    async def until(what: object) -> None:
        async with asyncio.timeout(15):
            while not (events and events[-1] == what):
                file.touch()  # the watch may not have begun yet
                await asyncio.sleep(0.05)

    try:
        file.write_text("providers: {a: 7}\n")
        await until(ConfigLoaded(""))
        assert router.config is not None
        assert router.config.providers["a"].enabled
        part = tmp_path / "part"
        part.write_text(GOOD.format(enabled="false"))
        part.replace(file)  # as editors and mounted volumes do it
        await until(ConfigLoaded(load(file).hash))
        assert not router.config.providers["a"].enabled
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await router.close()
