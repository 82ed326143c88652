"""A router whose answers are scripted, on a real socket: what the SDK and the command line are tested against."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image

from imagegate.runtime.errors import Failure, Reason, code_of
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import Service, serving
from imagegate.runtime.settings import ProcessSettings
from imagegate.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    error_pb2,
    generation_pb2,
    generation_pb2_grpc,
    router_pb2,
    router_pb2_grpc,
    terms_pb2,
)

Reply = Callable[[generation_pb2.GenerateRequest], Awaitable[generation_pb2.GenerateResponse]]
Events = Callable[[generation_pb2.GenerateRequest], AsyncIterator[generation_pb2.GenerateEvent]]

SOON = Timestamp(seconds=1_800_000_000)


def a_picture(width: int = 64, height: int = 48) -> bytes:
    """A small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 120, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def an_answer(request: generation_pb2.GenerateRequest, count: int = 1) -> generation_pb2.GenerateResponse:
    """What a router answers after one fallback."""
    data = a_picture()
    digest = hashlib.sha256(data).hexdigest()
    image = generation_pb2.Image(data=data, mime_type="image/png", width=64, height=48, seed=7, sha256=digest)
    denied = error_pb2.Attempt(
        provider="huggingface",
        model="flux-dev",
        reason=error_pb2.ERROR_REASON_MODEL_ACCESS_DENIED,
        message="the key may not use it",
        upstream_status=400,
        upstream_message="Model requires PRO subscription",
        remedy="use a PRO key",
    )
    skip = error_pb2.Skip(reason=error_pb2.ERROR_REASON_BACKING_OFF, until=SOON)
    return generation_pb2.GenerateResponse(
        images=[image] * count,
        provider="fal",
        model="flux-schnell",
        request_id=request.request_id,
        resolved_by=generation_pb2.RESOLVED_BY_ROUTE,
        attempts=[
            denied,
            error_pb2.Attempt(provider="huggingface", model="flux-schnell", skipped=skip),
            error_pb2.Attempt(provider="fal", model="flux-schnell"),
        ],
        adjustments=[
            generation_pb2.Adjustment(
                parameter="negative_prompt",
                requested="fog",
                action=generation_pb2.ACTION_DROPPED,
                why="FLUX takes none",
            )
        ],
        warnings=["it is one colour throughout"],
        sandbox=True,
    )


def some_events() -> list[generation_pb2.GenerateEvent]:
    """What a stream tells before its answer: one attempt that fails, a heartbeat, and one under way."""
    event, progress = generation_pb2.GenerateEvent, generation_pb2.Progress
    preview = generation_pb2.Image(data=a_picture(), mime_type="image/png")
    denied, skipped, _ = an_answer(generation_pb2.GenerateRequest()).attempts
    denied.duration.FromMilliseconds(310)
    return [
        event(
            attempt_started=generation_pb2.AttemptStarted(
                provider="huggingface", model="flux-dev", number=1, started=SOON, timeout=Duration(seconds=40)
            )
        ),
        event(progress=progress(phase=generation_pb2.PHASE_QUEUED, queue_position=3)),
        event(attempt_finished=denied),
        event(attempt_finished=skipped),
        event(heartbeat=generation_pb2.Heartbeat()),
        event(attempt_started=generation_pb2.AttemptStarted(provider="fal", model="flux-schnell", number=2)),
        event(progress=progress(phase=generation_pb2.PHASE_WARMING, ready_in=Duration(seconds=12))),
        event(progress=progress(phase=generation_pb2.PHASE_RUNNING, step=1, steps=4, preview=preview)),
        event(progress=progress(phase=generation_pb2.PHASE_RUNNING, step=1, steps=4)),
        event(progress=progress(phase=generation_pb2.PHASE_DOWNLOADING)),
        event(),  # of a newer version
    ]


