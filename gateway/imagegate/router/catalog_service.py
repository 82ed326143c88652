"""CatalogService on the router: the models of all providers, and what is true of one now."""

from collections.abc import Sequence

from imagegate.router import offers
from imagegate.router.config import RouterConfig
from imagegate.router.eligibility import tier_within
from imagegate.router.estimate import estimate_of
from imagegate.router.recommending import recommend
from imagegate.router.router import Router
from imagegate.router.routes import Candidate
from imagegate.runtime.current import current_caller
from imagegate.runtime.deadline import Deadline, HasTimeRemaining
from imagegate.runtime.errors import Failure, Reason, invalid_request
from imagegate.runtime.listing import chosen
from imagegate.runtime.poses import PoseTemplates, list_pose_templates
from imagegate.runtime.redaction import clip
from imagegate.runtime.server import Service
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2


class CatalogFace(catalog_pb2_grpc.CatalogServiceServicer):
    """Tells what the providers have told, and which poses there are."""

    def __init__(self, router: Router, poses: PoseTemplates) -> None:
        self._router = router
        self._poses = poses

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        name = "imagegate.v1.CatalogService"
        return [Service(name, lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self, server))]

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: object
    ) -> catalog_pb2.ListModelsResponse:
        """The models of all providers that have what is asked for, in fallback order. Raises Failure."""
        config = self._router.configured()
        if request.provider and request.provider not in config.providers:
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"no provider is called {clip(request.provider, 64)!r}",
                remedy=f"one of {', '.join(config.providers)}",
            )
        names = [request.provider] if request.provider else list(config.providers)
        catalogues = [self._router.catalogues.offer(name).catalogue for name in names]
        return catalog_pb2.ListModelsResponse(
            models=[
                model.to_proto()
                for catalogue in catalogues
                for model in chosen(request, catalogue.models if catalogue else ())
            ],
            providers=[self._provider(name, config) for name in names],
        )

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: object) -> catalog_pb2.Model:
        """The model that a request for `name` would try first."""
        model = self._first(request.name).model
        if model is None:
            raise _unread(request.name)
        return model.to_proto()

    async def CheckModel(self, request: catalog_pb2.CheckModelRequest, context: object) -> catalog_pb2.ModelCheck:
        """What its provider's upstream says of the model that a request for `name` would try first."""
        candidate = self._first(request.name)
        try:
            return await self._router.check(candidate)
        except Failure as failure:
            return catalog_pb2.ModelCheck(
                provider=candidate.provider,
                model=candidate.key,
                upstream_model=candidate.model.upstream_model if candidate.model else "",
                reason=failure.reason.to_proto(),
                message=failure.message,
                remedy=failure.remedy,
            )

    async def ListPoseTemplates(
        self, request: catalog_pb2.ListPoseTemplatesRequest, context: object
    ) -> catalog_pb2.ListPoseTemplatesResponse:
        """The poses that a request may refer to by name."""
        return await list_pose_templates(self._poses, request)

    async def EstimateCost(
        self, request: generation_pb2.GenerateRequest, context: HasTimeRemaining
    ) -> catalog_pb2.CostEstimate:
        """What the request costs at least and at most. Raises Failure where it could not be made."""
        admitted = await self._router.admitted(request, needs_prompt=False)
        now = self._router.clock()
        _, course = self._router.explain(admitted, Deadline.from_context(context, now=now))
        return estimate_of(course.request, course.entries, now)

    async def RecommendModels(
        self, request: catalog_pb2.RecommendModelsRequest, context: object
    ) -> catalog_pb2.RecommendModelsResponse:
        """The best models for a purpose that the caller may use, best first, and why."""
        if wrong := offers.violations(request):
            raise invalid_request(wrong)
        bounded = catalog_pb2.RecommendModelsRequest()
        bounded.CopyFrom(request)
        bounded.tier = tier_within(request.tier, current_caller().tier)
        return recommend(bounded, self._router.offered())

    def _first(self, name: str) -> Candidate:
        candidates = self._router.planner.resolve(name).candidates
        return next((candidate for candidate in candidates if candidate.model is not None), candidates[0])

    def _provider(self, name: str, config: RouterConfig) -> catalog_pb2.Provider:
        offer = self._router.catalogues.offer(name)
        switched_on = config.providers[name].enabled
        reason = offer.disabled_reason if switched_on else "switched off in the router's configuration"
        provider = catalog_pb2.Provider(
            name=name,
            enabled=not reason,
            disabled_reason=reason,
            quota_left=offer.quota_left,
            key_variable=offer.key_variable,
        )
        if offer.catalogue is not None:
            provider.catalogue_revision = offer.catalogue.revision
            if offer.catalogue.outside is not None:
                provider.outside_catalogue.CopyFrom(offer.catalogue.outside.to_proto())
                provider.outside_pattern = offer.catalogue.outside_pattern
        return provider


def _unread(name: str) -> Failure:
    return Failure(
        Reason.NO_CANDIDATE,
        f"no provider of {clip(name, 128)!r} has told its catalogue yet",
        remedy="see `imagegate status`",
    )
