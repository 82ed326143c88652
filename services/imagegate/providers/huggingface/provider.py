"""The conversation with Hugging Face: ask the Hub who serves the model, ask that one for each picture.

A model with a dedicated endpoint is asked for there, and the Hub is not. A picture with a LoRA is made by whom the
Hub's mapping of that LoRA names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

from pydantic import Field

from imagegate.providers.huggingface import endpoints, loras, wire
from imagegate.providers.huggingface.account import Account
from imagegate.providers.huggingface.endpoints import Endpoints, with_endpoints
from imagegate.providers.huggingface.hub import AUTO, SPOKEN, Hub, Served, choose
from imagegate.providers.huggingface.shapes import BY_ROUTER, ENDPOINT, WITH_LORA, Output, Shape, endpoint, handled
from imagegate.providers.huggingface.shapes.hf_inference import NAME as HF_INFERENCE
from imagegate.runtime.answer import Answer
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.check import Check
from imagegate.runtime.connecting import Network
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.fetching import fetched_picture
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.order import Delivery, Order, Picture, one_by_one
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, ProviderSettings, Secret
from imagegate.runtime.upstream import INTERNET, UpstreamClient
from imagegate.v1 import generation_pb2

NAME = "huggingface"
CONCURRENCY = 8


class HuggingFaceSettings(EnvironmentSettings):
    """Where Hugging Face is and who makes the pictures there."""

    base_url: BaseUrl = Field(default="https://router.huggingface.co", alias="HUGGINGFACE_BASE_URL")
    hub_url: BaseUrl = Field(default="https://huggingface.co", alias="HUGGINGFACE_HUB_URL")
    inference_provider: Literal["auto", "hf-inference", "fal-ai", "together", "replicate", "nscale"] = Field(
        default="auto", alias="HUGGINGFACE_INFERENCE_PROVIDER"
    )
    endpoints: Endpoints = Field(default_factory=dict, alias=endpoints.VARIABLE)


@dataclass(slots=True)
class _Record:
    """What the calls of one order had in common; times are seconds, of the longest call."""

    sandbox: bool = False
    run_seconds: float | None = None
    download_seconds: float | None = None


class HuggingFaceProvider:
    """Hugging Face's router and endpoints. `clock` gives seconds and only decides when the Hub is asked again; finished
    pictures are fetched over the `network`.
    """

    def __init__(
        self,
        settings: HuggingFaceSettings,
        key: Secret,
        models: CatalogueSource,
        *,
        switched_off: str = "",
        clock: Callable[[], float] = monotonic,
        network: Network = INTERNET,
    ) -> None:
        self._models = models
        self.concurrency = CONCURRENCY
        self._base_url = settings.base_url.rstrip("/")
        self._endpoints = settings.endpoints
        self._wanted = settings.inference_provider
        self._key = key
        self._switched_off = switched_off
        trusted = (settings.base_url, settings.hub_url, *(each.url for each in self._endpoints.values()))
        self._client = UpstreamClient(trusted, self._authorization, network=network)
        self._hub = Hub(self._client, settings.hub_url.rstrip("/"), clock)
        self._account = Account(self._client, settings.hub_url.rstrip("/"), key, clock)

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
        """Take the operator's overlay as it is now."""
        self._models.refresh()

    async def check(self, model: Model) -> Check:
        """The Hub's word on the key, on who serves the model, and on whether it is warm; of a model with an endpoint
        the endpoint's own, which begins to wake it where it sleeps.

        Whether the account has credit, and whether the model wants a PRO one, only a paid call tells.
        """
        accepted: bool | None = None
        exists: bool | None = None
        try:
            accepted = await self._account.accepts_key()
            if model.key in self._endpoints:
                health = await self._client.json_call("GET", self._address(model) + endpoint.HEALTH)
                return endpoint.to_check(health, model.upstream_model, accepted)
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
        served = await self._served(order)
        shape = self._shape(order.model, served)
        if shape is not handled:
            wire.refuse_pictures(order)
        shape.fit(order, served.model)
        record = _Record()

        async def make(index: int) -> Picture:
            return await self._make(order, index, served, shape, record)

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

    async def _served(self, order: Order) -> Served:
        model = order.model
        if model.key in self._endpoints:
            return Served(ENDPOINT, self._address(model))
        if not order.inputs.loras:
            return await self._hub.served(model.upstream_model, self._wanted_for(model))
        loras.check_names(order.inputs.loras)
        return await self._hub.served_with_lora(model, order.inputs.loras[0].name, self._wanted_for(model))

    def _shape(self, model: Model, served: Served) -> Shape:
        if served.inference_provider != ENDPOINT:
            return BY_ROUTER[served.inference_provider]
        return handled if self._endpoints[model.key].speaks_handler(model) else endpoint

    def _address(self, model: Model) -> str:
        return self._endpoints[model.key].url.rstrip("/")

    def _wanted_for(self, model: Model) -> str:
        return model.wire.get("inference_provider", self._wanted)

    # ── One picture ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, order: Order, index: int, served: Served, shape: Shape, record: _Record) -> Picture:
        began = monotonic()
        answer = await self._submit(order, index, served, shape)
        record.run_seconds = max(record.run_seconds or 0.0, monotonic() - began)
        record.sandbox = record.sandbox or answer.sandbox
        output = shape.to_output(answer, order, index)
        data = await self._fetch(order, output, record) if output.data is None else output.data
        return Picture(data, output.seed, output.filtered)

    async def _submit(self, order: Order, index: int, served: Served, shape: Shape) -> Answer:
        """The one submission of a picture: it is never sent twice."""
        url, headers = shape.url(self._base_url, served.model), shape.headers(order)
        payload = shape.to_payload(order, index, served.model)
        if served.adapter is not None:
            payload = WITH_LORA[served.inference_provider](payload, order, served.adapter)
        order.sending()
        order.phase = "run"  # nobody says when the upstream begins: it answers when it has finished
        order.tell(generation_pb2.PHASE_RUNNING)
        try:
            answer = await self._client.picture_call("POST", url, json=payload, headers=headers)
        except Failure as failure:
            is_endpoint = served.inference_provider == ENDPOINT
            wire.explain(failure, endpoints.VARIABLE if is_endpoint else "HUGGINGFACE_BASE_URL")
            raise
        if answer.status >= 300:
            about = order.model.upstream_model if served.adapter is None else order.inputs.loras[0].name
            refusal = shape.to_error(answer, about)
            if refusal.reason is Reason.MODEL_NOT_FOUND and served.adapter is not None:
                # It is the LoRA that cannot be had there; the model itself may well be.
                refusal.reason = Reason.UPSTREAM_REJECTED_INPUT
                self._hub.forget_lora(about)
            elif refusal.reason is Reason.MODEL_NOT_FOUND:
                self._hub.forget(about)
            raise refusal
        await order.accepted(answer.headers.get(wire.REQUEST_ID_HEADER, ""))
        return answer

    async def _fetch(self, order: Order, output: Output, record: _Record) -> bytes:
        order.phase = "download"
        order.tell(generation_pb2.PHASE_DOWNLOADING)
        began = monotonic()
        data = await fetched_picture(self._client, output.url)
        record.download_seconds = max(record.download_seconds or 0.0, monotonic() - began)
        return data

    def _authorization(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key.value()}"}


