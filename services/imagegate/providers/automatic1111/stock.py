"""What the webui has, remembered for a while: its checkpoints, the catalogue they make, and its samplers."""

from collections.abc import Callable, Sequence

from imagegate.providers.automatic1111 import installed
from imagegate.providers.automatic1111.installed import Checkpoint, Samplers
from imagegate.providers.automatic1111.webui import Webui
from imagegate.runtime.models import Catalogue

# Seconds for which its lists are believed: a checkpoint is a file that somebody adds, samplers come with extensions.
CHECKPOINTS_SECONDS = 30.0
SAMPLERS_SECONDS = 60.0


class Stock:
    """The lists of one webui. `clock` gives seconds and only decides when they are asked for again.

    `catalogue` is the packaged one until the checkpoints were read, and `loaded` the title of the checkpoint in use.
    """

    def __init__(self, webui: Webui, packaged: Catalogue, clock: Callable[[], float]) -> None:
        self.catalogue = packaged
        self.checkpoints: Sequence[Checkpoint] = ()
        self.loaded = ""
        self._webui = webui
        self._packaged = packaged
        self._clock = clock
        self._checkpoints_until = clock()
        self._samplers: Samplers | None = None
        self._samplers_until = clock()

    def offer(self, packaged: Catalogue) -> None:
        """From now on this beside the checkpoints, in place of the former packaged models."""
        self._packaged = packaged
        self.catalogue = installed.to_catalogue(packaged, self.checkpoints, self.loaded)

    async def read_checkpoints(self, *, now: bool = False) -> None:
        """Read checkpoints, and so the catalogue, `now` or where what is known is too old. Raises Failure."""
        if self._clock() < self._checkpoints_until and not now:
            return
        checkpoints = installed.to_checkpoints(await self._webui.ask(installed.CHECKPOINTS))
        loaded = installed.to_loaded(await self._webui.ask(installed.OPTIONS))
        self.checkpoints, self.loaded = checkpoints, loaded
        self.offer(self._packaged)
        self._checkpoints_until = self._clock() + CHECKPOINTS_SECONDS

    async def samplers(self) -> Samplers:
        """The samplers and schedulers. Raises Failure."""
        if self._samplers is None or self._clock() >= self._samplers_until:
            samplers = await self._webui.ask(installed.SAMPLERS)
            schedulers = await self._webui.ask(installed.SCHEDULERS, may_miss=True)
            self._samplers = installed.to_samplers(samplers, schedulers)
            self._samplers_until = self._clock() + SAMPLERS_SECONDS
        return self._samplers
