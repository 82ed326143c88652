"""What HTTP asks of a request and the parser lets through: versions, framing, the host. Pure.

Where two readers of the same bytes disagree on where a request ends, one request hides in another; so what is odd is
refused, and the connection with it.
"""

import re
from collections.abc import Iterator, Mapping

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, hdrs
from yarl import URL

from imagegate.edge.problem import Problem

VERSIONS = {HttpVersion10, HttpVersion11}
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?"
HOST = re.compile(rf"(?:\[[0-9A-Fa-f:.]{{2,45}}\]|{_NAME})(?::[0-9]{{1,5}})?")
CONTINUE = "100-continue"


def broken_rule(version: HttpVersion, method: str, target: str, headers: Mapping[str, str]) -> Problem | None:
    """What is wrong with the head of a request; None for nothing.

    `target` is what its first line asks for, which the parser has found to be a path or an address.
    """
    return next(_broken_rules(version, method, target, headers), None)


def _broken_rules(version: HttpVersion, method: str, target: str, headers: Mapping[str, str]) -> Iterator[Problem]:
    if version not in VERSIONS:
        yield Problem(505, "HTTP_VERSION", "HTTP/1.1 is spoken here")
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None and (coding.lower() != "chunked" or version != HttpVersion11):
        yield _malformed("the only Transfer-Encoding is chunked, of HTTP/1.1")
    if method == hdrs.METH_CONNECT:
        yield Problem(405, "METHOD_NOT_ALLOWED", "this is no proxy")
    host = headers.get(hdrs.HOST, "")
    if not HOST.fullmatch(host):
        yield _malformed("the Host header has to name a host")
    if not target.startswith(("/", "*")) and URL(target, encoded=True).raw_authority.lower() != host.lower():
        yield _malformed("the request's address and its Host header name two hosts")
    if headers.get(hdrs.EXPECT, CONTINUE).lower() != CONTINUE:
        yield Problem(417, "EXPECTATION_FAILED", f"the only Expect is {CONTINUE}")


def ends_connection(headers: Mapping[str, str]) -> bool:
    """Whether nothing may follow on the connection: after what asks for another protocol, which is not spoken here,
    the parser no longer knows what is what.
    """
    return hdrs.UPGRADE in headers


def _malformed(told: str) -> Problem:
    return Problem(400, "MALFORMED_REQUEST", told)
