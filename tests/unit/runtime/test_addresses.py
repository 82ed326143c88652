"""Which addresses may be connected to when somebody else names them: S1's forms, each range at both ends."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.addresses import OwnPlaces, is_public
from imagegate.testing.hostile import INSIDE, RANGES_V4, RANGES_V6, embedding, ends_and_middle, odd_spellings

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


REFUSED = list(
    dict.fromkeys(
        [
            *(address for network in RANGES_V4 + RANGES_V6 for address in ends_and_middle(network)),
            *(address for inside in INSIDE for address in embedding(inside)),
            *(address for inside in INSIDE for address in odd_spellings(inside)),
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


@given(st.ip_addresses())
def test_the_library_agrees(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """S1: nothing is allowed that the standard library calls inside, save embedded IPv4 addresses."""
    if is_public(str(address)) and not str(address).startswith(("2002:", "64:ff9b::", "::")):
        assert address.is_global


def test_what_is_our_own_is_refused_wherever_it_is() -> None:
    """S1: a cluster's public ranges and an operator's own names are as good as inside, embedded ones too."""
    own = OwnPlaces.parse("2a00:1450:4001::/48, 8.8.8.0/24,Images.Example.com., 1.1.1.1/32")
    assert own.names == ("images.example.com",)
    for host in ("2a00:1450:4001::1", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "1.1.1.1"):
        assert is_public(host)
        assert not is_public(host, own.ranges)
    assert is_public("8.8.9.8", own.ranges)
    for name in ("images.example.com", "IMAGES.example.com.", "a.images.example.com"):
        assert own.have_name(name)
    assert not own.have_name("other-images.example.com")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "::g/8", "1.2.3.4/33"])
def test_what_is_no_range(text: str) -> None:
    """A range that is mistyped is said to be, in place of being ignored."""
    with pytest.raises(ValueError, match=r"host bits|not permitted|not a valid|does not appear"):
        OwnPlaces.parse(text)
