"""Takes a changed configuration file while serving; a bad one keeps the old and is told."""

from collections.abc import Mapping
from pathlib import Path

import structlog
from watchfiles import awatch

from imagegate.router.config import ConfigError, load
from imagegate.router.events import ConfigLoaded, Listener
from imagegate.router.router import Router

log = structlog.get_logger()


async def keep_reloading(router: Router, path: Path, environ: Mapping[str, str], emit: Listener) -> None:
    """Follow `path` until cancelled.

    The folder is watched, not the file: editors replace files, and a mounted ConfigMap is a link
    that is switched.
    """

    def concerns_us(_change: object, changed: str) -> bool:
        name = Path(changed).name
        return name == path.name or name.startswith("..")  # ..data is the link of a ConfigMap

    async for _ in awatch(path.parent, watch_filter=concerns_us, recursive=False):
        try:
            await reload(router, path, environ, emit)
        except Exception:
            # A bug of ours in taking one file must not end the following for ever.
            emit(ConfigLoaded(""))
            log.exception("the configuration could not be taken", source=str(path))


async def reload(router: Router, path: Path, environ: Mapping[str, str], emit: Listener) -> None:
    """Read `path` once, and take it if it is good and different."""
    try:
        config = load(path, environ)
    except ConfigError as error:
        emit(ConfigLoaded(""))
        log.warning("configuration refused, the old one stays", source=str(path), problems=error.problems)
        return
    if router.config is None or config.hash != router.config.hash:
        await router.configure(config)
        log.info("configuration taken", source=str(path), hash=config.hash)