def an_explanation(request: generation_pb2.GenerateRequest) -> router_pb2.Explanation:
    """One candidate that would be tried, as a probe and with a change, and one that would be passed over."""
    skip = error_pb2.Skip(reason=error_pb2.ERROR_REASON_BACKING_OFF, until=SOON)
    dropped = generation_pb2.Adjustment(
        parameter="negative_prompt", requested="fog", action=generation_pb2.ACTION_DROPPED, why="FLUX takes none"
    )
    return router_pb2.Explanation(
        resolved_by=generation_pb2.RESOLVED_BY_ROUTE,
        candidates=[
            router_pb2.Prospect(
                provider="fal",
                model="flux-schnell",
                turn=1,
                adjustments=[dropped],
                cost=5,
                usual=Duration(seconds=4, nanos=200_000_000),
                timeout=Duration(seconds=40),
                payment=terms_pb2.PAYMENT_PAY_ONCE,
                probe=True,
            ),
            router_pb2.Prospect(
                provider="huggingface", model="flux-dev", skipped=skip, message="asked to wait", remedy="wait"
            ),
        ],
    )


def some_recommendations(request: catalog_pb2.RecommendModelsRequest) -> catalog_pb2.RecommendModelsResponse:
    """One that is there, and one of unknown price that is not; none where nothing may be paid."""
    if request.HasField("max_credits") and not request.max_credits:
        return catalog_pb2.RecommendModelsResponse(message="max_credits 0 is in the way")
    pro = catalog_pb2.Model(provider="fal", key="flux-pro", tier="pro", credits=50)
    odd = catalog_pb2.Model(provider="huggingface", key="odd", tier="free")
    found = [
        catalog_pb2.Recommendation(model=pro, why="the first recommendation: ultra quality", cost=50, available=True),
        catalog_pb2.Recommendation(model=odd, why="small: sd quality; not now: BACKING_OFF"),
    ]
    return catalog_pb2.RecommendModelsResponse(recommendations=found[: request.limit or None])


def a_catalogue(*keys: str) -> catalog_pb2.ListModelsResponse:
    """Models of fal, and a provider that is off."""
    return catalog_pb2.ListModelsResponse(
        models=[
            catalog_pb2.Model(
                provider="fal",
                key=key,
                tier="free",
                credits=5,
                enabled=True,
                tasks=[catalog_pb2.TASK_TEXT_TO_IMAGE],
                typical_seconds_low=1,
                typical_seconds_high=2,
            )
            for key in keys or ("flux-schnell",)
        ],
        providers=[
            catalog_pb2.Provider(name="fal", enabled=True),
            catalog_pb2.Provider(name="huggingface", disabled_reason="set HUGGINGFACE_API_KEY"),
        ],
    )


def a_status(in_flight: int = 0) -> router_pb2.RouterStatus:
    """Two providers, of which one has everything the matter that one can have."""
    well = router_pb2.ModelStatus(key="flux-schnell", breaker=router_pb2.BREAKER_STATE_CLOSED, succeeded=3)
    well.usual.FromMilliseconds(4200)
    warming = router_pb2.ModelStatus(
        key="sdxl",
        enabled=True,
        breaker=router_pb2.BREAKER_STATE_OPEN,
        until=SOON,
        held_back=error_pb2.ERROR_REASON_WARMING,
        failure_rate=0.5,
        slow=True,
        rejecting="Model requires PRO subscription",
    )
    decided = router_pb2.BreakerOverride(
        provider="huggingface", mode=router_pb2.OVERRIDE_MODE_OPEN, reason="invoices", actor="alice", until=SOON
    )
    return router_pb2.RouterStatus(
        providers=[
            router_pb2.ProviderStatus(
                name="fal",
                enabled=True,
                reachable=True,
                breaker=router_pb2.BREAKER_STATE_HALF_OPEN,
                in_flight=in_flight,
                quota_left=17,
                models=[well],
            ),
            router_pb2.ProviderStatus(
                name="huggingface",
                enabled=True,
                reachable=True,
                breaker=router_pb2.BREAKER_STATE_CLOSED,
                until=SOON,
                held_back=error_pb2.ERROR_REASON_RATE_LIMITED,
                failure_rate=0.125,
                models=[warming],
                override=decided,
            ),
        ],
        routes=[router_pb2.RouteStatus(name="default", candidates=["fal/flux-schnell"], available=True)],
    )


