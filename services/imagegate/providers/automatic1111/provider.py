"""The conversation with the webui: ask what is installed, then one call for all pictures of an order."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from time import monotonic

import structlog
from pydantic import Field

from imagegate.providers.automatic1111 import installed, settling, wire
from imagegate.providers.automatic1111.installed import Checkpoint
from imagegate.providers.automatic1111.stock import Stock
from imagegate.providers.automatic1111.webui import Webui
from imagegate.runtime.answer import Answer
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, ProviderSettings, Secret
from imagegate.runtime.tasks import POSE_EXTRACTION
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

NAME = "automatic1111"
# It has one lock for all its work: a second order would only wait inside it, unseen.
CONCURRENCY = 1

DEFAULT_URL = "http://127.0.0.1:7860"
# Seconds between two questions whether the webui is still busy.
BUSY_PAUSE = 0.25
# Seconds within which `refresh` has to be done.
REFRESH_SECONDS = 2.0


class Automatic1111Settings(EnvironmentSettings):
    """Where the webui is, whether it is used, and whether by nobody else."""

    api_url: BaseUrl = Field(default=DEFAULT_URL, alias="SD_API_URL")
    enabled: bool | None = Field(default=None, alias="SD_ENABLED")
    # Its progress, its previews and its interrupt are about whatever it does, for whomever it does it.
    exclusive: bool = Field(default=False, alias="SD_EXCLUSIVE")

    @property
    def disabled_reason(self) -> str:
        """Why the webui is not used; empty where SD_ENABLED says that it is, or else SD_API_URL is set."""
        if self.enabled is False:
            return "switched off by SD_ENABLED=false"
        if self.enabled or "api_url" in self.model_fields_set:
            return ""
        return f"set SD_ENABLED=true (and SD_API_URL if it is not {DEFAULT_URL})"


class Automatic1111Provider:
    """A webui. `clock` gives seconds and only decides when its lists are asked for again."""

    def __init__(
        self,
        settings: Automatic1111Settings,
        auth: Secret,
        models: CatalogueSource,
        *,
        switched_off: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.concurrency = CONCURRENCY
        self.disabled_reason = switched_off or settings.disabled_reason
        self._auth = auth
        self._webui = Webui(settings.api_url, auth)
        self._models = models
        self._stock = Stock(self._webui, models.current, clock)
        self._is_exclusive = settings.exclusive
        self._is_answering = True
        # Whether a submission was left alone: its caller left or its connection broke, and the webui goes on.
        self._left_at_work = False

    @property
    def catalogue(self) -> Catalogue:
        """What is offered whatever the webui has, and what it has."""
        return self._stock.catalogue

    @property
    def catalogue_problem(self) -> str:
        """Why that is not as the operator wants it."""
        return self._models.problem

    @property
    def key_revision(self) -> str:
        """New whenever user and password are."""
        return self._auth.revision

    @property
    def key_variable(self) -> str:
        """The name of the variable that holds user and password; empty without them: most webuis need none."""
        return self._auth.variable if self._webui.has_key else ""

    async def refresh(self) -> None:
        """Take the operator's overlay, the checkpoints and the extensions as they are now; a webui that does not tell
        within 2 s leaves them as they were.
        """
        if self._models.refresh():
            self._stock.offer(self._models.current)
        if self.disabled_reason:
            return
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._stock.read()
        except (Failure, TimeoutError) as error:
            if self._is_answering:  # said once, not every few seconds while it is down
                log.warning("the webui does not tell what it has", message=str(error) or "no answer in time")
            self._is_answering = False
        else:
            self._is_answering = True

    async def check(self, model: Model) -> Check:
        """Whether the webui answers, has the checkpoint and has it loaded. Raises Failure where it does not answer."""
        accepted = True if self._webui.has_key else None
        try:
            await self._stock.read(now=True)
            checkpoint = self._find(model)
        except Failure as failure:
            if failure.reason is Reason.CREDENTIALS_REJECTED:
                return Check(key_accepted=False, failure=failure)
            if failure.reason is Reason.MODEL_NOT_FOUND:
                return Check(exists=False, key_accepted=accepted, failure=failure)
            raise
        loaded = self._stock.loaded
        is_loaded = bool(loaded) if checkpoint is None else checkpoint.title == loaded
        said = f"loaded is {loaded}" if loaded else "no checkpoint is loaded"
        return Check(said, exists=True, loaded=is_loaded, key_accepted=accepted)

    async def generate(self, order: Order) -> Delivery:
        """Make all pictures of `order` in one call.

        Raises Failure with any reason of an upstream. Leaving stops the webui only where it is ours alone.
        """
        if order.inputs.task == POSE_EXTRACTION:
            return await self._draw_pose(order)
        if order.model.wire or order.inputs.loras or order.inputs.controls:
            await self._stock.read()
        checkpoint = self._find(order.model)
        if "sampler" in order.parameters:
            settling.settle_sampler(order, await self._stock.samplers())
        settling.tell_of_tags(order)
        title = checkpoint.title if checkpoint else ""
        loras = settling.settled_loras(order, self._stock.extensions.loras)
        units = settling.settled_controls(order, self._stock.extensions.controlnet, title or self._stock.loaded)
        payload = wire.to_payload(order, title, loras, units)
        queued = await self._until_idle(order)
        began = monotonic()
        answer = await self._submit(order, wire.path(order), payload)
        seconds = monotonic() - began
        info = wire.to_info(answer)
        if checkpoint is not None and not checkpoint.made(info):
            raise Failure(
                Reason.BAD_OUTPUT,
                f"the webui made the picture with another checkpoint than {checkpoint.name}",
                remedy="refresh the webui's list of checkpoints",
                dispatch=Dispatch.ACCEPTED,
                billed=False,
            )
        return Delivery(
            wire.to_pictures(answer, order),
            upstream_model=wire.to_checkpoint_name(info),
            sandbox=answer.sandbox,
            queue_seconds=queued,
            run_seconds=seconds,
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._webui.close()

    async def _draw_pose(self, order: Order) -> Delivery:
        """The pose in the order's photo. Raises Failure."""
        await self._stock.read()
        detector = settling.settled_detector(order, self._stock.extensions.controlnet)
        queued = await self._until_idle(order)
        began = monotonic()
        answer = await self._submit(order, wire.DETECT, wire.to_detection(order, detector))
        return Delivery(
            [wire.to_pose(answer)],
            sandbox=answer.sandbox,
            queue_seconds=queued,
            run_seconds=monotonic() - began,
        )

    async def _until_idle(self, order: Order) -> float | None:
        """Wait until the webui has done what was left at work in it; the seconds that took, None where nothing was.

        Its own lock would make the next order wait as well, but unseen, and paid for with the time of that order.
        Raises Failure: TIMEOUT where the order's deadline comes first, or why the webui cannot be asked.
        """
        if not self._left_at_work:
            return None
        order.phase = "queue"
        order.tell(generation_pb2.PHASE_QUEUED)
        began = monotonic()
        while await self._webui.is_busy():
            if order.deadline.remaining() <= BUSY_PAUSE:
                raise Failure(
                    Reason.TIMEOUT,
                    "the webui is still busy with a picture that nobody waits for any more",
                    remedy="give the request more time, or interrupt the webui",
                    phase="queue",
                    dispatch=Dispatch.NOT_SENT,
                )
            await asyncio.sleep(BUSY_PAUSE)
        self._left_at_work = False
        return monotonic() - began

    async def _submit(self, order: Order, path: str, payload: Mapping[str, object]) -> Answer:
        order.sending()
        order.phase = "run"  # nobody says when it begins: it answers when it has finished
        order.tell(generation_pb2.PHASE_RUNNING)
        is_looked_at = self._is_exclusive and order.watch is not None
        try:
            async with self._webui.looked_at(order) if is_looked_at else nullcontext():
                answer = await self._webui.make(path, payload)
        except asyncio.CancelledError:
            self._left_at_work = True
            if self._is_exclusive:
                await self._webui.interrupt()
            raise
        except Failure as failure:
            self._left_at_work = self._left_at_work or failure.dispatch is Dispatch.UNKNOWN
            raise
        await order.accepted("")  # it has no ids
        return answer

    def _find(self, model: Model) -> Checkpoint | None:
        """The checkpoint that this model stands for, None where that is what is loaded.

        Raises Failure(MODEL_NOT_FOUND) where the webui does not have it: it would use another one without a word.
        """
        if not model.wire:
            return None
        checkpoint = installed.find(self._stock.checkpoints, model)
        if checkpoint is None:
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"the webui has no checkpoint {model.upstream_model} any more",
                remedy="put the file back, or refresh the webui's list of checkpoints",
                dispatch=Dispatch.NOT_SENT,
            )
        return checkpoint