def models(environ: Mapping[str, str]) -> CatalogueSource:
    """Its models, with the operator's overlay on top. Raises SettingsError or CatalogueError."""
    settings = HuggingFaceSettings.read(environ)

    def servable(catalogue: Catalogue) -> Catalogue:
        return with_endpoints(_with_loras(_pinned(catalogue), settings.inference_provider), settings.endpoints)

    return CatalogueSource(NAME, Path(__file__).with_name("models.yaml"), environ, servable)


def create(
    environ: Mapping[str, str],
    on_secret: Callable[[str], None],
    *,
    clock: Callable[[], float] = monotonic,
    network: Network | None = None,
) -> HuggingFaceProvider:
    """The provider as the environment configures it; `on_secret` hears the key.

    Raises SettingsError or CatalogueError naming everything that is wrong.
    """
    enabled = ProviderSettings.of(NAME, environ).enabled
    return HuggingFaceProvider(
        HuggingFaceSettings.read(environ),
        Secret("HUGGINGFACE_API_KEY", environ, on_secret),
        models(environ),
        switched_off="" if enabled else f"switched off by IMAGEGATE_{NAME.upper()}_ENABLED=false",
        clock=clock,
        network=network or Network.of(environ),
    )


def _pinned(catalogue: Catalogue) -> Catalogue:
    """The catalogue, if every inference provider that it names is spoken. Raises CatalogueError."""
    known = (AUTO, *SPOKEN)
    unknown = [
        f"models.{model.key}.wire.inference_provider: {pin!r} is not one of {', '.join(known)}"
        for model in catalogue.models
        if (pin := model.wire.get("inference_provider", AUTO)) not in known
    ]
    if unknown:
        raise CatalogueError(*unknown)
    return catalogue


def _with_loras(catalogue: Catalogue, wanted: str) -> Catalogue:
    """The catalogue with one LoRA at most, none where the entry's inference provider, or the `wanted`, lays none."""

    def told(model: Model) -> Model:
        is_able = model.wire.get("inference_provider", wanted) in (AUTO, HF_INFERENCE, *WITH_LORA)
        return model.model_copy(update={"max_loras": min(model.max_loras, int(is_able))})

    return catalogue.model_copy(update={"models": tuple(told(model) for model in catalogue.models)})
