"""Which network addresses may be connected to when the address comes from somebody else. Pure.

What is not plain global unicast is refused, by a table of ours: `ipaddress.is_global` accepts eight forms that reach
inside, and other ones with every version of Python. An IPv4 address inside an IPv6 one (mapped, compatible, NAT64,
6to4) is taken out first and judged by itself. A zone id (`%eth0`) is refused: no address that is routed has one.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressRange = ipaddress.IPv4Network | ipaddress.IPv6Network

# This network, private use, carrier-grade NAT, loopback, link-local (the metadata services), protocol assignments,
# documentation, 6to4 relays, benchmarks, multicast, reserved and broadcast.
REFUSED_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
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
        ),
    )
)
GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
# Of that, protocol assignments (Teredo, ORCHID) and documentation.
REFUSED_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
# Of NAT64 only the well-known prefix: local ones (64:ff9b:1::/48) hold the address wherever they like.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE_V4 = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """What is public and nevertheless our own: ranges of addresses (a cluster's pods), and names with all below them.

    Nothing that somebody else names is fetched there.
    """

    ranges: tuple[AddressRange, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "OwnPlaces":
        """Ranges and names with commas between them. Raises ValueError."""
        ranges: list[AddressRange] = []
        names: list[str] = []
        for each in filter(None, (part.strip() for part in text.split(","))):
            if "/" in each or ":" in each:
                ranges.append(ipaddress.ip_network(each))
            else:
                names.append(_plain(each))
        return cls(tuple(ranges), tuple(names))

    def have_name(self, host: str) -> bool:
        """Whether `host` is one of the names, or below one."""
        name = _plain(host)
        return any(name == own or name.endswith(f".{own}") for own in self.names)


def is_public(host: str, own: Iterable[AddressRange] = ()) -> bool:
    """Whether `host`, a literal IP address, is one that anybody on the internet could reach, and in no `own` range."""
    try:
        address: Address = ipaddress.ip_address(host)
    except ValueError:
        return False
    own = tuple(own)
    if "%" in host or _is_in(address, own):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded_v4(address)
        if embedded is None:
            return address in GLOBAL_UNICAST_V6 and not _is_in(address, REFUSED_V6)
        address = embedded
    return not _is_in(address, REFUSED_V4) and not _is_in(address, own)


def _is_in(address: Address, ranges: Iterable[AddressRange]) -> bool:
    return any(address in each for each in ranges)


def _embedded_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in COMPATIBLE_V4 or address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")
