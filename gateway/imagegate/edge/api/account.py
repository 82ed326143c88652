"""`GET /api/me`: whose key this is."""

from aiohttp import web
from pydantic import BaseModel

from imagegate.edge.endpoint import Call, Endpoint, tell_problem


class Me(BaseModel):
    """Whose key it is; an empty tier is no limit."""

    user: str
    role: str
    tier: str


def endpoints() -> list[Endpoint]:
    """The routes."""
    return [Endpoint("GET", "/api/me", me, "Whose key this is", tell_problem, answers=Me)]


async def me(call: Call) -> web.Response:
    """Who asks."""
    caller = call.caller
    return web.json_response(Me(user=caller.user, role=caller.role, tier=caller.tier).model_dump())
