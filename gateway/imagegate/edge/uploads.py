"""`GET /uploads/images/user-<id>/<filename>`: a picture, for its owner or for whoever has its link.

Whatever else is asked for here is answered alike, whether it never was, is somebody else's or has no legal name.
"""

import re

from aiohttp import hdrs, web

from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.keys import USER, Keyring
from imagegate.edge.links import Links
from imagegate.edge.problem import not_found

FILENAME = re.compile(r"[0-9]{1,16}-generated\.(?:png|jpg|webp)")


class Uploads:
    """Serves pictures."""

    def __init__(self, gallery: Gallery, links: Links, keyring: Keyring) -> None:
        self._gallery = gallery
        self._links = links
        self._keyring = keyring

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "GET",
                "/uploads/{rest:.*}",
                self.picture,
                "A picture, by its link or with its owner's key",
                tell_problem,
                access=Access.ANYBODY,
                answers_media=("image/png", "image/jpeg", "image/webp"),
            )
        ]

    async def picture(self, call: Call) -> web.StreamResponse:
        """The picture's bytes."""
        picture = await self._found(call.request)
        if picture is None:
            raise not_found("there is no such picture, or its link has expired")
        return web.Response(
            body=await self._gallery.data(picture),
            headers={
                hdrs.CONTENT_TYPE: picture.mime_type,
                hdrs.CACHE_CONTROL: "private, max-age=31536000, immutable",
                hdrs.ETAG: f'"{picture.sha256}"',
                "Cross-Origin-Resource-Policy": "cross-origin",  # meant to stand in other sites' pages
            },
        )

    async def _found(self, request: web.Request) -> Picture | None:
        place = re.fullmatch(r"/uploads/images/user-([^/]+)/([^/]+)", request.path)
        if place is None or not USER.fullmatch(place[1]) or not FILENAME.fullmatch(place[2]):
            return None
        if not self._may(request, owner=place[1]):
            return None
        return await self._gallery.named(place[1], place[2])

    def _may(self, request: web.Request, owner: str) -> bool:
        query = request.query
        if self._links.admits(request.path, query.get("expires", ""), query.get("signature", "")):
            return True
        scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        caller = self._keyring.caller(key.strip()) if scheme.lower() == "bearer" else None
        return caller is not None and caller.user == owner
