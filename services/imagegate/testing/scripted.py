"""A provider whose replies are written beforehand."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from imagegate.runtime.check import Check
from imagegate.runtime.errors import Failure
from imagegate.runtime.models import TASKS, Catalogue, Model
from imagegate.runtime.order import Delivery, Order, Picture
from imagegate.runtime.parameters import Parameter
from imagegate.testing.pictures import picture

SCRIPTED_MODEL = Model(
    key="model",
    display_name="Scripted model",
    upstream_model="scripted/model",
    credits=3,
    typical_seconds=(1.0, 2.0),
    parameters={
        "width": Parameter(minimum=64, maximum=1024, multiple_of=8, default=64),
        "height": Parameter(minimum=64, maximum=1024, multiple_of=8, default=64),
        "steps": Parameter(minimum=1, maximum=50, default=4),
        "seed": Parameter(minimum=0, maximum=2**32 - 1),
    },
)
# The same for every task, with as many inputs as a request may have.
SCRIPTED_FOR_EVERYTHING = SCRIPTED_MODEL.model_copy(
    update={
        "tasks": tuple(TASKS.values()),
        "max_loras": 8,
        "max_controls": 4,
        "max_identity": 4,
        "parameters": {
            **SCRIPTED_MODEL.parameters,
            "strength": Parameter(minimum=0, maximum=1, default=0.5),
            "mask_blur": Parameter(minimum=0, maximum=64),
            "conditioning_scale": Parameter(minimum=0, maximum=2),
            "control_start": Parameter(minimum=0, maximum=1),
            "control_end": Parameter(minimum=0, maximum=1),
            "identity_strength": Parameter(minimum=0, maximum=1),
            "lora_weight": Parameter(minimum=-4, maximum=4),
        },
    }
)


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer, until the caller has had enough."""


Reply = bytes | Failure | Delivery | Hang


@dataclass(frozen=True, slots=True)
class Telling:
    """Tell progress, each piece as the arguments of `Order.tell`; wait for `go_on` if there is one; then `reply`,
    or draw a picture.
    """

    progress: Sequence[Mapping[str, Any]]
    reply: Reply | None = None
    go_on: asyncio.Event | None = None


@dataclass(slots=True)
class ScriptedProvider:
    """Answers each order with the next reply, then with pictures for ever. Remembers the orders.

    A reply is the bytes of a picture, a whole Delivery, a Failure to raise, Hang, or Telling what
    happens before one of these. `check` is answered by the next of `checks`, then well for ever.
    """

    name: str = "scripted"
    replies: Iterable[Reply | Telling] = ()
    checks: Iterable[Check | Failure | Hang] = ()
    models: tuple[Model, ...] = (SCRIPTED_MODEL,)
    disabled_reason: str = ""
    key_variable: str = ""
    catalogue_problem: str = ""
    concurrency: int = 100
    upstream_id: str = ""
    outside: Model | None = None
    orders: list[Order] = field(default_factory=list)
    checked: list[Model] = field(default_factory=list)
    cancelled: int = 0
    closed: bool = False
    key_revision: str = field(default_factory=lambda: token_hex(8))

    def __post_init__(self) -> None:
        self.replies = iter(self.replies)
        self.checks = iter(self.checks)

    @property
    def catalogue(self) -> Catalogue:
        """The models, as this provider's own."""
        models = tuple(model.model_copy(update={"provider": self.name}) for model in self.models)
        return Catalogue(provider=self.name, models=models, outside=self.outside, outside_pattern=".+/.+")

    async def refresh(self) -> None:
        """Nothing to do."""

    async def generate(self, order: Order) -> Delivery:
        """The next reply."""
        self.orders.append(order)
        order.sending()
        if self.upstream_id:
            await order.accepted(self.upstream_id)
        reply = next(iter(self.replies), None)
        if isinstance(reply, Telling):
            reply = await self._told(order, reply)
        if isinstance(reply, Failure):
            raise reply
        if isinstance(reply, Hang):
            await self._hang()
        if isinstance(reply, Delivery):
            return reply
        return Delivery([Picture(_drawn(order, reply), order.seed(index)) for index in range(order.count)])

    async def check(self, model: Model) -> Check:
        """The next of `checks`."""
        self.checked.append(model)
        checked = next(iter(self.checks), Check(exists=True, loaded=True, key_accepted=True))
        if isinstance(checked, Failure):
            raise checked
        if isinstance(checked, Hang):
            await self._hang()
        return checked if isinstance(checked, Check) else Check()

    async def close(self) -> None:
        """Remembered."""
        self.closed = True

    async def _told(self, order: Order, telling: Telling) -> Reply | None:
        for piece in telling.progress:
            order.tell(**piece)
        if telling.go_on is not None:
            await telling.go_on.wait()
        return telling.reply

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def _drawn(order: Order, reply: object) -> bytes:
    if isinstance(reply, bytes):
        return reply
    return picture(int(order.parameters.get("width", 64)), int(order.parameters.get("height", 64)))
