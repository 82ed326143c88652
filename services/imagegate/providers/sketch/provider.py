"""The smallest provider there can be: it takes an order, makes its pictures and delivers them."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from secrets import token_hex
from time import monotonic

from imagegate.providers.sketch.drawing import HILLS, draw
from imagegate.runtime.check import Check
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Delivery, Order, Picture, one_by_one
from imagegate.runtime.settings import ProviderSettings
from imagegate.v1 import generation_pb2

NAME = "sketch"
# Drawing keeps one core busy; more at a time would only make each of them slower.
CONCURRENCY = 4


def create(environ: Mapping[str, str], on_secret: Callable[[str], None]) -> "SketchProvider":
    """The provider as `environ` configures it. It has no key, so `on_secret` hears nothing.

    Raises SettingsError or CatalogueError.
    """
    return SketchProvider(
        catalogue=load_catalogue(NAME, Path(__file__).with_name("models.yaml")),
        enabled=ProviderSettings.of(NAME, environ).enabled,
    )


class SketchProvider:
    """The pen, as the runtime sees a provider."""

    def __init__(self, *, catalogue: Catalogue, enabled: bool) -> None:
        self.catalogue = catalogue
        self.concurrency = CONCURRENCY
        self.key_revision = token_hex(8)  # there is no key that could change
        self.key_variable = ""
        self.disabled_reason = "" if enabled else "switched off by IMAGEGATE_SKETCH_ENABLED=false"

    def __repr__(self) -> str:
        return "<SketchProvider>"

    async def refresh(self) -> None:
        """Nothing to do: the catalogue is the file's."""

    async def check(self, model: Model) -> Check:
        """It is always there."""
        return Check("ready: it draws here, and needs no key", exists=True, loaded=True)

    async def close(self) -> None:
        """Nothing to give back."""

    async def generate(self, order: Order) -> Delivery:
        """Draw the pictures of `order`; picture i from seed + i."""
        order.sending()
        await order.accepted("")  # taken at once: there is nobody who could refuse, and no id to ask by
        order.phase, began = "run", monotonic()
        tell_hill = _teller(order)
        pictures = await one_by_one(order, lambda index: _draw(order, index, tell_hill))
        return Delivery(pictures, run_seconds=monotonic() - began)


def _teller(order: Order) -> Callable[[], None]:
    """Tells of each hill, whichever thread it is drawn in."""
    loop, hills = asyncio.get_running_loop(), count()

    def tell() -> None:
        order.tell(generation_pb2.PHASE_RUNNING, step=next(hills), steps=HILLS * order.count)

    def tell_hill() -> None:
        if order.watch is not None:
            loop.call_soon_threadsafe(tell)

    tell()
    return tell_hill


async def _draw(order: Order, index: int, tell_hill: Callable[[], None]) -> Picture:
    """One picture, drawn in a thread: the event loop has other orders to serve meanwhile."""
    width, height = int(order.parameters["width"]), int(order.parameters["height"])
    seed = order.seed(index) or 0
    return Picture(await asyncio.to_thread(draw, order.prompt, seed, width, height, tell_hill), seed)
