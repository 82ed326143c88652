"""The page: files of HTML, CSS and JavaScript as they lie in `static`, for anybody; it asks for a key by itself.

All of them are read when the edge starts: what a caller names is looked up among these and never on a disk.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import hdrs, web

from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.problem import not_found

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
# Only what is ours runs, nothing inline; pictures also come from memory (previews, what was chosen to send).
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A new version is seen at once: a file is asked for every time, and sent only where it has changed.
    hdrs.CACHE_CONTROL: "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    media_type: str
    data: bytes
    etag: str

    @classmethod
    def of(cls, name: str, data: bytes) -> "File":
        """The file called `name`. Raises KeyError where a file of its kind is not served."""
        return cls(MEDIA_TYPES[name[name.rindex(".") :]], data, hashlib.sha256(data).hexdigest()[:32])


class Page:
    """Serves the page."""

    def __init__(self) -> None:
        self._files = dict(_read(files("imagegate.edge") / "static"))

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        media = tuple(sorted({each.split(";")[0] for each in MEDIA_TYPES.values()}))
        return [
            Endpoint(
                "GET",
                "/",
                self.index,
                "The page: make pictures, look at them, see how everything is doing",
                tell_problem,
                access=Access.ANYBODY,
                answers_media=("text/html",),
            ),
            Endpoint(
                "GET",
                "/static/{name:.*}",
                self.static,
                "A file of the page",
                tell_problem,
                access=Access.ANYBODY,
                answers_media=media,
            ),
        ]

    async def index(self, call: Call) -> web.StreamResponse:
        """The page itself."""
        return _answer(call, self._files[INDEX])

    async def static(self, call: Call) -> web.StreamResponse:
        """One of its files."""
        found = self._files.get(call.request.match_info["name"])
        if found is None:
            raise not_found("the page has no such file")
        return _answer(call, found)


def _answer(call: Call, found: File) -> web.StreamResponse:
    headers = {**HEADERS, hdrs.ETAG: f'"{found.etag}"'}
    known = call.request.if_none_match or ()
    if any(each.value in {found.etag, "*"} for each in known):
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.data, headers={**headers, hdrs.CONTENT_TYPE: found.media_type})


def _read(folder: Traversable, above: str = "") -> list[tuple[str, File]]:
    """Every file below `folder` with its name from there."""
    found: list[tuple[str, File]] = []
    for each in folder.iterdir():
        name = f"{above}{each.name}"
        found += _read(each, f"{name}/") if each.is_dir() else [(name, File.of(name, each.read_bytes()))]
    return found
