"""When a certificate expires. Pure.

As much of DER as lies before that date (RFC 5280): the version, a serial number, an algorithm and the issuer.
"""

import base64
import re
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
UTC_TIME, VERSION = 0x17, 0xA0


def expiry_of(pem: bytes) -> float | None:
    """When the first certificate in `pem` expires, in seconds since 1970; None where that cannot be told."""
    found = _PEM.search(pem)
    try:
        return _expiry(base64.b64decode(found[1])) if found else None
    except (ValueError, IndexError):
        return None


def _expiry(der: bytes) -> float:
    _, certificate, _ = _element(der)
    _, to_be_signed, _ = _element(certificate)
    tag, _, rest = _element(to_be_signed)
    if tag == VERSION:
        _, _, rest = _element(rest)  # the serial number
    for _ in ("algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)  # the beginning
    tag, end, _ = _element(rest)
    form = "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(end.decode("ascii"), form).replace(tzinfo=UTC).timestamp()


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element's tag and content, and what follows it."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return tag, der[start : start + length], der[start + length :]
