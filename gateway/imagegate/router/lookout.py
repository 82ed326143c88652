"""What a router does while nobody calls: keep its pulse, let time have its effects, and ask providers that refused
their keys.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from imagegate.router.pulse import BEAT_SECONDS
from imagegate.router.router import Router

log = structlog.get_logger()

LOOK_SECONDS = 1.0
# A refused key may be accepted again; asking is free, but an upstream limits how often it is asked.
KEY_CHECK_SECONDS = 60.0


async def keep_beating(router: Router) -> None:
    """Keep the router's pulse, for ever, so that it knows when it stood still."""
    pulse = router.admission.pulse
    try:
        while True:
            pulse.beat(router.clock())
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        pulse.stop()


async def keep_looking(router: Router, tell: Callable[[], Awaitable[None]]) -> None:
    """Look around once a second, for ever; `tell` tells what is seen."""
    while True:
        try:
            router.admission.look(router.clock())
            await tell()
        except Exception:  # a bug of ours must not blind the router for ever
            log.exception("what was seen could not be told")
        await asyncio.sleep(LOOK_SECONDS)


async def keep_checking_keys(router: Router) -> None:
    """Ask providers that refused their keys once a minute, for ever."""
    while True:
        await asyncio.sleep(KEY_CHECK_SECONDS)
        try:
            await router.check_refused_keys()
        except Exception:
            log.exception("refused keys could not be checked")
