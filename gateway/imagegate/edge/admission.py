"""How much one may ask: so often in a minute, so many pictures at a time, and not with one wrong key after another."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Endpoint
from imagegate.edge.problem import Problem
from imagegate.edge.settings import EdgeSettings


class Admission:
    """Counts what each user and each address does. Everything is in this process's memory, and bounded."""

    def __init__(self, settings: EdgeSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._under_way: dict[str, int] = {}

    @asynccontextmanager
    async def admitted(self, caller: Caller, address: str, endpoint: Endpoint) -> AsyncIterator[None]:
        """Be one of those under way. Raises Problem (429) where it is too much for this user."""
        if not endpoint.generates:
            yield
            return
        under_way = self._under_way.get(caller.user, 0)
        if under_way >= self._settings.generations_at_a_time:
            raise Problem(429, "RATE_LIMITED", f"{under_way} of your pictures are being made already", retry_after=1)
        self._under_way[caller.user] = under_way + 1
        try:
            yield
        finally:
            left = self._under_way[caller.user] - 1
            if left:
                self._under_way[caller.user] = left
            else:
                del self._under_way[caller.user]

    def check_address(self, address: str) -> None:
        """Raises Problem (429) for an address that has come with too many wrong keys."""

    def refused(self, address: str) -> None:
        """An address has come with a wrong key."""
