"""Waiting for a model that is being loaded: of several callers one asks, the others hear of it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

# Seconds between two questions; asking costs nothing, but the upstream is busy loading.
ASK_SECONDS = 1.0

Place = tuple[str, str]


class Warmup:
    """The models that somebody waits for. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._asking: dict[Place, asyncio.Future[bool]] = {}  # what those who ask will have heard in the end

    def __repr__(self) -> str:
        return f"<Warmup {len(self._asking)} models>"

    async def wait(self, place: Place, seconds: float, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the model at `place` is ready, at most `seconds`.

        `is_ready` asks the upstream; one of those who wait does so, and if it leaves another one goes on.
        """
        ends = self._clock() + seconds
        while (left := ends - self._clock()) > 0:
            asked_by_another = self._asking.get(place)
            if asked_by_another is None:
                await self._ask(place, left, is_ready)
                return
            heard, _ = await asyncio.wait([asked_by_another], timeout=left)
            if not heard or asked_by_another.result():
                return

    async def _ask(self, place: Place, seconds: float, is_ready: Callable[[], Awaitable[bool]]) -> None:
        heard = self._asking[place] = asyncio.get_running_loop().create_future()
        ready = False
        try:
            async with asyncio.timeout(seconds):
                while not (ready := await is_ready()):  # noqa: ASYNC110 only asking tells
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            pass  # the estimate has passed: the next submission finds out
        finally:
            del self._asking[place]
            heard.set_result(ready)
