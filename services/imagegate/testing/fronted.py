"""The edge on a real socket of this process, in front of whatever router a test has."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from imagegate.edge import house, keys
from imagegate.edge.admission import Admission
from imagegate.edge.app import Front
from imagegate.edge.budget import Budget
from imagegate.edge.connection import Bounds
from imagegate.edge.endpoint import Endpoint
from imagegate.edge.house import House
from imagegate.edge.intake import IntakeBounds
from imagegate.edge.keys import Keyring
from imagegate.edge.serving import serving_http
from imagegate.edge.settings import EdgeSettings
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry

ALICE, BOB, OPERATOR = "ig_alice_EXAMPLE", "ig_bob_EXAMPLE", "ig_operator_EXAMPLE"
KEYS = f"""
keys:
  - {{user: alice, role: user, sha256: {keys.hashed(ALICE)}}}
  - {{user: bob, role: user, tier: free, sha256: {keys.hashed(BOB)}}}
  - {{user: olga, role: operator, sha256: {keys.hashed(OPERATOR)}}}
"""
# No test but one of the limits is stopped by them.
UNLIMITED = {"generations_per_minute": 100_000, "requests_per_minute": 1_000_000, "generations_at_a_time": 1000}


@dataclass(frozen=True, slots=True)
class ServedEdge:
    """An edge, and where it is."""

    house: House
    url: str
    metrics: ProcessMetrics

    def session(self, key: str = ALICE) -> aiohttp.ClientSession:
        """A client with this key (an empty one: none); its paths are below the edge."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return aiohttp.ClientSession(self.url, headers=headers)


@asynccontextmanager
async def serving_edge(
    router: str,
    data: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    keyring: Keyring | None = None,
    admin: str = "",
    **more: Any,
) -> AsyncIterator[ServedEdge]:
    """Serve an edge in front of `router`, with everything it keeps in the folder `data`, until the block is left.

    It knows the keys ALICE, BOB (of the free tier) and OPERATOR. `settings` are fields of EdgeSettings (without them
    users may ask as often as they like); `admin` is the router's admin port, and `more` what else `house.opened` takes.
    """
    metrics = ProcessMetrics(Registry())
    chosen = EdgeSettings(**{"data": data, **UNLIMITED, **(settings or {})})
    keyring = keyring or Keyring(lambda: KEYS)
    async with house.opened(chosen, router, keyring, lambda: "a-key-of-a-test", admin, **more) as parts:
        app = parts.front(metrics, Redactor()).app()
        async with serving_http(app, "127.0.0.1", 0, grace_seconds=0.1) as port:
            try:
                yield ServedEdge(parts, f"http://127.0.0.1:{port}", metrics)
            finally:
                parts.leave()


@asynccontextmanager
async def serving_endpoints(
    endpoints: Sequence[Endpoint],
    *,
    settings: Mapping[str, Any] | None = None,
    keyring: Keyring | None = None,
    budget: Budget | None = None,
    bounds: Bounds | None = None,
    intake: IntakeBounds | None = None,
    redactor: Redactor | None = None,
) -> AsyncIterator[int]:
    """Serve a test's own endpoints in the edge's front, with nothing behind it, until the block is left; the port."""
    chosen = EdgeSettings(**{"data": Path(), **UNLIMITED, **(settings or {})})
    front = Front(
        endpoints,
        keyring or Keyring(lambda: KEYS),
        Admission(chosen, time.monotonic),
        ProcessMetrics(Registry()),
        redactor or Redactor(),
        budget,
        intake,
        proxies=chosen.trusted_proxies,
    )
    async with serving_http(front.app(), "127.0.0.1", 0, 0.1, bounds) as port:
        yield port
