"""A provider, and its gRPC face.

`Provider` is what an upstream's adapter implements. `ProviderService` does everything that all of
them have in common, in the provider's process: validate, fit, keep the limits, end the attempt in
time, check that what came back is a picture, tell the truth about it and log one line.
"""

import asyncio
import random
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

import grpc
import structlog

from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason, invalid_request
from imagegate.runtime.fitting import fit, forbidden
from imagegate.runtime.inspection import Inspector
from imagegate.runtime.interceptors import current_request_id
from imagegate.runtime.limits import Limits
from imagegate.runtime.metadata import ATTEMPT_NUMBER, FALLBACK_WAITS, UPSTREAM_ID
from imagegate.runtime.metrics import ProviderMetrics
from imagegate.runtime.models import Catalogue, Model, nearest
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.redaction import Redactor, clip
from imagegate.runtime.server import Service
from imagegate.runtime.validation import violations
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, generation_pb2_grpc

log = structlog.get_logger()

# Kept back from the caller's deadline for cancelling upstream and hearing its last word.
MAX_RESERVE_SECONDS = 3.0
RESERVE_SHARE = 0.2
LOGGED_PROMPT_CHARACTERS = 100

# What to do about a failure that names nothing better.
REMEDIES = {
    Reason.UPSTREAM_ERROR: "try again; if it goes on, look at the state of {provider}",
    Reason.UNREACHABLE: "look at the network between here and {provider}",
    Reason.TIMEOUT: "give the request more time",
    Reason.BAD_OUTPUT: "try again, or with another model",
    Reason.UNSUPPORTED: "allow the change, or ask for what the model takes",
    Reason.BUSY: "try again, or raise IMAGEGATE_{variable}_CONCURRENCY",
    Reason.RATE_LIMITED: "try again later, or raise IMAGEGATE_{variable}_REQUESTS_PER_SECOND",
    Reason.OVER_QUOTA: "wait for the next day (UTC), or raise IMAGEGATE_{variable}_REQUESTS_PER_DAY",
}

Context = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, generation_pb2.GenerateResponse]


class Provider(Protocol):
    """The adapter to one upstream. It never retries a submission, never falls back, never sleeps
    on a Retry-After: it reports (raises Failure) and returns.
    """

    @property
    def catalogue(self) -> Catalogue:
        """What it offers now."""

    @property
    def disabled_reason(self) -> str:
        """Why it cannot be used, naming the variable that switches it on; empty while it can."""

    @property
    def concurrency(self) -> int:
        """How many orders it works on at a time unless the operator sets another number."""

    async def refresh(self) -> None:
        """Bring the catalogue up to date where the upstream decides what there is (a self-hosted
        engine's checkpoints). Takes at most 2 s and never raises; most providers have nothing to do.
        """

    async def generate(self, order: Order) -> Delivery:
        """Make the pictures of `order`, or raise Failure.

        When cancelled (the caller left, or the order's deadline passed) it cancels upstream within
        a few seconds; it may still return a Delivery if the picture turned out to be finished.
        """

    async def close(self) -> None:
        """Give back connections. Called once, after the last `generate`."""


