"""The conversation with the webui: ask what is installed, then one txt2img for all pictures of an order."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

import structlog
from pydantic import Field

from imagegate.providers.automatic1111 import installed, wire
from imagegate.providers.automatic1111.installed import Checkpoint, Samplers
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import load_catalogue
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, ProviderSettings, Secret
from imagegate.runtime.upstream import UpstreamClient
from imagegate.v1 import generation_pb2

log = structlog.get_logger()

NAME = "automatic1111"
# It has one lock for all its work: a second order would only wait inside it, unseen.
CONCURRENCY = 1

DEFAULT_URL = "http://127.0.0.1:7860"
# Seconds for which its lists are believed: a checkpoint is a file that somebody adds, samplers come with extensions.
CHECKPOINTS_SECONDS = 30.0
SAMPLERS_SECONDS = 60.0
# Seconds between two questions whether the webui is still busy.
BUSY_PAUSE = 0.25
# Seconds within which `refresh` has to be done.
REFRESH_SECONDS = 2.0


class Automatic1111Settings(EnvironmentSettings):
    """Where the webui is, and whether it is used."""

    api_url: BaseUrl = Field(default=DEFAULT_URL, alias="SD_API_URL")
    enabled: bool | None = Field(default=None, alias="SD_ENABLED")

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
        catalogue: Catalogue,
        *,
        switched_off: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.catalogue = catalogue
        self.concurrency = CONCURRENCY
        self.disabled_reason = switched_off or settings.disabled_reason
        self._packaged = catalogue
        self._url = settings.api_url.rstrip("/")
        self._auth = auth
        self._clock = clock
        self._client = UpstreamClient((settings.api_url,), self._authorization)
        self._checkpoints: Sequence[Checkpoint] = ()
        self._checkpoints_until = clock()
        self._samplers: Samplers | None = None
        self._samplers_until = clock()
        self._is_answering = True
        # Whether a submission was left alone: its caller left or its connection broke, and the webui goes on.
        self._left_at_work = False

    async def refresh(self) -> None:
        """Offer the checkpoints that there are now; a webui that does not tell within 2 s leaves them as they were."""
        if self.disabled_reason:
            return
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._read_checkpoints()
        except (Failure, TimeoutError) as error:
            if self._is_answering:  # said once, not every few seconds while it is down
                log.warning("the webui does not tell what it has", message=str(error) or "no answer in time")
            self._is_answering = False
        else:
            self._is_answering = True

    async def generate(self, order: Order) -> Delivery:
        """Make all pictures of `order` in one call.

        Raises Failure with any reason of an upstream. Leaving stops nothing: the webui goes on until it is done.
        """
        checkpoint = await self._checkpoint(order.model)
        await self._settle_sampler(order)
        _tell_of_tags(order)
        payload = wire.to_payload(order, checkpoint.title if checkpoint else "")
        queued = await self._until_idle(order)
        began = monotonic()
        answer = await self._submit(order, payload)
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
        await self._client.close()

    # ── The submission ───────────────────────────────────────────────────────────────────────────────────────────

    async def _until_idle(self, order: Order) -> float | None:
        """Wait until the webui has done what was left at work in it; the seconds that took, None where nothing was.

        Its own lock would make the next order wait as well, but unseen, and paid for with the time of that order.
        Raises Failure: TIMEOUT where the order's deadline comes first, or why the webui cannot be asked.
        """
        if not self._left_at_work:
            return None
        order.phase = "queue"
        began = monotonic()
        while wire.is_busy(await self._ask(wire.PROGRESS, may_miss=True)):
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

    async def _submit(self, order: Order, payload: Mapping[str, object]) -> Answer:
        order.sending()
        order.phase = "run"  # nobody says when it begins: it answers when it has finished
        try:
            answer = await self._client.picture_call("POST", self._url + wire.TXT2IMG, json=payload)
            if answer.status >= 300:
                raise wire.to_error(answer)
        except asyncio.CancelledError:
            self._left_at_work = True
            raise
        except Failure as failure:
            self._left_at_work = self._left_at_work or failure.dispatch is Dispatch.UNKNOWN
            if not failure.upstream_status:
                wire.explain(failure)
            raise
        await order.accepted("")  # it has no ids
        return answer

    async def _settle_sampler(self, order: Order) -> None:
        """Put the webui's own spelling of the sampler into the order.

        Raises Failure(UNSUPPORTED) where that is a change and the request forbids it.
        """
        asked = order.parameters.get("sampler")
        if asked is None:
            return
        known = await self._read_samplers()
        found = known.find(str(asked))
        if found is None:
            default = order.model.parameters["sampler"].default
            found = known.find(str(default))
            why = "the webui has no such sampler"
            order.adjust("sampler", asked, found.sampler if found else "", generation_pb2.ACTION_SUBSTITUTED, why)
        elif found.scheduler:
            applied = f"{found.sampler}, scheduler {found.scheduler}"
            why = "this webui takes sampler and scheduler apart"  # the same sampler: nothing that could be forbidden
            order.note("sampler", asked, applied, generation_pb2.ACTION_TRANSLATED, why)
        others = {name: value for name, value in order.parameters.items() if name != "sampler"}
        order.parameters = others | (found.as_parameters() if found else {})

    # ── What is installed ────────────────────────────────────────────────────────────────────────────────────────

    async def _checkpoint(self, model: Model) -> Checkpoint | None:
        """The checkpoint to select for this model, None for what is loaded.

        Raises Failure(MODEL_NOT_FOUND) where the webui does not have it: it would use another one without a word.
        """
        if not model.wire:
            return None
        await self._read_checkpoints()
        checkpoint = installed.find(self._checkpoints, model)
        if checkpoint is None:
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"the webui has no checkpoint {model.upstream_model} any more",
                remedy="put the file back, or refresh the webui's list of checkpoints",
                dispatch=Dispatch.NOT_SENT,
            )
        return checkpoint

    async def _read_checkpoints(self) -> None:
        if self._clock() < self._checkpoints_until:
            return
        checkpoints = installed.to_checkpoints(await self._ask(installed.CHECKPOINTS))
        loaded = installed.to_loaded(await self._ask(installed.OPTIONS))
        self.catalogue = installed.to_catalogue(self._packaged, checkpoints, loaded)
        self._checkpoints = checkpoints
        self._checkpoints_until = self._clock() + CHECKPOINTS_SECONDS

    async def _read_samplers(self) -> Samplers:
        if self._samplers is None or self._clock() >= self._samplers_until:
            samplers = await self._ask(installed.SAMPLERS)
            self._samplers = installed.to_samplers(samplers, await self._ask(installed.SCHEDULERS, may_miss=True))
            self._samplers_until = self._clock() + SAMPLERS_SECONDS
        return self._samplers

    async def _ask(self, path: str, *, may_miss: bool = False) -> Answer:
        """A list of the webui's; one that `may_miss` is empty in a version that does not have it.

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

    def _authorization(self) -> Mapping[str, str]:
        auth = self._auth.value()
        return {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}


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
        load_catalogue(NAME, Path(__file__).with_name("models.yaml")),
        switched_off="" if enabled else f"switched off by IMAGEGATE_{NAME.upper()}_ENABLED=false",
        clock=clock,
    )


def _tell_of_tags(order: Order) -> None:
    """Record what of the caller's words the webui will not take for an instruction."""
    for name, text in (("prompt", order.prompt), ("negative_prompt", str(order.parameters.get("negative_prompt", "")))):
        found = wire.tags(text)
        if found:
            why = "in a prompt the webui takes this for an instruction, and a request gives it none"
            applied = " ".join(wire.plain(tag).strip() for tag in found)
            order.adjust(name, " ".join(found), applied, generation_pb2.ACTION_TRANSLATED, why)
