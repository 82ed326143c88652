"""One generation: the order goes to the router, what comes back is kept."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from imagegate.client import AsyncClient, Completed, Event, Result
from imagegate.edge.bare import bare
from imagegate.edge.caller import Caller
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.problem import Problem, unkept


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants: `fields` are those of `AsyncClient.generate`."""

    prompt: str
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    # The caller's own key for this piece of work, if they have one.
    idempotency_key: str = ""


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

    def __init__(self, client: AsyncClient, gallery: Gallery) -> None:
        self._client = client
        self._gallery = gallery

    async def generate(self, caller: Caller, request_id: str, order: Order) -> Made:
        """Make what was ordered and keep it."""
        await self._gallery.check_room()
        fields = _fields(caller, request_id, order)
        result = await self._client.generate(order.prompt, model=order.model, **fields)
        return await self._kept(caller, order, result)

    async def stream(self, caller: Caller, request_id: str, order: Order) -> AsyncGenerator[Event | Made, None]:
        """The same, told while it happens; the last one is what was made. Closing it cancels the work."""
        await self._gallery.check_room()
        fields = _fields(caller, request_id, order)
        async with aclosing(self._client.stream(order.prompt, model=order.model, **fields)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    yield await self._kept(caller, order, event.result)
                else:
                    yield event

    async def _kept(self, caller: Caller, order: Order, result: Result) -> Made:
        result = bare(result)
        project = str(order.fields.get("project") or "")
        parameters = asked({"model": order.model, **order.fields})
        key = order.idempotency_key
        try:
            kept = await self._gallery.keep(caller.user, project, order.prompt, parameters, result, idempotency_key=key)
        except Problem as told:
            raise unkept(told, result.images) from told
        return Made(result, kept)


def asked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth keeping of an order: everything but the input pictures' bytes and what is empty."""
    kept = {name: _without_bytes(value) for name, value in fields.items()}
    return {name: value for name, value in kept.items() if value not in (None, "", [], {})}


def _without_bytes(value: Any) -> Any:
    match value:
        case bytes():
            return f"({len(value):,} bytes)"
        case Mapping():
            return {name: _without_bytes(each) for name, each in value.items()}
        case list() | tuple():
            return [_without_bytes(each) for each in value]
        case _:
            return value


def _fields(caller: Caller, request_id: str, order: Order) -> dict[str, Any]:
    """The fields with what the caller does not decide: who it is for, which tier, under which id."""
    fields = {**order.fields, "request_id": request_id, "user": caller.user}
    if caller.tier:
        fields["tier"] = caller.tier
    if order.idempotency_key:
        # Another user's key of the same name is another key.
        fields["idempotency_key"] = sha256(f"{caller.user}\n{order.idempotency_key}".encode()).hexdigest()
    return fields
