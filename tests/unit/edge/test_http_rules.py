"""What of HTTP is refused that the parser takes."""

import pytest
from aiohttp import HttpVersion

from imagegate.edge.http_rules import broken_rule, ends_connection

V10, V11 = HttpVersion(1, 0), HttpVersion(1, 1)


def status(version: HttpVersion, target: str = "/x", method: str = "GET", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in {"Host": "a.example", **headers}.items()}
    problem = broken_rule(version, method, target, named)
    return 0 if problem is None else problem.status


@pytest.mark.parametrize("version", [HttpVersion(0, 9), HttpVersion(1, 2), HttpVersion(2, 0), HttpVersion(3, 0)])
def test_only_two_versions_are_spoken(version: HttpVersion) -> None:
    """S23: HTTP/0.9, which has no headers to trust, and what comes later are refused."""
    assert status(version) == 505
    assert status(V10) == status(V11) == 0


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity", "", "chunked, chunked", "xchunked"])
def test_the_only_transfer_coding_is_chunked(coding: str) -> None:
    """S23: a coding that one reader knows and another does not is how requests are smuggled."""
    assert status(V11, Transfer_Encoding=coding) == 400
    assert status(V11, Transfer_Encoding="Chunked") == 0
    assert status(V10, Transfer_Encoding="chunked") == 400


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "a/b", "a@b", "a?b", "a#b", "a:b", "a:123456", "[::1", "a,b", "ä.example", "a\x7f", "-"]
)
def test_a_host_is_a_host(host: str) -> None:
    """S23: links are made from it, so it can be nothing else."""
    assert status(V11, Host=host) == 400


@pytest.mark.parametrize("host", ["a", "a.example", "a.example.", "A-b_c.example:8080", "127.0.0.1:80", "[::1]:8080"])
def test_hosts_that_are_some(host: str) -> None:
    """Names, addresses, and ports of them."""
    assert status(V11, Host=host) == 0


def test_an_address_in_the_first_line_names_the_same_host() -> None:
    """S23: with two hosts in one request, a proxy and the edge may each take another one."""
    assert status(V11, "http://A.example/x") == 0
    assert status(V11, "http://b.example/x") == 400
    assert status(V11, "http://user@a.example/x") == 400
    assert status(V11, "*", "OPTIONS") == 0


def test_this_is_no_proxy() -> None:
    """CONNECT is refused, whatever to."""
    assert status(V11, "a.example:443", "CONNECT") == 405


def test_what_may_be_expected() -> None:
    """The only expectation is to be told to go on."""
    assert status(V11, Expect="100-Continue") == 0
    assert status(V11, Expect="200-ok") == 417


def test_after_an_upgrade_nothing_follows() -> None:
    """S23: what lies behind a request for another protocol is read by nobody."""
    assert ends_connection({"Upgrade": "h2c"})
    assert not ends_connection({})
