"""The pictures that were made: kept, listed and found again for whoever owns them."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from imagegate.client.plain import plain
from imagegate.client.result import Image, Result
from imagegate.edge.objects import Objects
from imagegate.edge.tables import PICTURES

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
MEDIA_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}


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
    """Pictures with their records. `now` is the wall clock in seconds."""

    def __init__(self, engine: AsyncEngine, objects: Objects, now: Callable[[], float]) -> None:
        self._engine = engine
        self._objects = objects
        self._now = now

    async def keep(
        self, owner: str, project: str, prompt: str, parameters: Mapping[str, Any], result: Result
    ) -> list[Picture]:
        """Keep every picture of `result`: first their bytes, then what is known of them, all at once."""
        for image in result.images:
            await self._objects.put(image.sha256, image.data)
        async with self._engine.begin() as connection:
            taken = await connection.scalar(select(func.max(PICTURES.c.created)).where(PICTURES.c.owner == owner))
            # Its name is the time of its making: no two of an owner's are made at the same one.
            created = max(int(self._now() * 1000), (taken or 0) + 1)
            pictures = [
                _described(owner, project, prompt, parameters, result, number, image, created + number)
                for number, image in enumerate(result.images)
            ]
            await connection.execute(insert(PICTURES), [_row(picture) for picture in pictures])
        return pictures

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
        async with self._engine.connect() as connection:
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
        async with self._engine.connect() as connection:
            return [(str(name), int(count), int(last)) for name, count, last in await connection.execute(query)]

    async def remove(self, owner: str, picture_id: str) -> bool:
        """Forget the owner's picture; whether there was one."""
        async with self._engine.begin() as connection:
            done = await connection.execute(
                delete(PICTURES).where(PICTURES.c.owner == owner, PICTURES.c.id == picture_id)
            )
            return done.rowcount > 0

    async def data(self, picture: Picture) -> bytes:
        """Its bytes. Raises FileNotFoundError where they are gone."""
        return await self._objects.get(picture.sha256)

    async def _one(self, *conditions: Any) -> Picture | None:
        async with self._engine.connect() as connection:
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
    created: int,
) -> Picture:
    shown = result.to_dict()
    return Picture(
        id=secrets.token_hex(16),
        owner=owner,
        project=project,
        filename=f"{created}-generated.{EXTENSIONS[image.mime_type]}",
        created=created,
        request_id=result.request_id,
        number=number,
        sha256=image.sha256,
        mime_type=image.mime_type,
        size_bytes=image.size_bytes,
        width=image.width,
        height=image.height,
        seed=image.seed,
        prompt=prompt,
        parameters=parameters,
        provider=result.provider,
        model=result.model,
        upstream_model=result.upstream_model,
        attempts=[plain(attempt.proto) for attempt in result.attempts],
        adjustments=shown["adjustments"],
        warnings=list(result.warnings),
        cost=result.cost,
        seconds=result.seconds,
        sandbox=result.sandbox,
    )


def _row(picture: Picture) -> dict[str, Any]:
    return {column.name: getattr(picture, column.name) for column in PICTURES.columns}
