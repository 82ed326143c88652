"""The one HTTP client: bounded in time, bytes and redirects, and careful with keys.

- A key goes only to the exact origin (scheme, host, port) of a configured base URL. Of a URL that
  an upstream names for its own status, result or cancel call only the path is used, there.
- A finished picture is fetched without the key, wherever it lies; an address that is not public is
  reached only at a configured origin.
- A file is given to a configured origin only, under an authorization that the upstream gave out for it.
- A call that makes or fetches a picture always asks for an image type (`Accept`).
- No submission is sent twice: the router is the one layer that tries again. (aiohttp itself repeats
  a GET or PUT, once, where a kept-alive connection turned out to be closed.)
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from imagegate.runtime.answer import MAX_TEXT_BYTES, Answer
from imagegate.runtime.connecting import KEEPALIVE_SECONDS, AddressRefusedError, Network
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.urls import fetchable, origin_of, redirected, unfetchable

ACCEPT_PICTURE = "image/png"
ACCEPT_JSON = "application/json"

MINIMUM_BYTES_PER_SECOND = 8 * 1024
# A picture of 32 MiB in base64 with a little JSON around it.
MAX_BODY_BYTES = 45 * 1024 * 1024
# What is taken of an answer before it is read, and then. Whoever leaves in between leaves the former behind, in a cycle
# of aiohttp's objects that stays until Python looks for some.
UNREAD_BYTES = 64 * 1024
READ_BYTES = 512 * 1024
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long, in seconds, and how large, in bytes, parts of a conversation may be.

    A body may take `grace` plus its size at the minimum rate: a bound between two reads alone never
    sees a drip. A download's headers have `grace` as well; those of a call that makes a picture come
    when it is made, so only the attempt's own deadline ends it.
    """

    connect: float = 10.0
    grace: float = 10.0
    body: int = MAX_BODY_BYTES


DEFAULT_BOUNDS = Bounds()
INTERNET = Network()


