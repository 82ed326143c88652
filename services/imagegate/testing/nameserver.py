"""A name server of a test's own, over UDP on the loopback, and the resolver that asks it.

It answers with a time to live of 0 and what it was told, another set at every question where there are several: that is
how a name is bound to another address between two looks.
"""

import asyncio
import ipaddress
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import cast

from aiohttp.abc import AbstractResolver, ResolveResult

LOCAL = "127.0.0.1"
SECONDS = 5.0
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHHIH")
_QUESTION = struct.Struct("!HH")
_FAMILIES: Mapping[int, socket.AddressFamily] = {1: socket.AF_INET, 28: socket.AF_INET6}
_ANSWER, _NAME_ABOVE, _INTERNET = 0x8400, 0xC00C, 1
# As nip.io answers: a name that holds an address has that address.
_TELLING = re.compile(r"(?:.*\.)?(\d+)[.-](\d+)[.-](\d+)[.-](\d+)\.nip\.example")


class NameServer(asyncio.DatagramProtocol):
    """Answers for `names`: to each the sets of addresses, one after the other and the last one for good."""

    def __init__(self, names: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.asked: list[str] = []
        self._answers: dict[tuple[str, int], Iterator[Sequence[str]]] = {
            (name, kind): chain(sets, repeat(sets[-1])) for name, sets in names.items() for kind in _FAMILIES
        }
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, end = _labels(data)
        (kind, _) = _QUESTION.unpack_from(data, end)
        name = ".".join(labels).lower()
        self.asked.append(name)
        found = [each for each in map(ipaddress.ip_address, self._addresses(name, kind)) if _is_of(each, kind)]
        head = _HEADER.pack(int.from_bytes(data[:2], "big"), _ANSWER, 1, len(found), 0, 0)
        records = (_RECORD.pack(_NAME_ABOVE, kind, _INTERNET, 0, len(each.packed)) + each.packed for each in found)
        self._transport.sendto(head + data[12 : end + 4] + b"".join(records), addr)

    def _addresses(self, name: str, kind: int) -> Sequence[str]:
        if told := _TELLING.fullmatch(name):
            return [".".join(told.groups())]
        return next(self._answers.get((name, kind), iter([[]])))


@asynccontextmanager
async def serving_names(names: Mapping[str, Sequence[Sequence[str]]]) -> AsyncIterator[tuple[NameServer, int]]:
    """A name server and its port, until the block is left."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(names), local_addr=(LOCAL, 0))
    try:
        yield server, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


class AskingResolver(AbstractResolver):
    """Asks the name server at `port` for both kinds of addresses. As the C library, it takes odd spellings of IPv4."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of `host`, IPv4 first. Raises OSError where there is none."""
        found = _as_the_c_library(host) or [
            (kind, address) for kind in _FAMILIES for address in await self._asked(host, kind)
        ]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_FAMILIES[kind], proto=0, flags=0)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""

    async def _asked(self, host: str, kind: int) -> list[str]:
        labels = [each.encode("ascii") for each in host.removesuffix(".").split(".")]
        if not all(1 <= len(each) <= 63 for each in labels):
            raise socket.gaierror(socket.EAI_NONAME, "not a name")
        name = b"".join(bytes([len(each)]) + each for each in labels) + b"\0"
        query = _HEADER.pack(kind, 0x0100, 1, 0, 0, 0) + name + _QUESTION.pack(kind, _INTERNET)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.connect((LOCAL, self._port))
            async with asyncio.timeout(SECONDS):
                await loop.sock_sendall(line, query)
                return list(_told(await loop.sock_recv(line, 4096)))


def _told(answer: bytes) -> Iterator[str]:
    count = _HEADER.unpack_from(answer)[3]
    place = _labels(answer)[1] + 4
    for _ in range(count):
        length = _RECORD.unpack_from(answer, place)[4]
        place += _RECORD.size
        yield str(ipaddress.ip_address(answer[place : place + length]))
        place += length


def _labels(message: bytes) -> tuple[list[str], int]:
    """The labels of the name that is asked for, and where the message goes on."""
    labels, place = [], _HEADER.size
    while length := message[place]:
        labels.append(message[place + 1 : place + 1 + length].decode("ascii"))
        place += 1 + length
    return labels, place + 1


def _is_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address, kind: int) -> bool:
    return (address.version == 6) == (_FAMILIES[kind] is socket.AF_INET6)


def _as_the_c_library(host: str) -> list[tuple[int, str]]:
    """127.1, 0x7f000001 and 2130706433 are addresses to `getaddrinfo`, and a NUL is the end of a name."""
    try:
        return [(1, socket.inet_ntoa(socket.inet_aton(host.partition("\0")[0])))]
    except OSError:
        return []
