"""Where the router is, and its admin port."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

ROUTER_VARIABLE = "IMAGEGATE_ROUTER"
DEFAULT_ROUTER = "127.0.0.1:50051"
ADMIN_VARIABLE = "IMAGEGATE_ADMIN"
ADMIN_PORT = 50052


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called: the address, what should listen there, and what helps where it does not answer or is another."""

    address: str
    what: str
    if_silent: str
    if_another: str


def router_target(given: str | None, environ: Mapping[str, str]) -> Target:
    """The router to talk to: see `router_address`."""
    another = f"name a router with --router or {ROUTER_VARIABLE}"
    silent = f"start one with `imagegate up`, or name another with --router or {ROUTER_VARIABLE}"
    return Target(router_address(given, environ), "router", silent, another)


def admin_target(address: str) -> Target:
    """A router's admin port at `address`."""
    another = f"name the router's admin port with --admin or {ADMIN_VARIABLE}"
    silent = f"it is port {ADMIN_PORT} of the router's host, unless `imagegate up` says another; {another}"
    return Target(address, "router's admin port", silent, another)


def router_address(given: str | None, environ: Mapping[str, str]) -> str:
    """The router to talk to: `given`, else IMAGEGATE_ROUTER, else the one that `imagegate up` starts here.

    Raises ValueError where it is a web address.
    """
    return _no_web_address(given or environ.get(ROUTER_VARIABLE) or DEFAULT_ROUTER, "router", DEFAULT_ROUTER)


def admin_address(given: str, router: str, environ: Mapping[str, str]) -> str:
    """The admin port to talk to, as HOST:PORT: `given`, else port 50052 of `router`'s host where that is given, else
    IMAGEGATE_ADMIN, else port 50052 of the host of IMAGEGATE_ROUTER.

    Raises ValueError where the host cannot be told.
    """
    from_environ = "" if router else environ.get(ADMIN_VARIABLE, "")
    if named := given or from_environ:
        host, port = host_and_port(_no_web_address(named, "admin port", f"127.0.0.1:{ADMIN_PORT}"), ADMIN_PORT)
    else:
        host, _ = host_and_port(router_address(router, environ), ADMIN_PORT)
        port = ADMIN_PORT
    return joined(host, port)


def host_and_port(address: str, default_port: int) -> tuple[str, int]:
    """The two parts of HOST:PORT, of HOST, or of a `dns:` target; an IPv6 address stands in brackets.

    Raises ValueError where it has none.
    """
    rest = address.removeprefix("dns:")
    if rest.startswith("//"):
        rest = rest.removeprefix("//").partition("/")[2]
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.netloc != rest or "@" in rest:
        raise ValueError(f"{address!r} does not say on which host the admin port is; name it with --admin HOST:PORT")
    return host, port or default_port


def host_name(address: str) -> str:
    """The host's name in an address; empty where there is an IP address, or something else in its place."""
    try:
        host, _ = host_and_port(address, 0)
    except ValueError:
        return ""
    try:
        ip_address(host)
    except ValueError:
        return host
    return ""


def joined(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _no_web_address(address: str, what: str, example: str) -> str:
    address = address.strip()
    if urlsplit(address).scheme in {"http", "https", "grpc", "grpcs"}:
        raise ValueError(f"{address!r} is a web address; the {what} is given as HOST:PORT, for example {example}")
    return address
