"""Addresses and URLs that lead inside, in every form that is known. Independent of the policy that refuses them."""

import ipaddress
from collections.abc import Iterator

RANGES_V4 = (
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
)
# Outside 2000::/3, and inside of it what is not for everybody.
RANGES_V6 = (
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
)
# One of each kind that is asked for in earnest: loopback, metadata services, private use, carrier-grade NAT.
INSIDE = (
    "0.0.0.0",  # noqa: S104 nobody listens there
    "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.1.1", "239.255.255.255", "255.255.255.255",
)  # fmt: skip


def ends_and_middle(network: str) -> Iterator[str]:
    """The first, the middle and the last address of a range."""
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


def odd_spellings(inside: str) -> Iterator[str]:
    """Ways in which some library, somewhere, reads an IPv4 address."""
    a, b, c, d = map(int, inside.split("."))
    number = int(ipaddress.IPv4Address(inside))
    yield from (f"{number}", f"0x{number:x}", f"0X{number:08X}", f"0{number:o}", f"{number + 2**32}")
    yield from (f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"00{a:o}.{b}.{c}.{d}")
    yield from (f"{a}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{(c << 8) + d}", f"0x{a:x}.{b}.0{c:o}.{d}")
    yield from (f"{inside}.", f"{a}。{b}。{c}。{d}", f"{a}．{b}｡{c}.{d}")
    yield "".join(chr(ord("０") + int(each)) if each.isdigit() else each for each in inside)
    yield f"{a}%2e{b}.{c}.{d}"
    yield from (f"{inside}.nip.example", f"{inside.replace('.', '-')}.nip.example", f"a.b.{inside}.nip.example.")


def hostile_urls(port: int) -> list[str]:
    """More than 200 URLs none of which may be fetched; where it can be, a listener of the test's is at `port`.

    The names in them are those of HOSTILE_NAMES.
    """
    hosts = [each for network in RANGES_V4 for each in ends_and_middle(network)]
    hosts += [each for inside in ("127.0.0.1", "169.254.169.254", "10.0.0.1") for each in odd_spellings(inside)]
    hosts += HOSTILE_NAMES
    hosts += ["localhost", "localhost.", "LOCALHOST", "localhost..", "ⓛocalhost", "localhost%00", "localhost%2f"]
    hosts += ["[localhost]", "[127.0.0.1]", "[inside.example]", "[::ffff:127.0.0.1.]", "good@127.0.0.1"]
    hosts += ["good.example@127.0.0.1", "good:pw@[::1]", "@127.0.0.1", "good.example%40127.0.0.1", "127.0.0.1%20"]
    six = [each for network in RANGES_V6 for each in ends_and_middle(network)]
    six += [each for inside in ("127.0.0.1", "169.254.169.254", "10.0.0.1") for each in embedding(inside)]
    six += ["fe80::1%25lo", "fe80::1%lo", "::1%25lo", "::1%251", "::ffff:127.0.0.1%25lo", "0:0:0:0:0:0:0:1", "::0001"]
    six += ["2606:4700::1111%25lo"]
    urls = [f"http://{host}:{port}/latest/meta-data" for host in (*hosts, *(f"[{each}]" for each in six))]
    return list(dict.fromkeys([*urls, *_odd_urls(port)]))


# What the name server of a test says of them: each set of addresses in its turn.
HOSTILE_NAMES = (
    "inside.example",
    "metadata.example",
    "inside-v6.example",
    "mapped.example",
    "mixed.example",
    "mixed-other-way.example",
    "mixed-families.example",
    "mixed-many.example",
    "empty.example",
)
PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:4700::1111"
NAMES: dict[str, list[list[str]]] = {
    "localhost": [["127.0.0.1", "::1"]],
    "inside.example": [["127.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "inside-v6.example": [["::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "mixed.example": [[PUBLIC, "127.0.0.1"]],
    "mixed-other-way.example": [["127.0.0.1", PUBLIC]],
    "mixed-families.example": [[PUBLIC, "::1"]],
    "mixed-many.example": [[PUBLIC, PUBLIC_V6, "93.184.215.15", "10.0.0.1"]],
    "rebinding.example": [[PUBLIC], ["127.0.0.1"]],
    "rebinding-metadata.example": [[PUBLIC], ["169.254.169.254"]],
    "rebinding-mixed.example": [[PUBLIC], [PUBLIC, "127.0.0.1"]],
}


def _odd_urls(port: int) -> Iterator[str]:
    """Other schemes, ports that there are not, and what is hardly a URL."""
    schemes = (
        "file",
        "gopher",
        "ftp",
        "dict",
        "ldap",
        "ws",
        "unix",
        "jar:http",
        "view-source:http",
        "httpx",
        "http+unix",
    )
    yield from (f"{scheme}://127.0.0.1:{port}/x" for scheme in schemes)
    yield from ("file:///etc/passwd", "file:/etc/passwd", "javascript:alert(1)", "about:blank", "http:127.0.0.1")
    yield from (f"http://{PUBLIC}:{each}/x" for each in (0, 65536, 99999, -1, "80x"))
    yield from (f"http:\\\\127.0.0.1:{port}\\x", f"http:///127.0.0.1:{port}/x", f"http:/127.0.0.1:{port}/x")
    yield from (
        f"//127.0.0.1:{port}/x",
        f"http://127.0.0.1:{port}\\@good.example/x",
        "http://",
        "http://:80/",
        "x",
        "/x",
    )
    yield from (f"http://good.example:80@127.0.0.1:{port}/x", f"http://127.0.0.1:{port}#@good.example/")
    yield from (f"http://127.0.0.1:{port}?@good.example/", f"http://127.0.0.1\t:{port}/", f" http://127.0.0.1:{port}/")
    yield from (
        f"http://127.0.0.1\r\nHost: x:{port}/",
        "http://[::1",
        f"http://::1:{port}/",
        f"http://{'a' * 70}:{port}/",
    )
    yield from (f"http://a..b:{port}/", f"http://127.0.0.1\x00.good.example:{port}/", f"HTTP://127.0.0.1:{port}/x")
