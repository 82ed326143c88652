"""What the router's own service does for callers who are no ordinary ones."""

import asyncio
from typing import Any, cast

from imagegate.router.batch import Batches
from imagegate.router.config import ModelOverrides, RouterConfig
from imagegate.router.events import Listeners
from imagegate.router.generation_service import GenerationFace
from imagegate.router.history import History
from imagegate.router.router import Router
from imagegate.router.router_service import RouterFace, WatchContext
from imagegate.router.status import Scoreboard
from imagegate.runtime.redaction import Redactor
from imagegate.v1 import router_pb2


class NobodyReads:
    """A call whose caller takes nothing."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()

    async def send_initial_metadata(self, _metadata: object) -> None:
        """Sent."""

    async def write(self, _status: router_pb2.RouterStatus) -> None:
        """Never taken."""
        self.writing.set()
        await asyncio.Event().wait()


async def test_a_watcher_who_does_not_read_is_ended_with_the_others() -> None:
    """Nobody who watches keeps the server's handlers from ending when it stops."""
    router = Router(ModelOverrides(), Listeners())
    await router.configure(
        RouterConfig.model_validate({"providers": {"a": {"target": "127.0.0.1:9"}}, "routes": {"default": ["a/model"]}})
    )
    history = History(keep_prompts=False)
    batches = Batches(GenerationFace(router, history).answer, router.clock, Redactor())
    face = RouterFace(router, Scoreboard(router.catalogues.has), history, "a test", batches)
    context: Any = NobodyReads()
    request = router_pb2.WatchStatusRequest()
    watching = asyncio.create_task(face.WatchStatus(request, cast(WatchContext, context)))
    async with asyncio.timeout(5):
        await context.writing.wait()
        face.stop_watching()
        await watching
    await router.close()
