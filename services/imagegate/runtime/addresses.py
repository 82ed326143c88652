"""Which network addresses may be connected to when the address comes from somebody else. Pure.

`ipaddress.is_global` alone accepts eight forms that reach inside (IPv4 mapped, compatible, NAT64
and 6to4 among them), so embedded IPv4 addresses are unwrapped first and everything that is not
plain global unicast is refused. So is a zone id (`%eth0`): no address that is routed has one.
"""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
# Refused although `is_global` may say otherwise: carrier-grade NAT, protocol assignments, 6to4 relay.
REFUSED_V4 = tuple(map(ipaddress.IPv4Network, ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "0.0.0.0/8")))
# The same for protocol assignments (Teredo, ORCHID) and documentation.
REFUSED_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
# Of NAT64 only the well-known prefix: local ones (64:ff9b:1::/48) hold the address wherever they like.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE_V4 = ipaddress.IPv6Network("::/96")


def is_public(host: str) -> bool:
    """Whether `host`, a literal IP address, is one that anybody on the internet could reach."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    embedded = _embedded_v4(address)
    if embedded is not None:
        return "%" not in host and is_public(str(embedded))
    if "%" in host or not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in GLOBAL_UNICAST_V6 and not any(address in network for network in REFUSED_V6)
    return not any(address in network for network in REFUSED_V4)


def _embedded_v4(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in COMPATIBLE_V4 or address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
