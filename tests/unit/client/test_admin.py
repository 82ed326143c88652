"""The admin port's client against a scripted one on a real socket, and how its address is found."""

from typing import Any

import grpc
import pytest

from imagegate.client import AsyncAdminClient, GenerationError
from imagegate.client.address import admin_address, host_and_port
from imagegate.runtime.errors import Reason
from imagegate.v1 import router_pb2


async def test_a_decision_is_made_listed_and_taken_back(admin: Any) -> None:
    """R8: what is decided says who, why and until when; the configuration is there to look at."""
    async with AsyncAdminClient(admin.address) as client:
        made = await client.override_breaker("fal", "flux-dev", mode="OPEN", reason="bad", actor="alice", seconds=90.5)
        assert (made.provider, made.model, made.actor) == ("fal", "flux-dev", "alice")
        sent = admin.decided["fal", "flux-dev"]
        assert sent.mode == router_pb2.OVERRIDE_MODE_OPEN
        assert sent.duration.ToMilliseconds() == 90_500
        await client.override_breaker("fal", mode="OBSERVE_ONLY", reason="calm", actor="alice")
        assert not admin.decided["fal", ""].HasField("duration")
        assert len((await client.list_overrides()).overrides) == 2
        await client.clear_override("fal")
        with pytest.raises(GenerationError) as caught:
            await client.clear_override("fal")
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
        assert (await client.get_config()).hash == "abc"


async def test_no_admin_port_says_where_it_is() -> None:
    """Another port than the router's: the sentence names the number and the option."""
    async with AsyncAdminClient("127.0.0.1:1") as client:
        with pytest.raises(GenerationError, match=r"127\.0\.0\.1:1; it is port 50052.*--admin") as caught:
            await client.list_overrides()
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize(
    ("given", "router", "environ", "address"),
    [
        ("", "", {}, "127.0.0.1:50052"),
        ("", "", {"IMAGEGATE_ROUTER": "router.images:50051"}, "router.images:50052"),
        ("", "", {"IMAGEGATE_ROUTER": "dns:///router:1", "IMAGEGATE_ADMIN": "admin:7"}, "admin:7"),
        ("", "other:1", {"IMAGEGATE_ADMIN": "admin:7"}, "other:50052"),
        ("mine", "other:1", {"IMAGEGATE_ADMIN": "admin:7"}, "mine:50052"),
        ("", "dns://8.8.8.8/router", {}, "router:50052"),
        ("", "dns:router:50051", {}, "router:50052"),
        ("[::1]:9", "", {}, "[::1]:9"),
        ("", "[::1]:50051", {}, "[::1]:50052"),
    ],
)
def test_the_admin_port_is_found_beside_the_router(
    given: str, router: str, environ: dict[str, str], address: str
) -> None:
    """What is typed goes before what the environment says, and --admin before all."""
    assert admin_address(given, router, environ) == address


@pytest.mark.parametrize("address", ["unix:/tmp/router", "ipv4:127.0.0.1:50051", "::1", "[::1", "", "a:b", "a@b:1"])
def test_an_address_without_a_host_is_refused(address: str) -> None:
    """Nothing is decided on a machine that was guessed."""
    with pytest.raises(ValueError, match="--admin HOST:PORT"):
        host_and_port(address, 1)


def test_a_web_address_is_no_admin_port() -> None:
    """The same sentence as for the router."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        admin_address("http://router:50052", "", {})
