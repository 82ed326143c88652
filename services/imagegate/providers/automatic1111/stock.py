"""What the webui has, remembered for a while: its checkpoints and extensions, the catalogue they make, its samplers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from imagegate.providers.automatic1111 import extensions, installed
from imagegate.providers.automatic1111.extensions import Extensions
from imagegate.providers.automatic1111.installed import NO_SAMPLERS, Checkpoint
from imagegate.providers.automatic1111.webui import Webui
from imagegate.runtime.errors import Failure
from imagegate.runtime.models import Catalogue
from imagegate.runtime.samplers import Samplers

log = structlog.get_logger()

# Seconds for which its lists are believed: checkpoints, LoRAs and models are files that somebody adds, samplers come
# with extensions.
FILES_SECONDS = 30.0
SAMPLERS_SECONDS = 60.0
# Seconds within which it has to tell its extensions and samplers; else it is taken to have what it had.
DETAILS_SECONDS = 1.0


class Stock:
    """The lists of one webui. `clock` gives seconds and only decides when they are asked for again.

    `catalogue` has the packaged models alone until the checkpoints were read, and `loaded` is the title of the
    checkpoint in use.
    """

    def __init__(self, webui: Webui, packaged: Catalogue, clock: Callable[[], float]) -> None:
        self.checkpoints: Sequence[Checkpoint] = ()
        self.loaded = ""
        self.extensions = Extensions()
        self._webui = webui
        self._packaged = packaged
        self._clock = clock
        self._files_until = clock()
        self._samplers = NO_SAMPLERS
        self._samplers_until = clock()
        self.offer(packaged)

    def offer(self, packaged: Catalogue) -> None:
        """From now on this beside the checkpoints, in place of the former packaged models."""
        self._packaged = packaged
        self.catalogue = installed.to_catalogue(
            packaged, self.checkpoints, self.loaded, self.extensions, self._samplers
        )

    async def read(self, *, now: bool = False) -> None:
        """Read checkpoints, extensions and samplers, and so the catalogue, `now` or where what is known is too old.

        Raises Failure where it does not tell its checkpoints.
        """
        if self._clock() < self._files_until and not now:
            return
        checkpoints = installed.to_checkpoints(await self._webui.ask(installed.CHECKPOINTS))
        loaded = installed.to_loaded(await self._webui.ask(installed.OPTIONS))
        self.checkpoints, self.loaded = checkpoints, loaded
        await asyncio.gather(
            _within_reason("what its extensions have", self._read_extensions()),
            _within_reason("its samplers", self.samplers()),
        )
        self.offer(self._packaged)
        self._files_until = self._clock() + FILES_SECONDS

    async def _read_extensions(self) -> None:
        """One that is not installed answers 404. Raises Failure."""
        loras = extensions.to_loras(await self._webui.ask(extensions.LORAS, may_miss=True))
        modules = await self._webui.ask(extensions.CONTROL_MODULES, may_miss=True)
        models = await self._webui.ask(extensions.CONTROL_MODELS, may_miss=True)
        settings = await self._webui.ask(extensions.CONTROL_SETTINGS, may_miss=True)
        self.extensions = Extensions(loras, extensions.to_controlnet(models, modules, settings))

    async def samplers(self) -> Samplers:
        """The samplers and schedulers. Raises Failure."""
        if not self._samplers or self._clock() >= self._samplers_until:
            samplers = await self._webui.ask(installed.SAMPLERS)
            schedulers = await self._webui.ask(installed.SCHEDULERS, may_miss=True)
            self._samplers = installed.to_samplers(samplers, schedulers)
            self._samplers_until = self._clock() + SAMPLERS_SECONDS
        return self._samplers


async def _within_reason(what: str, reading: Awaitable[object]) -> None:
    """Wait for `reading` as long as it is worth; it is said that the webui does not tell `what`."""
    try:
        async with asyncio.timeout(DETAILS_SECONDS):
            await reading
    except (Failure, TimeoutError) as error:
        log.info(f"the webui does not tell {what}", message=str(error) or "no answer in time")
