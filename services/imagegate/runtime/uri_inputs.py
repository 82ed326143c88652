"""Pictures that a request names by their address, which comes from anybody: fetched within bounds, and from public
addresses only.
"""

import asyncio
from collections.abc import Iterable

from yarl import URL

from imagegate.runtime.connecting import Network
from imagegate.runtime.errors import Failure
from imagegate.runtime.upstream import INTERNET, Bounds, UpstreamClient
from imagegate.runtime.urls import origin_of

# The bounds of one picture, and of how many are fetched at a time.
MAX_SECONDS = 10.0
MAX_BYTES = 10 * 1024 * 1024
AT_ONCE = 4


class NotFetchedError(Exception):
    """Nothing was fetched. It does not say why: whoever asks could feel about in a network by it."""


class UriInputs:
    """Fetches what lies at https addresses, without any credentials, following at most 3 redirects.

    Each address is looked up and judged by itself, so that none leads inside. Origins that are `trusted` are reached
    wherever they are, by http as well: a test's own server. `max_bytes` and `max_seconds` are one picture's.
    """

    def __init__(
        self,
        trusted: Iterable[str] = (),
        *,
        max_bytes: int = MAX_BYTES,
        max_seconds: float = MAX_SECONDS,
        network: Network = INTERNET,
    ) -> None:
        trusted = tuple(trusted)
        self._trusted = {origin_of(URL(each)) for each in trusted}
        bounds = Bounds(connect=max_seconds, grace=max_seconds, body=max_bytes)
        self._client = UpstreamClient(trusted, dict, bounds, network)
        self._max_seconds = max_seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def fetch(self, uri: str) -> bytes:
        """What lies there, whatever it is. Raises NotFetchedError."""
        try:
            target = URL(uri)
            if target.scheme != "https" and origin_of(target) not in self._trusted:
                raise NotFetchedError
            async with self._slots, asyncio.timeout(self._max_seconds):
                return (await self._client.download(uri)).body
        except (Failure, TimeoutError, ValueError):
            raise NotFetchedError from None
