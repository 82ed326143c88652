"""One route of the edge as a row of a table: who may, what it takes, what it answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from imagegate.edge.caller import Access, Caller
from imagegate.edge.problem import Problem

KIB, MIB = 1024, 1024 * 1024
JSON_BYTES = 64 * KIB


# More of the description of a route that takes an Idempotency-Key.
IDEMPOTENT: Mapping[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key and the same request again are one order, for 15 minutes.",
            "schema": {"type": "string"},
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what came, who asks, and the id that it has everywhere. `caller` is nobody where anybody may ask.

    `is_current` tells, for as long as it is answered, whether the key that came with it still stands for this caller.
    """

    request: web.Request
    caller: Caller
    request_id: str
    is_current: Callable[[], bool] = lambda: True


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
# How a family tells of a problem.
Tell = Callable[[Problem, str], web.Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route: everything that is true before its handler runs, and what `/openapi.json` says of it.

    `max_bytes` bounds the body (0: it takes none). `generates` counts it against what a user may ask of the models.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tell: Tell
    access: Access = Access.USER
    max_bytes: int = 0
    generates: bool = False
    takes: type[BaseModel] | None = None
    # The media types of the body, where it takes one.
    media: tuple[str, ...] = ("application/json",)
    answers: type[BaseModel] | None = None
    # Of an answer that is no JSON: its media types.
    answers_media: tuple[str, ...] = ()
    # Query parameters.
    query: type[BaseModel] | None = None
    # More of the OpenAPI operation object, as it stands there.
    openapi: Mapping[str, Any] = field(default_factory=dict)


def tell_problem(problem: Problem, request_id: str) -> web.Response:
    """application/problem+json: the shape of everything outside the two compatible families."""
    return web.json_response(
        problem.to_dict(request_id), status=problem.status, content_type="application/problem+json"
    )
