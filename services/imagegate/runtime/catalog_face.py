"""CatalogService in front of one provider: what it offers, and what its upstream says of a model now."""

import asyncio
from typing import Any

import grpc

from imagegate.runtime.attempt import make_presentable
from imagegate.runtime.check import Check
from imagegate.runtime.deadline import Deadline, HasTimeRemaining
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.limits import Limits
from imagegate.runtime.listing import chosen
from imagegate.runtime.models import Model
from imagegate.runtime.poses import PoseTemplates, list_pose_templates
from imagegate.runtime.provider import Provider, model_called, why_off
from imagegate.runtime.redaction import Redactor, clip
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2

# Seconds that an upstream gets to say how a model is, and what is kept of a shorter deadline for telling it.
CHECK_SECONDS = 5.0
RESERVE_SHARE = 0.2
ASK_A_ROUTER = "ask a router: a provider knows its own models only"

Context = grpc.aio.ServicerContext[Any, Any]


class CatalogFace(catalog_pb2_grpc.CatalogServiceServicer):
    """ListModels, GetModel, CheckModel and ListPoseTemplates of one provider."""

    def __init__(self, provider: Provider, limits: Limits, redactor: Redactor, poses: PoseTemplates) -> None:
        self._provider = provider
        self._limits = limits
        self._redactor = redactor
        self._poses = poses

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: object
    ) -> catalog_pb2.ListModelsResponse:
        """What this provider offers of what is asked for, and whether it is switched on. Raises Failure."""
        await self._provider.refresh()
        catalogue = self._provider.catalogue
        if request.provider not in ("", catalogue.provider):
            raise Failure(
                Reason.MODEL_NOT_FOUND,
                f"no provider {clip(request.provider, 64)!r} here",
                remedy=f"ask for {catalogue.provider!r}, or leave it empty",
            )
        found = chosen(request, catalogue.models)
        told = catalog_pb2.Provider(
            name=catalogue.provider,
            enabled=not self._provider.disabled_reason,
            disabled_reason=self._provider.disabled_reason,
            catalogue_revision=catalogue.revision,
            key_revision=self._provider.key_revision,
            key_variable=self._provider.key_variable,
            quota_left=self._limits.quota_left,
        )
        if catalogue.outside is not None:
            told.outside_catalogue.CopyFrom(catalogue.outside.to_proto())
            told.outside_pattern = catalogue.outside_pattern
        return catalog_pb2.ListModelsResponse(models=[m.to_proto() for m in found], providers=[told])

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: object) -> catalog_pb2.Model:
        """One model by `provider/key`, key, alias or upstream id."""
        return self._model(request.name).to_proto()

    async def CheckModel(
        self, request: catalog_pb2.CheckModelRequest, context: HasTimeRemaining
    ) -> catalog_pb2.ModelCheck:
        """What the upstream says of the model now. Raises Failure(MODEL_NOT_FOUND) where there is none of this name."""
        model = await self._current(request.name)
        off = why_off(self._provider, model)
        checked = Check(failure=off) if off is not None else await self._ask(model, Deadline.from_context(context))
        return self._to_proto(model, checked)

    async def ListPoseTemplates(
        self, request: catalog_pb2.ListPoseTemplatesRequest, context: object
    ) -> catalog_pb2.ListPoseTemplatesResponse:
        """The poses that a request may refer to by name."""
        return await list_pose_templates(self._poses, request)

    async def EstimateCost(self, request: generation_pb2.GenerateRequest, context: Context) -> catalog_pb2.CostEstimate:
        """Not offered: what a request costs depends on whom a router would ask."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, ASK_A_ROUTER)

    async def RecommendModels(
        self, request: catalog_pb2.RecommendModelsRequest, context: Context
    ) -> catalog_pb2.RecommendModelsResponse:
        """Not offered: a provider knows only its own models."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, ASK_A_ROUTER)

    def _model(self, name: str) -> Model:
        return model_called(name.removeprefix(f"{self._provider.catalogue.provider}/"), self._provider.catalogue)

    async def _current(self, name: str) -> Model:
        """The model, also where the catalogue does not have it yet."""
        try:
            return self._model(name)
        except Failure:
            await self._provider.refresh()
            return self._model(name)

    async def _ask(self, model: Model, deadline: Deadline) -> Check:
        seconds = min(CHECK_SECONDS, deadline.remaining() * (1 - RESERVE_SHARE))
        try:
            async with asyncio.timeout(seconds) as timer:
                return await self._provider.check(model)
        except Failure as failure:
            return Check(failure=failure)
        except TimeoutError:
            if not timer.expired():
                raise  # not ours: a bug
            who = self._provider.catalogue.provider
            return Check(failure=Failure(Reason.TIMEOUT, f"{who} did not say within {seconds:.1f} s how the model is"))

    def _to_proto(self, model: Model, checked: Check) -> catalog_pb2.ModelCheck:
        told = catalog_pb2.ModelCheck(
            provider=self._provider.catalogue.provider,
            model=model.key,
            upstream_model=model.upstream_model,
            message=checked.message,
            exists=checked.exists,
            loaded=checked.loaded,
            key_accepted=checked.key_accepted,
        )
        if checked.ready_in is not None:
            told.ready_in.FromMilliseconds(round(checked.ready_in * 1000))
        if checked.failure is not None:
            make_presentable(checked.failure, told.provider, self._redactor)
            told.reason = checked.failure.reason.to_proto()
            told.message = checked.failure.message
            told.remedy = checked.failure.remedy
            told.upstream_status = checked.failure.upstream_status
            told.upstream_message = checked.failure.upstream_message
        told.message = clip(self._redactor.scrub(told.message), 512)
        return told
