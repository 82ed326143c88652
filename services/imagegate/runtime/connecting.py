"""Connections to places that somebody else names: to public addresses only, which is looked at when connecting.

A name is looked up and refused where one of its addresses is not public, whatever the others are: only somebody who
wants to get inside mixes them. What is connected to is looked at once more, because an address that stands in a URL
meets no resolver.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Annotated, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import BeforeValidator, Field, InstanceOf

from imagegate.runtime.addresses import OwnPlaces, is_public
from imagegate.runtime.settings import EnvironmentSettings

# Below the 5 s after which common servers close an idle connection: a submission must not meet a stale one.
KEEPALIVE_SECONDS = 4.0


class AddressRefusedError(OSError):
    """An address that is not public, where only public ones may be reached."""


class _Settings(EnvironmentSettings):
    own: Annotated[InstanceOf[OwnPlaces], BeforeValidator(OwnPlaces.parse)] = Field(
        default=OwnPlaces(), alias="NEVER_FETCH"
    )


@dataclass(frozen=True, slots=True)
class Network:
    """The way out to places that somebody else names, and what of them is our `own`; a test has a network of its own.

    `tls` are the authorities that are believed, True for those of the machine.
    """

    own: OwnPlaces = field(default_factory=OwnPlaces)
    resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver
    new_socket: Callable[[int, int, int], socket.socket] = socket.socket
    tls: SSLContext | bool = True

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Network":
        """The internet, less what IMAGEGATE_NEVER_FETCH names. Raises SettingsError."""
        return cls(_Settings.read(environ, "IMAGEGATE_").own)

    def connector(self) -> aiohttp.TCPConnector:
        """What reaches public addresses only."""
        return aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            resolver=_PublicResolver(self.resolver(), self.own),
            socket_factory=self._public_socket,
            happy_eyeballs_delay=None,
            ssl=self.tls,
        )

    def _public_socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that was just looked up, or was given as a literal: both come through here."""
        family, kind, protocol, _, address = addr_info
        if not is_public(address[0], self.own.ranges):
            raise AddressRefusedError("not a public address")
        return self.new_socket(family, kind, protocol)


class _PublicResolver(AbstractResolver):
    """Finds the addresses of names that have public ones only."""

    def __init__(self, inner: AbstractResolver, own: OwnPlaces) -> None:
        self._inner = inner
        self._own = own

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of `host`. Raises AddressRefusedError, or OSError where there is none."""
        if self._own.have_name(host):
            raise AddressRefusedError("a name of our own")
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(each["host"], self._own.ranges) for each in found):
            raise AddressRefusedError("a name with an address that is not public")
        return found

    async def close(self) -> None:
        """Let go of what it holds."""
        await self._inner.close()
