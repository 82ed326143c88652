"""Models of ours as answers."""

from aiohttp import web
from pydantic import BaseModel


def as_json(model: BaseModel) -> web.Response:
    """`model` as JSON, whatever is not known as null."""
    return web.Response(text=model.model_dump_json(), content_type="application/json")
