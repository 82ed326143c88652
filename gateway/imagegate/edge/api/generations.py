"""`POST /api/generations`: pictures, told while they are made if the caller wants that. `POST /api/explain`: what would
become of the same body.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from imagegate.client import AttemptFinished, AttemptStarted, Completed, Event, Progress
from imagegate.client.plain import plain
from imagegate.edge import sse
from imagegate.edge.api.answering import as_json
from imagegate.edge.api.ordering import parameters_of, size_violations, to_fields
from imagegate.edge.api.pictures import own_picture
from imagegate.edge.api.record import Answer, Record, Sign, data_url
from imagegate.edge.api.schema import Generation
from imagegate.edge.body import Body
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import IDEMPOTENT, MIB, Call, Endpoint, tell_problem
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.generating import Generating, Made, Order
from imagegate.edge.idempotency import key_in
from imagegate.edge.problem import invalid
from imagegate.runtime.errors import Violation
from imagegate.runtime.validation import MAX_INPUT_BYTES

# All pictures in base64, and a megabyte for the words.
MAX_BYTES = MAX_INPUT_BYTES * 4 // 3 + MIB


class Explained(BaseModel, extra="allow"):
    """Who would be tried in which order, who passed over and why, as the router tells it."""

    candidates: list[dict[str, Any]]


class Generations:
    """Takes orders. `pace` is how a stream is told."""

    def __init__(self, generating: Generating, gallery: Gallery, sign: Sign, pace: sse.Pace = sse.PACE) -> None:
        self._generating = generating
        self._gallery = gallery
        self._sign = sign
        self._pace = pace

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "POST",
                "/api/generations",
                self.generate,
                "Make pictures; with Accept: text/event-stream told while it happens",
                tell_problem,
                max_bytes=MAX_BYTES,
                generates=True,
                takes=Generation,
                answers=Answer,
                answers_media=(sse.MEDIA_TYPE,),
                openapi=IDEMPOTENT,
            ),
            Endpoint(
                "POST",
                "/api/explain",
                self.explain,
                "What would become of a generation, for free",
                tell_problem,
                max_bytes=MAX_BYTES,
                takes=Generation,
                answers=Explained,
            ),
        ]

    async def generate(self, call: Call) -> web.StreamResponse:
        """The pictures, when they are there or told while they are made."""
        order = await self._order(call)
        if sse.is_wanted(call.request):
            return await sse.respond(call, self._events(call, order), self._pace.heartbeat, stalled=self._pace.stalled)
        made = await self._generating.generate(call.caller, call.request_id, order)
        return as_json(self._answer(made))

    async def explain(self, call: Call) -> web.Response:
        """What would become of the order."""
        order = await self._order(call)
        return web.json_response(plain(await self._generating.explain(call.caller, call.request_id, order)))

    async def _order(self, call: Call) -> Order:
        body = await Body(call.request, MAX_BYTES).parsed(Generation)
        own = await self._own_pictures(call.caller, body)
        try:
            fields = to_fields(body, {name: await self._gallery.data(picture) for name, picture in own.items()})
        except FileNotFoundError as error:
            raise invalid(Violation("", "one of the pictures of your gallery is not kept any more")) from error
        return Order(
            body.prompt,
            body.model,
            fields,
            idempotency_key=key_in(call.request.headers),
            parameters=parameters_of(body),
        )

    async def _own_pictures(self, caller: Caller, body: Generation) -> dict[str, Picture]:
        """The pictures of the caller's gallery that it names. Raises Problem where one of them is not there."""
        own: dict[str, Picture] = {}
        wrong: list[Violation] = []
        for place, image in body.pictures():
            if image.picture is None or image.picture in own:
                continue
            picture = await own_picture(self._gallery, caller, image.picture)
            if picture is None:
                wrong.append(Violation(f"{place}.picture", "there is no such picture"))
            else:
                own[image.picture] = picture
        wrong += size_violations(body, {name: picture.size_bytes for name, picture in own.items()})
        if wrong:
            raise invalid(*wrong)
        return own

    async def _events(self, call: Call, order: Order) -> AsyncGenerator[sse.Event, None]:
        is_accepted = False
        async with aclosing(self._generating.stream(call.caller, call.request_id, order)) as events:
            async for event in events:
                if not is_accepted:  # only now is it known that it was not refused
                    is_accepted = True
                    yield sse.Event("accepted", {"request_id": call.request_id})
                yield self._told(event)

    def _told(self, event: Event | Made) -> sse.Event:
        match event:
            case Made():
                return sse.Event("completed", self._answer(event).model_dump(mode="json"))
            case AttemptStarted():
                started = {name: getattr(event, name) for name in ("provider", "model", "number", "timeout")}
                return sse.Event("attempt_started", started)
            case AttemptFinished():
                return sse.Event("attempt_finished", plain(event.attempt.proto))
            case Progress():
                return sse.Event("progress", _progress(event))
            case Completed():
                raise AssertionError("what was completed is kept, and told as Made")

    def _answer(self, made: Made) -> Answer:
        return Answer.of(made.result, [Record.of(picture, self._sign) for picture in made.pictures])


def _progress(event: Progress) -> dict[str, Any]:
    told = {name: getattr(event, name) for name in ("phase", "queue_position", "ready_in", "step", "steps")}
    return {**told, "preview": data_url(event.preview.mime_type, event.preview.data) if event.preview else None}
