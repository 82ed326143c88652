"""An edge over a router over the sandbox, for every test of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imagegate.testing.fronted import ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import ServedRouter, serving_router

ROUTES = {
    "default": ["huggingface/flux-schnell", "fal/flux-schnell", "automatic1111/local"],
    "web": ["huggingface/flux-schnell", "automatic1111/local"],
}


@pytest.fixture
async def upstreams() -> AsyncIterator[Sandboxed]:
    """The sandbox with the providers in front of it."""
    async with serving_sandboxed() as sandboxed:
        yield sandboxed


@pytest.fixture
async def router(upstreams: Sandboxed) -> AsyncIterator[ServedRouter]:
    """A router over all of them."""
    async with serving_router(upstreams.targets, ROUTES) as served:
        yield served


@pytest.fixture
async def edge(router: ServedRouter, tmp_path: Path) -> AsyncIterator[ServedEdge]:
    """An edge in front of the router."""
    async with serving_edge(router.target, tmp_path, admin=f"127.0.0.1:{router.admin_port}") as served:
        yield served