def a_record(request_id: str, *, failed: bool = False) -> router_pb2.RequestRecord:
    """A request that was delivered by its third candidate, or that failed there."""
    *others, last = an_answer(generation_pb2.GenerateRequest()).attempts
    others[0].duration.FromMilliseconds(310)
    others[0].dispatch = error_pb2.DISPATCH_REFUSED
    others[0].billed = False
    last.duration.FromMilliseconds(3200)
    last.dispatch, last.upstream_id, last.phase = error_pb2.DISPATCH_ACCEPTED, "fal-77", "run"
    if failed:
        last.reason, last.message, last.remedy = error_pb2.ERROR_REASON_TIMEOUT, "its time ran out", "allow more time"
    record = router_pb2.RequestRecord(
        request_id=request_id,
        started=SOON,
        model="avatar",
        resolved_by=generation_pb2.RESOLVED_BY_ROUTE,
        reason=error_pb2.ERROR_REASON_TIMEOUT if failed else error_pb2.ERROR_REASON_UNSPECIFIED,
        message="2 candidates tried" if failed else "",
        provider="" if failed else "fal",
        delivered_model="" if failed else "flux-schnell",
        attempts=[*others, last],
        prompt="a lighthouse",
    )
    record.duration.FromMilliseconds(4000)
    return record


def some_batch_events(request: router_pb2.GenerateBatchRequest) -> list[router_pb2.BatchEvent]:
    """What a router tells of a batch: the last first, a heartbeat, and for prompts that say so a failure."""
    told = [router_pb2.BatchEvent(heartbeat=generation_pb2.Heartbeat()), router_pb2.BatchEvent()]
    for index, each in reversed([*enumerate(request.requests)]):
        event = router_pb2.BatchEvent(index=index)
        if each.prompt.startswith("fail"):
            reason = Reason[each.prompt.partition(" ")[2]]
            event.failure.code, event.failure.reason = code_of(reason), reason.to_proto()
            event.failure.message, event.failure.request_id = "it did not work; try: later", each.request_id
            event.failure.retry_after.FromSeconds(7)
            event.failure.attempts.extend(an_answer(each).attempts[:1])
        else:
            event.response.CopyFrom(an_answer(each, each.count or 1))
        told.append(event)
    return told


def some_poses(include_images: bool) -> catalog_pb2.ListPoseTemplatesResponse:
    """One that came along, and one of the operator's."""
    listed = catalog_pb2.ListPoseTemplatesResponse()
    listed.templates.add(name="jumping", description="somebody who jumps", width=64, height=48, own=True)
    listed.templates.add(name="standing", description="somebody who stands", width=64, height=48)
    for template in listed.templates if include_images else ():
        template.image = a_picture()
    return listed


