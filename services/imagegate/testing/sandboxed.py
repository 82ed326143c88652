"""The real providers in front of the sandbox, on real sockets of this process."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from imagegate.providers.__main__ import create, limits_of
from imagegate.runtime.provider import Provider
from imagegate.runtime.redaction import Redactor
from imagegate.sandbox.app import Pace, Sandbox, serving
from imagegate.testing.serving import ServedProvider, serving_provider
from imagegate.testing.system import KEYS, PROVIDERS


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """The sandbox, and by name the providers in front of it."""

    sandbox: Sandbox
    providers: Mapping[str, ServedProvider]

    @property
    def targets(self) -> dict[str, str]:
        """Where the providers are, for a router."""
        return {name: served.target for name, served in self.providers.items()}


@asynccontextmanager
async def serving_sandboxed(
    names: Sequence[str] = PROVIDERS,
    *,
    environ: Mapping[str, str] | None = None,
    pace: Pace | None = None,
    around: Callable[[Provider], Provider] = lambda provider: provider,
    sandbox: Sandbox | None = None,
) -> AsyncIterator[Sandboxed]:
    """Serve the providers `names` until the block is left, with free keys and `environ` on top.

    `around` may put something of a test's own in a provider's place; `sandbox` is one that is there already.
    """
    async with AsyncExitStack() as stack:
        if sandbox is None:
            sandbox = await stack.enter_async_context(serving(pace=pace or Pace()))
        own = {**sandbox.environment, **KEYS, **(environ or {})}
        providers = {}
        for name in names:
            redactor = Redactor()
            provider = create(name, own, redactor)
            served = serving_provider(around(provider), limits=limits_of(name, provider, own), redactor=redactor)
            providers[name] = await stack.enter_async_context(served)
        yield Sandboxed(sandbox, providers)