def models(environ: Mapping[str, str]) -> CatalogueSource:
    """Its models, with the operator's overlay on top. Raises SettingsError or CatalogueError."""
    return CatalogueSource(NAME, Path(__file__).with_name("models.yaml"), environ, _servable)


def create(
    environ: Mapping[str, str], on_secret: Callable[[str], None], *, clock: Callable[[], float] = monotonic
) -> Automatic1111Provider:
    """The provider as the environment configures it; `on_secret` hears the password.

    Raises SettingsError or CatalogueError naming everything that is wrong.
    """
    enabled = ProviderSettings.of(NAME, environ).enabled
    return Automatic1111Provider(
        Automatic1111Settings.read(environ),
        Secret("SD_API_AUTH", environ, on_secret),
        models(environ),
        switched_off="" if enabled else f"switched off by IMAGEGATE_{NAME.upper()}_ENABLED=false",
        clock=clock,
    )


def _servable(catalogue: Catalogue) -> Catalogue:
    """The catalogue, if the webui can be asked for all of it. Raises CatalogueError."""
    if said := [model.key for model in catalogue.models if model.wire]:
        raise CatalogueError(*(f"models.{key}.wire: a checkpoint is named in upstream_model" for key in said))
    return wire.checked(installed.selecting(catalogue))
