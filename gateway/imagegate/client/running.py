"""What `imagegate up` is asked for, and what then runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for: the providers that talk to stand-ins (None: all that have one), their world,
    and whether to take free ports in place of the well-known ones.
    """

    sandboxed: frozenset[str] | None = frozenset()
    world: str = "today"
    free_ports: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: where it accepts calls, where its metrics are, and why it is off (empty: it is on)."""

    address: str
    metrics: str
    pid: int
    off: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that runs: the router, the address of its admin port, the providers, the edge (its address is a URL)
    with the `key` that was made for it (empty: it has its own). `not_started` are the providers that the configuration
    switches off, and why.
    """

    router: Service
    admin: str
    providers: Mapping[str, Service]
    edge: Service
    key: str = field(default="", repr=False)
    sandboxed: frozenset[str] = frozenset()
    not_started: Mapping[str, str] = field(default_factory=dict)
    sandbox: str = ""
    world: str = ""

    @property
    def off(self) -> dict[str, str]:
        """The providers that are switched off, and why."""
        return {**self.not_started, **{name: service.off for name, service in self.providers.items() if service.off}}

    def to_dict(self) -> dict[str, Any]:
        """As plain values: the line of `up --json`."""
        services = {"router": self.router, "edge": self.edge, **self.providers}
        shown: dict[str, Any] = {
            "ready": True,
            "router": self.router.address,
            "admin": self.admin,
            "edge": self.edge.address,
            "key": self.key,
            "providers": {name: service.address for name, service in self.providers.items()},
            "metrics": {name: service.metrics for name, service in services.items()},
            "off": self.off,
            "pids": {name: service.pid for name, service in services.items()},
        }
        return shown | ({"sandbox": self.sandbox, "world": self.world} if self.sandbox else {})
