"""The smallest provider there can be: it takes an order, makes its pictures and delivers them."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from imagegate.providers.sketch.drawing import draw
from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Delivery, Order, Picture, one_by_one
from imagegate.runtime.settings import ProviderSettings

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
        self.disabled_reason = "" if enabled else "switched off by IMAGEGATE_SKETCH_ENABLED=false"

    def __repr__(self) -> str:
        return "<SketchProvider>"

    async def refresh(self) -> None:
        """Nothing to do: the catalogue is the file's."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def generate(self, order: Order) -> Delivery:
        """Draw the pictures of `order`; picture i from seed + i."""
        order.sending()
        await order.accepted("")  # taken at once: there is nobody who could refuse, and no id to ask by
        order.phase, began = "run", monotonic()
        pictures = await one_by_one(order, lambda index: _draw(order, index))
        return Delivery(pictures, run_seconds=monotonic() - began)


async def _draw(order: Order, index: int) -> Picture:
    """One picture, drawn in a thread: the event loop has other orders to serve meanwhile."""
    width, height = int(order.parameters["width"]), int(order.parameters["height"])
    seed = order.seed(index) or 0
    return Picture(await asyncio.to_thread(draw, order.prompt, seed, width, height), seed)
