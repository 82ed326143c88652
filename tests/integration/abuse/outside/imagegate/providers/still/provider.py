"""The provider."""

import asyncio
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_bytes

from PIL import Image

from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.check import Check
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.order import Delivery, Order, Picture

SIDE = 704
# No upstream is quicker.
SECONDS = 0.02


def models(environ: Mapping[str, str]) -> CatalogueSource:
    """The one model."""
    return CatalogueSource("still", Path(__file__).with_name("models.yaml"), environ)


def create(environ: Mapping[str, str], on_secret: Callable[[str], None]) -> "Still":
    """The provider; it has no key."""
    return Still(models(environ))


def noise() -> bytes:
    """A picture that no compression makes smaller: three bytes a pixel."""
    data = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), token_bytes(SIDE * SIDE * 3)).save(data, "PNG", compress_level=0)
    return data.getvalue()


class Still:
    """Gives what it has."""

    concurrency, key_revision, key_variable, disabled_reason, catalogue_problem = 4, "none", "", "", ""

    def __init__(self, source: CatalogueSource) -> None:
        self._models = source
        self._picture = noise()

    @property
    def catalogue(self) -> Catalogue:
        return self._models.current

    async def refresh(self) -> None:
        """Nothing changes."""

    async def check(self, model: Model) -> Check:
        return Check("ready", exists=True, loaded=True)

    async def close(self) -> None:
        """Nothing to give back."""

    async def generate(self, order: Order) -> Delivery:
        order.sending()
        await order.accepted("")
        await asyncio.sleep(SECONDS)
        return Delivery([Picture(self._picture)] * order.count)
