"""`GET /livez` and `GET /readyz`, for whoever decides where to send calls.

Ready is an edge whose database answers and that is not about to stop. Neither the router nor any upstream matters: an
edge that cannot reach them says so itself, and another one could not do better.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.problem import Problem

log = structlog.get_logger(__name__)

DATABASE_SECONDS = 2.0
# Anybody may ask as often as they like; the database is asked this often.
REMEMBERED_SECONDS = 1.0


class Health:
    """Whether this edge should get calls. `check` raises Problem where the database does not answer; `clock` is
    monotonic, in seconds.
    """

    def __init__(self, check: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._check = check
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked: float | None = None
        self._answers = False
        self.is_leaving = False

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "GET",
                "/livez",
                self.livez,
                "Whether this process lives",
                tell_problem,
                access=Access.ANYBODY,
                answers_media=("text/plain",),
            ),
            Endpoint(
                "GET",
                "/readyz",
                self.readyz,
                "Whether this process should get calls",
                tell_problem,
                access=Access.ANYBODY,
                answers_media=("text/plain",),
            ),
        ]

    def leave(self) -> None:
        """From now on it is not ready: it is about to stop."""
        self.is_leaving = True

    async def livez(self, _call: Call) -> web.Response:
        """Alive is whoever answers."""
        return web.Response(text="ok\n")

    async def readyz(self, _call: Call) -> web.Response:
        """Raises Problem (503) where it is not ready."""
        if self.is_leaving:
            raise Problem(503, "NOT_READY", "it is about to stop", retry_after=1)
        if not await self._database_answers():
            raise Problem(503, "NOT_READY", "its database does not answer", retry_after=1)
        return web.Response(text="ok\n")

    async def _database_answers(self) -> bool:
        async with self._asking:
            if self._asked is None or self._clock() - self._asked >= REMEMBERED_SECONDS:
                self._answers = await self._ask_database()
                self._asked = self._clock()
        return self._answers

    async def _ask_database(self) -> bool:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                await self._check()
        except (TimeoutError, Problem) as error:
            log.warning("database_silent", problem=str(error) or f"no answer within {DATABASE_SECONDS:g} s")
            return False
        return True
