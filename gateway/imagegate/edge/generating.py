"""One generation: the order goes to the router, what comes back is kept."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog

from imagegate.client import AsyncClient, Completed, Event, Result
from imagegate.client.fields import TEMPLATE
from imagegate.edge.bare import bare
from imagegate.edge.caller import Caller
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.problem import Problem, unkept
from imagegate.v1 import router_pb2

log = structlog.get_logger(__name__)

# The fields of a task, a control or an identity that hold a picture.
PICTURES = {"image", "mask"}


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants: `fields` are those of `AsyncClient.generate`."""

    prompt: str
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    # The caller's own key for this piece of work, if they have one.
    idempotency_key: str = ""
    # What is kept of it beside its pictures; None: what is worth keeping of model and fields.
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The answer, and its pictures as they were kept."""

    result: Result
    pictures: Sequence[Picture]


class Generating:
    """Makes pictures for callers.

    Raises GenerationError where the router does, and Problem where pictures cannot be kept: mostly before any is made,
    else with them.
    """

    def __init__(self, client: AsyncClient, gallery: Gallery, weigh: Callable[[str, int], None]) -> None:
        """`weigh` hears how many pictures a user asks for."""
        self._client = client
        self._gallery = gallery
        self._weigh = weigh

    async def generate(self, caller: Caller, request_id: str, order: Order) -> Made:
        """Make what was ordered and keep it."""
        await self._gallery.check_room()
        fields = self._weighed(caller, request_id, order)
        result = await self._client.generate(order.prompt, model=order.model, **fields)
        return await _to_its_end(self._kept(caller, order, result))

    async def stream(self, caller: Caller, request_id: str, order: Order) -> AsyncGenerator[Event | Made, None]:
        """The same, told while it happens; the last one is what was made. Closing it cancels the work."""
        await self._gallery.check_room()
        fields = self._weighed(caller, request_id, order)
        async with aclosing(self._client.stream(order.prompt, model=order.model, **fields)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    yield await _to_its_end(self._kept(caller, order, event.result))
                else:
                    yield event

    async def explain(self, caller: Caller, request_id: str, order: Order) -> router_pb2.Explanation:
        """What would become of it now. Nothing is asked of any upstream, and nothing kept."""
        return await self._client.explain(order.prompt, model=order.model, **_fields(caller, request_id, order))

    def _weighed(self, caller: Caller, request_id: str, order: Order) -> dict[str, Any]:
        count = order.fields.get("count")
        if isinstance(count, int):
            self._weigh(caller.user, count)
        return _fields(caller, request_id, order)

    async def _kept(self, caller: Caller, order: Order, result: Result) -> Made:
        result = await asyncio.to_thread(bare, result)
        project = str(order.fields.get("project") or "")
        parameters = order.parameters
        if parameters is None:
            parameters = asked({"model": order.model, **order.fields})
        key = order.idempotency_key
        try:
            kept = await self._gallery.keep(caller.user, project, order.prompt, parameters, result, idempotency_key=key)
        except Problem as told:
            raise unkept(told, result.images) from told
        return Made(result, kept)


async def _to_its_end(keeping: Coroutine[Any, Any, Made]) -> Made:
    """Keep what is paid for, though whoever has ordered it may leave meanwhile."""
    task = asyncio.create_task(keeping)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            log.error("not_kept", problem=str(error))  # noqa: TRY400 - nobody is left to hear it
        raise


def asked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth keeping of an order: everything but the input pictures' bytes and what is empty. Pictures are told
    of as the page's own API takes them.
    """
    kept = {name: _without_bytes(name, value) for name, value in fields.items()}
    return {name: value for name, value in kept.items() if value not in (None, "", [], {})}


def _without_bytes(name: str, value: Any) -> Any:
    match value:
        case bytes():
            return {"data": f"({len(value):,} bytes)"}
        case str() if name in PICTURES:
            is_template = value.startswith(TEMPLATE)
            return {"template": value.removeprefix(TEMPLATE)} if is_template else {"uri": value}
        case Mapping():
            return {part: _without_bytes(part, each) for part, each in value.items()}
        case list() | tuple():
            return [_without_bytes(name, each) for each in value]
        case _:
            return value


def _fields(caller: Caller, request_id: str, order: Order) -> dict[str, Any]:
    """The fields with what the caller does not decide: who it is for, which tier, under which id."""
    fields = {**order.fields, "request_id": request_id, "user": caller.user}
    if caller.tier:
        fields["tier"] = caller.tier
    if order.idempotency_key:
        # Another user's key of the same name is another key.
        fields["idempotency_key"] = _hashed(f"{caller.user}\n{order.idempotency_key}")
    return fields


def _hashed(text: str) -> str:
    """A header's bytes that are no UTF-8 are in its text as what Python takes for halves of characters."""
    return sha256(text.encode(errors="surrogateescape")).hexdigest()
