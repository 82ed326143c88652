"""The conversation with fal's queue: give it the pictures, submit, ask until completed, fetch, and cancel when nobody
waits any more.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import structlog
from pydantic import Field

from imagegate.providers.fal import errors, inputs_wire, wire
from imagegate.providers.fal.dialects import checked, path_of
from imagegate.providers.fal.job import Job, Status
from imagegate.providers.fal.storage import Storage
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.check import Check
from imagegate.runtime.connecting import Network
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fetching import FETCHES_AGAIN, fetched_picture
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.order import Delivery, Order, Picture, one_by_one
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, ProviderSettings, Secret
from imagegate.runtime.upstream import UpstreamClient
from imagegate.runtime.urls import own_url
from imagegate.runtime.words import words
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

NAME = "fal"
# fal works on 2 (new accounts) to 40 requests at a time; what is above an account's number waits in its queue.
CONCURRENCY = 10

# Seconds between two questions how a job is doing. The fastest model takes 0.3 s, the slowest 20 s.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
PAUSE_GROWTH = 1.5
# Seconds for one answer to such a question, and how many in a row may fail: asking costs nothing, losing track does.
STATUS_SECONDS = 10.0
STATUS_FAILURES = 5
# Seconds for cancelling and hearing the upstream's last word; the runtime keeps up to 3 s back for it.
LAST_WORD_SECONDS = 2.0


class FalSettings(EnvironmentSettings):
    """Where fal is."""

    queue_url: BaseUrl = Field(default="https://queue.fal.run", alias="FAL_QUEUE_URL")
    rest_url: BaseUrl = Field(default="https://rest.fal.ai", alias="FAL_REST_URL")
    cdn_url: BaseUrl = Field(default="https://v3.fal.media", alias="FAL_CDN_URL")


def models(environ: Mapping[str, str]) -> CatalogueSource:
    """Its models, with the operator's overlay on top. Raises SettingsError or CatalogueError."""
    return CatalogueSource(NAME, Path(__file__).with_name("models.yaml"), environ, checked)


def create(
    environ: Mapping[str, str], on_secret: Callable[[str], None], *, network: Network | None = None
) -> "FalProvider":
    """The provider as `environ` configures it; `on_secret` hears every key before it is used. Finished pictures are
    fetched over the `network`, None for the internet.

    Raises SettingsError or CatalogueError.
    """
    settings = FalSettings.read(environ)
    key = Secret("FAL_KEY", environ, on_secret)
    origins = (settings.queue_url, settings.rest_url, settings.cdn_url)
    client = UpstreamClient(
        origins, lambda: {"Authorization": f"Key {key.value()}"}, network=network or Network.of(environ)
    )
    return FalProvider(
        models=models(environ),
        client=client,
        storage=Storage(client, settings.rest_url.rstrip("/"), settings.cdn_url.rstrip("/")),
        queue_url=settings.queue_url.rstrip("/"),
        key=key,
        enabled=ProviderSettings.of(NAME, environ).enabled,
    )


@dataclass(slots=True)
class _Progress:
    """What is there of an order so far. Seconds are the longest of any picture: they are made side by side."""

    pictures: dict[int, Picture] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    # By fal's own word, of each picture that was submitted; None while there is no word.
    charges: dict[int, bool | None] = field(default_factory=dict)
    sandbox: bool = False

    @property
    def is_free(self) -> bool:
        """Whether fal has said of everything that was submitted that it is not charged."""
        return bool(self.charges) and all(charge is False for charge in self.charges.values())

    def took(self, phase: str, since: float) -> None:
        self.seconds[phase] = max(self.seconds.get(phase, 0.0), monotonic() - since)

    def delivery(self) -> Delivery:
        return Delivery(
            [self.pictures[index] for index in sorted(self.pictures)],
            sandbox=self.sandbox,
            queue_seconds=self.seconds.get("queue"),
            run_seconds=self.seconds.get("run"),
            download_seconds=self.seconds.get("download"),
        )


