"""The family's routes, in one list."""

from collections.abc import Callable

from imagegate.client import AsyncClient
from imagegate.edge import sse
from imagegate.edge.api import account
from imagegate.edge.api.board import Board
from imagegate.edge.api.breakers import Breakers
from imagegate.edge.api.catalogue import Catalogue
from imagegate.edge.api.generations import Generations
from imagegate.edge.api.pictures import Pictures
from imagegate.edge.api.record import Sign
from imagegate.edge.api.status import StatusPages
from imagegate.edge.endpoint import Endpoint
from imagegate.edge.gallery import Gallery
from imagegate.edge.generating import Generating
from imagegate.edge.routers import Routers


def endpoints(
    client: AsyncClient,
    generating: Generating,
    gallery: Gallery,
    sign: Sign,
    board: Board,
    routers: Routers,
    clock: Callable[[], float],
    pace: sse.Pace,
) -> list[Endpoint]:
    """The routes. `sign` makes links of pictures, `routers` finds their admin ports, `clock` is monotonic."""
    return [
        *account.endpoints(),
        *Generations(generating, gallery, sign, pace).endpoints(),
        *Pictures(gallery, sign).endpoints(),
        *Catalogue(client, clock).endpoints(),
        *StatusPages(board, pace).endpoints(),
        *Breakers(routers.admins, routers.to_admins).endpoints(),
    ]
