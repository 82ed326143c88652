"""What the health service answers for `provider/<name>` and `route/<name>`, kept true once a second.

The overall answer never depends on an upstream: a router whose providers are all down still tells so.
"""

from collections.abc import Awaitable, Callable

from imagegate.router.router import Router

Tell = Callable[[str, bool], Awaitable[None]]


class HealthNames:
    """Tells what changed since it last looked."""

    def __init__(self, router: Router, tell: Tell) -> None:
        self._router = router
        self._tell = tell
        self._told: dict[str, bool] = {}

    async def look(self) -> None:
        """Tell every name whose answer is another one now; a name that is gone is not served."""
        now = self._now()
        for name in self._told.keys() - now.keys():
            now[name] = False
        for name, is_serving in now.items():
            if self._told.get(name) is not is_serving:
                await self._tell(name, is_serving)
        self._told = now

    def _now(self) -> dict[str, bool]:
        config = self._router.config
        if config is None:
            return {}
        providers = {f"provider/{name}": self._router.is_usable(name) for name in config.providers}
        return providers | {f"route/{name}": self._router.is_available(name) for name in config.routes}