class FalProvider:
    """fal, as the runtime sees a provider."""

    def __init__(
        self,
        *,
        models: CatalogueSource,
        client: UpstreamClient,
        storage: Storage,
        queue_url: str,
        key: Secret,
        enabled: bool,
    ) -> None:
        self._models = models
        self.concurrency = CONCURRENCY
        self._client = client
        self._storage = storage
        self._queue_url = queue_url
        self._key = key
        self._enabled = enabled

    def __repr__(self) -> str:
        return f"<FalProvider at {self._queue_url}>"

    @property
    def catalogue(self) -> Catalogue:
        """What it offers now."""
        return self._models.current

    @property
    def catalogue_problem(self) -> str:
        """Why that is not as the operator wants it."""
        return self._models.problem

    @property
    def disabled_reason(self) -> str:
        """Why it cannot be used; empty while it can."""
        if not self._enabled:
            return "switched off by IMAGEGATE_FAL_ENABLED=false"
        if not self._key.value():
            return "set FAL_KEY (or FAL_KEY_FILE); get a key at https://fal.ai/dashboard/keys"
        return ""

    @property
    def key_revision(self) -> str:
        """New whenever the key is."""
        return self._key.revision

    @property
    def key_variable(self) -> str:
        """The name of the variable that holds the key."""
        return self._key.variable

    async def refresh(self) -> None:
        """Take the operator's overlay as it is now."""
        self._models.refresh()

    async def check(self, model: Model) -> Check:
        """What fal says of the key, asked for the status of a request that there never was."""
        path = wire.status_path_of_nothing(model.upstream_model, str(uuid.uuid4()))
        return wire.to_check(await self._client.json_call("GET", f"{self._queue_url}{path}?logs=0"))

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()

    async def generate(self, order: Order) -> Delivery:
        """Make the pictures of `order`, or raise Failure.

        One submission each: fal would make several in one call, but from one seed, and picture i is promised to be
        the one of seed + i. What goes along is given to fal once, before. Cancelled, it delivers what turned out to be
        finished, if anything.
        """
        inputs_wire.fit(order)
        placed = await self._placed(order)
        progress = _Progress()

        async def make(index: int) -> Picture:
            picture = progress.pictures[index] = await self._make(order, index, placed, progress)
            return picture

        try:
            await one_by_one(order, make)
        except asyncio.CancelledError:
            if not progress.pictures:
                order.billed = False if progress.is_free else None
                raise
        return progress.delivery()

    async def _placed(self, order: Order) -> Mapping[str, str]:
        """Where fal finds the files that the order brings along. Raises Failure(NOT_SENT)."""
        if order.inputs.identity:
            files = await asyncio.to_thread(inputs_wire.files_of, order)
        else:
            files = inputs_wire.files_of(order)
        if files:
            order.phase = "upload"
        return await self._storage.place(files)

    async def _make(self, order: Order, index: int, placed: Mapping[str, str], progress: _Progress) -> Picture:
        """One picture. From the moment fal has the work, every way out of here says so, and leaves none behind."""
        job = await self._submit(order, index, placed, progress)
        status: Status | None = None
        try:
            order.tell(generation_pb2.PHASE_QUEUED)
            await order.accepted(job.id)
            status = await self._until_completed(order, job, progress)
            return await self._finished(order, index, job, status, progress)
        except asyncio.CancelledError:
            picture = await self._last_word(order, index, job, progress)
            if picture is None:
                raise
            return picture
        except Failure as failure:
            picture = await self._last_word(order, index, job, progress) if status is None else None
            if picture is not None:
                return picture
            failure.dispatch, failure.upstream_id, failure.billed = Dispatch.ACCEPTED, job.id, progress.charges[index]
            raise
        except Exception:
            if status is None:  # as far as anybody knows it is still at it
                await self._cancel(job)
            raise

    async def _submit(self, order: Order, index: int, placed: Mapping[str, str], progress: _Progress) -> Job:
        """The one submission of a picture: it is never sent twice.

        Raises Failure: a success that names no job leaves open whether there is one.
        """
        order.sending()
        progress.charges[index] = None
        try:
            answer = await self._client.picture_call(
                "POST",
                f"{self._queue_url}/{path_of(order)}",
                json=wire.to_payload(order, index, placed),
                headers=wire.submission_headers(order.deadline.remaining()),
            )
            return wire.to_job(answer)
        except Failure as failure:
            if failure.dispatch is Dispatch.ACCEPTED:
                failure.dispatch = Dispatch.UNKNOWN
            progress.charges[index] = False if failure.dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED) else None
            raise

    async def _until_completed(self, order: Order, job: Job, progress: _Progress) -> Status:
        """Ask how the job is doing, ever less often, until it is completed. Failures to answer pass, up to a number."""
        phase, began = "queue", monotonic()
        pause, failures = FIRST_PAUSE, 0
        while True:
            order.phase = phase
            try:
                status = await self._status(job)
            except Failure as failure:
                failures += 1
                if failures == STATUS_FAILURES:
                    raise errors.lost(failure) from failure
            else:
                failures = 0
                _tell(order, status)
                if status.phase != phase:
                    progress.took(phase, began)
                    phase, began = status.phase, monotonic()
                if status.phase == "completed":
                    return status
            await asyncio.sleep(pause)
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)

    async def _status(self, job: Job) -> Status:
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                return wire.to_status(await self._client.json_call("GET", f"{self._own(job.status_url)}?logs=0"))
        except TimeoutError as error:
            raise Failure(Reason.TIMEOUT, f"no answer in {STATUS_SECONDS:g} s") from error

    async def _finished(self, order: Order, index: int, job: Job, status: Status, progress: _Progress) -> Picture:
        """The picture of a job that is over. Raises Failure, which tells whether fal charges for it."""
        try:
            return await self._fetch(order, index, job, status, progress)
        except Failure as failure:
            progress.charges[index] = failure.billed
            raise

    async def _fetch(self, order: Order, index: int, job: Job, status: Status, progress: _Progress) -> Picture:
        """The finished picture: first what fal says of it, then itself."""

        async def result() -> wire.Output:
            answer = await self._client.picture_call("GET", self._own(job.response_url))
            progress.sandbox = answer.sandbox
            return wire.to_output(answer, status, order.seed(index))

        order.tell(generation_pb2.PHASE_DOWNLOADING)
        output = await _asked_again(result)
        order.phase, began = "download", monotonic()
        data = wire.from_data_uri(output.url)
        if data is None:
            data = await fetched_picture(self._client, output.url)
        progress.took("download", began)
        return Picture(data, output.seed, output.filtered)

    async def _last_word(self, order: Order, index: int, job: Job, progress: _Progress) -> Picture | None:
        """Stop the work, once; the picture where that came too late because it is finished, else None.

        A second cancellation does not reach this: `one_by_one` cancels each of its tasks once. So the time is bounded
        here.
        """
        seconds = order.last_word_seconds(LAST_WORD_SECONDS)
        said = f"nothing in {seconds:.2g} s"
        try:
            async with asyncio.timeout(seconds):
                status = await self._stopped(job)
                picture = await self._finished(order, index, job, status, progress)
                said = "finished"
                return picture
        except Failure as failure:
            said = failure.upstream_message or failure.message
        except TimeoutError:
            pass
        finally:
            log.info("cancelled upstream", provider=NAME, upstream_id=job.id, upstream_said=said)
        return None

    async def _stopped(self, job: Job) -> Status:
        """Cancel a job, and ask until fal says that it is over; where it does not say, its result will.

        Raises Failure.
        """
        answer = await self._client.json_call("PUT", self._own(job.cancel_url))
        over = Status("completed")
        if wire.came_too_late(answer):
            return over
        try:
            while (status := await self._status(job)).phase != over.phase:  # noqa: ASYNC110 only asking tells
                await asyncio.sleep(FIRST_PAUSE)
        except Failure:
            return over
        return status

    async def _cancel(self, job: Job) -> None:
        """Stop work that a bug of ours leaves behind. Never raises, and takes no longer than the last word."""
        said = f"nothing in {LAST_WORD_SECONDS:g} s"
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                said = words(await self._client.json_call("PUT", self._own(job.cancel_url)))
        except Failure as failure:
            said = failure.message
        except TimeoutError:
            pass
        finally:
            log.info("cancelled upstream", provider=NAME, upstream_id=job.id, upstream_said=said)

    def _own(self, url: str) -> str:
        return own_url(self._queue_url, url)


def _tell(order: Order, status: Status) -> None:
    if status.phase == "queue":
        order.tell(generation_pb2.PHASE_QUEUED, queue_position=status.queue_position)
    elif status.phase == "run":
        order.tell(generation_pb2.PHASE_RUNNING)


async def _asked_again(result: Callable[[], Awaitable[wire.Output]]) -> wire.Output:
    """The result, asked for again where it may still be there, which costs nothing."""
    for _ in range(FETCHES_AGAIN):
        try:
            return await result()
        except Failure as failure:
            if not errors.may_ask_again(failure):
                raise
    return await result()
