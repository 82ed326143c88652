"""An edge over a router over the sandbox, and a browser in front of it."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from imagegate.sandbox.app import Pace, Sandbox
from imagegate.testing.clock import LeapingClock
from imagegate.testing.fronted import ServedEdge, serving_edge
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.testing.serving import ServedRouter, serving_router

from .containers import ROOT, Engine
from .visitor import Visitor, visiting

CHROMIUM = Path("/usr/bin/chromium")
# Of whoever builds the image: nothing of it may be in there.
SECRETS = {"FAL_KEY": "planted-id:planted-secret", "HUGGINGFACE_API_KEY": "hf_planted"}
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ROUTES = {
    "default": ["huggingface/flux-schnell", "fal/flux-schnell", "automatic1111/local"],
    "web": ["huggingface/flux-schnell", "automatic1111/local"],
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything behind the page. `clock` is the router's."""

    sandbox: Sandbox
    router: ServedRouter
    edge: ServedEdge
    clock: LeapingClock


@pytest.fixture
def pace() -> Pace:
    """How long the upstreams work; a module may have its own."""
    return Pace()


@pytest.fixture
async def stage(tmp_path: Path, pace: Pace) -> AsyncIterator[Stage]:
    """The sandbox, the providers, a router and an edge."""
    clock = LeapingClock()
    async with (
        serving_sandboxed(pace=pace, environ={"SD_EXCLUSIVE": "true"}) as sandboxed,
        serving_router(sandboxed.targets, ROUTES, clock=clock) as router,
        serving_edge(router.target, tmp_path, admin=f"127.0.0.1:{router.admin_port}") as edge,
    ):
        yield Stage(sandboxed.sandbox, router, edge, clock)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Where Debian's Chromium is."""
    return CHROMIUM


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Where kubectl is."""
    return installed("kubectl")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Where promtool is."""
    return installed("promtool")


@pytest.fixture(scope="session")
def prometheus() -> Path:
    """Where Prometheus is."""
    return installed("prometheus")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """What builds and runs containers; nothing runs any more afterwards."""
    engine = Engine(ROOT / "build/containers")
    yield engine
    engine.podman("system", "prune", "--force", "--volumes")


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """What `make image` printed when it made the image."""
    return engine.make_image(SECRETS)


def installed(command: str) -> Path:
    """Where a command is; `debian.py` has said before if it is nowhere."""
    found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, command
    return Path(found)


@pytest.fixture
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    """Chromium, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def visitor(browser: Browser, stage: Stage) -> AsyncIterator[Visitor]:
    """Somebody at a desk."""
    async with visiting(browser, stage.edge.url) as visitor:
        yield visitor
