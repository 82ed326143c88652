"""Signed links: whoever has one may see that one picture until it expires. Pure but for the keys' reading.

The signature is an HMAC-SHA256 over the method, the path, the time of expiry and, where the link says it, the sum of
the picture's bytes, so that it can be found while the database is away. A link holds for reading only: GET, and HEAD
with it.
"""

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlencode

_EXPIRES = re.compile(r"[1-9][0-9]{0,11}")


class Links:
    """Signs paths and checks them. `keys` gives the keys as they are now, with spaces between them: the first signs,
    every one is believed, so that they can be changed while links are about. Where it gives none those before hold.
    """

    def __init__(self, keys: Callable[[], str], seconds: int, now: Callable[[], float]) -> None:
        self._keys = keys
        self._seconds = seconds
        self._now = now
        self._last: list[str] = []

    def sign(self, path: str, picture_sum: str = "") -> str:
        """`path` with what makes it a link that holds from now on. With the sum (SHA-256) of the picture it is one
        that works while the database does not.
        """
        expires = str(int(self._now()) + self._seconds)
        signature = _signature(self._all()[0], path, expires, picture_sum)
        query = {"expires": expires, "sha256": picture_sum, "signature": signature}
        return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"

    def admits(self, path: str, expires: str, signature: str, picture_sum: str = "") -> bool:
        """Whether this is a link of ours that still holds."""
        if not _EXPIRES.fullmatch(expires) or int(expires) < self._now():
            return False
        # All of them, whichever it was: the time that it takes tells nothing.
        given = signature.encode(errors="replace")
        wanted = [_signature(key, path, expires, picture_sum).encode() for key in self._all()]
        return sum(hmac.compare_digest(each, given) for each in wanted) > 0

    def _all(self) -> list[str]:
        self._last = self._keys().split() or self._last
        return self._last


def _signature(key: str, path: str, expires: str, picture_sum: str) -> str:
    signed = "\n".join(("GET", path, expires, picture_sum))
    return hmac.new(key.encode(), signed.encode(errors="replace"), sha256).hexdigest()
