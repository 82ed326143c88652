"""Which addresses may be connected to when somebody else names them: S1's forms, each range at both ends."""

import ipaddress
from collections.abc import Iterator

import pytest

from imagegate.runtime.addresses import is_public

REFUSED_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
# Outside 2000::/3, and inside of it what is not for everybody.
REFUSED_V6 = [
    "::/128",
    "::1/128",
    "100::/64",
    "1000::/4",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "3fff::/20",
    "4000::/3",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "64:ff9b:1::/48",
]
INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.1.1", "239.255.255.255", "255.255.255.255",
]  # fmt: skip
SPELLINGS = [
    "", " ", ".", "localhost", "localhost.", "example.com", "127.1", "127.0.1", "0", "1", "2130706433", "0x7f000001",
    "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.01", "127.0.0.1.", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n",
    "127.0.0.1\x00", "127.0.0.1:80", "127.0.0.1/8", "127。0。0。1", "１２７.0.0.1", "①②⑦.0.0.1", "[::1]", "[::]",
    "::1/128", "::ffff:127.0.0.01", "1.1.1.1, 127.0.0.1", "user@127.0.0.1", "127.0.0.1.nip.io", "8.8.8.8 ", "8.8.8",
    "8.8.8.8.8", "8.8.8.256", "-8.8.8.8", "+8.8.8.8", "8.8.8.8%eth0", "fe80::1%eth0", "fe80::1%25eth0", "::1%lo",
    "2606:4700::1111%eth0", "::ffff:8.8.8.8%1", "2606:4700:::1", "2606:4700::1111::",
    "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.9.9.9", "11.0.0.0", "99.255.255.255", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.88.98.255", "192.167.255.255",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2001:4860:4860::8888",
    "2a00:1450:4001::1", "2a04:4e42::223", "::ffff:8.8.8.8", "64:ff9b::808:808", "2400:cb00::1",
]  # fmt: skip


def ends_and_middle(network: str) -> Iterator[str]:
    block = ipaddress.ip_network(network)
    size = block.num_addresses
    yield from dict.fromkeys(str(block[place]) for place in (0, size // 2, size - 1))


def embedding(inside: str) -> Iterator[str]:
    """The IPv6 forms that carry an IPv4 address."""
    number = int(ipaddress.IPv4Address(inside))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    yield from (f"::ffff:{inside}", f"::ffff:{high}:{low}", f"0:0:0:0:0:FFFF:{high}:{low}", f"::{high}:{low}")
    yield from (f"64:ff9b::{inside}", f"64:ff9b::{high}:{low}", f"64:ff9b:1::{high}:{low}")
    # RFC 6052 puts it here for a prefix of 48 bits, and anything may follow.
    yield f"64:ff9b:1:{high}:{number >> 8 & 0xFF:x}:{number & 0xFF:x}00:808:808"
    yield from (f"2002:{high}:{low}::", f"2002:{high}:{low}::1", f"2001:0:808:808::{high}:{low}")
    yield f"2001:0:{high}:{low}::"


REFUSED = list(
    dict.fromkeys(
        [
            *(address for network in REFUSED_V4 + REFUSED_V6 for address in ends_and_middle(network)),
            *(address for inside in INSIDE for address in embedding(inside)),
            *INSIDE,
            *SPELLINGS,
        ]
    )
)


def test_there_are_enough_of_them() -> None:
    """S1: the corpus has the 200 forms, and 20 that must stay allowed."""
    assert len(REFUSED) >= 200
    assert len(PUBLIC) >= 20


@pytest.mark.parametrize("host", REFUSED)
def test_refused(host: str) -> None:
    """S1: whatever is not plainly public, in whatever spelling, is refused."""
    assert not is_public(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_allowed(host: str) -> None:
    """S1: public addresses are allowed, right up to the edges of what is refused."""
    assert is_public(host)
