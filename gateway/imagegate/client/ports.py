"""Which ports the processes of `imagegate up` take."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.client.address import ADMIN_PORT

ROUTER, ROUTER_METRICS = 50051, 9464
FIRST_PROVIDER, FIRST_PROVIDER_METRICS = 50061, 9471
SANDBOX = 8090
ANY = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """A process's gRPC port and its HTTP port; 0 is a free one."""

    grpc: int
    http: int


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of every process; providers in configured order, so that each keeps its own from run to run."""

    router: Pair
    providers: dict[str, Pair]
    sandbox: int
    admin: int

    @classmethod
    def fixed(cls, providers: Sequence[str]) -> "Ports":
        """The well-known ones."""
        pairs = {
            name: Pair(FIRST_PROVIDER + index, FIRST_PROVIDER_METRICS + index) for index, name in enumerate(providers)
        }
        return cls(Pair(ROUTER, ROUTER_METRICS), pairs, SANDBOX, ADMIN_PORT)

    @classmethod
    def free(cls, providers: Sequence[str]) -> "Ports":
        """Any that are free."""
        return cls(Pair(ANY, ANY), dict.fromkeys(providers, Pair(ANY, ANY)), ANY, ANY)

    def taken(self, bind: str, providers: Sequence[str], *, with_sandbox: bool) -> list[tuple[str, int]]:
        """The ports of the router and of these providers that something else is using already: (whose, number)."""
        wanted = [("router admin", self.admin), *([("sandbox", self.sandbox)] if with_sandbox else [])]
        for name, pair in (("router", self.router), *((name, self.providers[name]) for name in providers)):
            wanted += [(name, pair.grpc), (f"{name} metrics", pair.http)]
        return [(whose, port) for whose, port in wanted if _is_taken(bind, port)]


def _is_taken(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            # Anything else is for the process itself to tell.
            return error.errno == errno.EADDRINUSE
    return False
