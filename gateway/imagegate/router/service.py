"""The router's gRPC face: the same GenerationService and CatalogService as a provider's, and RouterService."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import grpc
import structlog

from imagegate.router import answer
from imagegate.router.config import RouterConfig
from imagegate.router.router import Router
from imagegate.router.status import Scoreboard, status_of
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason, invalid_request
from imagegate.runtime.interceptors import current_request_id
from imagegate.runtime.redaction import clip
from imagegate.runtime.server import Service
from imagegate.runtime.validation import violations
from imagegate.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    error_pb2,
    generation_pb2,
    router_pb2,
    router_pb2_grpc,
)

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[generation_pb2.GenerateRequest, bytes]

GENERATION_SERVICE = "imagegate.v1.GenerationService"


class RouterFace(catalog_pb2_grpc.CatalogServiceServicer, router_pb2_grpc.RouterServiceServicer):
    """Hands calls over to the router; decides nothing."""

    def __init__(self, router: Router, scoreboard: Scoreboard, config_source: str) -> None:
        self._router = router
        self._scoreboard = scoreboard
        self._config_source = config_source

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        return [
            Service(GENERATION_SERVICE, self._add_generation),
            Service(
                "imagegate.v1.CatalogService",
                lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self, server),
            ),
            Service(
                "imagegate.v1.RouterService",
                lambda server: router_pb2_grpc.add_RouterServiceServicer_to_server(self, server),
            ),
        ]

    async def generate(self, request: generation_pb2.GenerateRequest, context: Context) -> bytes:
        """The serialised answer of the first candidate that delivers."""
        began = monotonic()
        request_id = current_request_id()
        outcome: str = "ok"
        message = ""
        attempts: Sequence[error_pb2.Attempt] = ()
        try:
            if wrong := violations(request):
                raise invalid_request(wrong)
            journey = self._router.begin(request, Deadline.from_context(context), request_id)
            answered = await self._router.generate(journey)
            attempts = answered.attempts
            return answered.body
        except Failure as failure:
            outcome, message, attempts = failure.reason, failure.message, failure.attempts
            raise
        except asyncio.CancelledError:
            outcome = Reason.CANCELLED
            raise
        except Exception:
            outcome = Reason.INTERNAL
            raise
        finally:
            log.info(
                "request",
                request_id=request_id,
                model=clip(request.model, 128),
                outcome=outcome,
                attempts=[answer.in_short(attempt) for attempt in attempts],
                duration_ms=round((monotonic() - began) * 1000),
                message=message,
            )

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: object
    ) -> catalog_pb2.ListModelsResponse:
        """The models of all providers, in fallback order."""
        config = self._config()
        if request.provider and request.provider not in config.providers:
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"no provider is called {clip(request.provider, 64)!r}",
                remedy=f"one of {', '.join(config.providers)}",
            )
        names = [request.provider] if request.provider else list(config.providers)
        return catalog_pb2.ListModelsResponse(
            models=[
                model.to_proto()
                for name in names
                for model in getattr(self._router.catalogues.offer(name).catalogue, "models", ())
            ],
            providers=[self._provider(name) for name in names],
        )

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: object) -> catalog_pb2.Model:
        """The model that a request for `name` would try first."""
        for candidate in self._router.resolve(request.name).candidates:
            if candidate.model is not None:
                return candidate.model.to_proto()
        raise Failure(
            Reason.NO_CANDIDATE,
            f"no provider of {clip(request.name, 128)!r} has told its catalogue yet",
            remedy="see `imagegate status`",
        )

    async def GetStatus(self, request: router_pb2.GetStatusRequest, context: object) -> router_pb2.RouterStatus:
        """How everything is doing."""
        return status_of(self._router, self._scoreboard, self._config(), self._config_source)

    def _add_generation(self, server: grpc.aio.Server) -> None:
        """Registered by hand: the response is bytes already."""
        method: grpc.RpcMethodHandler[generation_pb2.GenerateRequest, bytes] = grpc.unary_unary_rpc_method_handler(
            self.generate, request_deserializer=generation_pb2.GenerateRequest.FromString
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(GENERATION_SERVICE, {"Generate": method}),)
        )

    def _config(self) -> RouterConfig:
        if self._router.config is None:
            raise Failure(Reason.NO_CANDIDATE, "the router has no configuration yet")
        return self._router.config

    def _provider(self, name: str) -> catalog_pb2.Provider:
        offer = self._router.catalogues.offer(name)
        switched_on = self._config().providers[name].enabled
        reason = offer.disabled_reason if switched_on else "switched off in the router's configuration"
        provider = catalog_pb2.Provider(name=name, enabled=not reason, disabled_reason=reason)
        if offer.catalogue is not None:
            provider.catalogue_revision = offer.catalogue.revision
            if offer.catalogue.outside is not None:
                provider.outside_catalogue.CopyFrom(offer.catalogue.outside.to_proto())
                provider.outside_pattern = offer.catalogue.outside_pattern
        return provider
