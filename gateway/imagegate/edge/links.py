"""Signed links: whoever has one may see that one picture until it expires. Pure but for the keys' reading.

The signature is an HMAC-SHA256 over the path and the time of expiry. It holds for reading only (GET and HEAD), so the
method needs no place in it.
"""

import hmac
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlencode


class Links:
    """Signs paths and checks them. `keys` gives the keys as they are now: the first signs, every one is believed, so
    that they can be changed while links are about.
    """

    def __init__(self, keys: Callable[[], str], seconds: int, now: Callable[[], float]) -> None:
        self._keys = keys
        self._seconds = seconds
        self._now = now

    def sign(self, path: str) -> str:
        """`path` with what makes it a link that holds from now on."""
        expires = int(self._now()) + self._seconds
        return f"{path}?{urlencode({'expires': expires, 'signature': _signature(self._all()[0], path, expires)})}"

    def admits(self, path: str, expires: str, signature: str) -> bool:
        """Whether this is a link of ours that still holds."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < self._now():
            return False
        wanted = (_signature(key, path, int(expires)) for key in self._all())
        return any(hmac.compare_digest(each.encode(), signature.encode()) for each in wanted)

    def _all(self) -> list[str]:
        return self._keys().split()


def _signature(key: str, path: str, expires: int) -> str:
    return hmac.new(key.encode(), f"{expires}\n{path}".encode(), sha256).hexdigest()