class UpstreamClient:
    """HTTP to one upstream. `async with` it, or call `close`.

    `base_urls` are the configured ones; `authorization` gives the headers with the key, asked for
    at every call so that a rotated key works at once. Everything else is reached over the `network`.
    """

    def __init__(
        self,
        base_urls: Iterable[str],
        authorization: Callable[[], Mapping[str, str]],
        bounds: Bounds = DEFAULT_BOUNDS,
        network: Network = INTERNET,
    ) -> None:
        self._origins = {origin_of(URL(base)) for base in base_urls}
        self._authorization = authorization
        self._bounds = bounds
        self._network = network
        self._trusted: aiohttp.ClientSession | None = None
        self._public: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection, for good: a call that comes later, of work that is still being cancelled, fails."""
        self._is_closed = True
        for session in (self._trusted, self._public):
            if session is not None:
                await session.close()
        self._trusted = self._public = None

    async def picture_call(
        self, method: str, url: str, *, json: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A call that makes a picture, or carries one in its answer: always asks for an image type."""
        return await self._authorized(method, url, ACCEPT_PICTURE, json, headers)

    async def json_call(
        self, method: str, url: str, *, json: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A call about a picture (status, cancel, catalogue), which answers JSON."""
        return await self._authorized(method, url, ACCEPT_JSON, json, headers)

    async def upload(self, url: str, data: bytes, headers: Mapping[str, str]) -> Answer:
        """Give a file to a configured origin, without the key: `headers` say what it is, and who may put it there."""
        target = self._own(url)
        return await self._sent("POST", target, data, CIMultiDict({**headers, "Accept": ACCEPT_JSON}))

    async def download(self, url: str) -> Answer:
        """Fetch a finished picture, without the key, following at most 3 redirects.

        Raises Failure: BAD_OUTPUT for an answer other than 200, a URL that may not be fetched or a
        body over the limit; UPSTREAM_ERROR where the connection broke; TIMEOUT below the minimum rate.
        """
        target = fetchable(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._fetch(target)
            if location is None:
                return answer
            target = redirected(target, location)
        raise unfetchable(f"its address redirects more than {MAX_REDIRECTS} times")

    async def _authorized(
        self, method: str, url: str, accept: str, body: object, headers: Mapping[str, str] | None
    ) -> Answer:
        target = self._own(url)
        # Case-insensitive, and in this order: no caller's header can take the place of these two.
        sent = CIMultiDict(headers or {})
        sent.update(self._authorization())
        sent["Accept"] = accept
        data = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        return await self._sent(method, target, data, sent)

    def _own(self, url: str) -> URL:
        """The URL, if it is at a configured origin. Raises ValueError."""
        target = URL(url)
        if origin_of(target) not in self._origins:
            raise ValueError(f"a key would leave for {target.origin()}, which is not a configured base URL")
        return target

    async def _sent(self, method: str, target: URL, data: bytes | None, headers: CIMultiDict[str]) -> Answer:
        try:
            async with self._session(trusted=True).request(
                method, target, data=data, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await _read(response, self._bounds))
        except (aiohttp.ClientError, OSError) as error:
            # Without the cause: its text holds the URL with its query.
            raise _transport_failure(error, target) from None

    async def _fetch(self, target: URL) -> tuple[Answer, str | None]:
        """One hop of a download: the picture, or where it went."""
        session = self._session(trusted=origin_of(target) in self._origins)
        patience = aiohttp.ClientTimeout(total=None, sock_connect=self._bounds.connect, sock_read=self._bounds.grace)
        try:
            async with session.get(
                target, headers={"Accept": ACCEPT_PICTURE}, allow_redirects=False, timeout=patience
            ) as response:
                if response.status in REDIRECTS:
                    return Answer(response.status, response.headers, b""), response.headers.get("Location", "")
                body = await _read(response, self._bounds)
        except Failure as failure:
            raise _of_download(failure) from None
        except (aiohttp.InvalidURL, UnicodeError):
            raise unfetchable("its address is not a URL") from None
        except (aiohttp.ClientError, OSError) as error:
            if _was_refused(error):
                raise unfetchable("its address is not a public one") from None
            raise _of_download(_transport_failure(error, target)) from None
        if response.status != HTTPStatus.OK:
            raise unfetchable(f"its address answers {response.status}", response.status)
        return Answer(response.status, response.headers, body), None

    def _session(self, *, trusted: bool) -> aiohttp.ClientSession:
        """The session for configured origins, or the one that reaches public addresses only.

        Raises Failure(UNREACHABLE) once the client is closed.
        """
        if self._is_closed:
            raise Failure(Reason.UNREACHABLE, "this service is being stopped", dispatch=Dispatch.NOT_SENT)
        session = self._trusted if trusted else self._public
        if session is None:
            session = _new_session(_configured() if trusted else self._network.connector(), self._bounds.connect)
            if trusted:
                self._trusted = session
            else:
                self._public = session
        return session


def _configured() -> aiohttp.TCPConnector:
    """What reaches an operator's own addresses, public or not: they are configuration, nobody's answer."""
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, happy_eyeballs_delay=None)


def _new_session(connector: aiohttp.TCPConnector, connect_seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        # The attempt's own deadline ends a call; only connecting has a bound of its own.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"imagegate/{version('imagegate')}", "Accept-Encoding": "identity"},
        # Neither a proxy nor a password (netrc) from the environment.
        trust_env=False,
        auto_decompress=False,
        read_bufsize=UNREAD_BYTES,
        max_line_size=16 * 1024,
    )


async def _read(response: aiohttp.ClientResponse, bounds: Bounds) -> bytes:
    """The body, bounded in bytes and in time. Of an error's body whatever can be had: its status counts."""
    failed = response.status >= HTTPStatus.BAD_REQUEST
    if any(each.strip().lower() != "identity" for each in response.headers.getall("Content-Encoding", ())):
        response.close()
        if failed:
            return b""
        what = "the upstream compressed its answer although asked not to"
        raise Failure(Reason.BAD_OUTPUT, what, dispatch=Dispatch.ACCEPTED)
    limit = min(MAX_TEXT_BYTES, bounds.body) if failed else bounds.body
    chunks: list[bytes] = []
    try:
        await _receive(response, chunks, limit, bounds.grace)
    except TimeoutError:
        response.close()
        if not failed:
            raise Failure(
                Reason.TIMEOUT,
                f"the upstream sent its answer more slowly than {MINIMUM_BYTES_PER_SECOND // 1024} KiB/s",
                upstream_status=response.status,
                dispatch=Dispatch.ACCEPTED,
            ) from None
    except (aiohttp.ClientError, OSError):
        if not failed:
            raise
    body = b"".join(chunks)
    if len(body) > limit:
        response.close()
        if not failed:
            what = f"the upstream's answer is larger than {limit // 2**20} MiB"
            raise Failure(Reason.BAD_OUTPUT, what, dispatch=Dispatch.ACCEPTED)
    return body[:limit]


async def _receive(response: aiohttp.ClientResponse, chunks: list[bytes], limit: int, grace: float) -> None:
    """Append to `chunks` until the body ends or exceeds `limit`. Raises TimeoutError below the minimum rate."""
    began = asyncio.get_running_loop().time()
    size = 0
    response.content.set_read_chunk_size(READ_BYTES)
    async with asyncio.timeout(grace) as patience:
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                return
            patience.reschedule(began + grace + size / MINIMUM_BYTES_PER_SECOND)


def _transport_failure(error: Exception, target: URL) -> Failure:
    """What a broken conversation means. The error's own text is not used: it may hold the key."""
    place = str(target.origin())
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(Reason.UNREACHABLE, f"{place} is no address", dispatch=Dispatch.NOT_SENT)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(Reason.UNREACHABLE, f"{target.host} has no address (DNS)", dispatch=Dispatch.NOT_SENT)
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Failure(Reason.UNREACHABLE, f"no TLS connection to {place} could be made", dispatch=Dispatch.NOT_SENT)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Failure(Reason.UNREACHABLE, f"no connection to {place} could be made", dispatch=Dispatch.NOT_SENT)
    if isinstance(error, TimeoutError):
        return Failure(Reason.TIMEOUT, f"{place} did not answer in time", dispatch=Dispatch.UNKNOWN)
    if isinstance(error, aiohttp.ClientPayloadError):
        what = "broke off its answer"
    elif isinstance(error, aiohttp.ClientResponseError):
        what = "answered with something that is not HTTP, or with headers that are too large"
    else:
        what = "closed the connection"
    return Failure(Reason.UPSTREAM_ERROR, f"{place} {what}", dispatch=Dispatch.UNKNOWN)


def _of_download(failure: Failure) -> Failure:
    """The same failure, met while fetching what the upstream has finished."""
    failure.phase, failure.dispatch = "download", Dispatch.ACCEPTED
    failure.billed = True if failure.reason is Reason.BAD_OUTPUT else None
    return failure


def _was_refused(error: BaseException | None) -> bool:
    seen = error
    while seen is not None:
        if isinstance(seen, AddressRefusedError):
            return True
        if isinstance(seen, aiohttp.ClientConnectorError) and isinstance(seen.os_error, AddressRefusedError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