class ProviderService(generation_pb2_grpc.GenerationServiceServicer, catalog_pb2_grpc.CatalogServiceServicer):
    """GenerationService and CatalogService in front of one provider."""

    def __init__(
        self,
        provider: Provider,
        *,
        limits: Limits,
        metrics: ProviderMetrics,
        redactor: Redactor,
        log_prompts: bool = True,
        random_source: random.Random | None = None,
    ) -> None:
        self._provider = provider
        self._limits = limits
        self._metrics = metrics
        self._redactor = redactor
        self._log_prompts = log_prompts
        self._random = random_source or random.SystemRandom()
        self._inspector = Inspector()

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        return [
            Service(
                "imagegate.v1.GenerationService",
                lambda server: generation_pb2_grpc.add_GenerationServiceServicer_to_server(self, server),
            ),
            Service(
                "imagegate.v1.CatalogService",
                lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self, server),
            ),
        ]

    async def Generate(
        self, request: generation_pb2.GenerateRequest, context: Context
    ) -> generation_pb2.GenerateResponse:
        """Make the pictures of one request, or raise Failure with the record of the attempt."""
        began = monotonic()
        order: Order | None = None
        try:
            order = self._take(request, context)
            response = await self._fulfil(order, context)
            response.timings.total.FromMilliseconds(round((monotonic() - began) * 1000))
        except Failure as failure:
            self._complete(failure, request, order)
            self._log_attempt(request, order, context, monotonic() - began, failure.reason, failure)
            raise
        except asyncio.CancelledError:
            self._log_attempt(request, order, context, monotonic() - began, Reason.CANCELLED, None)
            raise
        except Exception as error:
            log.exception("an attempt failed by a bug", provider=self._provider.catalogue.provider)
            bug = _bug()
            self._complete(bug, request, order)
            self._log_attempt(request, order, context, monotonic() - began, bug.reason, bug)
            raise bug from error
        self._log_attempt(request, order, context, monotonic() - began, None, None, response)
        return response

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: object
    ) -> catalog_pb2.ListModelsResponse:
        """Everything this provider offers, and whether it is switched on."""
        await self._provider.refresh()
        catalogue = self._provider.catalogue
        if request.provider not in ("", catalogue.provider):
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"no provider {clip(request.provider, 64)!r} here",
                remedy=f"ask for {catalogue.provider!r}, or leave it empty",
            )
        told = catalog_pb2.Provider(
            name=catalogue.provider,
            enabled=not self._provider.disabled_reason,
            disabled_reason=self._provider.disabled_reason,
            catalogue_revision=catalogue.revision,
        )
        if catalogue.outside is not None:
            told.outside_catalogue.CopyFrom(catalogue.outside.to_proto())
            told.outside_pattern = catalogue.outside_pattern
        return catalog_pb2.ListModelsResponse(models=[m.to_proto() for m in catalogue.models], providers=[told])

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: object) -> catalog_pb2.Model:
        """One model by `provider/key`, key, alias or upstream id."""
        name = request.name.removeprefix(f"{self._provider.catalogue.provider}/")
        return self._model(name).to_proto()

    def _take(self, request: generation_pb2.GenerateRequest, context: Context) -> Order:
        """The order for a request, or Failure where there can be none. Nothing is sent here."""
        if wrong := violations(request):
            raise invalid_request(wrong)
        if self._provider.disabled_reason:
            raise Failure(
                Reason.DISABLED,
                f"{self._provider.catalogue.provider} is off",
                remedy=self._provider.disabled_reason,
                dispatch=Dispatch.NOT_SENT,
            )
        model = self._model(request.model)
        if not model.enabled:
            raise Failure(Reason.DISABLED, f"{model.key} is off: {model.disabled_reason}", dispatch=Dispatch.NOT_SENT)
        fitted = fit(request, model, self._random.randrange(2**32))
        if refused := forbidden(request, fitted.adjustments):
            whys = "; ".join(f"{a.parameter}: {a.why}" for a in fitted.adjustments if a.parameter in refused)
            raise Failure(
                Reason.UNSUPPORTED,
                f"{model.display_name} cannot take {', '.join(refused)} as asked, "
                f"and the request forbids a change ({whys})",
                dispatch=Dispatch.NOT_SENT,
            )
        deadline = Deadline.from_context(context)
        reserve = min(MAX_RESERVE_SECONDS, RESERVE_SHARE * deadline.remaining())

        async def tell_upstream_id(upstream_id: str) -> None:
            await context.send_initial_metadata(((UPSTREAM_ID, upstream_id),))

        refuse = request.on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE
        return Order(
            model=model,
            prompt=request.prompt,
            parameters=fitted.parameters,
            deadline=deadline.earlier(reserve),
            count=request.count or 1,
            request_id=current_request_id(),
            kept=None if refuse else frozenset(request.must_keep),
            tell_upstream_id=tell_upstream_id,
            adjustments=list(fitted.adjustments),
        )

    def _model(self, name: str) -> Model:
        catalogue = self._provider.catalogue
        model = catalogue.find(name) or catalogue.find_outside(name)
        if model is None:
            names = nearest(name, [model.key for model in catalogue.models])
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"{catalogue.provider} has no model {clip(name, 128)!r}",
                remedy=f"one of {', '.join(names)}" if names else "",
                dispatch=Dispatch.NOT_SENT,
            )
        return model

    async def _fulfil(self, order: Order, context: Context) -> generation_pb2.GenerateResponse:
        patience = 1.0 if _metadata(context, FALLBACK_WAITS) else None
        try:
            async with asyncio.timeout(order.deadline.remaining()) as timer, self._limits.slot(patience):
                delivery = await self._provider.generate(order)
        except TimeoutError as error:
            if not timer.expired():
                raise  # not ours: a bug
            raise Failure(
                Reason.TIMEOUT,
                f"{order.model.display_name} did not deliver in time (it was in phase {order.phase})",
                remedy="give the request more time, or ask for fewer steps or a smaller picture",
            ) from error
        response = await self._answer(order, delivery)
        self._metrics.delivered(order, delivery)
        return response

    async def _answer(self, order: Order, delivery: Delivery) -> generation_pb2.GenerateResponse:
        """The answer, if there is a picture in it."""
        checked = await self._inspector.inspect(order, delivery)
        response = generation_pb2.GenerateResponse(
            images=checked,
            provider=self._provider.catalogue.provider,
            model=order.model.key,
            upstream_model=delivery.upstream_model or order.model.upstream_model,
            upstream_provider=delivery.upstream_provider,
            request_id=order.request_id,
            adjustments=order.adjustments,
            warnings=order.warnings,
            sandbox=delivery.sandbox,
        )
        if order.model.credits is not None:
            response.cost = order.model.credits * len(checked)
        for phase in ("queue", "run", "download"):
            seconds: float | None = getattr(delivery, f"{phase}_seconds")
            if seconds is not None:
                getattr(response.timings, phase).FromMilliseconds(round(seconds * 1000))
        return response

    def _complete(self, failure: Failure, request: generation_pb2.GenerateRequest, order: Order | None) -> None:
        """Fill in what only the order knows, scrub every word, and make it the record of one attempt."""
        if order is not None:
            failure.phase = failure.phase or order.phase
            failure.upstream_id = failure.upstream_id or order.upstream_id
            if failure.dispatch is Dispatch.UNSPECIFIED or order.dispatch is Dispatch.ACCEPTED:
                failure.dispatch = order.dispatch  # once it was accepted, no later trouble undoes that
            if failure.billed is None:
                failure.billed = order.billed
        if failure.dispatch in (Dispatch.NOT_SENT, Dispatch.REFUSED):
            failure.billed = False
        name = self._provider.catalogue.provider
        failure.remedy = failure.remedy or REMEDIES.get(failure.reason, "").format(provider=name, variable=name.upper())
        failure.message = self._redactor.scrub(failure.message)
        failure.remedy = self._redactor.scrub(failure.remedy)
        failure.upstream_message = clip(self._redactor.scrub(failure.upstream_message), 512)
        failure.upstream_id = clip(self._redactor.scrub(failure.upstream_id), 128)
        model = order.model.key if order is not None else clip(request.model, 64)
        failure.attempts = [failure.as_attempt(self._provider.catalogue.provider, model)]

    def _log_attempt(
        self,
        request: generation_pb2.GenerateRequest,
        order: Order | None,
        context: Context,
        seconds: float,
        reason: Reason | None,
        failure: Failure | None,
        response: generation_pb2.GenerateResponse | None = None,
    ) -> None:
        """One line per attempt: everything that an operator asks for at three in the morning."""
        pictures: Sequence[generation_pb2.Image] = response.images if response else ()
        line: dict[str, object] = {
            "request_id": current_request_id(),
            "attempt": _metadata(context, ATTEMPT_NUMBER) or "1",
            "provider": self._provider.catalogue.provider,
            "model": order.model.key if order else clip(request.model, 64),
            "upstream_id": order.upstream_id if order else "",
            "parameters": self._logged_parameters(order) if order else {},
            "outcome": reason or "ok",
            "bytes": sum(len(image.data) for image in pictures),
            "duration_ms": round(seconds * 1000),
        }
        if self._log_prompts:
            line["prompt"] = request.prompt[:LOGGED_PROMPT_CHARACTERS]
        if failure is not None:
            line["message"] = failure.message
            line["upstream_status"] = failure.upstream_status
            line["upstream_message"] = failure.upstream_message
            line["phase"] = failure.phase
            line["dispatch"] = failure.dispatch
        log.info("attempt", **line)
        self._metrics.attempted(order, len(pictures), reason)
        if self._limits.quota is not None:
            self._metrics.quota(self._limits.quota.used, self._limits.quota.per_day)

    def _logged_parameters(self, order: Order) -> dict[str, object]:
        """What went to the model; of the caller's words as much as is logged of a prompt."""
        logged: dict[str, object] = dict(order.parameters)
        negative = logged.pop("negative_prompt", None)
        if negative is not None and self._log_prompts:
            logged["negative_prompt"] = str(negative)[:LOGGED_PROMPT_CHARACTERS]
        return logged


def _bug() -> Failure:
    return Failure(
        Reason.INTERNAL,
        "imagegate failed by a bug of its own; nothing about your request is known to be wrong",
        remedy="look for this request's id in the log of the provider",
    )


def _metadata(context: Context, key: str) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return str(value)
    return ""
