"""Every method of every port × everybody who may not: refused. The methods are those that the ports say they have."""

from collections.abc import Mapping

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from imagegate.client.transport import TransportFields, transport_of
from imagegate.runtime.access import Access, access_to
from imagegate.runtime.channels import CHANNEL_OPTIONS
from imagegate.testing.certificates import Authority

from .conftest import EDGE, KEY, Secured

SHUT_OUT = {grpc.StatusCode.UNAVAILABLE}
UNKNOWN = {grpc.StatusCode.UNAUTHENTICATED}
# After so many wrong keys from one address they are not even looked at.
UNKNOWN_KEY = UNKNOWN | {grpc.StatusCode.RESOURCE_EXHAUSTED}
FORBIDDEN = {grpc.StatusCode.PERMISSION_DENIED}
REFUSALS = SHUT_OUT | UNKNOWN | FORBIDDEN

Port = tuple[str, str]  # whose, and its address


def ports(secured: Secured) -> list[Port]:
    """Every gRPC port."""
    router = secured.router
    admin = router.target.rpartition(":")[0] + f":{router.admin_port}"
    return [("router", router.target), ("admin", admin), ("provider", secured.provider.target)]


def as_somebody(secured: Secured, port: str) -> TransportFields:
    """How somebody calls who may do everything at a port."""
    name = "router.imagegate" if port == "provider" else "olga"
    return secured.showing(secured.authority.issue(name, dns=()), "right")


def strangers(secured: Secured, port: str) -> Mapping[str, tuple[TransportFields, set[grpc.StatusCode]]]:
    """Who may not, and how they are told; whoever has a wrong role comes with their own certificate."""
    issue = secured.authority.issue
    nobody = secured.showing(issue("nobody", dns=()), "nobody")
    return {
        "no certificate": (TransportFields(ca=secured.ca, token=KEY), SHUT_OUT),
        "wrong CA": (secured.showing(Authority().issue("olga", uri=EDGE), "wrong"), SHUT_OUT),
        "expired": (secured.showing(issue("olga", uri=EDGE, expired=True), "expired"), SHUT_OUT),
        "in the clear": (TransportFields(tls=False, token=KEY), SHUT_OUT),
        "wrong role": (secured.showing(issue("edge", dns=(), uri=EDGE), "edge"), UNKNOWN),
        "no key": (nobody, UNKNOWN),
        "revoked key": ({**nobody, "token": "ig_revoked_EXAMPLE"}, UNKNOWN_KEY),
        "revoked key, good certificate": ({**as_somebody(secured, port), "token": "ig_revoked_EXAMPLE"}, UNKNOWN_KEY),
    }


async def code_of(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    """How a call with an empty message ends, or begins where it has no end."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming:
            call = channel.stream_stream(path)(iter([b""]), timeout=10)
            await call.read()
        elif method.server_streaming:
            call = channel.unary_stream(path)(b"", timeout=10)
            await call.read()
        else:
            await channel.unary_unary(path)(b"", timeout=10)
            return grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        return error.code()
    if call.done():
        return await call.code()
    call.cancel()
    return grpc.StatusCode.OK


async def methods_of(channel: grpc.aio.Channel) -> list[MethodDescriptor]:
    """What a port says that it serves."""
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = [answer async for answer in stub.ServerReflectionInfo(iter([asked]))]
    pool = descriptor_pool.Default()
    return [
        method
        for answer in answers
        for service in answer.list_services_response.service
        for method in pool.FindServiceByName(service.name).methods
    ]


def expected_of(port: str, who: str, access: Access, told: set[grpc.StatusCode]) -> set[grpc.StatusCode]:
    """How this stranger is told at a method; nothing where it is for them after all."""
    if access is Access.ANYBODY and told is not SHUT_OUT:
        return set()
    if port != "provider" and who == "wrong role":
        return set() if access is Access.CALLER else FORBIDDEN
    return told


async def test_every_method_is_refused_to_everybody_who_may_not(
    secured: Secured, capsys: pytest.CaptureFixture[str]
) -> None:
    """S13: every registered method × {no certificate, wrong CA, expired, wrong role, no key, revoked key} is refused,
    and open to whoever may; a method that is new is in here by itself. Only health is for anybody with a certificate.
    """
    cells: dict[str, int] = {}
    wrong: list[object] = []
    for port, target in ports(secured):
        async with transport_of(as_somebody(secured, port), {}).channel(target, CHANNEL_OPTIONS) as right:
            methods = await methods_of(right)
            allowed = {method.full_name: await code_of(right, method) for method in methods}
        # channelz is for operators, and a provider knows none.
        shut = {name for name, code in allowed.items() if code in REFUSALS and "channelz" not in name}
        wrong += [(port, name, "whoever may", allowed[name]) for name in shut]
        for who, (fields, told) in strangers(secured, port).items():
            async with transport_of(fields, {}).channel(target, CHANNEL_OPTIONS) as channel:
                for method in methods:
                    access = access_to(f"{method.containing_service.full_name}/{method.name}")
                    if expected := expected_of(port, who, access, told):
                        code = await code_of(channel, method)
                        cells[who] = cells.get(who, 0) + 1
                        if code not in expected:
                            wrong.append((port, method.full_name, who, code))
    with capsys.disabled():
        print(cells, end=" ")  # noqa: T201
    assert not wrong
    assert sum(cells.values()) > 300, cells
    assert len(cells) == 8


async def test_on_the_router_a_workload_that_is_no_caller_is_refused(secured: Secured) -> None:
    """S13: a provider's certificate is of the same authority, and lets it do nothing at the router."""
    fields = secured.showing(secured.authority.issue("provider-a"), "a-provider")
    async with transport_of(fields, {}).channel(secured.router.target, CHANNEL_OPTIONS) as channel:
        pool = descriptor_pool.Default()
        for method in pool.FindServiceByName("imagegate.v1.RouterService").methods:
            assert await code_of(channel, method) in UNKNOWN
