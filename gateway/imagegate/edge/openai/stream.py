"""The events of a stream, as OpenAI's client reads them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from aiohttp import web

from imagegate.client import Event as Happening
from imagegate.client import Progress
from imagegate.client.result import Image
from imagegate.edge import sse
from imagegate.edge.endpoint import Call
from imagegate.edge.generating import Made
from imagegate.edge.openai.answer import base64_of, format_of, provenance, size_of
from imagegate.edge.openai.error import error_of
from imagegate.edge.openai.order import Ordered
from imagegate.edge.openai.schema import AUTO, Asked

Kind = Literal["image_generation", "image_edit"]

DONE = sse.Event("", "[DONE]")
# A comment: their client would take an event for a piece of the picture.
STILL_HERE = sse.Heartbeat(b": still here\n\n")


class Previews:
    """Which previews are passed on: at most `wanted`, spread over the steps where these are told."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._given = 0

    def takes(self, progress: Progress) -> bool:
        """Whether the preview that comes with `progress` is one of them."""
        if self._given >= self._wanted or progress.preview is None or not progress.preview.data:
            return False
        if progress.step is not None and progress.steps:
            due = progress.steps * (self._given + 1) / (self._wanted + 1)
            if progress.step < due:
                return False
        self._given += 1
        return True

    @property
    def latest(self) -> int:
        """The number of the one that was taken last, from 0."""
        return self._given - 1


async def respond(
    call: Call, events: AsyncGenerator[sse.Event, None], heartbeat: sse.Heartbeat = STILL_HERE
) -> web.StreamResponse:
    """Send the events; they are closed however this ends.

    Raises GenerationError or Problem where it fails before there is anything to send, the first heartbeat included: a
    status is what their client understands best. What fails later becomes an event, after which the stream ends.
    """
    async with aclosing(events):
        first = asyncio.ensure_future(anext(events))
        try:
            await asyncio.wait({first}, timeout=heartbeat.seconds)
            if first.done():
                first.result()
            return await sse.respond(call, _from(first, events), heartbeat, tell=error_of)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)


async def events(
    kind: Kind, asked: Asked, ordered: Ordered, stream: AsyncGenerator[Happening | Made, None]
) -> AsyncGenerator[sse.Event, None]:
    """Partial images as far as they are wanted, each picture when all are there, and the end."""
    previews = Previews(asked.partial_images or 0)
    async with aclosing(stream):
        async for each in stream:
            if isinstance(each, Progress) and previews.takes(each) and each.preview is not None:
                beside = {"created_at": int(time.time()), "partial_image_index": previews.latest}
                yield await _event(f"{kind}.partial_image", asked, each.preview, asked.size or AUTO, beside)
            elif isinstance(each, Made):
                how = provenance(each, ordered).model_dump()
                for image, kept in zip(each.result.images, each.pictures, strict=True):
                    made = {"created_at": kept.created // 1000, "imagegate": how}
                    yield await _event(f"{kind}.completed", asked, image, size_of(image), made)
    yield DONE


async def _from(
    first: asyncio.Future[sse.Event], events: AsyncGenerator[sse.Event, None]
) -> AsyncGenerator[sse.Event, None]:
    yield await first
    async for event in events:
        yield event


async def _event(name: str, asked: Asked, image: Image, size: str, beside: Mapping[str, Any]) -> sse.Event:
    told = {
        "type": name,
        "size": size,
        "quality": asked.quality or AUTO,
        "background": asked.background or AUTO,
        "output_format": format_of(image),
        **beside,
    }
    return sse.Event(name, await asyncio.to_thread(lambda: json.dumps({**told, "b64_json": base64_of(image.data)})))
