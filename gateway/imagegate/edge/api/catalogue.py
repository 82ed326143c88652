"""`GET /api/catalogue`: what there is to choose from. `GET /api/poses`: the poses, with their pictures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from imagegate.client import AsyncClient
from imagegate.client.plain import bare_name, plain
from imagegate.edge.api.record import data_url
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.runtime import images
from imagegate.v1 import catalog_pb2, router_pb2, terms_pb2

KEPT_SECONDS = 5.0


class Choices(BaseModel):
    """Models and providers as the router lists them, its routes, and what can be said of them."""

    models: list[dict[str, Any]]
    providers: list[dict[str, Any]]
    routes: list[dict[str, Any]]
    qualities: list[str]
    tasks: list[str]
    use_cases: list[str]


class Poses(BaseModel):
    """Pose templates; `image` of each is a data: URL, null where `message` says why it is missing."""

    templates: list[dict[str, Any]]
    message: str


class Kept:
    """An answer that is the same for everybody, asked for again once it is KEPT_SECONDS old. `clock` is monotonic."""

    def __init__(self, ask: Callable[[], Awaitable[BaseModel]], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._text = ""
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, _call: Call) -> web.Response:
        """The answer. Raises GenerationError where it cannot be had."""
        if not self._text or self._clock() >= self._until:
            await self._renewed()
        return web.Response(text=self._text, content_type="application/json")

    async def _renewed(self) -> None:
        """Ask, or wait with whoever has asked: what they hear everybody hears, and their leaving ends nothing."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew())
            self._asking.add_done_callback(self._asked)
        await asyncio.shield(self._asking)

    async def _renew(self) -> None:
        self._text = (await self._ask()).model_dump_json()
        self._until = self._clock() + KEPT_SECONDS

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # told to those who wait, if there are any left


class Catalogue:
    """What the router offers. `clock` is monotonic."""

    def __init__(self, client: AsyncClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._choices = Kept(self._ask_choices, clock)
        self._poses = Kept(self._ask_poses, clock)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        choices, poses = self._choices.answer, self._poses.answer
        return [
            Endpoint("GET", "/api/catalogue", choices, "What there is to choose from", tell_problem, answers=Choices),
            Endpoint("GET", "/api/poses", poses, "Poses to keep to", tell_problem, answers=Poses),
        ]

    async def _ask_choices(self) -> Choices:
        models, status = await asyncio.gather(self._client.models(), self._client.status())
        return choices_of(models, status)

    async def _ask_poses(self) -> Poses:
        told = await self._client.poses(include_images=True)
        return Poses(templates=[_template(each) for each in told.templates], message=told.message)


def choices_of(models: catalog_pb2.ListModelsResponse, status: router_pb2.RouterStatus) -> Choices:
    """What there is; tasks in the contract's order, those that some model can do."""
    possible = {task for model in models.models for task in model.tasks}
    return Choices(
        **plain(models),
        routes=[plain(route) for route in status.routes],
        qualities=[bare_name(terms_pb2.Quality.DESCRIPTOR, number) for number in terms_pb2.Quality.values() if number],
        tasks=[bare_name(catalog_pb2.Task.DESCRIPTOR, number) for number in sorted(possible)],
        use_cases=sorted({model.use_case for model in models.models if model.use_case}),
    )


def _template(template: catalog_pb2.PoseTemplate) -> dict[str, Any]:
    image = template.image
    return {**plain(template), "image": data_url(images.inspect(image).mime_type, image) if image else None}
