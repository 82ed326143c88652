"""Where a call comes from, if proxies that are believed stand in between. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# A chain of proxies that is longer is not followed to its end.
MAX_HOPS = 32


@dataclass(frozen=True, slots=True)
class Proxies:
    """Networks of proxies, each of which adds whoever called it to the end of X-Forwarded-For."""

    networks: Sequence[IPv4Network | IPv6Network] = ()

    @classmethod
    def of(cls, text: str) -> "Proxies":
        """Networks such as `10.0.0.0/8`, separated by commas or spaces. Raises ValueError naming what is none."""
        return cls([_network(each) for each in re.split(r"[,\s]+", text) if each])

    def origin(self, peer: str, forwarded: Sequence[str]) -> str:
        """The address that a call of `peer` with these X-Forwarded-For headers comes from: the last that is no proxy.

        What stands before it anybody can have written. Where somebody is no address, or there are more than MAX_HOPS,
        it is the last proxy that is known.
        """
        origin = peer
        for hop in reversed(",".join(forwarded).rsplit(",", MAX_HOPS - 1)):  # of more, the rest is no address
            address = _address(hop)
            if address is None or not self._have(origin):
                break
            origin = str(address)
        return origin

    def _have(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self.networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no network; one is 10.0.0.0/8, or a single address") from None
    if not network.prefixlen:
        raise ValueError(f"{text!r} is everybody, who could then come from anywhere; name the proxies' own networks")
    return network


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip(" \t").partition("%")[0])
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address
