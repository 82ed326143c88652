"""`GET /api/status`, and `/api/status/stream`: how every provider and model is doing, as the routers say."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from imagegate.edge import sse
from imagegate.edge.api.board import Board
from imagegate.edge.api.replica_view import shown
from imagegate.edge.caller import Caller, Role
from imagegate.edge.endpoint import Call, Endpoint, tell_problem

# Whoever looks on is told of changes at most so often.
EVERY_SECONDS = 1.0


class Status(BaseModel):
    """How everything is doing; `operator` says whether the caller may decide about breakers."""

    replicas: list[dict[str, Any]] = Field(description="Each router with its status; null while it is away.")
    history: list[dict[str, Any]] = Field(description="Samples of the last hour, the oldest first.")
    operator: bool


class StatusPages:
    """Shows the board. What is shown is made once for all who look on. `every` is in seconds."""

    def __init__(self, board: Board, pace: sse.Pace = sse.PACE, every: float = EVERY_SECONDS) -> None:
        self._board = board
        self._pace = pace
        self._every = every
        self._made: dict[bool, tuple[int, dict[str, Any], str]] = {}

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        path, stream = "/api/status", "/api/status/stream"
        media = (sse.MEDIA_TYPE,)
        return [
            Endpoint("GET", path, self.status, "How every provider is doing", tell_problem, answers=Status),
            Endpoint("GET", stream, self.stream, "The same, whenever it changes", tell_problem, answers_media=media),
        ]

    async def status(self, call: Call) -> web.Response:
        """The board as it is now."""
        return web.json_response(self._whole(call.caller))

    async def stream(self, call: Call) -> web.StreamResponse:
        """The board as it is now, and as it changes."""
        return await sse.respond(call, self._events(call.caller), self._pace.heartbeat, stalled=self._pace.stalled)

    async def _events(self, caller: Caller) -> AsyncGenerator[sse.Event, None]:
        board = self._board
        version, taken = board.version, board.samples.taken
        yield sse.Event("status", self._whole(caller))
        while True:
            await asyncio.sleep(self._every)
            while (version, taken) == (board.version, board.samples.taken) and not board.is_closing:
                await board.news()
            if board.is_closing:
                return
            if taken != board.samples.taken:
                rows, taken = board.samples.since(taken), board.samples.taken
                yield sse.Event("sample", {"history": rows})
            if version != board.version:
                version = board.version
                yield sse.Event("status", self._without_history(caller)[1])

    def _whole(self, caller: Caller) -> dict[str, Any]:
        document, _ = self._without_history(caller)
        return {**document, "history": self._board.samples.since()}

    def _without_history(self, caller: Caller) -> tuple[dict[str, Any], str]:
        """What changes, as it is and as JSON."""
        is_operator, version = caller.role is Role.OPERATOR, self._board.version
        made = self._made.get(is_operator)
        if made is None or made[0] != version:
            document = {"replicas": shown(self._board.replicas, for_operator=is_operator), "operator": is_operator}
            made = self._made[is_operator] = (version, document, json.dumps(document))
        return made[1], made[2]
