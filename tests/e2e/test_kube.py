"""A Deployment and its ConfigMaps, played by podman from the image: pictures by gRPC and by HTTP."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

import aiohttp
import pytest

from imagegate.client import AsyncClient
from imagegate.client.health import until_serving
from imagegate.edge.keys import hashed
from imagegate.testing.fronted import ALICE

from .containers import IMAGE, Engine
from .ports import free_ports

pytestmark = pytest.mark.timeout(1200)  # the first one waits for the image
SYSTEM = Path(__file__).with_name("kube") / "system.yaml"
PORTS = ("sandbox", "provider", "provider_http", "router", "router_http", "admin", "edge", "edge_http", "web")
VOLUMES = ("e2e-router", "e2e-edge", "e2e-pictures")
START_SECONDS = 60


@pytest.fixture
def played(engine: Engine, image: str, tmp_path: Path) -> Iterator[Mapping[str, int]]:
    """The system in a pod: on which ports its processes are. Nothing of it is left afterwards."""
    assert image
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    file = tmp_path / "system.yaml"
    file.write_text(Template(SYSTEM.read_text()).substitute(ports, image=IMAGE, hash=hashed(ALICE)))
    engine.podman("play", "kube", "--replace", "--network=host", file)
    try:
        yield ports
    finally:
        engine.podman("play", "kube", "--down", file)
        engine.podman("volume", "rm", "--force", *VOLUMES)
        assert engine.podman("ps", "--all", "--quiet") == ""


async def test_a_deployment_from_the_image_serves_by_grpc_and_by_http(played: Mapping[str, int]) -> None:
    """S3: `podman play kube` serves generations from the image, with the routes of a ConfigMap, by gRPC and by HTTP."""
    async with asyncio.timeout(START_SECONDS):
        for process in ("provider", "router", "edge"):
            await until_serving(f"127.0.0.1:{played[process]}")
    async with AsyncClient(f"127.0.0.1:{played['router']}", timeout=60) as client:
        answer = await client.generate("a lighthouse", seed=7)
        status = await client.status()
    assert (answer.provider, answer.model, answer.sandbox) == ("huggingface", "flux-schnell", True)
    assert {route.name: list(route.candidates) for route in status.routes} == {"default": ["huggingface/flux-schnell"]}
    headers = {"Authorization": f"Bearer {ALICE}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{played['web']}", headers=headers) as browser:
        asked = {"prompt": "a lighthouse", "response_format": "b64_json"}
        async with browser.post("/v1/images/generations", json=asked) as response:
            told = await response.json()
            assert response.status == 200, told
        async with browser.get("/api/pictures") as response:
            kept = await response.json()
    assert base64.b64decode(told["data"][0]["b64_json"]).startswith((b"\x89PNG", b"\xff\xd8"))
    assert [record["provider"] for record in kept["pictures"]] == ["huggingface"]
