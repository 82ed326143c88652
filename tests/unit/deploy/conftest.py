"""What several of these tests look things up in."""

import pytest

from imagegate.router.config import ModelOverrides
from imagegate.router.events import Listeners
from imagegate.router.metrics import RouterMetrics
from imagegate.router.router import Router
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.registry import Registry

PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture(scope="session")
def exposed() -> frozenset[str]:
    """The names that a router, a provider and an edge have on /metrics."""
    router, provider = Registry(), Registry()
    RouterMetrics(router, Router(ModelOverrides(), Listeners()))
    ProcessMetrics(router)  # all that an edge has: HTTP is counted as calls are
    metrics = ProviderMetrics(provider, "fal", ())
    metrics.watch_catalogue(str, bool)
    families = [family for registry in (router, provider) for family in registry.collect()]
    return frozenset(family.name + part for family in families for part in PARTS.get(family.type, ("",)))
