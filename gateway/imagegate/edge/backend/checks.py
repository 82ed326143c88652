"""What upstreams say of a model just now, for a page that asks again and again: one free question for all who ask."""

import asyncio
from collections.abc import Callable, Sequence

from imagegate.client import AsyncClient, GenerationError
from imagegate.v1 import catalog_pb2

# An answer is as good as a new one for so many seconds; one that takes longer than PATIENCE is not waited for.
FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 3.0


class Checks:
    """Asks the router to check models, each at most once in FRESH_SECONDS. `clock` is monotonic."""

    def __init__(self, client: AsyncClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, tuple[float, catalog_pb2.ModelCheck | None]] = {}
        self._asking = asyncio.Lock()

    async def of(self, candidates: Sequence[str]) -> dict[str, catalog_pb2.ModelCheck]:
        """What is said of each; those that are silent are missing."""
        async with self._asking:
            now = self._clock()
            self._known = {name: known for name, known in self._known.items() if known[0] > now}
            missing = [name for name in candidates if name not in self._known]
            for name, said in zip(missing, await asyncio.gather(*map(self._ask, missing)), strict=True):
                self._known[name] = (self._clock() + FRESH_SECONDS, said)
        found = ((name, self._known[name][1]) for name in candidates)
        return {name: said for name, said in found if said is not None}

    async def _ask(self, name: str) -> catalog_pb2.ModelCheck | None:
        try:
            return await self._client.check(name, timeout=PATIENCE_SECONDS)
        except GenerationError:
            return None
