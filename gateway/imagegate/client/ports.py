"""Which ports the processes of `imagegate up` take."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.client.address import ADMIN_PORT

ROUTER, ROUTER_METRICS = 50051, 9464
FIRST_PROVIDER, FIRST_PROVIDER_METRICS = 50061, 9471
EDGE, EDGE_METRICS = 8080, 9465
SANDBOX = 8090
ANY = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """A process's gRPC port and the HTTP port of its metrics; 0 is a free one."""

    grpc: int
    http: int


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of every process; providers in configured order, so that each keeps its own from run to run. `web` is
    where the edge speaks HTTP; of its `edge` gRPC port only health is asked.
    """

    router: Pair
    providers: dict[str, Pair]
    sandbox: int
    admin: int
    edge: Pair
    web: int

    @classmethod
    def fixed(cls, providers: Sequence[str]) -> "Ports":
        """The well-known ones."""
        pairs = {
            name: Pair(FIRST_PROVIDER + index, FIRST_PROVIDER_METRICS + index) for index, name in enumerate(providers)
        }
        return cls(Pair(ROUTER, ROUTER_METRICS), pairs, SANDBOX, ADMIN_PORT, Pair(ANY, EDGE_METRICS), EDGE)

    @classmethod
    def free(cls, providers: Sequence[str]) -> "Ports":
        """Any that are free."""
        return cls(Pair(ANY, ANY), dict.fromkeys(providers, Pair(ANY, ANY)), ANY, ANY, Pair(ANY, ANY), ANY)

    def taken(self, bind: str, providers: Sequence[str], *, with_sandbox: bool) -> list[tuple[str, int]]:
        """The ports of router, edge and these providers that something else is using already: (whose, number)."""
        wanted = [("router admin", self.admin), *([("sandbox", self.sandbox)] if with_sandbox else [])]
        wanted.append(("edge HTTP", self.web))
        pairs = {"router": self.router, "edge": self.edge, **{name: self.providers[name] for name in providers}}
        for name, pair in pairs.items():
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
