"""Who may ask a router: keys and roles, over a socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from imagegate.router.config import CallerConfig
from imagegate.runtime.access import Role
from imagegate.runtime.bearer import hashed, header_of
from imagegate.runtime.channels import MAX_MESSAGE_BYTES, MESSAGE_OPTIONS
from imagegate.runtime.errors import Reason
from imagegate.testing import ScriptedProvider
from imagegate.testing.house import told
from imagegate.testing.scripted import SCRIPTED_MODEL
from imagegate.testing.serving import ServedRouter, serving_provider, serving_router
from imagegate.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    router_pb2,
    router_pb2_grpc,
)

WEB, FREE, OLGA = "ig_web_EXAMPLE", "ig_free_EXAMPLE", "ig_olga_EXAMPLE"
CALLERS = {
    "web": CallerConfig(keys=[hashed(WEB)]),
    "free": CallerConfig(keys=[hashed(FREE)], tier="free"),
    "olga": CallerConfig(keys=[hashed(OLGA)], role=Role.OPERATOR),
}
OF_TIER_PRO = SCRIPTED_MODEL.model_copy(update={"tier": "pro"})
A_FOX = generation_pb2.GenerateRequest(prompt="a fox", idempotency_key="once")


@pytest.fixture
async def router() -> AsyncIterator[ServedRouter]:
    """A router that knows three callers, over a provider whose model is of the tier pro."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(serving_provider(ScriptedProvider("a", models=(OF_TIER_PRO,))))
        yield await stack.enter_async_context(
            serving_router({"a": provider.target}, {"default": ["a/model"]}, callers=CALLERS)
        )


