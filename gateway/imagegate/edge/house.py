"""Everything that the edge is made of, put together: what `__main__` does and a test does as well."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imagegate.client import AsyncClient, TransportFields
from imagegate.edge import database, janitor, openapi, sse
from imagegate.edge.admission import Admission
from imagegate.edge.api import board, family
from imagegate.edge.api.board import Board, BoardPace
from imagegate.edge.app import Front
from imagegate.edge.backend import exchange
from imagegate.edge.backend.answered import ErrorAnswer
from imagegate.edge.backend.pictures import Pictures
from imagegate.edge.backend.questions import Questions
from imagegate.edge.budget import Budget
from imagegate.edge.endpoint import MIB, Endpoint, Tell
from imagegate.edge.gallery import Gallery
from imagegate.edge.generating import Generating
from imagegate.edge.health import Health
from imagegate.edge.janitor import Janitor
from imagegate.edge.keys import Keyring
from imagegate.edge.links import Links
from imagegate.edge.objects import Objects
from imagegate.edge.openai.error import ErrorDocument, tell_error
from imagegate.edge.openai.images import Images
from imagegate.edge.openai.models import Models
from imagegate.edge.page import Page
from imagegate.edge.room import Room
from imagegate.edge.routers import Routers
from imagegate.edge.settings import EdgeSettings
from imagegate.edge.uploads import Uploads
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.settings import DATA_VARIABLE, SettingsError

# How the two compatible families show a problem, for the description.
PROBLEMS: Mapping[Tell, openapi.Shape] = {
    exchange.tell: ("application/json", ErrorAnswer),
    tell_error: ("application/json", ErrorDocument),
}


@dataclass(frozen=True, slots=True)
class House:
    """The edge's parts, for whoever makes its routes."""

    settings: EdgeSettings
    client: AsyncClient
    keyring: Keyring
    gallery: Gallery
    links: Links
    generating: Generating
    admission: Admission
    routers: Routers
    board: Board
    pace: sse.Pace
    health: Health

    def endpoints(self) -> list[Endpoint]:
        """Every route of the edge."""
        endpoints = [
            *self._api(),
            *Uploads(self.gallery, self.links, self.keyring).endpoints(),
            *Pictures(self.generating, self.links).endpoints(),
            *Questions(self.client, self.settings.webui_url).endpoints(),
            *Images(self.generating, self.links, self.settings.public_url).endpoints(),
            *Models(self.client).endpoints(),
            *Page().endpoints(),
            *self.health.endpoints(),
        ]
        return [*endpoints, *openapi.endpoints(endpoints, PROBLEMS)]

    def _api(self) -> list[Endpoint]:
        return family.endpoints(
            self.client,
            self.generating,
            self.gallery,
            self.links.sign,
            self.board,
            self.routers,
            time.monotonic,
            self.pace,
        )

    def leave(self) -> None:
        """Have everybody leave: the edge is about to stop. Who only looks on would keep it from stopping."""
        self.health.leave()
        self.board.close()

    def front(self, metrics: ProcessMetrics, redactor: Redactor) -> Front:
        """The routes with what is true around each of them."""
        budget = Budget(self.settings.bodies_mib * MIB)
        return Front(
            self.endpoints(),
            self.keyring,
            self.admission,
            metrics,
            redactor,
            budget,
            is_leaving=lambda: self.health.is_leaving,
            proxies=self.settings.trusted_proxies,
        )


@asynccontextmanager
async def opened(
    settings: EdgeSettings,
    router: str | None,
    keyring: Keyring,
    link_keys: Callable[[], str],
    admin: str = "",
    *,
    routers: Routers | None = None,
    pace: sse.Pace = sse.PACE,
    board_pace: BoardPace = board.PACE,
    transport: TransportFields | None = None,
) -> AsyncIterator[House]:
    """The house with its database, its pictures and its way to the router open, until the block is left.

    `admin` is the routers' admin port as HOST:PORT, by default 50052 of the router's host; `routers` finds the replicas
    in another way than by these names; `transport` is how they are reached, as the environment says where it is left
    out. Raises SettingsError where one of them cannot be used.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts and pictures are nobody else's
    except OSError as error:
        raise SettingsError(f"{DATA_VARIABLE}: {settings.data} cannot be used ({error.strerror})") from error
    url = settings.database or database.sqlite_in(settings.data)
    objects = Objects.at(settings.pictures or (settings.data / "pictures").resolve().as_uri())
    await objects.check()
    room = Room([each for each in (database.folder_of(url), objects.folder) if each], settings.min_free_mib)
    links = Links(link_keys, settings.link_seconds, time.time)
    transport = transport or {}
    async with (
        database.opened(url) as records,
        AsyncClient(router, timeout=settings.timeout, **transport) as client,
    ):
        gallery = Gallery(records, objects, room, time.time)
        cleaner = Janitor(records, objects, settings.retention_days, time.time)
        routers = routers or Routers.behind(client.router, admin, transport)
        health = Health(records.check, time.monotonic)
        async with (
            janitor.at_work(cleaner),
            board.watching(routers.replicas, time.time, board_pace, routers.to_replicas) as watched,
        ):
            admission = Admission(settings, time.monotonic)
            generating = Generating(client, gallery, admission.weigh)
            yield House(
                settings, client, keyring, gallery, links, generating, admission, routers, watched, pace, health
            )


def some_link_key() -> Callable[[], str]:
    """A key for links that holds for as long as this process lives."""
    key = secrets.token_hex(32)
    return lambda: key
