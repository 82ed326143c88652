"""Takes a changed configuration file while serving; a bad one keeps the old and is told."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog
from watchfiles import awatch

from imagegate.router.config import ConfigError, load
from imagegate.router.events import ConfigLoaded, Listener
from imagegate.router.router import Router

log = structlog.get_logger()

RETRY_SECONDS = 30.0


async def keep_reloading(
    router: Router, path: Path, environ: Mapping[str, str], emit: Listener, retry_seconds: float = RETRY_SECONDS
) -> None:
    """Follow `path` until cancelled. Where it cannot be followed it is read every `retry_seconds` instead, and told as
    refused.

    The folder is watched, not the file: editors replace files, and a mounted ConfigMap is a link
    that is switched.
    """

    def concerns_us(_change: object, changed: str) -> bool:
        name = Path(changed).name
        return name == path.name or name.startswith("..")  # ..data is the link of a ConfigMap

    async def take() -> None:
        try:
            await reload(router, path, environ, emit)
        except Exception:
            # A bug of ours in taking one file must not end the following for ever.
            emit(ConfigLoaded(""))
            log.exception("the configuration could not be taken", source=str(path))

    while True:
        try:
            async for _ in awatch(path.parent, watch_filter=concerns_us, recursive=False):
                await take()
        except Exception:  # there is no such folder, or there are no watches left on this machine
            emit(ConfigLoaded(""))
            log.exception("the configuration cannot be followed", source=str(path), again_in=retry_seconds)
        await asyncio.sleep(retry_seconds)
        await take()


async def reload(router: Router, path: Path, environ: Mapping[str, str], emit: Listener) -> None:
    """Read `path` once, and take it if it is good and different."""
    try:
        config = load(path, environ)
    except ConfigError as error:
        emit(ConfigLoaded(""))
        log.warning("configuration refused, the old one stays", source=str(path), problems=error.problems)
        return
    if router.config is not None and config.hash == router.config.hash:
        emit(ConfigLoaded(config.hash))  # the last reading may have been refused
        return
    await router.configure(config)
    log.info("configuration taken", source=str(path), hash=config.hash)