@asynccontextmanager
async def channel(port: int | str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{str(port).rpartition(':')[2]}", options=MESSAGE_OPTIONS) as made:
        yield made


def key(value: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", header_of(value)),)


async def test_a_caller_with_a_key_gets_a_picture_and_others_do_not(router: ServedRouter) -> None:
    """S13: where callers are configured nobody else gets anything, and learns nothing but that."""
    async with channel(router.target) as open_channel:
        stub = generation_pb2_grpc.GenerationServiceStub(open_channel)
        answer = await stub.Generate(A_FOX, timeout=20, metadata=key(WEB))
        assert len(answer.images) == 1
        for metadata in ((), key("ig_revoked"), key("x" * 5000)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Generate(A_FOX, timeout=20, metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert told(refused.value).reason is Reason.UNAUTHENTICATED
            assert dict(refused.value.trailing_metadata())["imagegate-reason"] == "UNAUTHENTICATED"


async def test_a_refused_call_is_not_read(router: ServedRouter) -> None:
    """Whoever is not known cannot fill memory: a message is read once its caller is admitted. Reading this one would
    have been answered by RESOURCE_EXHAUSTED.
    """
    large = generation_pb2.GenerateRequest(prompt="x" * (MAX_MESSAGE_BYTES + 1))
    async with grpc.aio.insecure_channel(router.target) as open_channel:
        stub = generation_pb2_grpc.GenerationServiceStub(open_channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(large, timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_tier_bounds_what_a_caller_may_ask_for(router: ServedRouter) -> None:
    """A caller of the tier free gets no model of the tier pro, whatever the request says."""
    async with channel(router.target) as open_channel:
        stub = generation_pb2_grpc.GenerationServiceStub(open_channel)
        request = generation_pb2.GenerateRequest(prompt="a fox")
        for tier in ("", "enterprise"):
            request.routing.tier = tier
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Generate(request, timeout=20, metadata=key(FREE))
            assert told(refused.value).attempts[0].skipped.reason == Reason.NOT_ALLOWED.to_proto()


async def test_a_tier_bounds_what_a_caller_is_recommended(router: ServedRouter) -> None:
    """A caller of the tier free is recommended no model of the tier pro, whatever they ask for, and told what is in the
    way; a caller without a tier is.
    """
    async with channel(router.target) as open_channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(open_channel)
        for tier in ("", "enterprise"):
            request = catalog_pb2.RecommendModelsRequest(tier=tier)
            nothing = await stub.RecommendModels(request, timeout=20, metadata=key(FREE))
            assert not nothing.recommendations
            assert nothing.message.startswith("tier free is in the way")
            found = await stub.RecommendModels(request, timeout=20, metadata=key(WEB))
            assert [each.model.key for each in found.recommendations] == ["model"]


async def test_an_idempotency_key_belongs_to_its_caller(router: ServedRouter) -> None:
    """P3: another caller with the same key gets their own picture, not somebody else's."""
    async with channel(router.target) as open_channel:
        stub = generation_pb2_grpc.GenerationServiceStub(open_channel)
        first = await stub.Generate(A_FOX, timeout=20, metadata=key(WEB))
        again = await stub.Generate(A_FOX, timeout=20, metadata=key(WEB))
        others = await stub.Generate(A_FOX, timeout=20, metadata=key(OLGA))
    assert first.images == again.images
    assert len(others.attempts) == 1
    assert sum(1 for event in router.events if type(event).__name__ == "RequestFinished") == 2


async def test_operators_calls_are_for_operators_and_leave_a_line(router: ServedRouter) -> None:
    """S14: a caller's key gets PERMISSION_DENIED on the admin port; who did what, with what outcome, is in the log."""
    request = admin_pb2.OverrideBreakerRequest(provider="a", mode=router_pb2.OVERRIDE_MODE_OPEN, reason="r", actor="me")
    async with channel(router.admin_port) as open_channel:
        stub = admin_pb2_grpc.RouterAdminServiceStub(open_channel)
        with capture_logs() as lines:
            for metadata, reason in (((), Reason.UNAUTHENTICATED), (key(WEB), Reason.NOT_ALLOWED)):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.OverrideBreaker(request, timeout=20, metadata=metadata)
                assert told(refused.value).reason is reason
            await stub.OverrideBreaker(request, timeout=20, metadata=key(OLGA))
    audit = [line for line in lines if line["event"] == "admin"]
    assert [(line["who"], line["outcome"]) for line in audit] == [
        ("", "UNAUTHENTICATED"), ("web", "PERMISSION_DENIED"), ("olga", "OK"),
    ]  # fmt: skip
    assert audit[2]["method"] == "imagegate.v1.RouterAdminService/OverrideBreaker"
    assert 'provider: "a"' in audit[2]["what"]
    assert audit[0]["what"] == "not looked at"


async def test_what_others_asked_for_is_for_operators(router: ServedRouter) -> None:
    """The last requests, prompts included, are those of every caller."""
    async with channel(router.target) as open_channel:
        stub = router_pb2_grpc.RouterServiceStub(open_channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListRequests(router_pb2.ListRequestsRequest(), metadata=key(WEB))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await stub.ListRequests(router_pb2.ListRequestsRequest(), metadata=key(OLGA))


async def test_health_needs_no_key_and_reflection_does(router: ServedRouter) -> None:
    """S15: probes are answered; what there is to call is not told to whoever is not known."""

    async def services(metadata: tuple[tuple[str, str], ...]) -> list[str]:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(open_channel).ServerReflectionInfo(
            iter([request]), metadata=metadata
        )
        return [each.name async for answer in call for each in answer.list_services_response.service]

    async with channel(router.target) as open_channel:
        health = health_pb2_grpc.HealthStub(open_channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        assert "imagegate.v1.GenerationService" in await services(key(WEB))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await services(())
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_caller_is_taken_out_while_serving(router: ServedRouter) -> None:
    """A key that leaves the configuration is refused from the next call on."""
    config = router.router.configured()
    callers: Mapping[str, CallerConfig] = {name: each for name, each in CALLERS.items() if name != "web"}
    async with channel(router.target) as open_channel:
        stub = generation_pb2_grpc.GenerationServiceStub(open_channel)
        await stub.Generate(A_FOX, timeout=20, metadata=key(WEB))
        await router.router.configure(config.model_copy(update={"callers": callers}))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(A_FOX, timeout=20, metadata=key(WEB))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
