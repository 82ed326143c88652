"""How bodies come in and answers go out."""

from typing import TypeVar

from aiohttp import web

from imagegate.edge.backend.asked import Wanted
from imagegate.edge.backend.failing import told
from imagegate.edge.backend.naming import Shape
from imagegate.edge.backend.rules import Asked, of_texts
from imagegate.edge.body import FORM, JSON, MULTIPART, Body, parsed
from imagegate.edge.endpoint import Call
from imagegate.edge.problem import Problem, invalid
from imagegate.runtime.errors import Violation

MEDIA = (JSON, FORM, MULTIPART)
NUMBERS = ("width", "height", "steps", "cfgScale", "seed")

Query = TypeVar("Query", bound=Asked)
Picture = TypeVar("Picture", bound=Wanted)


async def read_any(call: Call, model: type[Picture], max_bytes: int) -> Picture:
    """The body as a `model`, be it JSON or a form of either kind. Raises Problem with every field that is wrong."""
    body = Body(call.request, max_bytes)
    if body.media_type == JSON:
        return await body.parsed(model)
    if body.media_type not in MEDIA:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"the body has to be {', '.join(MEDIA[:-1])} or {MEDIA[-1]}")
    form = await body.form()
    if form.files:  # a picture that was made without it would not be what is wanted
        raise invalid(*(Violation(name, "is a file; this takes none") for name in form.files))
    return parsed(model, of_texts(form.texts, NUMBERS))


def read_query(call: Call, model: type[Query]) -> Query:
    """The query as a `model`. Raises Problem with every field that is wrong."""
    query = call.request.query
    return parsed(model, of_texts({name: query.getall(name) for name in query}))


def answer(shape: Shape) -> web.Response:
    """An answer."""
    return web.json_response(shape.shown())


def tell(problem: Problem, request_id: str) -> web.Response:
    """A problem, as this family tells of it."""
    error = told(problem, request_id)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return web.json_response(error.answer.shown(), status=error.status, headers=headers)
