"""Reading what a caller sends: never more than its route allows, never for longer than it should take."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from imagegate.edge.endpoint import MIB
from imagegate.edge.form_of_parts import MAX_PARTS, Form, Upload, form_of_parts
from imagegate.edge.intake import Intake, IntakeBounds
from imagegate.edge.problem import Problem, invalid
from imagegate.runtime.errors import Violation

__all__ = ["FORM", "JSON", "MULTIPART", "Body", "Form", "Upload", "json_value", "parsed"]

# What its front says of how long a request's body may take.
INTAKE: web.RequestKey[IntakeBounds] = web.RequestKey("intake")
# From here on a body is looked at beside the loop.
BIG_BYTES = 1 * MIB
# Of one JSON body: a picture is one value, and nothing of ours has thousands.
MAX_VALUES = 10_000
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

Model = TypeVar("Model", bound=BaseModel)


class Body:
    """The body of one request, read once, of at most `max_bytes`.

    Raises Problem: 413 where it is longer, 408 where it comes too slowly, 503 where too much comes from everybody
    together, 415 where it is of another kind, 400 where it is not what it says.
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
        return b"".join(await self._intake().pieces())

    async def json(self) -> Any:
        """The JSON value that it holds."""
        self._check_kind(JSON)
        return json_value(await self.read())

    async def parsed(self, model: type[Model]) -> Model:
        """The JSON object that it holds, as a `model`."""
        self._check_kind(JSON)
        text = await self.read()
        if len(text) < BIG_BYTES:
            return parsed(model, json_value(text))
        # A picture in it takes a thread 3 ms a MB to decode, which others do not have to wait for.
        return await asyncio.to_thread(lambda: parsed(model, json_value(text)))

    async def form(self) -> Form:
        """The form that it holds, of either kind."""
        self._check_kind(FORM, MULTIPART)
        if self.media_type == MULTIPART:
            return await form_of_parts(self._request.headers, await self._intake().pieces())
        return await self._urlencoded()

    async def _urlencoded(self) -> Form:
        text = await self.read()
        try:
            fields = parse_qs(
                text.decode(), keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_PARTS
            )
        except ValueError as error:
            raise Problem(400, "INVALID_REQUEST", "the body is not a form") from error
        return Form(texts=fields)

    def _intake(self) -> Intake:
        if self._request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "the body has to come uncompressed")
        return Intake(self._request, self._max_bytes, self._request[INTAKE])

    def _check_kind(self, *kinds: str) -> None:
        if self.media_type not in kinds:
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"the body has to be {' or '.join(kinds)}")


def json_value(text: bytes) -> Any:
    """The JSON value that `text` holds, in a millisecond for 8 MB of picture. Raises Problem.

    It is bounded in its values before it is read: two bytes of text may become a hundred of memory.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Problem(400, "INVALID_REQUEST", f"the body has more than {MAX_VALUES:,} values")
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, "INVALID_REQUEST", "the body is not JSON") from error


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
