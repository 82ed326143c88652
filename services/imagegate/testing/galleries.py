"""A gallery without a router in front of it, and answers for it to keep."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from time import time
from typing import Any

from imagegate.client.result import Result
from imagegate.edge import database
from imagegate.edge.database import Database
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.janitor import Janitor
from imagegate.edge.objects import Objects
from imagegate.edge.room import Room
from imagegate.runtime import images
from imagegate.testing.pictures import picture
from imagegate.v1 import generation_pb2


@dataclass(frozen=True, slots=True)
class OpenedGallery:
    """A gallery, and what is behind it."""

    gallery: Gallery
    database: Database
    objects: Objects
    janitor: Janitor

    async def keep(self, *pictures: bytes, owner: str = "alice", **fields: Any) -> list[Picture]:
        """Keep these for somebody, or one that is always the same."""
        kept = {"project": "", "prompt": "a lighthouse", "parameters": {}, **fields}
        return await self.gallery.keep(owner, result=answer(pictures or (picture(),)), **kept)


@asynccontextmanager
async def opened_gallery(
    url: str,
    pictures: str,
    *,
    retention_days: float | None = None,
    now: Callable[[], float] = time,
    objects: Objects | None = None,
) -> AsyncIterator[OpenedGallery]:
    """A gallery with its records in the database at `url` and its bytes at `pictures`, until the block is left."""
    async with database.opened(url) as opened:
        objects = objects or Objects.at(pictures)
        gallery = Gallery(opened, objects, Room([], 0), now)
        yield OpenedGallery(gallery, opened, objects, Janitor(opened, objects, retention_days, now))


def answer(pictures: Sequence[bytes], seed: int = 7) -> Result:
    """A router's answer with these pictures."""
    proto = generation_pb2.GenerateResponse(provider="scripted", model="one", request_id="a-request", cost=2)
    proto.timings.total.FromMilliseconds(1500)
    for number, data in enumerate(pictures):
        seen = images.inspect(data)
        proto.images.add(
            data=data,
            mime_type=seen.mime_type,
            width=seen.width,
            height=seen.height,
            seed=seed + number,
            sha256=sha256(data).hexdigest(),
            size_bytes=len(data),
        )
    return Result.of(proto)
