"""Which URLs may be followed that an upstream names in its answers. Pure; all of them are hostile."""

import re

from yarl import URL

from imagegate.runtime.errors import Dispatch, Failure, Reason

# What a decoded path may not hold: backslashes, a second layer of encoding, controls, the start of a query.
_TWISTED = re.compile(r"[\\%?#\x00-\x1f\x7f]")


def origin_of(url: URL) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, the scheme's own where none is written."""
    return url.scheme, url.host, url.port


def own_url(base_url: str, named: str) -> str:
    """The URL that an upstream named for its own status, result or cancel call, at `base_url`'s origin.

    Only the path of it is used: a key goes there. Raises Failure(UPSTREAM_ERROR) where that path
    lies outside the base URL's.
    """
    base = URL(base_url)
    try:
        path = URL(named).path
    except (TypeError, ValueError):
        path = ""
    if not path.startswith(base.path.rstrip("/") + "/") or not _is_plain(path):
        raise Failure(
            Reason.UPSTREAM_ERROR,
            "the upstream named a URL outside its own API for following the request",
            dispatch=Dispatch.ACCEPTED,
        )
    return str(base.origin().with_path(path))


def _is_plain(path: str) -> bool:
    """Whether no server can take the (decoded) path for another one."""
    inner = path.removeprefix("/").removesuffix("/").split("/")
    return not _TWISTED.search(path) and not any(segment in ("", ".", "..") for segment in inner)


def redirected(target: URL, location: str) -> URL:
    """Where a download goes on to from `target`. Raises Failure(BAD_OUTPUT) where it may not."""
    if not location:
        raise unfetchable("its address redirects without saying where")
    try:
        following = fetchable(str(target.join(URL(location))))
    except ValueError:
        raise unfetchable("its address redirects to something that is not a URL") from None
    if target.scheme == "https" and following.scheme != "https":
        raise unfetchable("its address redirects from https to http")
    return following


def fetchable(url: str) -> URL:
    """`url`, if a finished picture may be fetched there. Raises Failure(BAD_OUTPUT)."""
    try:
        target = URL(url)
    except (TypeError, ValueError):
        raise unfetchable("its address is not a URL") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise unfetchable("its address is neither http nor https")
    if not target.port:
        raise unfetchable("its address names port 0")
    if target.user is not None or target.password is not None:
        raise unfetchable("its address carries a user name")
    return target


def unfetchable(why: str, status: int = 0) -> Failure:
    """The failure of a picture that the upstream finished and that cannot be had."""
    return Failure(
        Reason.BAD_OUTPUT,
        f"the finished picture cannot be fetched: {why}",
        upstream_status=status,
        phase="download",
        dispatch=Dispatch.ACCEPTED,
        billed=True,
    )
