"""A router that stood still does not count that time."""

import asyncio
import signal
from pathlib import Path

from imagegate.client import AsyncClient
from imagegate.router.breaker import FAILURES_TO_TRIP
from imagegate.router.course import OVERDUE_GRACE_SECONDS
from imagegate.testing import SCRIPTED_MODEL, ScriptedProvider, Telling, outcomes, serving_provider
from imagegate.testing.system import router_alone

TYPICAL_SECONDS = 0.5
QUICK_MODEL = SCRIPTED_MODEL.model_copy(update={"typical_seconds": (TYPICAL_SECONDS, TYPICAL_SECONDS)})
# More than after which an attempt counts as failed.
STANDSTILL_SECONDS = 2 * (TYPICAL_SECONDS + OVERDUE_GRACE_SECONDS)
CONFIGURATION = """
providers:
  lone: {{target: "{target}"}}
routes:
  default: [lone/model]
"""


async def test_a_router_that_was_paused_refuses_nobody(tmp_path: Path) -> None:
    """Early trip: where the router's process is paused for longer than pictures take, no breaker opens: whoever comes
    right after it is served by the only candidate, and so are those who waited.
    """
    go_on = asyncio.Event()
    provider = ScriptedProvider("lone", [Telling([], go_on=go_on)] * FAILURES_TO_TRIP, models=(QUICK_MODEL,))
    async with serving_provider(provider) as served:
        file = tmp_path / "imagegate.yaml"
        file.write_text(CONFIGURATION.format(target=served.target))
        async with router_alone(file) as router, AsyncClient(router.address, timeout=60) as client:
            waiting = [asyncio.create_task(client.generate("a lighthouse")) for _ in range(FAILURES_TO_TRIP)]
            async with asyncio.timeout(10):
                while len(provider.orders) < FAILURES_TO_TRIP:
                    await asyncio.sleep(0.01)
            router.process.signal(signal.SIGSTOP)
            await asyncio.sleep(STANDSTILL_SECONDS)
            router.process.signal(signal.SIGCONT)
            right_after = await asyncio.gather(*(client.generate("a ship") for _ in range(3)))
            go_on.set()
            results = [*right_after, *await asyncio.gather(*waiting)]
    assert {tuple(outcomes(result.proto.attempts)) for result in results} == {("lone OK",)}
