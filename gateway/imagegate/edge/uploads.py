"""`GET /uploads/images/user-<id>/<filename>`: a picture, for its owner or for whoever has its link.

Whatever else is asked for here is answered alike, to the byte: what never was, what is somebody else's, what has no
legal name, a link that has expired.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web

from imagegate.edge.byte_range import ByteRange, asked
from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.gallery import MEDIA_TYPES, Gallery
from imagegate.edge.keys import USER, Keyring
from imagegate.edge.links import Links
from imagegate.edge.problem import Problem, not_found

log = structlog.get_logger(__name__)

# As it comes over the wire: no name of ours has a sign that would need to be encoded.
PLACE = re.compile(
    rf"(?P<path>/uploads/images/user-(?P<owner>{USER.pattern})/"
    rf"(?P<filename>[0-9]{{1,16}}-generated\.(?P<extension>{'|'.join(MEDIA_TYPES)})))(?:\?.*)?",
    re.ASCII | re.DOTALL,
)
SUM = re.compile(r"[0-9a-f]{64}")
# It never changes, and is not for caches that others use as well.
HEADERS = {
    hdrs.CACHE_CONTROL: "private, max-age=31536000, immutable",
    hdrs.ACCEPT_RANGES: "bytes",
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    # Bytes from a stranger: wherever they are opened, nothing in them runs.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",  # meant to stand in other sites' pages
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is to be served. `size` is None where only the storage knows it."""

    sha256: str
    mime_type: str
    filename: str
    size: int | None

    @property
    def etag(self) -> str:
        return f'"{self.sha256}"'

    @property
    def headers(self) -> dict[str, str]:
        return {
            **HEADERS,
            hdrs.CONTENT_TYPE: self.mime_type,
            hdrs.CONTENT_DISPOSITION: f'inline; filename="{self.filename}"',
            hdrs.ETAG: self.etag,
        }


class Uploads:
    """Serves pictures."""

    def __init__(self, gallery: Gallery, links: Links, keyring: Keyring) -> None:
        self._gallery = gallery
        self._links = links
        self._keyring = keyring

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        told = "A picture, by its link or with its owner's key"
        return [
            Endpoint(
                "GET",
                "/uploads/{rest:.*}",
                self.picture,
                told,
                tell,
                access=Access.ANYBODY,
                answers_media=tuple(sorted(MEDIA_TYPES.values())),
            )
        ]

    async def picture(self, call: Call) -> web.StreamResponse:
        """The picture's bytes, or those of them that were asked for."""
        request = call.request
        shown = await self._found(request)
        if shown is None:
            raise not_found()
        if _knows(request.headers.get(hdrs.IF_NONE_MATCH, ""), shown.etag):
            return web.Response(status=304, headers=shown.headers)
        try:
            return await self._served(request, shown)
        except FileNotFoundError:
            log.error("picture_without_bytes", sha256=shown.sha256)  # noqa: TRY400 - there is no more to say of it
            raise not_found() from None

    async def _served(self, request: web.Request, shown: _Shown) -> web.Response:
        size = await self._gallery.size(shown.sha256)
        if shown.size not in (None, size):
            raise FileNotFoundError(shown.sha256)
        part = _part(request, shown, size)
        if part is not None and not part:
            told = f"the picture has {size:,} bytes"
            raise Problem(416, "RANGE_NOT_SATISFIABLE", told, headers={hdrs.CONTENT_RANGE: part.told})
        headers = shown.headers
        if part is not None:
            headers[hdrs.CONTENT_RANGE] = part.told
        wanted = part or ByteRange(0, size, size)
        headers[hdrs.CONTENT_LENGTH] = str(len(wanted))
        pieces = None
        if request.method == hdrs.METH_GET:
            pieces = _whole_or_cut_off(request, await self._gallery.open(shown.sha256, wanted.start, wanted.stop))
        return web.Response(status=200 if part is None else 206, headers=headers, body=pieces)

    async def _found(self, request: web.Request) -> _Shown | None:
        place = PLACE.fullmatch(request.raw_path)
        if place is None:
            return None
        linked = self._linked(request, place["path"])
        if linked is None and not self._owns(request, place["owner"]):
            return None
        try:
            picture = await self._gallery.named(place["owner"], place["filename"])
        except Problem:
            if not linked:
                raise
            # The database is away. The link says all that is needed, and was true a day ago at the most.
            return _Shown(linked, MEDIA_TYPES[place["extension"]], place["filename"], None)
        if picture is None:
            return None
        return _Shown(picture.sha256, picture.mime_type, picture.filename, picture.size_bytes)

    def _linked(self, request: web.Request, path: str) -> str | None:
        """The sum that the request's link is for, empty where it names none; None where it has no link that holds."""
        query = request.query
        picture_sum = query.get("sha256", "")
        if picture_sum and not SUM.fullmatch(picture_sum):
            return None
        holds = self._links.admits(path, query.get("expires", ""), query.get("signature", ""), picture_sum)
        return picture_sum if holds else None

    def _owns(self, request: web.Request, owner: str) -> bool:
        scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        caller = self._keyring.caller(key.strip()) if scheme.lower() == "bearer" else None
        return caller is not None and caller.user == owner


def tell(problem: Problem, request_id: str) -> web.Response:
    """Problems as elsewhere, but that there is nothing here is always told in the same bytes: what was asked, how it
    was asked and the call's id (which the header has) make no difference.
    """
    if problem.status not in (404, 405):
        return tell_problem(problem, request_id)
    problem.headers.pop(hdrs.ALLOW, None)
    nothing = not_found("there is no such picture, or its link has expired")
    shown = {name: value for name, value in nothing.to_dict("").items() if name != "request_id"}
    return web.json_response(shown, status=404, content_type="application/problem+json")


def _knows(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in header.split(","))


def _part(request: web.Request, shown: _Shown, size: int) -> ByteRange | None:
    if request.headers.get("If-Range", shown.etag) != shown.etag:
        return None
    return asked(request.headers.get(hdrs.RANGE, ""), size)


async def _whole_or_cut_off(request: web.Request, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces. Where they end too early the connection is cut off, so that nobody takes a part for the whole."""
    try:
        async for piece in pieces:
            yield piece
    except (Problem, FileNotFoundError):
        if request.transport is not None:
            request.transport.abort()
