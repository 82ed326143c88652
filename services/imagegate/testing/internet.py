"""An internet of a test's own: public addresses that lead to listeners on the loopback, and what is connected to."""

import socket
from collections.abc import Mapping
from functools import partial
from ssl import SSLContext
from typing import Any

from imagegate.runtime.addresses import OwnPlaces
from imagegate.runtime.connecting import Network
from imagegate.testing.nameserver import LOCAL, AskingResolver

LOOPBACK = ("127.", "::1", "::", "0.", "::ffff:127.", "::ffff:7f")


class FakeInternet:
    """The names of the name server at `name_port`, and by port of any public address the listener's port on loopback.

    `reached` are the addresses and ports that somebody tried to connect to, in order. Those on the loopback are let
    through, so that a listener sees what is wrong; others lead nowhere.
    """

    def __init__(self, name_port: int, listeners: Mapping[int, int], public: frozenset[str], tls: SSLContext) -> None:
        self.reached: list[tuple[str, int]] = []
        self._name_port = name_port
        self._listeners = listeners
        self._public = public
        self._tls = tls

    def network(self, own: OwnPlaces | None = None) -> Network:
        """The way out to it."""
        return Network(
            own or OwnPlaces(),
            resolver=partial(AskingResolver, self._name_port),
            new_socket=partial(_Line, self),
            tls=self._tls,
        )

    def lead(self, address: str, port: int) -> tuple[str, int]:
        """Where a connection to `address` really goes. Raises ConnectionRefusedError."""
        self.reached.append((address, port))
        if address in self._public and port in self._listeners:
            return LOCAL, self._listeners[port]
        if address.startswith(LOOPBACK):
            return LOCAL, port
        raise ConnectionRefusedError


class _Line(socket.socket):
    """A socket of IPv4 that says it is of the family that was asked for."""

    def __init__(self, internet: FakeInternet, family: int, kind: int, protocol: int) -> None:
        self._pretended = socket.AddressFamily(family)
        super().__init__(socket.AF_INET, kind, protocol)
        self._internet = internet

    @property
    def family(self) -> socket.AddressFamily:
        """What was asked for."""
        return self._pretended

    def connect(self, address: Any, /) -> None:
        """Connect to where the internet leads."""
        super().connect(self._internet.lead(address[0], address[1]))
