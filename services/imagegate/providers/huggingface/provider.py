"""The conversation with Hugging Face: ask the Hub who serves the model, ask that one for each picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

from pydantic import Field

from imagegate.providers.huggingface import wire
from imagegate.providers.huggingface.account import Account
from imagegate.providers.huggingface.hub import AUTO, SPOKEN, Hub, Served, choose
from imagegate.runtime.answer import Answer
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.fetching import fetched_picture
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError, load_catalogue
from imagegate.runtime.order import Delivery, Order, Picture, one_by_one
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, ProviderSettings, Secret
from imagegate.runtime.upstream import UpstreamClient
from imagegate.v1 import generation_pb2

NAME = "huggingface"
CONCURRENCY = 8


class HuggingFaceSettings(EnvironmentSettings):
    """Where Hugging Face is and who makes the pictures there."""

    base_url: BaseUrl = Field(default="https://router.huggingface.co", alias="HUGGINGFACE_BASE_URL")
    hub_url: BaseUrl = Field(default="https://huggingface.co", alias="HUGGINGFACE_HUB_URL")
    inference_provider: Literal["auto", "hf-inference", "fal-ai"] = Field(
        default="auto", alias="HUGGINGFACE_INFERENCE_PROVIDER"
    )


@dataclass(slots=True)
class _Record:
    """What the calls of one order had in common; times are seconds, of the longest call."""

    sandbox: bool = False
    run_seconds: float | None = None
    download_seconds: float | None = None


class HuggingFaceProvider:
    """Hugging Face's router. `clock` gives seconds and only decides when the Hub is asked again.

    Raises CatalogueError for a catalogue that names an inference provider which is not spoken.
    """

    def __init__(
        self,
        settings: HuggingFaceSettings,
        key: Secret,
        catalogue: Catalogue,
        *,
        switched_off: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        _check_pins(catalogue)
        self.catalogue = catalogue
        self.concurrency = CONCURRENCY
        self._base_url = settings.base_url.rstrip("/")
        self._wanted = settings.inference_provider
        self._key = key
        self._switched_off = switched_off
        self._client = UpstreamClient((settings.base_url, settings.hub_url), self._authorization)
        self._hub = Hub(self._client, settings.hub_url.rstrip("/"), clock)
        self._account = Account(self._client, settings.hub_url.rstrip("/"), key, clock)

    @property
    def disabled_reason(self) -> str:
        """Why it cannot be used; empty while it can."""
        if self._switched_off or self._key.value():
            return self._switched_off
        return f"set {self._key.variable}: get a key at https://huggingface.co/settings/tokens"

    @property
    def key_revision(self) -> str:
        """New whenever the key is."""
        return self._key.revision

    @property
    def key_variable(self) -> str:
        """The name of the variable that holds the key."""
        return self._key.variable

    async def refresh(self) -> None:
        """Nothing to do: the catalogue is ours."""

    async def check(self, model: Model) -> Check:
        """The Hub's word on the key, on who serves the model, and on whether it is warm.

        Whether the account has credit, and whether the model wants a PRO one, only a paid call tells.
        """
        accepted: bool | None = None
        exists: bool | None = None
        try:
            accepted = await self._account.accepts_key()
            mapping, warm = await self._hub.look_up(model.upstream_model)
            exists = True
            served = choose(mapping, model.upstream_model, self._wanted_for(model))
        except Failure as failure:
            refused = failure.reason is Reason.CREDENTIALS_REJECTED
            missing = failure.reason is Reason.MODEL_NOT_FOUND and exists is None
            return Check(
                exists=False if missing else exists,
                key_accepted=False if refused else accepted,
                failure=failure,
            )
        said = f"served by {served.inference_provider}; nobody tells for free whether the account has credit"
        return Check(said, exists=True, loaded=warm, key_accepted=accepted)

    async def generate(self, order: Order) -> Delivery:
        """Make the pictures of `order`, one call each.

        Raises Failure with any reason of an upstream; leaving breaks off the calls, which is how they are cancelled.
        """
        served = await self._hub.served(order.model.upstream_model, self._wanted_for(order.model))
        record = _Record()

        async def make(index: int) -> Picture:
            return await self._make(order, index, served, record)

        pictures = await one_by_one(order, make)
        return Delivery(
            pictures,
            upstream_provider=served.inference_provider,
            sandbox=record.sandbox,
            run_seconds=record.run_seconds,
            download_seconds=record.download_seconds,
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    def _wanted_for(self, model: Model) -> str:
        return model.wire.get("inference_provider", self._wanted)

    # ── One picture ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, order: Order, index: int, served: Served, record: _Record) -> Picture:
        began = monotonic()
        answer = await self._submit(order, index, served)
        record.run_seconds = max(record.run_seconds or 0.0, monotonic() - began)
        record.sandbox = record.sandbox or answer.sandbox
        if served.inference_provider == wire.HF_INFERENCE:
            return wire.to_picture(answer, order, index)
        return await self._fetch(order, wire.to_file(answer, order, index), record)

    async def _submit(self, order: Order, index: int, served: Served) -> Answer:
        """The one submission of a picture: it is never sent twice."""
        payload = wire.to_payload(order, index, served.inference_provider)
        order.sending()
        order.phase = "run"  # nobody says when the upstream begins: it answers when it has finished
        order.tell(generation_pb2.PHASE_RUNNING)
        try:
            answer = await self._client.picture_call("POST", self._base_url + served.path, json=payload)
        except Failure as failure:
            wire.explain(failure)
            raise
        if answer.status >= 300:
            refusal = wire.to_error(answer, order.model.upstream_model)
            if refusal.reason is Reason.MODEL_NOT_FOUND:
                self._hub.forget(order.model.upstream_model)
            raise refusal
        await order.accepted(answer.headers.get(wire.REQUEST_ID_HEADER, ""))
        return answer

    async def _fetch(self, order: Order, file: wire.File, record: _Record) -> Picture:
        order.phase = "download"
        order.tell(generation_pb2.PHASE_DOWNLOADING)
        began = monotonic()
        data = await fetched_picture(self._client, file.url)
        record.download_seconds = max(record.download_seconds or 0.0, monotonic() - began)
        return Picture(data, file.seed, file.filtered)

    def _authorization(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key.value()}"}


def create(
    environ: Mapping[str, str], on_secret: Callable[[str], None], *, clock: Callable[[], float] = monotonic
) -> HuggingFaceProvider:
    """The provider as the environment configures it; `on_secret` hears the key.

    Raises SettingsError or CatalogueError naming everything that is wrong.
    """
    enabled = ProviderSettings.of(NAME, environ).enabled
    return HuggingFaceProvider(
        HuggingFaceSettings.read(environ),
        Secret("HUGGINGFACE_API_KEY", environ, on_secret),
        load_catalogue(NAME, Path(__file__).with_name("models.yaml")),
        switched_off="" if enabled else f"switched off by IMAGEGATE_{NAME.upper()}_ENABLED=false",
        clock=clock,
    )


def _check_pins(catalogue: Catalogue) -> None:
    known = (AUTO, *SPOKEN)
    for model in catalogue.models:
        pin = model.wire.get("inference_provider", AUTO)
        if pin not in known:
            raise CatalogueError(f"{NAME}/{model.key}: inference_provider is {pin!r}; known: {', '.join(known)}")
