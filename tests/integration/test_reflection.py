"""Debugging without a proto file: reflection, with buf's curl in grpcurl's place."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool

from imagegate.testing.system import System, system

BUF = Path(sys.executable).with_name("buf")
GENERATE = "imagegate.v1.GenerationService/Generate"


async def curl(address: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error of a call by reflection."""
    process = await asyncio.create_subprocess_exec(
        str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def generate(running: System, member: str, request: dict) -> tuple[int, dict]:
    """Generate on a member; the answer, or the error."""
    address = running.members[member].address
    code, out, error = await curl(address, "-d", json.dumps(request), f"http://{address}/{GENERATE}")
    return code, json.loads(out or error)


async def test_services_are_listed_and_called_by_reflection() -> None:
    """S3: the router and a provider list their services and make a picture without a proto file."""
    async with system(providers=("automatic1111",)) as running:
        for member in ("router", "automatic1111"):
            address = running.members[member].address
            _, listed, _ = await curl(address, "--list-services", f"http://{address}")
            services = set(listed.split())
            assert {
                "imagegate.v1.GenerationService",
                "imagegate.v1.CatalogService",
                "grpc.health.v1.Health",
            } <= services
            assert ("imagegate.v1.RouterService" in services) == (member == "router")
            code, answer = await generate(running, member, {"prompt": "a cat", "model": "local", "seed": 7})
            assert code == 0, answer
            assert base64.b64decode(answer["images"][0]["data"]).startswith(b"\x89PNG")
            assert answer["images"][0]["seed"] == "7"
            assert answer["sandbox"]


async def test_operators_have_a_port_of_their_own() -> None:
    """Callers cannot decide and operators' port makes no pictures; each lists by reflection what it serves, no more."""
    async with system(providers=()) as running:
        router = running.members["router"]
        addresses = {
            "imagegate.v1.RouterAdminService/ListOverrides": f"127.0.0.1:{router.events('admin_listening')[0]['grpc']}",
            GENERATE: router.address,
        }
        for method, address in addresses.items():
            _, listed, _ = await curl(address, "--list-services", f"http://{address}")
            for service in listed.split():
                assert await is_served(address, service), f"{service} is listed and not served"
            for other in addresses:
                assert (other.partition("/")[0] in listed.split()) == (other == method)
                assert await is_served(address, other.partition("/")[0]) == (other == method)


async def is_served(address: str, service: str) -> bool:
    """Whether a server knows one of a service's methods, which is told what it cannot read."""
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    async with grpc.aio.insecure_channel(address) as channel:
        # In one message: a stream that is refused while it is still written to may end as cancelled.
        call = channel.unary_unary(f"/{service}/{descriptor.methods[0].name}")(b"\xff", timeout=10)
        return await call.code() is not grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("member", ["router", "automatic1111"])
async def test_the_error_is_one_readable_paragraph(member: str) -> None:
    """S3, R5: buf curl and grpcurl show the status message, so it names each attempt and the remedy in words."""
    async with system({"SD_API_URL": "http://127.0.0.1:9"}, providers=("automatic1111",)) as running:
        code, error = await generate(running, member, {"prompt": "a cat", "model": "local"})
    assert code != 0
    assert error["code"] == "unavailable"
    assert "--api" in error["message"]
    if member == "router":
        assert "automatic1111/local UNREACHABLE" in error["message"]
