"""What Prometheus reads while the router works."""

import threading
from collections.abc import Mapping
from time import monotonic

import aiohttp

from imagegate.router.config import ModelOverrides
from imagegate.router.events import AttemptStarted, Listeners
from imagegate.router.metrics import RouterMetrics
from imagegate.router.router import Router
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.registry import Registry
from imagegate.runtime.telemetry import http_endpoint


class Witness:
    """The state of a process; it notes in which threads it was looked at."""

    def __init__(self) -> None:
        self.threads: dict[str, set[int]] = {}

    def look(self, what: str) -> None:
        self.threads.setdefault(what, set()).add(threading.get_ident())

    def clock(self) -> float:
        self.look("the router")
        return monotonic()

    @property
    def in_short(self) -> Mapping[str, tuple[float, float]]:
        self.look("the limits")
        return {"calls": (0, 1)}

    @property
    def is_current(self) -> bool:
        self.look("the certificates")
        return True

    expires = None

    def left(self) -> int:
        self.look("the quota")
        return 3

    def revision(self) -> str:
        self.look("the catalogue")
        return "1"


async def test_what_has_no_lock_is_read_where_it_changes() -> None:
    """S2, P20: a scrape looks the state of the process up on the event loop, which alone changes it, so that no call
    changes what is being read and the scrape fails; and it tells what was counted beside it.
    """
    witness, registry = Witness(), Registry()
    router = Router(ModelOverrides(), Listeners(), clock=witness.clock)
    counts = RouterMetrics(registry, router)
    process = ProcessMetrics(registry)
    process.watch_traffic(witness)
    process.watch_tls("server", witness)
    provider = ProviderMetrics(registry, "fal", ())
    provider.watch_quota(witness.left, 10)
    provider.watch_catalogue(witness.revision, lambda: True)
    counts(AttemptStarted("fal", "flux"))
    witness.threads.clear()
    async with (
        http_endpoint("127.0.0.1", 0, registry, lambda: True) as port,
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        told = await answer.text()
    looked_at = ("the router", "the limits", "the certificates", "the quota", "the catalogue")
    assert witness.threads == {what: {threading.get_ident()} for what in looked_at}
    assert 'imagegate_inflight{caller="",provider="fal"} 1.0' in told
    assert 'imagegate_credits_total{model="_other",provider="fal"} 0.0' in told
