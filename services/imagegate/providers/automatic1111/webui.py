"""Talking to one webui: asking it, giving it work, watching it and stopping it."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from imagegate.providers.automatic1111 import progress, wire
from imagegate.runtime import preview
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Dispatch, Failure
from imagegate.runtime.order import Order
from imagegate.runtime.settings import Secret
from imagegate.runtime.upstream import UpstreamClient
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

# Seconds between two looks at the work under way: soon at first, for quick pictures.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 1.0
PAUSE_GROWTH = 1.5
# Seconds between two interrupts, and for all of them; the runtime keeps up to 3 s back for it.
INTERRUPT_PAUSE = 0.2
INTERRUPT_SECONDS = 2.0
# How often in a row it has to be idle: work that has just been sent may not have begun, and would begin all the same.
IDLE_LOOKS = 2


class Webui:
    """The webui at `url`, whose user and password, where it wants them, are `auth`."""

    def __init__(self, url: str, auth: Secret) -> None:
        self._url = url.rstrip("/")
        self._auth = auth
        self._client = UpstreamClient((url,), self._authorization)

    def __repr__(self) -> str:
        return f"<Webui at {self._url}>"

    @property
    def has_key(self) -> bool:
        """Whether it is told a user and a password."""
        return bool(self._auth.value())

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def ask(self, path: str, *, may_miss: bool = False) -> Answer:
        """What it answers; what `may_miss` is an empty list in a version that does not have it.

        Raises Failure; nothing has been submitted then.
        """
        try:
            answer = await self._client.json_call("GET", self._url + path)
            if may_miss and answer.status == 404:
                return Answer(200, {}, b"[]")
            if answer.status >= 300:
                raise wire.to_error(answer)
        except Failure as failure:
            if not failure.upstream_status:
                wire.explain(failure)
            failure.dispatch = Dispatch.NOT_SENT
            raise
        return answer

    async def make(self, path: str, payload: Mapping[str, object]) -> Answer:
        """The pictures, when they are made. Raises Failure."""
        try:
            answer = await self._client.picture_call("POST", self._url + path, json=payload)
            if answer.status >= 300:
                raise wire.to_error(answer, path)
        except Failure as failure:
            if not failure.upstream_status:
                wire.explain(failure)
            raise
        return answer

    async def is_busy(self) -> bool:
        """Whether it is at work on something. Raises Failure."""
        return progress.is_busy(await self.ask(progress.PROGRESS, may_miss=True))

    async def interrupt(self) -> None:
        """Stop whatever it is working on, as far as that works within 2 s. Never raises."""
        said, idle = f"it did not stop in {INTERRUPT_SECONDS:g} s", 0
        try:
            async with asyncio.timeout(INTERRUPT_SECONDS):
                while idle < IDLE_LOOKS:
                    await self._client.json_call("POST", self._url + wire.INTERRUPT)
                    await asyncio.sleep(INTERRUPT_PAUSE)
                    idle = 0 if await self.is_busy() else idle + 1
                said = "it is idle"
        except Failure as failure:
            said = failure.message
        except TimeoutError:
            pass  # as `said` has it
        finally:
            log.info("interrupted the webui", message=said)

    @asynccontextmanager
    async def looked_at(self, order: Order) -> AsyncIterator[None]:
        """Tell how far it is while the block lasts. Only for who has it alone: it tells of whatever it does."""
        looking = asyncio.create_task(self._look(order))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self, order: Order) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)
            try:
                seen = progress.to_progress(await self.ask(progress.PREVIEW), order.count)
            except Failure as failure:  # the work itself may go on
                log.info("the webui does not tell how far it is", message=failure.message)
                continue
            if seen is None:
                continue
            small = await asyncio.to_thread(preview.shrunk, seen.picture) if seen.picture else None
            image = generation_pb2.Image(data=small, mime_type=preview.MIME_TYPE) if small else None
            order.tell(generation_pb2.PHASE_RUNNING, step=seen.step, steps=seen.steps, preview=image)

    def _authorization(self) -> Mapping[str, str]:
        auth = self._auth.value()
        return {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