class ScriptedRouter(
    generation_pb2_grpc.GenerationServiceServicer,
    catalog_pb2_grpc.CatalogServiceServicer,
    router_pb2_grpc.RouterServiceServicer,
):
    """Answers with `reply`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[generation_pb2.GenerateRequest] = []
        self.peers: set[str] = set()
        self.cancelled = asyncio.Event()
        self.reply: Reply = self.deliver
        self.events: Events = self.tell
        self.explained: list[generation_pb2.GenerateRequest] = []
        self.estimated: list[generation_pb2.GenerateRequest] = []
        self.recommended: list[catalog_pb2.RecommendModelsRequest] = []
        self.listed: list[catalog_pb2.ListModelsRequest] = []
        self.explanation: Callable[[generation_pb2.GenerateRequest], router_pb2.Explanation] = an_explanation
        self.batches: list[router_pb2.GenerateBatchRequest] = []
        self.batch_events = some_batch_events
        self.poses = some_poses
        self.statuses = [a_status(), a_status(), a_status(in_flight=1)]
        self.watch_ends = False
        self.catalogue = a_catalogue()
        self.check: Callable[[str], Awaitable[catalog_pb2.ModelCheck]] = self.exists

    async def deliver(self, request: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
        return an_answer(request, request.count or 1)

    async def hang(self, request: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return generation_pb2.GenerateResponse()

    def fail(self, failure: Exception) -> None:
        async def reply(_: generation_pb2.GenerateRequest) -> generation_pb2.GenerateResponse:
            raise failure

        self.reply = reply

    async def tell(self, request: generation_pb2.GenerateRequest) -> AsyncIterator[generation_pb2.GenerateEvent]:
        for event in some_events():
            yield event
        yield generation_pb2.GenerateEvent(completed=an_answer(request))

    async def tell_and_hang(
        self, request: generation_pb2.GenerateRequest
    ) -> AsyncIterator[generation_pb2.GenerateEvent]:
        yield some_events()[0]
        await self.hang(request)

    async def tell_and_fail(
        self, request: generation_pb2.GenerateRequest
    ) -> AsyncIterator[generation_pb2.GenerateEvent]:
        yield some_events()[0]
        attempts = an_answer(request).attempts[:2]
        raise Failure(Reason.RATE_LIMITED, "all held back", remedy="wait", retry_after=7.0, attempts=attempts)

    async def GenerateStream(self, request: generation_pb2.GenerateRequest, context: Any) -> None:
        self.requests.append(request)
        async for event in self.events(request):
            await context.write(event)

    async def Generate(self, request: generation_pb2.GenerateRequest, context: Any) -> generation_pb2.GenerateResponse:
        self.requests.append(request)
        self.peers.add(context.peer())
        return await self.reply(request)

    async def GenerateBatch(self, request: router_pb2.GenerateBatchRequest, context: Any) -> None:
        self.batches.append(request)
        try:
            for event in self.batch_events(request):
                await context.write(event)
                if event.WhichOneof("event") == "response" and event.response.request_id == "hang":
                    await asyncio.Event().wait()
        except asyncio.CancelledError:  # also while it writes: whoever has read may be gone by then
            self.cancelled.set()
            raise

    async def ListPoseTemplates(
        self, request: catalog_pb2.ListPoseTemplatesRequest, context: Any
    ) -> catalog_pb2.ListPoseTemplatesResponse:
        return self.poses(request.include_images)

    async def ListModels(self, request: catalog_pb2.ListModelsRequest, context: Any) -> catalog_pb2.ListModelsResponse:
        self.listed.append(request)
        return self.catalogue

    async def CheckModel(self, request: catalog_pb2.CheckModelRequest, context: Any) -> catalog_pb2.ModelCheck:
        return await self.check(request.name)

    async def exists(self, name: str) -> catalog_pb2.ModelCheck:
        return catalog_pb2.ModelCheck(provider="fal", model=name, exists=True)

    async def EstimateCost(self, request: generation_pb2.GenerateRequest, context: Any) -> catalog_pb2.CostEstimate:
        self.estimated.append(request)
        return catalog_pb2.CostEstimate(low=3, high=25, certainty=catalog_pb2.CERTAINTY_EXACT)

    async def RecommendModels(
        self, request: catalog_pb2.RecommendModelsRequest, context: Any
    ) -> catalog_pb2.RecommendModelsResponse:
        self.recommended.append(request)
        return some_recommendations(request)

    async def GetStatus(self, request: router_pb2.GetStatusRequest, context: Any) -> router_pb2.RouterStatus:
        return self.statuses[0]

    async def WatchStatus(self, request: router_pb2.WatchStatusRequest, context: Any) -> None:
        for status in self.statuses:
            await context.write(status)
        if self.watch_ends:
            raise Failure(Reason.NO_CANDIDATE, "the router goes away")
        await self.hang(generation_pb2.GenerateRequest())

    async def Explain(self, request: generation_pb2.GenerateRequest, context: Any) -> router_pb2.Explanation:
        self.explained.append(request)
        return self.explanation(request)

    async def ListRequests(
        self, request: router_pb2.ListRequestsRequest, context: Any
    ) -> router_pb2.ListRequestsResponse:
        records = [a_record("bad-1", failed=True), *([] if request.failed_only else [a_record("good-1")])]
        return router_pb2.ListRequestsResponse(requests=records[: request.limit])

    async def GetRequest(self, request: router_pb2.GetRequestRequest, context: Any) -> router_pb2.RequestRecord:
        if request.request_id == "gone":
            raise Failure(Reason.INVALID_REQUEST, "not known", code=5)
        return a_record(request.request_id, failed=request.request_id.startswith("bad"))

    def services(self) -> list[Service]:
        def add(server: grpc.aio.Server) -> None:
            generation_pb2_grpc.add_GenerationServiceServicer_to_server(self, server)
            catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self, server)
            router_pb2_grpc.add_RouterServiceServicer_to_server(self, server)

        return [Service("imagegate.v1.GenerationService", add)]


class ScriptedAdmin(admin_pb2_grpc.RouterAdminServiceServicer):
    """Keeps the decisions that it is told, by breaker."""

    def __init__(self) -> None:
        self.address = ""
        self.decided: dict[tuple[str, str], admin_pb2.OverrideBreakerRequest] = {}

    async def OverrideBreaker(
        self, request: admin_pb2.OverrideBreakerRequest, context: Any
    ) -> router_pb2.BreakerOverride:
        if request.provider == "nobody":
            raise Failure(Reason.MODEL_NOT_FOUND, "no provider is called 'nobody'", remedy="one of fal")
        self.decided[request.provider, request.model] = request
        return _override(request)

    async def ClearOverride(
        self, request: admin_pb2.ClearOverrideRequest, context: Any
    ) -> admin_pb2.ClearOverrideResponse:
        if self.decided.pop((request.provider, request.model), None) is None:
            raise Failure(Reason.MODEL_NOT_FOUND, "nothing is decided about it")
        return admin_pb2.ClearOverrideResponse()

    async def ListOverrides(
        self, request: admin_pb2.ListOverridesRequest, context: Any
    ) -> admin_pb2.ListOverridesResponse:
        return admin_pb2.ListOverridesResponse(overrides=map(_override, self.decided.values()))

    async def GetConfig(self, request: admin_pb2.GetConfigRequest, context: Any) -> admin_pb2.EffectiveConfig:
        return admin_pb2.EffectiveConfig(yaml="providers: {}\n", source="imagegate.yaml", hash="abc")

    def services(self) -> list[Service]:
        return [
            Service(
                "imagegate.v1.RouterAdminService",
                lambda server: admin_pb2_grpc.add_RouterAdminServiceServicer_to_server(self, server),
            )
        ]


def _override(request: admin_pb2.OverrideBreakerRequest) -> router_pb2.BreakerOverride:
    return router_pb2.BreakerOverride(
        provider=request.provider,
        model=request.model,
        mode=request.mode,
        reason=request.reason,
        actor=request.actor,
        until=SOON,
    )


@asynccontextmanager
async def up(services: list[Service]) -> AsyncIterator[str]:
    """Serve on a free port; the address."""
    settings = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=0)
    async with serving(services, settings, ProcessMetrics(Registry()), Redactor()) as running:
        yield f"127.0.0.1:{running.grpc_port}"


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    """A scripted router that is up: its `address` is HOST:PORT."""
    scripted = ScriptedRouter()
    async with up(scripted.services()) as scripted.address:
        yield scripted


@pytest.fixture
async def admin() -> AsyncIterator[ScriptedAdmin]:
    """A scripted admin port that is up: its `address` is HOST:PORT."""
    scripted = ScriptedAdmin()
    async with up(scripted.services()) as scripted.address:
        yield scripted
