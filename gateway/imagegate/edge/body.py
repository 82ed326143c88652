"""Reading what a caller sends: never more than its route allows, never for longer than it should take."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

from aiohttp import BodyPartReader, web
from pydantic import BaseModel, ValidationError

from imagegate.edge.problem import Problem, invalid
from imagegate.runtime.errors import Violation

READ_SECONDS = 30.0
MAX_PARTS = 64
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Form:
    """A form's texts and files by name, each in the order in which they came."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Upload]] = field(default_factory=dict)


class Body:
    """The body of one request, read once, of at most `max_bytes`.

    Raises Problem: 413 where it is longer, 408 where it takes longer than READ_SECONDS, 415 where it is of another
    kind, 400 where it is not what it says.
    """

    def __init__(self, request: web.Request, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes

    @property
    def media_type(self) -> str:
        """What it says it is; JSON where it says nothing."""
        return self._request.content_type if "Content-Type" in self._request.headers else JSON

    async def read(self) -> bytes:
        """All of it."""
        whole = bytearray()
        async for chunk in self._chunks():
            whole += chunk
        return bytes(whole)

    async def json(self) -> Any:
        """The JSON value that it holds."""
        self._check_kind(JSON)
        text = await self.read()
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Problem(400, "INVALID_REQUEST", "the body is not JSON") from error

    async def parsed(self, model: type[Model]) -> Model:
        """The JSON object that it holds, as a `model`."""
        return parsed(model, await self.json())

    async def form(self) -> Form:
        """The form that it holds, of either kind."""
        self._check_kind(FORM, MULTIPART)
        return await self._multipart() if self.media_type == MULTIPART else await self._urlencoded()

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._check_size(self._request.content_length or 0)
        size = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for chunk in self._request.content.iter_any():
                    size += len(chunk)
                    self._check_size(size)
                    yield chunk
        except TimeoutError:
            raise Problem(408, "BODY_TOO_SLOW", f"the body did not come within {READ_SECONDS:g} s") from None

    async def _urlencoded(self) -> Form:
        text = await self.read()
        try:
            fields = parse_qs(
                text.decode(), keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_PARTS
            )
        except ValueError as error:
            raise Problem(400, "INVALID_REQUEST", "the body is not a form") from error
        return Form(texts=fields)

    async def _multipart(self) -> Form:
        self._check_size(self._request.content_length or 0)
        form = Form()
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._read_parts(form)
        except TimeoutError:
            raise Problem(408, "BODY_TOO_SLOW", f"the body did not come within {READ_SECONDS:g} s") from None
        except ValueError as error:
            raise Problem(400, "INVALID_REQUEST", "the body is not a form of parts") from error
        return form

    async def _read_parts(self, form: Form) -> None:
        size = parts = 0
        async for part in await self._request.multipart():
            parts += 1
            if parts > MAX_PARTS or not isinstance(part, BodyPartReader) or not part.name:
                raise Problem(400, "INVALID_REQUEST", f"a form has up to {MAX_PARTS} parts, each with a name")
            read = bytearray()
            while chunk := await part.read_chunk(64 * 1024):
                size += len(chunk)
                self._check_size(size)
                read += chunk
            if part.filename is None:
                form.texts.setdefault(part.name, []).append(read.decode())
            else:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                form.files.setdefault(part.name, []).append(Upload(part.filename, kind, bytes(read)))

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            allowed = f"at most {self._max_bytes:,} bytes" if self._max_bytes else "none"
            raise Problem(413, "BODY_TOO_LARGE", f"the body is too large; this route takes {allowed}")

    def _check_kind(self, *kinds: str) -> None:
        if self.media_type not in kinds:
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"the body has to be {' or '.join(kinds)}")


def parsed(model: type[Model], value: object) -> Model:
    """`value` as a `model`. Raises Problem with every field that is wrong."""
    if not isinstance(value, Mapping):
        raise Problem(400, "INVALID_REQUEST", "the body has to be one JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(*(Violation(_place(each["loc"]), _told(each)) for each in error.errors())) from None


def _place(location: tuple[int | str, ...]) -> str:
    place = ""
    for each in location:
        place += f"[{each}]" if isinstance(each, int) else f".{each}" if place else each
    return place


def _told(error: Any) -> str:
    told = str(error["msg"]).removeprefix("Value error, ")
    return told[:1].lower() + told[1:]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
