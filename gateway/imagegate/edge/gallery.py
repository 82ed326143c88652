"""The pictures that were made: kept, listed and found again for whoever owns them."""

import asyncio
import secrets
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy import RowMapping, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from imagegate.client.plain import plain
from imagegate.client.result import Image, Result
from imagegate.edge.database import Database
from imagegate.edge.objects import Objects
from imagegate.edge.problem import Problem
from imagegate.edge.room import Room
from imagegate.edge.tables import PICTURES

log = structlog.get_logger(__name__)

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
MEDIA_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}
# Numbers of locks. Who keeps pictures shares the first one, who sweeps has it alone; the other one is an owner's.
SWEEPING, KEEPING = 7_420_113, 7_420_114


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of one picture. `created` is in milliseconds since the epoch, `cost` in credits for the whole
    request (None: unknown), `parameters` what was asked by the names of GenerateRequest, without any input picture.
    """

    id: str
    owner: str
    project: str
    filename: str
    created: int
    request_id: str
    number: int
    sha256: str
    mime_type: str
    size_bytes: int
    width: int
    height: int
    seed: int | None
    prompt: str
    parameters: Mapping[str, Any]
    provider: str
    model: str
    upstream_model: str
    attempts: Sequence[Mapping[str, Any]]
    adjustments: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    cost: int | None
    seconds: float
    sandbox: bool

    @classmethod
    def of(cls, row: RowMapping) -> "Picture":
        """The picture of a row."""
        return cls(**row)

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"/uploads/images/user-{self.owner}/{self.filename}"


class Gallery:
    """Pictures with their records. `now` is the wall clock in seconds.

    Raises Problem where the database or the storage does not do its work.
    """

    def __init__(self, database: Database, objects: Objects, room: Room, now: Callable[[], float]) -> None:
        self._database = database
        self._objects = objects
        self._room = room
        self._now = now

    async def check_room(self) -> None:
        """Raises Problem where a picture that is made now could not be kept."""
        await self._room.check()
        await self._database.check()

    async def keep(
        self,
        owner: str,
        project: str,
        prompt: str,
        parameters: Mapping[str, Any],
        result: Result,
        *,
        idempotency_key: str = "",
    ) -> list[Picture]:
        """Keep every picture of `result`: first their bytes, then what is known of them, all at once.

        What was kept under the same idempotency key is not kept again.
        """
        pictures = [
            _described(owner, project, prompt, parameters, result, number, image, idempotency_key)
            for number, image in enumerate(result.images)
        ]
        await asyncio.gather(*(self._objects.put(image.sha256, image.data) for image in result.images))
        may_be_there = bool(idempotency_key)  # every other id is new
        try:
            return await self._recorded(owner, pictures, result.images, may_be_there=may_be_there)
        except Problem as told:
            # Perhaps it was recorded and only the word of it got lost: the same once more is done once.
            log.info("recording_again", problem=told.reason)
            return await self._recorded(owner, pictures, result.images, may_be_there=True)

    async def _recorded(
        self, owner: str, pictures: Sequence[Picture], images: Sequence[Image], *, may_be_there: bool
    ) -> list[Picture]:
        async with self._database.writing() as connection:
            await self._database.lock(connection, SWEEPING, shared=True)
            await asyncio.gather(*(self._put_again(image) for image in images))
            await self._database.lock(connection, (KEEPING << 32) + zlib.crc32(owner.encode()))
            there = await _by_id(connection, owner, [picture.id for picture in pictures]) if may_be_there else {}
            new = [picture for picture in pictures if picture.id not in there]
            # Its name is the time of its making: no two of an owner's are made at the same one.
            taken = await connection.scalar(select(func.max(PICTURES.c.created)).where(PICTURES.c.owner == owner))
            created = max(int(self._now() * 1000), (taken or 0) + 1)
            named = {picture.id: _named(picture, created + number) for number, picture in enumerate(new)}
            if named:
                await connection.execute(insert(PICTURES), [_row(picture) for picture in named.values()])
        return [(there | named)[picture.id] for picture in pictures]

    async def _put_again(self, image: Image) -> None:
        """The same picture may have been there before and been swept since it was put: from here on it stays."""
        if not await self._objects.has(image.sha256):
            await self._objects.put(image.sha256, image.data)

    async def find(self, owner: str, picture_id: str) -> Picture | None:
        """The owner's picture with this id."""
        return await self._one(PICTURES.c.owner == owner, PICTURES.c.id == picture_id)

    async def named(self, owner: str, filename: str) -> Picture | None:
        """The owner's picture with this name."""
        return await self._one(PICTURES.c.owner == owner, PICTURES.c.filename == filename)

    async def page(
        self, owner: str, *, project: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[Picture]:
        """The owner's pictures, the latest first: those of `project` (None: of all), made before the time `before`."""
        query = select(PICTURES).where(PICTURES.c.owner == owner)
        if project is not None:
            query = query.where(PICTURES.c.project == project)
        if before is not None:
            query = query.where(PICTURES.c.created < before)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(PICTURES.c.created.desc()).limit(limit))
            return [Picture.of(row) for row in rows.mappings()]

    async def projects(self, owner: str) -> list[tuple[str, int, int]]:
        """The owner's projects, the last used first: name, how many pictures, when the last one was made."""
        latest = func.max(PICTURES.c.created)
        query = (
            select(PICTURES.c.project, func.count(), latest)
            .where(PICTURES.c.owner == owner)
            .group_by(PICTURES.c.project)
            .order_by(latest.desc())
        )
        async with self._database.reading() as connection:
            return [(str(name), int(count), int(last)) for name, count, last in await connection.execute(query)]

    async def remove(self, owner: str, picture_id: str) -> bool:
        """Forget the owner's picture; whether there was one."""
        async with self._database.writing() as connection:
            done = await connection.execute(
                delete(PICTURES).where(PICTURES.c.owner == owner, PICTURES.c.id == picture_id)
            )
            return done.rowcount > 0

    async def data(self, picture: Picture) -> bytes:
        """Its bytes. Raises FileNotFoundError where they are gone."""
        return await self._objects.get(picture.sha256)

    async def size(self, sum_of_it: str) -> int:
        """How many bytes are kept under a sum. Raises FileNotFoundError."""
        return await self._objects.size(sum_of_it)

    async def open(self, sum_of_it: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Those from `start` to before `stop`, in pieces. Raises FileNotFoundError."""
        return await self._objects.open(sum_of_it, start, stop)

    async def _one(self, *conditions: Any) -> Picture | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(PICTURES).where(*conditions))).mappings().first()
        return Picture.of(row) if row is not None else None


def _described(
    owner: str,
    project: str,
    prompt: str,
    parameters: Mapping[str, Any],
    result: Result,
    number: int,
    image: Image,
    idempotency_key: str,
) -> Picture:
    """All of it but its name, which it gets when it is recorded."""
    return Picture(
        id=_id(owner, idempotency_key, number, image),
        owner=owner,
        project=_storable(project),
        filename=f"-generated.{EXTENSIONS[image.mime_type]}",
        created=0,
        request_id=result.request_id,
        number=number,
        sha256=image.sha256,
        mime_type=image.mime_type,
        size_bytes=image.size_bytes,
        width=image.width,
        height=image.height,
        seed=image.seed,
        prompt=_storable(prompt),
        parameters=parameters,
        provider=result.provider,
        model=result.model,
        upstream_model=_storable(result.upstream_model),
        attempts=[plain(attempt.proto) for attempt in result.attempts],
        adjustments=[plain(each) for each in result.proto.adjustments],
        warnings=list(result.warnings),
        cost=result.cost,
        seconds=result.seconds,
        sandbox=result.sandbox,
    )


def _id(owner: str, idempotency_key: str, number: int, image: Image) -> str:
    """One that nobody can guess; with an idempotency key the same one for the same picture."""
    if not idempotency_key:
        return secrets.token_hex(16)
    return sha256(f"{owner}\n{idempotency_key}\n{number}\n{image.sha256}".encode()).hexdigest()[:32]


def _named(picture: Picture, created: int) -> Picture:
    return replace(picture, created=created, filename=f"{created}{picture.filename}")


def _storable(text: str) -> str:
    """PostgreSQL has no place for a NUL in a text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def _by_id(connection: AsyncConnection, owner: str, ids: Sequence[str]) -> dict[str, Picture]:
    query = select(PICTURES).where(PICTURES.c.owner == owner, PICTURES.c.id.in_(ids))
    return {row["id"]: Picture.of(row) for row in (await connection.execute(query)).mappings()}


def _row(picture: Picture) -> dict[str, Any]:
    return {column.name: getattr(picture, column.name) for column in PICTURES.columns}
