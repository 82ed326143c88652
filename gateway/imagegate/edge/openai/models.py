"""`GET /v1/models` and `GET /v1/models/{id}`: what may stand in `model`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from imagegate.client import AsyncClient
from imagegate.client.plain import plain
from imagegate.edge.endpoint import Call, Endpoint
from imagegate.edge.openai.error import tell_error
from imagegate.edge.problem import Problem
from imagegate.runtime.errors import Reason
from imagegate.runtime.nearest import nearest
from imagegate.runtime.redaction import clip
from imagegate.v1 import catalog_pb2, router_pb2

OWNER_OF_ROUTES = "imagegate"
# What is told of a model beside what OpenAI tells.
TOLD = ("display_name", "upstream_model", "tier", "credits", "quality", "tasks", "width", "height", "use_case")


class ListedModel(BaseModel):
    """A route, or a model of the catalogue. Nobody knows when it was made, so `created` is 0."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    imagegate: Mapping[str, Any]


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: Sequence[ListedModel]


class Models:
    """Lists the routes and the models that are switched on."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint("GET", "/v1/models", self.all, "What may stand in `model`", tell_error, answers=ModelList),
            Endpoint("GET", "/v1/models/{id:.+}", self.one, "One of them", tell_error, answers=ListedModel),
        ]

    async def all(self, _call: Call) -> web.Response:
        """All of them: routes first."""
        routes, models = await self._told()
        shown = ModelList(data=[*map(_route, routes), *map(_model, models)])
        return web.json_response(shown.model_dump())

    async def one(self, call: Call) -> web.Response:
        """The route or the model of a name; a model also by its key, an alias or the upstream's id."""
        name = call.request.match_info["id"]
        routes, models = await self._told()
        found = [_route(route) for route in routes if route.name == name]
        found += [_model(model) for model in models if name in _names(model)]
        if found:
            return web.json_response({**found[0].model_dump(), "id": name})
        known = [*(route.name for route in routes), *map(_id, models)]
        told = f"no model or route is called {clip(name, 128)!r}; the nearest are {', '.join(nearest(name, known))}"
        raise Problem(404, str(Reason.MODEL_NOT_FOUND), told)

    async def _told(self) -> tuple[Sequence[router_pb2.RouteStatus], Sequence[catalog_pb2.Model]]:
        status, listed = await asyncio.gather(self._client.status(), self._client.models())
        on = {provider.name for provider in listed.providers if provider.enabled}
        return status.routes, [model for model in listed.models if model.enabled and model.provider in on]


def _route(route: router_pb2.RouteStatus) -> ListedModel:
    told = {"candidates": list(route.candidates), "available": route.available}
    return ListedModel(id=route.name, owned_by=OWNER_OF_ROUTES, imagegate=told)


def _model(model: catalog_pb2.Model) -> ListedModel:
    shown = plain(model)
    told = {name: shown.get(name) for name in TOLD}
    return ListedModel(id=_id(model), owned_by=model.provider, imagegate=told)


def _names(model: catalog_pb2.Model) -> Sequence[str]:
    return (_id(model), model.key, model.upstream_model, *model.aliases)


def _id(model: catalog_pb2.Model) -> str:
    return f"{model.provider}/{model.key}"
